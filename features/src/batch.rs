//! Feature rows of one spec, without and with what came of them.

use survival::Observation;

use crate::entity::Entity;
use crate::spec::FeatureSpec;
use crate::split::Split;
use crate::{FeatureError, Result};

/// Rows of one feature spec. NaN is "not observed" everywhere; there is no other mask.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureBatch {
    spec_hash: String,
    entities: Vec<Entity>,
    as_of: Vec<i64>,
    flat: Vec<f32>,
    width: usize,
    sequence: Vec<f32>,
    steps: usize,
    channels: usize,
}

impl FeatureBatch {
    /// A batch from row-major parts: `flat` is rows × `spec.flat.len()`, `sequence` rows × steps × channels.
    ///
    /// # Errors
    /// When a length disagrees, or a value is infinite.
    pub fn try_new(
        spec: &FeatureSpec,
        spec_hash: String,
        entities: Vec<Entity>,
        as_of: Vec<i64>,
        flat: Vec<f32>,
        sequence: Vec<f32>,
    ) -> Result<Self> {
        let rows = entities.len();
        let (width, steps, channels) = (spec.flat.len(), spec.steps, spec.channels.len());
        check("as_of values", rows, as_of.len())?;
        check("flat values (rows x columns)", rows * width, flat.len())?;
        check("sequence values (rows x steps x channels)", rows * steps * channels, sequence.len())?;
        if let Some(at) = flat.iter().position(|v| v.is_infinite()) {
            let column = &spec.flat[at % width].name;
            return Err(FeatureError::Column {
                column: column.clone(),
                problem: format!("is infinite in row {}", at / width),
            });
        }
        if let Some(at) = sequence.iter().position(|v| v.is_infinite()) {
            let channel = &spec.channels[at % channels].name;
            let row = at / (steps * channels);
            return Err(FeatureError::Column { column: channel.clone(), problem: format!("is infinite in row {row}") });
        }
        Ok(Self { spec_hash, entities, as_of, flat, width, sequence, steps, channels })
    }

    /// Hash of the spec these rows were made for.
    #[must_use]
    pub fn spec_hash(&self) -> &str {
        &self.spec_hash
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.entities.len()
    }

    /// Number of flat columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Steps of a sequence window.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Channels of a sequence window.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Who each row is about.
    #[must_use]
    pub fn entities(&self) -> &[Entity] {
        &self.entities
    }

    /// When each prediction is made, in ticks.
    #[must_use]
    pub fn as_of(&self) -> &[i64] {
        &self.as_of
    }

    /// All flat values, row-major.
    #[must_use]
    pub fn flat(&self) -> &[f32] {
        &self.flat
    }

    /// All sequence values, rows × steps × channels.
    #[must_use]
    pub fn sequence(&self) -> &[f32] {
        &self.sequence
    }

    /// Flat values of one row.
    #[must_use]
    pub fn flat_row(&self, row: usize) -> &[f32] {
        &self.flat[row * self.width..(row + 1) * self.width]
    }

    /// Flat values of one row, to be filled by a second pass; a value must stay finite or NaN.
    pub fn flat_row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.flat[row * self.width..(row + 1) * self.width]
    }

    /// Sequence window of one row, steps × channels, oldest step first.
    #[must_use]
    pub fn sequence_row(&self, row: usize) -> &[f32] {
        let size = self.steps * self.channels;
        &self.sequence[row * size..(row + 1) * size]
    }

    /// These rows, in this order.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        Self {
            spec_hash: self.spec_hash.clone(),
            entities: rows.iter().map(|&row| self.entities[row].clone()).collect(),
            as_of: rows.iter().map(|&row| self.as_of[row]).collect(),
            flat: rows.iter().flat_map(|&row| self.flat_row(row).iter().copied()).collect(),
            width: self.width,
            sequence: rows.iter().flat_map(|&row| self.sequence_row(row).iter().copied()).collect(),
            steps: self.steps,
            channels: self.channels,
        }
    }

    /// Rows `start..end`.
    #[must_use]
    pub fn slice(&self, start: usize, end: usize) -> Self {
        let size = self.steps * self.channels;
        Self {
            spec_hash: self.spec_hash.clone(),
            entities: self.entities[start..end].to_vec(),
            as_of: self.as_of[start..end].to_vec(),
            flat: self.flat[start * self.width..end * self.width].to_vec(),
            width: self.width,
            sequence: self.sequence[start * size..end * size].to_vec(),
            steps: self.steps,
            channels: self.channels,
        }
    }

    /// One batch after another of the same spec.
    ///
    /// # Errors
    /// When the specs differ.
    pub fn append(&mut self, other: &Self) -> Result<()> {
        if self.spec_hash != other.spec_hash {
            return Err(FeatureError::SpecMismatch { expected: self.spec_hash.clone(), got: other.spec_hash.clone() });
        }
        self.entities.extend_from_slice(&other.entities);
        self.as_of.extend_from_slice(&other.as_of);
        self.flat.extend_from_slice(&other.flat);
        self.sequence.extend_from_slice(&other.sequence);
        Ok(())
    }
}

/// Feature rows and, for each, what was observed after `as_of`.
#[derive(Debug, Clone, PartialEq)]
pub struct LabeledBatch {
    /// The inputs.
    pub features: FeatureBatch,
    /// What came of each row, durations counted from its `as_of`.
    pub observations: Vec<Observation>,
    /// Duration to the last time each failing entity was known alive; equals the duration where exact or censored.
    pub known_alive: Vec<f64>,
    /// Unit of splitting and bootstrapping of each row.
    pub groups: Vec<String>,
    /// Part of each row.
    pub splits: Vec<Split>,
}

impl LabeledBatch {
    /// Rows and labels of equal length.
    ///
    /// # Errors
    /// When a length disagrees.
    pub fn try_new(
        features: FeatureBatch,
        observations: Vec<Observation>,
        known_alive: Vec<f64>,
        groups: Vec<String>,
        splits: Vec<Split>,
    ) -> Result<Self> {
        let rows = features.rows();
        check("observations", rows, observations.len())?;
        check("known_alive values", rows, known_alive.len())?;
        check("groups", rows, groups.len())?;
        check("splits", rows, splits.len())?;
        Ok(Self { features, observations, known_alive, groups, splits })
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.observations.len()
    }

    /// Row numbers of one part.
    #[must_use]
    pub fn rows_of(&self, split: Split) -> Vec<usize> {
        (0..self.rows()).filter(|&row| self.splits[row] == split).collect()
    }

    /// These rows, in this order.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        Self {
            features: self.features.select(rows),
            observations: rows.iter().map(|&row| self.observations[row]).collect(),
            known_alive: rows.iter().map(|&row| self.known_alive[row]).collect(),
            groups: rows.iter().map(|&row| self.groups[row].clone()).collect(),
            splits: rows.iter().map(|&row| self.splits[row]).collect(),
        }
    }

    /// The rows of one part.
    #[must_use]
    pub fn part(&self, split: Split) -> Self {
        self.select(&self.rows_of(split))
    }
}

fn check(what: &'static str, expected: usize, got: usize) -> Result<()> {
    if expected == got { Ok(()) } else { Err(FeatureError::Shape { what, expected, got }) }
}
