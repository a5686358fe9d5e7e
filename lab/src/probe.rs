//! The liveness probe: one line to the workload's socket, one line back within the time-out.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Asks once; how long the answer took, or `None` where there was none in time.
#[must_use]
pub fn ask(socket: &Path, timeout: Duration) -> Option<Duration> {
    let started = Instant::now();
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_write_timeout(Some(timeout)).ok()?;
    stream.write_all(b"ping\n").ok()?;
    let mut answer = [0; 5];
    let mut read = 0;
    while read < answer.len() {
        let left = timeout.checked_sub(started.elapsed()).filter(|left| !left.is_zero())?;
        stream.set_read_timeout(Some(left)).ok()?;
        match stream.read(&mut answer[read..]) {
            Ok(0) | Err(_) => return None,
            Ok(more) => read += more,
        }
    }
    (&answer == b"pong\n").then(|| started.elapsed())
}

/// Asks the workload to end by itself; whether the wish could be delivered.
pub fn stop(socket: &Path) -> bool {
    let asked = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_write_timeout(Some(Duration::from_millis(100)))?;
        stream.write_all(b"stop\n")
    };
    asked().is_ok()
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn an_answer_in_time_counts_and_a_late_or_missing_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("probe.sock");
        assert_eq!(ask(&socket, Duration::from_millis(50)), None, "nobody listens");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || {
            for answer in [&b"pong\n"[..], b"nope\n", b""] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut line = String::new();
                std::io::BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
                assert_eq!(line, "ping\n");
                stream.write_all(answer).unwrap();
            }
            // The last is taken by the kernel and answered by nobody.
            std::thread::sleep(Duration::from_millis(300));
        });
        assert!(ask(&socket, Duration::from_secs(5)).is_some());
        assert_eq!(ask(&socket, Duration::from_secs(5)), None, "another word");
        assert_eq!(ask(&socket, Duration::from_secs(5)), None, "closed");
        assert_eq!(ask(&socket, Duration::from_millis(50)), None, "too late");
        server.join().unwrap();
    }
}
