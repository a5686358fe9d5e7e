//! The wish to stop: SIGTERM from a scheduler, Ctrl-C from a person, SIGHUP from a terminal that is gone.

/// Resolves on SIGTERM, Ctrl-C, and SIGHUP unless the caller had it ignored (`nohup`).
pub(crate) async fn signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        // Before a handler is installed: that would end the ignoring.
        let minds = !ignores_hangup();
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            let mut hangup = if minds { signal(SignalKind::hangup()).ok() } else { None };
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => {
                        hangup.recv().await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = terminate.recv() => {}
                () = hung_up => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Whether SIGHUP is ignored, as `nohup` has it. Systems without this file are taken not to.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
