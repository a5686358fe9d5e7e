//! A cache that forgets what was not asked for during a whole period, in two moves and without a list of ages.

use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;
use sha2::{Digest, Sha256};

use crate::series::CanonicalSeries;

/// Keys are hashes already: fold and spread them.
#[derive(Default)]
pub(super) struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0.rotate_left(8) ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the key")]
    fn write_u128(&mut self, key: u128) {
        // The table takes its buckets from the low bits and its tags from the high ones.
        self.0 = (key as u64 ^ (key >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

type Map<V> = HashMap<u128, V, BuildHasherDefault<IdentityHasher>>;

/// What was asked for in this period and in the one before.
pub(super) struct Generations<V> {
    current: Map<V>,
    previous: Map<V>,
}

impl<V> Default for Generations<V> {
    fn default() -> Self {
        Self { current: Map::default(), previous: Map::default() }
    }
}

impl<V: Clone> Generations<V> {
    /// The value, which counts as use.
    #[inline]
    pub(super) fn get(&mut self, key: u128) -> Option<V> {
        if let Some(value) = self.current.get(&key) {
            return Some(value.clone());
        }
        if self.previous.is_empty() {
            return None;
        }
        let value = self.previous.remove(&key)?;
        self.current.insert(key, value.clone());
        Some(value)
    }

    /// Every value, which does not count as use.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.current.values().chain(self.previous.values())
    }

    pub(super) fn insert(&mut self, key: u128, value: V) {
        self.current.insert(key, value);
    }

    /// A new period begins: what was not used in the last one is forgotten.
    pub(super) fn rotate(&mut self) {
        self.previous = std::mem::take(&mut self.current);
    }

    pub(super) fn remove(&mut self, key: u128) {
        self.current.remove(&key);
        self.previous.remove(&key);
    }

    pub(super) fn len(&self) -> usize {
        self.current.len() + self.previous.len()
    }
}

/// Half a SHA-256: the series' text need not be kept to recognise it.
pub(super) fn fingerprint(series: &CanonicalSeries) -> u128 {
    let mut hash = Sha256::new();
    hash.update([series.entity.kind() as u8]);
    hash.update(series.metric.0.to_le_bytes());
    for text in [series.entity.key(), series.entity.incarnation(), &series.part] {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    let digest = hash.finalize();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    u128::from_le_bytes(half)
}
