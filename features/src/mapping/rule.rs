//! One row of a mapping, ready to be asked what a series means.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::selector::{Selector, underscored};
use crate::catalogue::MetricId;
use crate::entity::{Entity, EntityKind};
use crate::labels::Labels;
use crate::series::{CanonicalSeries, Transform};

/// Spelling of "none" in label values of old kube-state-metrics.
const NONE: &str = "<none>";

/// What is taken out of a label's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extract {
    /// All of it.
    Whole,
    /// Without the port of `host:port`.
    Host,
    /// The pod uid inside a cgroup path.
    PodUid,
}

/// The first of these labels that has a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) labels: Vec<(String, Extract)>,
}

impl Choice {
    /// Reads `label`, `label:host`, `label:pod_uid`, or several of them joined by `|`.
    ///
    /// # Errors
    /// The extraction nobody knows, or a label without a name.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut labels = Vec::new();
        for one in text.split('|') {
            let (name, extract) = match one.rsplit_once(':') {
                None => (one, Extract::Whole),
                Some((name, "host")) => (name, Extract::Host),
                Some((name, "pod_uid")) => (name, Extract::PodUid),
                Some((_, other)) => return Err(format!("{text:?}: {other:?} is not host or pod_uid")),
            };
            if name.is_empty() {
                return Err(format!("{text:?} names an empty label"));
            }
            labels.push((name.to_owned(), extract));
        }
        Ok(Self { labels })
    }

    fn value(&self, labels: &Labels) -> Option<String> {
        self.labels.iter().find_map(|(name, extract)| {
            let value = labels.get(name);
            let value = match extract {
                Extract::Whole => value.to_owned(),
                Extract::Host => host(value).to_owned(),
                Extract::PodUid => pod_uid(value)?,
            };
            (!value.is_empty()).then_some(value)
        })
    }

    /// As the file writes it, for messages.
    pub(super) fn text(&self) -> String {
        self.labels.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("|")
    }

    fn underscored(&self) -> Self {
        Self { labels: self.labels.iter().map(|(name, extract)| (underscored(name), *extract)).collect() }
    }
}

/// One `name=value` of a part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) from: PartSource,
}

/// Where the value of a part comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PartSource {
    Label(String),
    Fixed(String),
}

/// How the value of a series becomes canonical, settled when the file is read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Scaled(f64),
    /// 1 whatever the value: the labels are what is meant.
    Present,
    /// The label that names the state, its spellings, and the state of every other spelling.
    State {
        label: String,
        indices: BTreeMap<String, u16>,
        other: Option<u16>,
    },
    Coded(Arc<[(i64, u16)]>),
}

/// What a selected series means; two rows of equal meaning may select the same series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Meaning {
    pub(super) metric: MetricId,
    pub(super) kind: EntityKind,
    pub(super) key: Vec<Choice>,
    pub(super) incarnation: Option<Choice>,
    /// Sorted by name.
    pub(super) parts: Vec<Part>,
    pub(super) value: Value,
}

/// A selector and its meaning.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) selector: Selector,
    pub(super) meaning: Meaning,
    /// Index of the row it was made from.
    pub(super) row: usize,
    /// Whether it is the row's spelling by Prometheus rather than the row itself.
    pub(super) twin: bool,
}

impl Rule {
    /// Whether it decides what a series means. A twin is asked for by names that other exporters may use as well, so it
    /// takes only what carries its labels.
    pub(super) fn selects(&self, labels: &Labels) -> bool {
        self.selector.holds(labels)
            && (!self.twin || self.meaning.key.iter().all(|choice| choice.value(labels).is_some()))
    }

    /// The canonical series of a selected one.
    ///
    /// # Errors
    /// The key label that is missing, or the state nobody knows.
    pub(super) fn series(&self, labels: &Labels) -> Result<(CanonicalSeries, Transform), String> {
        let meaning = &self.meaning;
        let mut key = String::new();
        for choice in &meaning.key {
            let value = choice.value(labels).ok_or_else(|| {
                format!("label {:?} is missing, needed as key of a {}", choice.text(), meaning.kind.name())
            })?;
            if !key.is_empty() {
                key.push('/');
            }
            key.push_str(&escaped(&value, '/'));
        }
        let incarnation = meaning.incarnation.as_ref().and_then(|choice| choice.value(labels)).unwrap_or_default();
        let entity = Entity::try_new(meaning.kind, key, incarnation).map_err(|error| error.to_string())?;
        let transform = match &meaning.value {
            Value::Scaled(scale) => Transform::Scale(*scale),
            Value::Present => Transform::Present,
            Value::Coded(codes) => Transform::Code(Arc::clone(codes)),
            Value::State { label, indices, other } => {
                let state = labels.get(label);
                let index = indices.get(state).copied().or(if state.is_empty() { None } else { *other });
                Transform::State(index.ok_or_else(|| {
                    let known: Vec<&str> = indices.keys().map(String::as_str).collect();
                    format!("state {state:?} of label {label:?} is not known; known are {}", known.join(", "))
                })?)
            }
        };
        Ok((CanonicalSeries { entity, metric: meaning.metric, part: self.part(labels) }, transform))
    }

    fn part(&self, labels: &Labels) -> String {
        let mut part = String::new();
        for Part { name, from } in &self.meaning.parts {
            let value = match from {
                PartSource::Label(label) => labels.get(label),
                PartSource::Fixed(value) => value,
            };
            if value.is_empty() || value == NONE {
                continue;
            }
            if !part.is_empty() {
                part.push(',');
            }
            part.push_str(name);
            part.push('=');
            part.push_str(&escaped(value, ','));
        }
        part
    }

    /// Labels without which a series of this rule cannot be placed, one set of alternatives each.
    pub(super) fn needs(&self) -> Vec<Vec<&str>> {
        let mut needs: Vec<Vec<&str>> = Vec::new();
        for choice in &self.meaning.key {
            needs.push(choice.labels.iter().map(|(name, _)| name.as_str()).collect());
        }
        if let Value::State { label, .. } = &self.meaning.value {
            needs.push(vec![label]);
        }
        needs
    }

    /// The same rule as Prometheus spells the names of OpenTelemetry; parts keep their names.
    pub(super) fn underscored(&self, name: &str) -> Self {
        let mut meaning = self.meaning.clone();
        meaning.key = meaning.key.iter().map(Choice::underscored).collect();
        meaning.incarnation = meaning.incarnation.as_ref().map(Choice::underscored);
        for part in &mut meaning.parts {
            if let PartSource::Label(label) = &mut part.from {
                *label = underscored(label);
            }
        }
        if let Value::State { label, .. } = &mut meaning.value {
            *label = underscored(label);
        }
        Self { selector: self.selector.renamed(name), meaning, row: self.row, twin: true }
    }
}

/// A value in which the separator (and the escape sign) is percent-encoded, so that joined values stay apart.
fn escaped(value: &str, separator: char) -> String {
    if !value.contains([separator, '%']) {
        return value.to_owned();
    }
    let encoded = if separator == '/' { "%2F" } else { "%2C" };
    value.replace('%', "%25").replace(separator, encoded)
}

/// `host` of `host:port`; an IPv6 address is taken apart only in brackets.
fn host(value: &str) -> &str {
    match value.rsplit_once(':') {
        Some((host, port))
            if !port.is_empty()
                && port.bytes().all(|b| b.is_ascii_digit())
                && (!host.contains(':') || host.ends_with(']')) =>
        {
            host
        }
        _ => value,
    }
}

/// The pod uid in a cgroup path, as cgroupfs (`/kubepods/burstable/pod<uid>/…`) and systemd
/// (`…-pod<uid with underscores>.slice/…`) write it; static pods have 32 digits without dashes.
fn pod_uid(path: &str) -> Option<String> {
    path.split('/').find_map(|segment| {
        let name = segment.strip_suffix(".slice").unwrap_or(segment);
        // The slices above a pod's own are named kubepods-…, which holds "pod" too: the last one counts.
        let uid = &name[name.rfind("pod")? + 3..];
        let digits = uid.bytes().filter(u8::is_ascii_hexdigit).count();
        let others = uid.bytes().filter(|b| matches!(b, b'-' | b'_')).count();
        (digits == 32 && digits + others == uid.len()).then(|| uid.replace('_', "-"))
    })
}

#[cfg(test)]
mod tests {
    use super::{escaped, host, pod_uid};

    #[test]
    fn a_pod_uid_is_found_in_every_spelling_of_a_cgroup_path() {
        let dashed = Some("0b6f3f0e-5d1c-4a52-9a77-1f2e3d4c5b6a".to_owned());
        let container = "9f2d5c0e7a1b";
        for (path, uid) in [
            (format!("/kubepods/burstable/pod0b6f3f0e-5d1c-4a52-9a77-1f2e3d4c5b6a/{container}"), dashed.clone()),
            ("/kubepods/pod0b6f3f0e-5d1c-4a52-9a77-1f2e3d4c5b6a".to_owned(), dashed.clone()),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0b6f3f0e_5d1c_4a52_9a77_1f2e3d4c5b6a.slice/\
                 cri-containerd-9f2d5c0e7a1b.scope"
                    .to_owned(),
                dashed.clone(),
            ),
            (
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod0b6f3f0e_5d1c_4a52_9a77_1f2e3d4c5b6a.slice"
                    .to_owned(),
                dashed,
            ),
            (
                "/kubepods/besteffort/pod5795d0c442cb997ff93c49feeb9f6386/a".to_owned(),
                Some("5795d0c442cb997ff93c49feeb9f6386".to_owned()),
            ),
            ("/kubepods.slice/kubepods-burstable.slice".to_owned(), None),
            ("/system.slice/docker-9f2d5c0e7a1b.scope".to_owned(), None),
            ("/".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(pod_uid(&path), uid, "{path}");
        }
    }

    #[test]
    fn ports_are_taken_off_hosts_and_nothing_else_is() {
        for (value, expected) in [
            ("node-1:9100", "node-1"),
            ("10.0.0.7:9100", "10.0.0.7"),
            ("[fd00::7]:9100", "[fd00::7]"),
            ("fd00::7", "fd00::7"),
            ("node-1", "node-1"),
            ("node-1:", "node-1:"),
            ("https://vcenter/sdk", "https://vcenter/sdk"),
        ] {
            assert_eq!(host(value), expected);
        }
    }

    #[test]
    fn joined_values_stay_apart() {
        assert_eq!(escaped("a/b", '/'), "a%2Fb");
        assert_eq!(escaped("a%2Fb", '/'), "a%252Fb");
        assert_eq!(escaped("a,b/c", ','), "a%2Cb/c");
        assert_eq!(escaped("plain", '/'), "plain");
    }
}
