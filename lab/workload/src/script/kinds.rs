//! Behaviours that are more than one level: what their lines hold.

use super::Level;

/// A log that is written to the volume.
#[derive(Debug, Clone, PartialEq)]
pub struct Disk {
    /// Bytes written since the start.
    pub level: Level,
    /// Size in bytes at which the log is deleted and begun anew.
    pub rotate: Option<f64>,
    /// Whether logs of earlier runs are deleted at the start.
    pub fresh: bool,
}

/// A file on the volume of which every request reads random blocks.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// Size of the file in bytes.
    pub level: Level,
    /// Bytes a request reads, rounded up to whole blocks.
    pub read: f64,
}

/// The worker stops and never goes on, as behind a lock that nobody frees.
#[derive(Debug, Clone, PartialEq)]
pub struct Lock {
    /// Milliseconds after the start.
    pub onset_ms: u64,
    /// Growing pauses before it; `None`: nothing announces it.
    pub stutter: Option<Stutter>,
}

/// Pauses of the worker, about one a second, that grow up to the lock.
#[derive(Debug, Clone, PartialEq)]
pub struct Stutter {
    /// Milliseconds before the lock at which they begin.
    pub lead_ms: u64,
    /// Milliseconds of the last and longest one.
    pub pause_ms: u64,
}

/// Exit without any sign before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Poison {
    /// Milliseconds after the start.
    pub onset_ms: u64,
    /// Exit code.
    pub code: u8,
}

/// Exit soon after the start, as with a wrong setting.
#[derive(Debug, Clone, PartialEq)]
pub struct BadStart {
    /// Milliseconds after the start.
    pub after_ms: u64,
    /// Exit code.
    pub code: u8,
    /// First run that starts well; `None`: none ever does.
    pub until_run: Option<u32>,
}

/// What a slow starter does before it is ready; liveness is answered meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub struct Warmup {
    /// Milliseconds it takes.
    pub for_ms: u64,
    /// Cores it burns.
    pub cores: f64,
    /// Bytes it has allocated at its end, and then frees.
    pub bytes: f64,
}

impl BadStart {
    /// Whether this run of the container is one that ends so.
    pub fn ends(&self, run: u32) -> bool {
        self.until_run.is_none_or(|good| run < good)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_start_ends_with_its_last_bad_run_or_never() {
        let passing = BadStart { after_ms: 1, code: 1, until_run: Some(2) };
        assert!(passing.ends(1) && !passing.ends(2));
        assert!(BadStart { until_run: None, ..passing }.ends(99));
    }
}
