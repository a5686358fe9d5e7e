//! Pods of a GPU cluster (Alibaba 2023): requests, phases and times of real pods, without metrics.
//!
//! Failed and succeeded compete; a pod that was deleted while running is censored there, because its owner's
//! choice says nothing about its health.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use features::spec::{FlatColumn, FlatSource, KERNEL_VERSION};
use features::split::TimeBorders;
use features::{Catalogue, Entity, EntityHistory, EntityKind, FailureEvent, FeatureSpec, TimeAxis};
use serde::{Deserialize, Serialize};
use survival::{CensorReason, TimeGrid, TimeUnit};

use super::table::Table;
use crate::error::{DatasetError, Result};
use crate::source::{BuildPlan, Cuts, Each, Input, Source, SplitRule, readout};

/// Ages in seconds at which a row is made.
const AGES: [i64; 5] = [0, 60, 300, 900, 3600];
/// Edges in seconds.
const EDGES: [f64; 20] = [
    0.0, 15.0, 30.0, 60.0, 120.0, 180.0, 300.0, 450.0, 600.0, 900.0, 1200.0, 1800.0, 2700.0, 3600.0, 5400.0, 7200.0,
    14_400.0, 28_800.0, 43_200.0, 86_400.0,
];
/// Rows this close before a border could look across it: nothing on the grid reaches further.
const PURGE: i64 = 86_400;
/// Pods alike that are created within so many seconds of each other are one burst of one job.
const BURST: i64 = 60;
/// Quality of service as the trace names it, and as a column.
const QOS: [(&str, &str); 4] = [
    ("LS", "qos.latency_sensitive"),
    ("BE", "qos.best_effort"),
    ("Burstable", "qos.burstable"),
    ("Guaranteed", "qos.guaranteed"),
];
const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// Where the pod list is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlibabaPodsConfig {
    /// Folder with `pods.csv.gz`, or `pods.csv`.
    pub from: PathBuf,
}

/// The pods as a source.
#[derive(Debug, Clone)]
pub struct AlibabaPods {
    plan: BuildPlan,
    pods: Vec<Pod>,
    pending: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Failed,
    Succeeded,
    Deleted,
}

#[derive(Debug, Clone)]
struct Pod {
    name: String,
    created: i64,
    scheduled: i64,
    deleted: i64,
    end: End,
    attributes: BTreeMap<String, f64>,
    /// Requests and quality of service as one text: equal for pods of one job.
    alike: String,
    group: String,
}

impl AlibabaPods {
    /// Reads the pod list.
    ///
    /// # Errors
    /// When it is missing, a column is, or a cell is not what it should be.
    pub fn open(config: &AlibabaPodsConfig) -> Result<Self> {
        let packed = config.from.join("pods.csv.gz");
        let path = if packed.exists() { packed } else { config.from.join("pods.csv") };
        let (table, input) = Table::read(&path)?;
        let (mut pods, pending) = read_pods(&table)?;
        if pods.is_empty() {
            return Err(DatasetError::Empty { path, what: "pods that ever ran" });
        }
        name_bursts(&mut pods);
        let plan = plan(&path, &pods, input)?;
        Ok(Self { plan, pods, pending })
    }
}

impl Source for AlibabaPods {
    fn plan(&self) -> &BuildPlan {
        &self.plan
    }

    fn entities(&self) -> Option<u64> {
        Some(self.pods.len() as u64)
    }

    fn unit(&mut self, _unit: usize, each: &mut Each<'_>) -> Result<()> {
        for pod in &self.pods {
            each(history(pod)?, None)?;
        }
        Ok(())
    }

    fn skipped(&self) -> BTreeMap<String, u64> {
        [("pending_never_ran".to_owned(), self.pending)].into()
    }
}

fn history(pod: &Pod) -> Result<EntityHistory> {
    let named = DatasetError::feature(&pod.name);
    let event = |cause| {
        let evidence = format!("pod_phase {cause}, deletion_time {}", pod.deleted);
        FailureEvent::try_new(&pod.name, cause, pod.deleted, pod.deleted, evidence).map_err(&named)
    };
    let events = match pod.end {
        End::Failed => vec![event("failed")?],
        End::Succeeded => vec![event("succeeded")?],
        End::Deleted => Vec::new(),
    };
    Ok(EntityHistory {
        nodes: Vec::new(),
        entity: Entity::try_new(EntityKind::Pod, pod.name.as_str(), "").map_err(&named)?,
        group: pod.group.clone(),
        attributes: pod.attributes.clone(),
        // A pod created at the origin of the trace was there before it: its age is not known.
        born: (pod.created > 0).then_some(pod.scheduled),
        observed_from: pod.scheduled,
        observed_until: pod.deleted,
        end: CensorReason::PlannedEnd,
        tiles: None,
        samples: Vec::new(),
        events: events.into(),
        gaps: [].into(),
    })
}

fn read_pods(table: &Table) -> Result<(Vec<Pod>, u64)> {
    let columns = |names: [&str; 5]| -> Result<[usize; 5]> {
        let mut found = [0; 5];
        for (slot, name) in found.iter_mut().zip(names) {
            *slot = table.column(name)?;
        }
        Ok(found)
    };
    let [name, spec, qos, phase, created] = columns(["name", "gpu_spec", "qos", "pod_phase", "creation_time"])?;
    let [cpu, memory, gpus, share, deleted] =
        columns(["cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "deletion_time"])?;
    let scheduled = table.column("scheduled_time")?;
    let (mut pods, mut pending) = (Vec::new(), 0);
    for row in 0..table.len() {
        let end = match table.text(row, phase) {
            "Failed" => End::Failed,
            "Succeeded" => End::Succeeded,
            "Running" => End::Deleted,
            "Pending" => {
                pending += 1;
                continue;
            }
            other => return Err(table.refuse(row, format!("pod_phase is {other:?}, not known"))),
        };
        let class = table.text(row, qos);
        if !QOS.iter().any(|(known, _)| *known == class) {
            return Err(table.refuse(row, format!("qos is {class:?}, not known")));
        }
        let mut attributes: BTreeMap<String, f64> =
            QOS.iter().map(|(known, column)| ((*column).to_owned(), f64::from(u8::from(*known == class)))).collect();
        let requests = [
            ("request.cpu", cpu, 1e-3),
            ("request.memory", memory, MEBIBYTE),
            ("request.gpus", gpus, 1.0),
            ("request.gpu_share", share, 1e-3),
        ];
        for (attribute, column, scale) in requests {
            let value = table.number(row, column)?;
            if value < 0.0 {
                return Err(
                    table.refuse(row, format!("column {:?} is {value}, it cannot be negative", table.names()[column]))
                );
            }
            attributes.insert(attribute.to_owned(), value * scale);
        }
        let given = !table.text(row, spec).is_empty();
        attributes.insert("gpu_spec.given".to_owned(), f64::from(u8::from(given)));
        let alike: Vec<&str> =
            [cpu, memory, gpus, share, spec, qos].iter().map(|&column| table.text(row, column)).collect();
        let pod = Pod {
            name: table.text(row, name).to_owned(),
            created: table.whole(row, created)?,
            scheduled: table.whole(row, scheduled)?,
            deleted: table.whole(row, deleted)?,
            end,
            attributes,
            alike: alike.join("|"),
            group: String::new(),
        };
        if pod.scheduled < pod.created || pod.deleted < pod.scheduled {
            return Err(table.refuse(
                row,
                format!(
                    "created {}, scheduled {}, deleted {}: time runs backwards",
                    pod.created, pod.scheduled, pod.deleted
                ),
            ));
        }
        pods.push(pod);
    }
    Ok((pods, pending))
}

/// Gives pods of one burst one group: alike, and each created within a minute of the one before.
fn name_bursts(pods: &mut [Pod]) {
    let mut order: Vec<usize> = (0..pods.len()).collect();
    order.sort_by_key(|&index| pods[index].created);
    let mut newest: HashMap<String, (i64, String)> = HashMap::new();
    for index in order {
        let pod = &mut pods[index];
        pod.group = match newest.get(&pod.alike) {
            Some((created, group)) if pod.created - created <= BURST => group.clone(),
            _ => format!("burst-{}", pod.name),
        };
        newest.insert(pod.alike.clone(), (pod.created, pod.group.clone()));
    }
}

fn plan(path: &Path, pods: &[Pod], input: Input) -> Result<BuildPlan> {
    let name = "alibaba-gpu-pods-2023".to_owned();
    let named = DatasetError::feature(path.display().to_string());
    let catalogue = Catalogue::try_new(Vec::new()).map_err(&named)?;
    let attributes = ["request.cpu", "request.memory", "request.gpus", "request.gpu_share", "gpu_spec.given"];
    let attributes = attributes.into_iter().chain(QOS.map(|(_, column)| column));
    let mut flat = vec![FlatColumn { name: "age".to_owned(), source: FlatSource::Age }];
    flat.extend(attributes.map(|attribute| FlatColumn {
        name: attribute.to_owned(),
        source: FlatSource::Attribute { attribute: attribute.to_owned() },
    }));
    let spec = FeatureSpec {
        mappings: Default::default(),
        kernel_version: KERNEL_VERSION,
        time: TimeAxis { unit: TimeUnit::Seconds, ticks_per_unit: 1 },
        tile: 1,
        ingest_lag: 0,
        // There are no samples, so there are no gaps.
        longest_gap: PURGE,
        flat,
        steps: 0,
        step: 1,
        channels: Vec::new(),
        regimes: Vec::new(),
        summaries: Vec::new(),
        scrape_interval: None,
        rollup: None,
        catalogue_digest: catalogue.digest(),
    };
    let mut starts: Vec<i64> = pods.iter().map(|pod| pod.scheduled).collect();
    starts.sort_unstable();
    let at = |per_cent: usize| starts[(starts.len() * per_cent / 100).min(starts.len() - 1)];
    Ok(BuildPlan {
        name,
        title: "Pods of a GPU cluster: failure, success and deletion (Alibaba 2023)".to_owned(),
        licence: "none named in the folder of the release; its sibling trace is CC-BY-4.0: treated as CC-BY-4.0, cite the paper".to_owned(),
        source_text: "Q. Weng et al., \"Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent\", USENIX ATC 2023; alibaba/clusterdata, cluster-trace-gpu-v2023, openb_pod_list_default.csv".to_owned(),
        inputs: vec![input],
        grid: TimeGrid::try_new(TimeUnit::Seconds, EDGES.to_vec()).map_err(|error| named(error.into()))?,
        causes: vec!["failed".to_owned(), "succeeded".to_owned()],
        readout: readout(&[60.0, 300.0, 900.0, 3600.0], &[0.05, 0.5, 0.95], 3600.0),
        cuts: Cuts::After(AGES.to_vec()),
        split: SplitRule::ByTime(TimeBorders { validation: at(55), calibration: at(68), test: at(80), purge: PURGE }),
        permute_labels: None,
        notes: vec![
            "Succeeded is a competing end, not a failure: read the incidence of `failed`, not 1 − S.".to_owned(),
            "Pods listed as Running have a deletion time: they were deleted while running and are censored there (planned_end).".to_owned(),
            "Pending pods never ran; they are left out and counted.".to_owned(),
            "Watching begins at scheduling. A pod created at second 0 was there before the trace: its age is missing (left truncation).".to_owned(),
            "Failures come in bursts of one job: pods alike that are created within 60 s of each other are one group; parts are split by time, with a day before each border left out.".to_owned(),
            "Quality of service nearly decides the outcome; a model must beat the Kaplan-Meier curve of each class.".to_owned(),
            "Node assignment is not given, and there are no usage metrics.".to_owned(),
        ],
        catalogue,
        spec,
    })
}
