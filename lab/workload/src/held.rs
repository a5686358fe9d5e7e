//! What a container holds on to: memory, open files, sleeping threads, each brought to a level again and again.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// Size of a block with the allocator's own 16 bytes: large enough to be mapped by itself, so that a freed one goes
/// back to the kernel at once, and small enough that a climb looks smooth.
const BLOCK: usize = 256 * 1024;
/// Stack of a sleeping thread in bytes.
const STACK: usize = 64 * 1024;

/// Memory, really touched.
#[derive(Default)]
pub(crate) struct Blocks(Vec<Vec<u8>>);

impl Blocks {
    /// Holds that many bytes, to the nearest block.
    pub(crate) fn hold(&mut self, bytes: f64) {
        let wanted = (bytes / BLOCK as f64).round() as usize;
        self.0.truncate(wanted);
        while self.0.len() < wanted {
            // Every byte differs from zero, so every page is written.
            self.0.push(vec![0x5a; BLOCK - 16]);
        }
    }
}

/// Open files.
#[derive(Default)]
pub(crate) struct Files(Vec<File>);

impl Files {
    /// Holds that many handles of one file; an error when the process may open no more.
    pub(crate) fn hold(&mut self, count: f64, path: &Path) -> io::Result<()> {
        let wanted = count as usize;
        self.0.truncate(wanted);
        while self.0.len() < wanted {
            self.0.push(File::open(path)?);
        }
        Ok(())
    }
}

/// Threads that wait for something that does not come.
#[derive(Default)]
pub(crate) struct Sleepers(Vec<Sender<()>>);

impl Sleepers {
    /// Holds that many threads; an error when no more can be started.
    pub(crate) fn hold(&mut self, count: f64) -> io::Result<()> {
        let wanted = count as usize;
        // A thread whose sender is dropped wakes and ends.
        self.0.truncate(wanted);
        while self.0.len() < wanted {
            let (sender, receiver): (Sender<()>, Receiver<()>) = channel();
            thread::Builder::new().stack_size(STACK).spawn(move || {
                let _ = receiver.recv();
            })?;
            self.0.push(sender);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident_kib() -> u64 {
        let text = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let line = text.lines().find(|line| line.starts_with("RssAnon:")).expect("RssAnon");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    #[test]
    fn blocks_are_resident_while_held_and_given_back_after() {
        let before = resident_kib();
        let mut blocks = Blocks::default();
        blocks.hold(64.0 * 1024.0 * 1024.0);
        let held = resident_kib();
        blocks.hold(0.0);
        let after = resident_kib();
        // Other tests of this process run beside this one and hold little.
        assert!(held >= before + 60 * 1024, "{before} {held}");
        assert!(after <= before + 16 * 1024, "{before} {after}");
    }

    #[test]
    fn files_and_threads_follow_their_level_up_and_down() {
        let mut files = Files::default();
        files.hold(20.9, Path::new("/proc/self/status")).expect("20 files");
        assert_eq!(files.0.len(), 20);
        files.hold(3.0, Path::new("/proc/self/status")).expect("3 files");
        assert_eq!(files.0.len(), 3);
        assert!(files.hold(4.0, Path::new("/no/such/file")).is_err());
        let mut sleepers = Sleepers::default();
        sleepers.hold(5.0).expect("5 threads");
        sleepers.hold(1.0).expect("1 thread");
        assert_eq!(sleepers.0.len(), 1);
    }
}
