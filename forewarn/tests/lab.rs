//! `forewarn lab run` with real containers: how lives end, and that nothing stays of a run, however it ends.
//!
//! Needs Linux, root, runc, loop devices and control groups; elsewhere the trials are reported ignored, with what is
//! missing. About two minutes.

#[cfg(target_os = "linux")]
#[path = "lab/linux.rs"]
mod linux;

fn main() {
    #[cfg(target_os = "linux")]
    linux::run();
}
