//! The thing that can fail: kind, stable key, incarnation.

use serde::{Deserialize, Serialize};

use crate::{FeatureError, Result};

/// What kind of thing an entity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityKind {
    /// A virtual machine.
    Vm,
    /// A container inside a pod.
    Container,
    /// A container of a Docker engine.
    DockerContainer,
    /// A pod.
    Pod,
    /// A Kubernetes or cluster node.
    Node,
    /// A WebAssembly module.
    WasmModule,
    /// A machine of a public benchmark (an engine, a drive).
    Machine,
    /// One whole run of an experiment, judged as a unit.
    Run,
}

impl EntityKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Vm,
        Self::Container,
        Self::DockerContainer,
        Self::Pod,
        Self::Node,
        Self::WasmModule,
        Self::Machine,
        Self::Run,
    ];

    /// The name used in Parquet, JSON and on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vm => "vm",
            Self::Container => "container",
            Self::DockerContainer => "docker_container",
            Self::Pod => "pod",
            Self::Node => "node",
            Self::WasmModule => "wasm_module",
            Self::Machine => "machine",
            Self::Run => "run",
        }
    }

    /// The kind with this name.
    ///
    /// # Errors
    /// When no kind has it.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| FeatureError::UnknownKind {
            kind: name.to_owned(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}

/// A stable key that survives restarts, and the incarnation that does not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entity {
    kind: EntityKind,
    key: String,
    incarnation: String,
}

impl Entity {
    /// An entity.
    ///
    /// # Errors
    /// When the key is empty.
    pub fn try_new(kind: EntityKind, key: impl Into<String>, incarnation: impl Into<String>) -> Result<Self> {
        let key = key.into();
        if key.is_empty() {
            return Err(FeatureError::EmptyKey { kind: kind.name() });
        }
        Ok(Self { kind, key, incarnation: incarnation.into() })
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> EntityKind {
        self.kind
    }

    /// Its stable key, such as `namespace/pod/container`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The life of the key this is: pod uid, boot time, or empty where there is only one.
    #[must_use]
    pub fn incarnation(&self) -> &str {
        &self.incarnation
    }
}
