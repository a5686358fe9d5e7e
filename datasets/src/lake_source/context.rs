//! What the rest of the lake says of an entity: its pod, its node, what was done to it, what an engine told of it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use features::event::notice;
use features::event::{Break, EventRules, Notice, Subject, Trace, extract};
use features::{Catalogue, EntityKind, FailureEvent, MetricId};
use serde::Deserialize;

use super::config::{LabelConfig, NoticeSource};
use super::each_entity;
use crate::error::{DatasetError, Result};
use crate::lake::{Lake, Scan};
use crate::source::Input;

/// One incarnation of a pod.
#[derive(Debug, Clone, Default)]
pub(super) struct PodFacts {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) created: Option<i64>,
    pub(super) deleted: bool,
    pub(super) phase: Option<String>,
    pub(super) disruption: Option<String>,
    /// Kind and name of the owner.
    pub(super) owner: Option<(String, String)>,
    /// When it was first seen on which node.
    pub(super) nodes: Vec<(i64, String)>,
    /// Evictions and preemptions: what ends the pod ends its containers.
    pub(super) failures: Vec<FailureEvent>,
    /// Its completion, or a failure nobody explains.
    pub(super) breaks: Vec<Break>,
    /// While it is listed and over.
    pub(super) down: Vec<(i64, i64)>,
}

impl PodFacts {
    /// Node at a time.
    pub(super) fn node(&self, time: i64) -> Option<&str> {
        let after = self.nodes.partition_point(|(seen, _)| *seen <= time);
        self.nodes[..after].last().or(self.nodes.first()).map(|(_, node)| node.as_str())
    }

    /// `namespace/workload`, where the owner is known.
    pub(super) fn workload(&self, key: &str) -> Option<String> {
        let namespace = key.split('/').next().unwrap_or("");
        self.owner.as_ref().map(|(kind, name)| {
            // A replica set is one revision of its deployment, which its name without the hash names.
            let name = match name.rsplit_once('-') {
                Some((deployment, _)) if kind == "ReplicaSet" => deployment,
                _ => name,
            };
            format!("{namespace}/{name}")
        })
    }
}

/// One thing done because of a prediction.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionLine {
    time: String,
    kind: EntityKind,
    key: String,
    #[serde(default)]
    action: String,
}

/// A series of a host, as its virtual machines read it.
#[derive(Debug, Default)]
pub(super) struct HostTrace {
    pub(super) times: Vec<i64>,
    pub(super) values: Vec<f64>,
}

/// What was read beside the entity itself.
#[derive(Debug, Default)]
pub(super) struct Context {
    pub(super) rules: Option<EventRules>,
    /// By key and incarnation.
    pods: HashMap<(String, String), PodFacts>,
    /// First and last moments of pods, by workload.
    workloads: HashMap<String, Vec<(i64, i64, String)>>,
    /// Stretches in which a node was cordoned.
    cordons: HashMap<String, Vec<(i64, i64)>>,
    /// What hosts of virtual machines showed of their maintenance.
    maintenance: HashMap<String, HostTrace>,
    actions: HashMap<(EntityKind, String), Vec<(i64, String)>>,
    notices: HashMap<String, Vec<Notice>>,
}

impl Context {
    /// Nothing read yet; failures will be told by these rules.
    pub(super) fn by(rules: EventRules) -> Self {
        Self { rules: Some(rules), ..Self::default() }
    }

    /// Rules, actions and notices of a config; each file is pinned as an input.
    pub(super) fn of_files(labels: &LabelConfig) -> Result<(Self, Vec<Input>)> {
        let mut context = Self::default();
        let mut inputs = Vec::new();
        let rules = match &labels.rules {
            None => EventRules::shipped(),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(DatasetError::io(path, "read the event rules"))?;
                EventRules::from_toml(&text).map_err(DatasetError::feature(&path.display().to_string()))?
            }
        };
        inputs.push(Input { name: "event rules".to_owned(), sha256: rules.digest() });
        context.rules = Some(rules);
        if let Some(path) = &labels.actions {
            context.read_actions(path, &mut inputs)?;
        }
        for file in &labels.notices {
            let path = file.path();
            lines(path, "notices", &mut inputs, &mut |line| {
                let told = match file {
                    NoticeSource::Docker { engine, .. } => {
                        notice::docker(line).map(|told| told.map(|(name, notice)| (format!("{engine}/{name}"), notice)))
                    }
                    NoticeSource::Vcenter { .. } => notice::vcenter(line, &moment),
                };
                if let Some((key, notice)) = told.map_err(|error| error.to_string())? {
                    context.notices.entry(key).or_default().push(notice);
                }
                Ok(())
            })?;
        }
        context.notices.values_mut().for_each(|notices| notices.sort_by_key(|notice| notice.time));
        Ok((context, inputs))
    }

    /// Reads a log of what was done because of a prediction, JSON lines, and pins it as an input.
    pub(super) fn read_actions(&mut self, path: &Path, inputs: &mut Vec<Input>) -> Result<()> {
        lines(path, "action log", inputs, &mut |line| {
            let action: ActionLine = serde_json::from_str(line).map_err(|error| error.to_string())?;
            let time = moment(&action.time).ok_or_else(|| format!("{:?} is no RFC 3339 moment", action.time))?;
            self.actions.entry((action.kind, action.key)).or_default().push((time, action.action));
            Ok(())
        })?;
        self.actions.values_mut().for_each(|actions| actions.sort());
        Ok(())
    }

    /// Reads pods and nodes, where the kind asks for them.
    pub(super) fn read_lake(&mut self, lake: &Lake, kind: EntityKind, until: i64, catalogue: &Catalogue) -> Result<()> {
        let named = |id: &str| catalogue.id(id).map_err(DatasetError::feature("the lake's metrics"));
        if kind == EntityKind::Vm {
            return self.read_hosts(lake, until, named("maintenance")?);
        }
        if !matches!(kind, EntityKind::Pod | EntityKind::Container) {
            return Ok(());
        }
        let rules = self.rules.clone().unwrap_or_else(EventRules::shipped);
        let of_pods =
            ["phase", "status.reason", "disruption.reason", "deletion.time", "created.time", "owner", "pod.info"];
        let wanted = of_pods.iter().map(|id| named(id)).collect::<Result<Vec<_>>>()?;
        let scan =
            |entities| Scan { entities, times: i64::MIN..until, ..Scan::all(EntityKind::Pod) }.with_metrics(&wanted);
        each_entity(lake, EntityKind::Pod, &scan, &mut |entity| {
            let row = &lake.tables().entities()[usize::try_from(entity.id).unwrap_or(0)];
            let mut incarnations: BTreeMap<&str, Vec<Trace<'_>>> = BTreeMap::new();
            for series in &entity.series {
                let stored = &lake.tables().series()[series.id as usize];
                incarnations.entry(&stored.incarnation).or_default().push(Trace {
                    metric: series.metric,
                    part: &stored.part,
                    times: &series.times,
                    values: &series.values,
                });
            }
            for (incarnation, traces) in incarnations {
                let facts = pod_facts(&rules, catalogue, &row.key, &traces)?;
                if let Some(workload) = facts.workload(&row.key) {
                    let owner = facts.owner.as_ref().map_or(String::new(), |(_, name)| name.clone());
                    let began = facts.created.unwrap_or(facts.first);
                    self.workloads.entry(workload).or_default().push((began, facts.last, owner));
                }
                self.pods.insert((row.key.clone(), incarnation.to_owned()), facts);
            }
            Ok(())
        })?;
        let cordoned = [named("node.cordoned")?];
        let scan =
            |entities| Scan { entities, times: i64::MIN..until, ..Scan::all(EntityKind::Node) }.with_metrics(&cordoned);
        each_entity(lake, EntityKind::Node, &scan, &mut |entity| {
            let row = &lake.tables().entities()[usize::try_from(entity.id).unwrap_or(0)];
            let stretches = self.cordons.entry(row.key.clone()).or_default();
            for series in &entity.series {
                let set = |&at: &usize| series.values[at] >= 0.5;
                let at: Vec<usize> = (0..series.times.len()).collect();
                for run in at.chunk_by(|a, b| set(a) == set(b)).filter(|run| set(&run[0])) {
                    stretches.push((series.times[run[0]], series.times[run[run.len() - 1]]));
                }
            }
            Ok(())
        })
    }

    fn read_hosts(&mut self, lake: &Lake, until: i64, maintenance: MetricId) -> Result<()> {
        let scan = |entities| {
            Scan { entities, times: i64::MIN..until, ..Scan::all(EntityKind::Node) }.with_metrics(&[maintenance])
        };
        each_entity(lake, EntityKind::Node, &scan, &mut |entity| {
            let row = &lake.tables().entities()[usize::try_from(entity.id).unwrap_or(0)];
            for series in entity.series {
                let host = self.maintenance.entry(row.key.clone()).or_default();
                host.times.extend(series.times);
                host.values.extend(series.values);
            }
            Ok(())
        })
    }

    /// The maintenance of a host, which stands under its name in the vCenter and datacenter of the machine's own key.
    pub(super) fn maintenance(&self, key: &str, host: &str) -> Option<&HostTrace> {
        let own = key.rsplit_once('/').and_then(|(place, _)| self.maintenance.get(&format!("{place}/{host}")));
        own.or_else(|| self.maintenance.get(host))
    }

    pub(super) fn rules(&self) -> EventRules {
        self.rules.clone().unwrap_or_else(EventRules::shipped)
    }

    /// The pod of a pod or container.
    pub(super) fn pod(&self, kind: EntityKind, key: &str, incarnation: &str) -> Option<&PodFacts> {
        let pod = match kind {
            EntityKind::Pod => key,
            EntityKind::Container => key.rsplit_once('/')?.0,
            _ => return None,
        };
        self.pods.get(&(pod.to_owned(), incarnation.to_owned()))
    }

    /// What was said of an entity, by time.
    pub(super) fn notices(&self, key: &str) -> &[Notice] {
        self.notices.get(key).map_or(&[], Vec::as_slice)
    }

    /// What was done to the entity, its pod or its node, by time.
    pub(super) fn actions(&self, kind: EntityKind, key: &str, pod: Option<&PodFacts>) -> Vec<(i64, String)> {
        let of = |kind: EntityKind, key: &str| self.actions.get(&(kind, key.to_owned())).cloned().unwrap_or_default();
        let mut actions = of(kind, key);
        if kind == EntityKind::Container
            && let Some((pod, _)) = key.rsplit_once('/')
        {
            actions.extend(of(EntityKind::Pod, pod));
        }
        if let Some(pod) = pod {
            for (_, node) in &pod.nodes {
                actions
                    .extend(of(EntityKind::Node, node).into_iter().filter(|(time, _)| pod.node(*time) == Some(node)));
            }
        }
        actions.sort();
        actions.dedup();
        actions
    }

    /// Whether a node was cordoned at any time of `[low, high]`.
    pub(super) fn cordoned(&self, node: &str, low: i64, high: i64) -> bool {
        self.cordons.get(node).is_some_and(|of| of.iter().any(|&(from, until)| from <= high && until >= low))
    }

    /// How the workload went on when a pod of it ended at `end`: by another revision, by a pod in its place, or not.
    pub(super) fn after(&self, workload: &str, owner: &str, end: i64, within: i64) -> After {
        let near = |began: i64| (began - end).abs() <= within;
        let pods = self.workloads.get(workload).map_or(&[][..], Vec::as_slice);
        let mut began = pods.iter().filter(|(began, _, _)| near(*began)).peekable();
        if began.peek().is_none() {
            return After::Nothing;
        }
        if began.any(|(_, _, other)| other != owner) { After::Revision } else { After::Replaced }
    }
}

/// What came after a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Pods of another owner: a rollout.
    Revision,
    /// A pod of the same owner.
    Replaced,
    /// No pod: scaled down.
    Nothing,
}

fn pod_facts(rules: &EventRules, catalogue: &Catalogue, key: &str, traces: &[Trace<'_>]) -> Result<PodFacts> {
    let mut seen: Vec<i64> = traces.iter().flat_map(|trace| trace.times).copied().collect();
    seen.sort_unstable();
    seen.dedup();
    let created = traces.iter().filter(|trace| catalogue.name(trace.metric) == "created.time");
    let born =
        created.filter_map(|trace| trace.last(i64::MAX)).map(|(_, value)| super::lives::milliseconds(value)).min();
    let subject = Subject { kind: EntityKind::Pod, key, traces, seen: &seen, notices: &[], born };
    let told = extract(rules, catalogue, &subject).map_err(DatasetError::feature(key))?;
    let mut facts = PodFacts {
        first: seen.first().copied().unwrap_or(0),
        last: seen.last().copied().unwrap_or(0),
        failures: told.failures,
        breaks: told.breaks,
        down: told.down,
        ..PodFacts::default()
    };
    let label = |part: &str, name: &str| {
        part.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
    };
    for trace in traces {
        let last = trace.last(i64::MAX).map(|(_, value)| value);
        let state = || {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "stored states are indices")]
            let index = last? as usize;
            catalogue.definition(trace.metric)?.states.get(index).cloned()
        };
        match catalogue.name(trace.metric) {
            "phase" => facts.phase = state(),
            "disruption.reason" => facts.disruption = state(),
            "deletion.time" => facts.deleted |= last.is_some(),
            "created.time" => facts.created = last.map(super::lives::milliseconds),
            "owner" => {
                if let (Some(kind), Some(name)) = (label(trace.part, "owner_kind"), label(trace.part, "owner_name")) {
                    facts.owner = Some((kind, name));
                }
            }
            "pod.info" => {
                if let (Some(node), Some(&first)) = (label(trace.part, "node"), trace.times.first()) {
                    facts.nodes.push((first, node));
                }
                if facts.owner.is_none()
                    && let (Some(kind), Some(name)) =
                        (label(trace.part, "created_by_kind"), label(trace.part, "created_by_name"))
                {
                    facts.owner = Some((kind, name));
                }
            }
            _ => {}
        }
    }
    facts.nodes.sort();
    Ok(facts)
}

/// Every line of a file that says something.
fn lines(
    path: &Path,
    what: &str,
    inputs: &mut Vec<Input>,
    each: &mut dyn FnMut(&str) -> std::result::Result<(), String>,
) -> Result<()> {
    let (text, input) = crate::source::read_text(path)?;
    inputs.push(Input { name: format!("{what} {}", input.name), ..input });
    for (line, number) in text.lines().zip(1_u64..) {
        if !line.trim().is_empty() {
            each(line).map_err(|problem| DatasetError::Line { path: path.to_owned(), line: number, problem })?;
        }
    }
    Ok(())
}

fn moment(text: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis())
}
