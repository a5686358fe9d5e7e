//! What each exporter shows of a pod, and the failures that follow from it.

use std::collections::BTreeMap;

use features::{FailureEvent, Sample, event};
use rand_chacha::ChaCha8Rng;

use super::exposition::{Series, labels};
use super::fleet::{Fleet, NODE_MEMORY};
use super::life::{Life, Pod};
use super::signal::{Signal, emit, sample};
use crate::error::{DatasetError, Result};

impl Fleet<'_> {
    /// Failures of a pod's container, as `features::event` sees them in kube-state-metrics.
    pub(super) fn failures(
        &self,
        pod: &Pod,
        lives: &[Life],
        scrapes: &[i64],
        random: &mut ChaCha8Rng,
    ) -> Result<Vec<FailureEvent>> {
        let resolve = |name: &str, reason: Option<&str>| {
            let mut labels = pod_labels(pod);
            labels.insert("uid".to_owned(), pod.uid.clone());
            if let Some(reason) = reason {
                labels.insert("reason".to_owned(), reason.to_owned());
            }
            self.exposition.resolve(name, &labels, &pod.key)
        };
        let count = resolve("kube_pod_container_status_restarts_total", None)?;
        let terminated = resolve("kube_pod_container_status_last_terminated_timestamp", None)?;
        let reasons = ["OOMKilled", "Error"]
            .map(|reason| resolve("kube_pod_container_status_last_terminated_reason", Some(reason)));
        let [oom, error] = reasons;
        let reasons = [oom?, error?];

        let ends: Vec<(i64, usize)> =
            lives.iter().filter_map(|life| life.cause.map(|cause| (life.end, cause))).collect();
        let mut samples = Vec::with_capacity(3 * scrapes.len());
        for &time in scrapes {
            let seen = ends.partition_point(|&(end, _)| end <= time);
            #[expect(clippy::cast_precision_loss, reason = "a handful of restarts, and seconds of this century")]
            let (restarts, last) = (seen as f64, ends[..seen].last().map(|&(end, cause)| ((end / 1000) as f64, cause)));
            samples.push(sample(self.catalogue, count, time, restarts, random)?);
            if let Some((end, cause)) = last {
                samples.push(sample(self.catalogue, reasons[cause], time, 1.0, random)?);
                samples.push(sample(self.catalogue, terminated, time, end, random)?);
            }
        }
        samples.sort_by_key(|sample| (sample.metric(), sample.time()));
        event::container_failures(&pod.key, self.catalogue, &samples).map_err(DatasetError::feature(&pod.key))
    }

    /// The container's own series, in the order of their metrics.
    pub(super) fn signals(&self, pod: &Pod) -> Result<Vec<(Signal, Series)>> {
        let container = pod_labels(pod);
        let with = |name: &str, value: &str| {
            let mut labels = container.clone();
            labels.insert(name.to_owned(), value.to_owned());
            labels
        };
        let mut faults = with("failure_type", "pgmajfault");
        faults.insert("scope".to_owned(), "container".to_owned());
        let mut cpu = with("resource", "cpu");
        cpu.insert("unit".to_owned(), "core".to_owned());
        let named = [
            (Signal::WorkingSet, "container_memory_working_set_bytes", &container),
            (Signal::MemoryLimit, "container_spec_memory_limit_bytes", &container),
            (Signal::ResidentSet, "container_memory_rss", &container),
            (Signal::Cache, "container_memory_cache", &container),
            (Signal::MajorFaults, "container_memory_failures_total", &faults),
            (Signal::CpuTime, "container_cpu_usage_seconds_total", &container),
            (Signal::ThrottledPeriods, "container_cpu_cfs_throttled_periods_total", &container),
            (Signal::Descriptors, "container_file_descriptors", &container),
            (Signal::Threads, "container_threads", &container),
            (Signal::CpuLimit, "kube_pod_container_resource_limits", &cpu),
        ];
        let mut signals = Vec::with_capacity(named.len());
        for (signal, name, labels) in named {
            signals.push((signal, self.exposition.resolve(name, labels, &pod.key)?));
        }
        signals.sort_by_key(|(_, series)| series.metric);
        Ok(signals)
    }

    /// Every sample of a life, its node's memory included, sorted by metric and time.
    pub(super) fn samples(
        &self,
        pod: &Pod,
        life: &Life,
        times: &[i64],
        signals: &[(Signal, Series)],
        random: &mut ChaCha8Rng,
    ) -> Result<Vec<Sample>> {
        let mut samples = Vec::with_capacity(times.len() * (signals.len() + 2));
        for &(signal, series) in signals {
            let what = (&life.levels, pod.limits);
            emit(signal, series, what, (life.start, times), self.catalogue, random, &mut samples)?;
        }
        let name = format!("node-{:02}", pod.node);
        let node = labels([("instance", format!("{name}:9100").as_str())]);
        let resolve = |metric: &str| self.exposition.resolve(metric, &node, &name);
        let (available, total) = (resolve("node_memory_MemAvailable_bytes")?, resolve("node_memory_MemTotal_bytes")?);
        let series = &self.nodes[pod.node];
        let from = series.partition_point(|&(time, _)| time < life.start);
        let until = series.partition_point(|&(time, _)| time < life.end);
        for &(time, value) in &series[from..until] {
            samples.push(sample(self.catalogue, available, time, value, random)?);
        }
        for &(time, _) in &series[from..until] {
            samples.push(sample(self.catalogue, total, time, NODE_MEMORY, random)?);
        }
        Ok(samples)
    }
}

fn pod_labels(pod: &Pod) -> BTreeMap<String, String> {
    labels([("namespace", "fleet"), ("pod", pod.name.as_str()), ("container", "app")])
}
