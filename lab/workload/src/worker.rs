//! The one worker: requests and liveness probes in one queue, first come, first served.
//!
//! Requests need no queue in memory: their arrivals are a stream that is drawn on, and a worker that is behind draws
//! times that have passed. A probe waits for all requests that came before it, so a container short of CPU or of disk
//! answers late, and a locked one never.

use std::collections::VecDeque;
use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::held::Blocks;
use crate::life::Life;
use crate::probe::Probe;
use crate::random::Random;
use crate::script::Stutter;
use crate::volume::WorkingFile;
use crate::work::Work;

/// Requests that waited longer, in seconds, are dropped: a client would have given up.
const LONGEST_WAIT: f64 = 10.0;
/// Wait in seconds from which there is a backlog to report: the shortest time-out of a probe in the shipped families.
const BACKLOG: f64 = 0.3;
/// Bytes of one read of the working file.
const READ: usize = 16 * 1024;
/// Seconds between two steps of the warm-up.
const WARMUP_SLICE: f64 = 0.05;
/// Seconds between two pauses of a stutter.
const PAUSE_EVERY: f64 = 1.0;

pub(crate) struct Worker<'a> {
    life: &'a Life,
    work: Work,
    file: Option<(Arc<WorkingFile>, f64)>,
    random: Random,
    probes: VecDeque<Probe>,
    /// Arrival of the next request in seconds after the start.
    next_request: f64,
    next_pause: f64,
    behind: bool,
    buffer: Vec<u8>,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(life: &'a Life, work: Work, file: Option<Arc<WorkingFile>>) -> Self {
        let script = &life.script;
        let file = file.zip(script.cache.as_ref().map(|cache| cache.read));
        Self {
            life,
            work,
            random: Random::new(script.seed, script.run),
            probes: VecDeque::new(),
            next_request: f64::INFINITY,
            next_pause: 0.0,
            behind: false,
            buffer: if file.is_some() { vec![0; READ] } else { Vec::new() },
            file,
        }
    }

    pub(crate) fn run(mut self, incoming: &Receiver<Probe>) {
        self.warm_up(incoming);
        self.life.report.write("ready", "");
        self.draw_request(self.life.seconds());
        loop {
            if self.life.locked() {
                loop {
                    thread::park();
                }
            }
            self.stutter();
            self.probes.extend(incoming.try_iter());
            let now = self.life.seconds();
            self.shed(now);
            let probe = self.probes.front().map_or(f64::INFINITY, |probe| self.life.seconds_at(probe.at));
            if probe <= self.next_request.min(now) {
                self.answer();
            } else if self.next_request <= now {
                self.serve();
            } else {
                self.wait(incoming, self.next_request - now);
            }
        }
    }

    /// Waits for a probe, at most that many seconds, and no longer than until the next scripted stop.
    fn wait(&mut self, incoming: &Receiver<Probe>, seconds: f64) {
        let mut seconds = seconds.min(3600.0);
        if let Some(lock) = &self.life.script.lock {
            let now = self.life.seconds();
            let onset = lock.onset_ms as f64 / 1000.0;
            let stop = match &lock.stutter {
                Some(stutter) => (onset - stutter.lead_ms as f64 / 1000.0).max(self.next_pause).min(onset),
                None => onset,
            };
            seconds = seconds.min((stop - now).max(0.001));
        }
        match incoming.recv_timeout(Duration::from_secs_f64(seconds)) {
            Ok(probe) => self.probes.push_back(probe),
            Err(RecvTimeoutError::Timeout) => {}
            // The listener never ends; if it did, there would be nothing to hear and no reason to spin.
            Err(RecvTimeoutError::Disconnected) => thread::sleep(Duration::from_secs_f64(seconds)),
        }
    }

    fn answer(&mut self) {
        if let Some(mut probe) = self.probes.pop_front() {
            // A prober that gave up has closed its end, and that is its answer.
            let _ = probe.stream.write_all(b"pong\n");
        }
    }

    fn serve(&mut self) {
        let Some(load) = &self.life.script.load else { return };
        let arrival = self.next_request;
        if load.scratch >= 1.0 {
            black_box(vec![0x5a_u8; load.scratch as usize]);
        }
        self.work.spend(load.cost_at(arrival));
        if let Some((file, bytes)) = self.file.clone() {
            self.read(&file.file, file.size.load(Ordering::Relaxed), bytes);
        }
        self.draw_request(arrival);
    }

    fn read(&mut self, file: &File, size: u64, bytes: f64) {
        let blocks = size / READ as u64;
        for _ in 0..(bytes / READ as f64).ceil() as u64 {
            if blocks == 0 {
                return;
            }
            if let Err(error) = file.read_at(&mut self.buffer, self.random.below(blocks) * READ as u64) {
                self.life.fail("reading the working file", &error);
            }
        }
    }

    fn draw_request(&mut self, after: f64) {
        if let Some(load) = &self.life.script.load {
            self.next_request = load.next(after, self.random.exponential());
        }
    }

    /// Tells of a backlog once, and bounds it.
    fn shed(&mut self, now: f64) {
        let wait = now - self.next_request;
        if wait > BACKLOG && !self.behind {
            self.behind = true;
            self.life.report.write("backlog", "");
        }
        if wait > LONGEST_WAIT {
            self.next_request = now - LONGEST_WAIT;
        }
    }

    fn stutter(&mut self) {
        let Some(lock) = &self.life.script.lock else { return };
        let Some(stutter) = &lock.stutter else { return };
        let now = self.life.seconds();
        let onset = lock.onset_ms as f64 / 1000.0;
        if now >= self.next_pause
            && let Some(pause) = pause(stutter, onset, now)
        {
            thread::sleep(Duration::from_secs_f64(pause));
            self.next_pause = self.life.seconds() + PAUSE_EVERY * (0.5 + self.random.uniform());
        }
    }

    /// Slow and busy before it is ready; probes are answered between the slices.
    fn warm_up(&mut self, incoming: &Receiver<Probe>) {
        let Some(warmup) = &self.life.script.warmup else { return };
        let end = warmup.for_ms as f64 / 1000.0;
        let mut blocks = Blocks::default();
        loop {
            let now = self.life.seconds();
            if now >= end {
                return;
            }
            blocks.hold(warmup.bytes * now / end);
            self.work.spend(WARMUP_SLICE * warmup.cores);
            let rest = WARMUP_SLICE - (self.life.seconds() - now);
            thread::sleep(Duration::from_secs_f64(rest.max(0.0)));
            self.probes.extend(incoming.try_iter());
            while !self.probes.is_empty() {
                self.answer();
            }
        }
    }
}

/// Length in seconds of a pause now; `None` while it is too early. Grows with the square of the time into the lead, so
/// that most of the lead is faint.
fn pause(stutter: &Stutter, onset: f64, now: f64) -> Option<f64> {
    let lead = stutter.lead_ms as f64 / 1000.0;
    let into = now - (onset - lead);
    if into < 0.0 || lead <= 0.0 {
        return None;
    }
    let share = (into / lead).min(1.0);
    Some(stutter.pause_ms as f64 / 1000.0 * (0.05 + 0.95 * share * share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_begin_with_the_lead_and_grow_to_the_longest() {
        let stutter = Stutter { lead_ms: 20_000, pause_ms: 200 };
        assert_eq!(pause(&stutter, 60.0, 39.9), None);
        let lengths = [40.0, 50.0, 60.0].map(|now| pause(&stutter, 60.0, now).expect("in the lead"));
        for (seen, wanted) in lengths.into_iter().zip([0.01, 0.0575, 0.2]) {
            assert!((seen - wanted).abs() < 1e-9, "{seen} instead of {wanted}");
        }
    }
}
