//! Long work says how far it is; who listens is the caller's business.

/// Receives the progress of one piece of work at a time.
pub trait Progress: Sync {
    /// Work begins: what, and how many steps if known.
    fn begin(&self, what: &str, total: Option<u64>);
    /// Some more steps are done.
    fn advance(&self, by: u64);
    /// The work is done.
    fn end(&self);
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _what: &str, _total: Option<u64>) {}
    fn advance(&self, _by: u64) {}
    fn end(&self) {}
}
