//! A node: a parent cgroup with so much memory and CPU, watched as a kubelet watches its machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::families::NodePlan;
use crate::pod::Pod;

/// A node's state as its metrics show it.
#[derive(Debug)]
pub struct Node {
    /// Name, as `kube_node_*` and `node_*` show it.
    pub name: String,
    /// Path of its cgroup.
    pub cgroup: String,
    /// What it has.
    pub plan: NodePlan,
    /// Whether memory is short.
    pub pressure: AtomicBool,
    /// Pods evicted so far.
    pub evictions: AtomicU64,
    /// Processes killed for memory so far, in all its containers.
    pub oom_kills: AtomicU64,
}

/// When memory is short and who has to go.
///
/// Following the kubelet (Node-pressure Eviction): memory available is the node's memory less its working set; among the
/// pods, those that use more than they asked for go first, and of these the one that is furthest above.
/// <https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/>
#[derive(Debug, Default)]
pub struct Eviction {
    short_since: Option<i64>,
    last: Option<i64>,
}

/// Memory must be short for so long, milliseconds.
const FOR: i64 = 300;
/// After an eviction its memory comes back within this, milliseconds.
const PATIENCE: i64 = 2_500;
/// The condition is shown for so long after memory was short, milliseconds.
const SHOWN: i64 = 10_000;

impl Eviction {
    /// Looks once: working set of the node and of its pods, bytes. Gives the place of the pod to evict.
    pub fn look(&mut self, now: i64, node: &Node, working_set: u64, pods: &[(u64, u64)]) -> Option<usize> {
        let available = node.plan.memory.saturating_sub(working_set);
        if available >= node.plan.eviction_below {
            self.short_since = None;
            if self.last.is_none_or(|last| now - last > SHOWN) {
                node.pressure.store(false, Ordering::Relaxed);
            }
            return None;
        }
        node.pressure.store(true, Ordering::Relaxed);
        let since = *self.short_since.get_or_insert(now);
        if now - since < FOR || self.last.is_some_and(|last| now - last < PATIENCE) {
            return None;
        }
        let rank = |&(used, asked): &(u64, u64)| (used > asked, i128::from(used) - i128::from(asked));
        let (place, _) = pods.iter().enumerate().max_by_key(|(_, pod)| rank(pod))?;
        self.last = Some(now);
        Some(place)
    }
}

impl Node {
    /// A node of a run.
    #[must_use]
    pub fn new(run: &str, number: usize, plan: NodePlan) -> Self {
        let name = format!("lab-node-{number}");
        let cgroup = crate::cgroup::node_path(run, &name);
        Self {
            name,
            cgroup,
            plan,
            pressure: AtomicBool::new(false),
            evictions: AtomicU64::new(0),
            oom_kills: AtomicU64::new(0),
        }
    }

    /// Asks the pod to go.
    pub(crate) fn evict(&self, pod: &Arc<Pod>) {
        self.evictions.fetch_add(1, Ordering::Relaxed);
        pod.evict();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_pod_furthest_above_its_request_goes_and_not_before_memory_is_short_for_a_while() {
        let plan = NodePlan { memory: 400 * MIB, cpu: 0.5, pods: 8, eviction_below: 40 * MIB };
        let node = Node::new("r", 0, plan);
        let mut eviction = Eviction::default();
        // A hog that asked for much, a neighbour a little above its request, one further above.
        let pods = [(250 * MIB, 300 * MIB), (40 * MIB, 30 * MIB), (60 * MIB, 20 * MIB)];
        assert_eq!(eviction.look(0, &node, 350 * MIB, &pods), None);
        assert!(!node.pressure.load(Ordering::Relaxed));
        assert_eq!(eviction.look(100, &node, 370 * MIB, &pods), None);
        assert!(node.pressure.load(Ordering::Relaxed));
        assert_eq!(eviction.look(500, &node, 370 * MIB, &pods), Some(2));
        assert_eq!(eviction.look(1_000, &node, 370 * MIB, &pods), None, "its memory is not back yet");
        assert_eq!(eviction.look(2_000, &node, 300 * MIB, &pods), None);
        assert!(node.pressure.load(Ordering::Relaxed), "the condition stays a while");
        assert_eq!(eviction.look(20_000, &node, 300 * MIB, &pods), None);
        assert!(!node.pressure.load(Ordering::Relaxed));
        // Where nobody is above the request, the one closest to it goes.
        assert_eq!(eviction.look(21_000, &node, 390 * MIB, &pods[..1]), None);
        assert_eq!(eviction.look(22_000, &node, 390 * MIB, &pods[..1]), Some(0));
    }
}
