//! Whether to send requests here: the device answers and the server is not going away.

use proto::v1::SERVICE_NAME;
use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::worker::Device;

/// Device and shutdown signal, looked at together.
#[derive(Clone)]
pub(crate) struct Readiness {
    device: watch::Receiver<Device>,
    stopping: watch::Receiver<bool>,
}

impl Readiness {
    pub(crate) fn new(device: watch::Receiver<Device>, stopping: watch::Receiver<bool>) -> Self {
        Self { device, stopping }
    }

    pub(crate) fn ready(&self) -> bool {
        !*self.stopping.borrow() && *self.device.borrow() == Device::Ready
    }

    pub(crate) fn failing(&self) -> bool {
        *self.device.borrow() == Device::Failing
    }

    pub(crate) fn word(&self) -> &'static str {
        if *self.stopping.borrow() {
            return "draining";
        }
        match *self.device.borrow() {
            Device::Starting => "starting",
            Device::Ready => "ready",
            Device::Failing => "the model fails on every row",
        }
    }

    /// Tells the gRPC health service of every change, for the server as a whole and for our service.
    pub(crate) async fn report(mut self, reporter: HealthReporter) {
        loop {
            let status = if self.ready() { ServingStatus::Serving } else { ServingStatus::NotServing };
            for service in ["", SERVICE_NAME] {
                reporter.set_service_status(service, status).await;
            }
            let changed = tokio::select! {
                changed = self.device.changed() => changed,
                changed = self.stopping.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }
}
