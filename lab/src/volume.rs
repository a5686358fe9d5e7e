//! A volume: an ext4 image on the host, mounted through a loop device.
//!
//! A tmpfs would be charged to the container's memory, and a folder of the host would fill the host's disk.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Result, io};
use crate::host::output;

/// A mounted image. Dropping it does not unmount it: what a killed run leaves has to be cleaned by name anyway.
#[derive(Debug)]
pub struct Volume {
    image: PathBuf,
    /// Where it is mounted.
    pub at: PathBuf,
    /// Device it is mounted from.
    pub device: String,
    /// Its device numbers.
    pub numbers: Option<(u64, u64)>,
}

impl Volume {
    /// Makes and mounts an image of `bytes`, which takes only as much of the disk as is written to it.
    ///
    /// # Errors
    /// When a file cannot be written or a program fails.
    pub fn make(image: &Path, at: &Path, bytes: u64) -> Result<Self> {
        let file = File::create(image).map_err(io(image, "create the image"))?;
        file.set_len(bytes).map_err(io(image, "size the image"))?;
        drop(file);
        std::fs::create_dir_all(at).map_err(io(at, "create the mount point"))?;
        let mut format = Command::new("mkfs.ext4");
        // No room kept for root, no journal: the smallest images would be half journal.
        format.args(["-q", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=0,nodiscard"]).arg(image);
        output(format, &format!("mkfs.ext4 {}", image.display()))?;
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop,noatime"]).arg(image).arg(at);
        output(mount, &format!("mount {}", image.display()))?;
        if let Err(error) = std::fs::set_permissions(at, Permissions::from_mode(0o777)) {
            let _ = unmount(at);
            return Err(io(at, "open it to the workload")(error));
        }
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        let device = mounted(&mounts, at).map_or_else(String::new, |(device, _)| device);
        let numbers = std::fs::metadata(&device).ok().map(|meta| numbers(meta.rdev()));
        Ok(Self { image: image.to_owned(), at: at.to_owned(), device, numbers })
    }

    /// Unmounts it and removes the image.
    ///
    /// # Errors
    /// When it is in use for longer than a few seconds.
    pub fn remove(&self) -> Result<()> {
        unmount(&self.at)?;
        std::fs::remove_file(&self.image).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(io(&self.image, "remove the image")(error)),
        })
    }
}

/// Device and mount point of what is mounted exactly there.
fn mounted(mounts: &str, at: &Path) -> Option<(String, PathBuf)> {
    points(mounts).find(|(_, point)| point == at)
}

/// Device and mount point of every mount, from the text of /proc/mounts.
pub(crate) fn points(mounts: &str) -> impl Iterator<Item = (String, PathBuf)> {
    mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        // Blanks in a path are written in octal.
        let word = |text: &str| text.replace("\\040", " ");
        Some((word(words.next()?), PathBuf::from(word(words.next()?))))
    })
}

/// Unmounts, trying again while it is in use: a process may have died a moment ago.
pub(crate) fn unmount(at: &Path) -> Result<()> {
    let mut tries = 0;
    loop {
        let mut command = Command::new("umount");
        command.arg(at);
        if tries == 20 {
            command.arg("--lazy");
        }
        match output(command, &format!("umount {}", at.display())) {
            Ok(_) => return Ok(()),
            Err(error) if tries == 20 => return Err(error),
            Err(_) => {
                let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
                if mounted(&mounts, at).is_none() {
                    return Ok(());
                }
                tries += 1;
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        }
    }
}

/// Major and minor of a Linux device number.
fn numbers(device: u64) -> (u64, u64) {
    (((device >> 8) & 0xfff) | ((device >> 32) & !0xfff), (device & 0xff) | ((device >> 12) & !0xff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_blanks() {
        let text = "/dev/loop3 /run/a\\040b ext4 rw 0 0\nproc /proc proc rw 0 0\n";
        let seen: Vec<_> = points(text).collect();
        assert_eq!(seen[0], ("/dev/loop3".to_owned(), PathBuf::from("/run/a b")));
        assert_eq!(mounted(text, Path::new("/proc")).map(|(device, _)| device), Some("proc".to_owned()));
        assert_eq!(mounted(text, Path::new("/run")), None);
    }

    #[test]
    fn device_numbers_are_taken_apart() {
        assert_eq!(numbers(0x0703), (7, 3));
        // makedev(259, 300): the minor's upper bits lie above the major.
        assert_eq!(numbers((259 & 0xfff) << 8 | (300 & 0xff) | ((300 & !0xff) << 12)), (259, 300));
    }
}
