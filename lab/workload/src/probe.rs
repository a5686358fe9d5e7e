//! The socket of liveness probes and of the request to stop.
//!
//! `ping` is only passed on: the worker answers it in its turn, which is what makes a slow or stuck container look so.
//! `stop` is heard here, so that a busy container still stops; one that is locked up or stubborn does not.

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::life::{self, Life};

/// Probes that may wait; a prober that gave up leaves its probe in the queue.
const WAITING: usize = 32;
/// A prober writes at once; one that does not must not hold up the others.
const PATIENCE: Duration = Duration::from_millis(200);

/// A liveness probe that waits for its answer.
pub(crate) struct Probe {
    pub(crate) at: Instant,
    pub(crate) stream: UnixStream,
}

/// Binds the socket and listens in a thread of its own.
pub(crate) fn listen(life: &Arc<Life>) -> Result<Receiver<Probe>, String> {
    // The run before left its socket.
    match fs::remove_file(&life.socket) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(format!("{}: {error}", life.socket.display())),
        _ => {}
    }
    let listener = UnixListener::bind(&life.socket).map_err(|error| format!("{}: {error}", life.socket.display()))?;
    let (sender, receiver) = sync_channel(WAITING);
    let life = Arc::clone(life);
    life::spawn("probe", move || serve(&life, &listener, &sender))?;
    Ok(receiver)
}

fn serve(life: &Life, listener: &UnixListener, probes: &SyncSender<Probe>) {
    loop {
        match listener.accept() {
            Ok((stream, _)) => hear(life, stream, probes),
            // No handle is left, perhaps: the connection waits, the loop does not spin.
            Err(_) => thread::sleep(PATIENCE),
        }
    }
}

fn hear(life: &Life, mut stream: UnixStream, probes: &SyncSender<Probe>) {
    let at = Instant::now();
    let mut word = [0_u8; 5];
    if stream.set_read_timeout(Some(PATIENCE)).is_err() || stream.read_exact(&mut word).is_err() {
        return;
    }
    match &word {
        // A full queue drops it: the prober sees the end of the stream and no answer.
        b"ping\n" => drop(probes.try_send(Probe { at, stream })),
        b"stop\n" if !life.script.stubborn && !life.locked() => life.end("stopped", "", 0),
        _ => {}
    }
}
