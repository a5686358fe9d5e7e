//! What an input of a design is called and belongs to: a column of its own, or a channel of the window.

use features::{Design, FeatureSpec, Normalizer};

use super::Attribution;

/// What a flat column of a design was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The flat column of the spec with this number, or the column that tells it was missing.
    Column(usize),
    /// A summary of this channel's window.
    Channel(usize),
}

/// Names of inputs, and what each belongs to.
#[derive(Debug, Clone)]
pub struct Inputs {
    names: Vec<String>,
    sources: Vec<Source>,
    columns: Vec<String>,
    channels: Vec<String>,
    steps: usize,
    step: f64,
}

impl Inputs {
    /// The inputs of designs that `normalizer` makes of rows of `spec`.
    #[must_use]
    pub fn new(spec: &FeatureSpec, normalizer: &Normalizer) -> Self {
        let names = normalizer.names().to_vec();
        let (steps, channels) = normalizer.window();
        // Summaries stand last: every summary of every channel, channels running fastest.
        let summaries = if steps == 0 { 0 } else { spec.summaries.len() * channels };
        let own = names.len().saturating_sub(summaries);
        let mut sources = Vec::with_capacity(names.len());
        for (at, name) in names.iter().enumerate() {
            sources.push(if at >= own {
                Source::Channel((at - own) % channels.max(1))
            } else {
                let column = spec.flat.iter().position(|column| {
                    column.name == *name || name.strip_suffix(".missing").is_some_and(|base| base == column.name)
                });
                Source::Column(column.unwrap_or(0))
            });
        }
        Self {
            names,
            sources,
            columns: spec.flat.iter().map(|column| column.name.clone()).collect(),
            channels: spec.channels.iter().map(|channel| channel.name.clone()).collect(),
            steps,
            step: spec.time.units(spec.step),
        }
    }

    /// Names of the flat columns of the design.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Names of the channels.
    #[must_use]
    pub fn channels(&self) -> &[String] {
        &self.channels
    }

    /// Steps of the window.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// How long before `as_of` a step ends, in the unit of durations.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a window has few steps")]
    pub fn ago(&self, step: usize) -> f64 {
        self.steps.saturating_sub(step + 1) as f64 * self.step
    }

    /// Columns and channels, the things shares are added up for; a column and a channel may bear one name.
    #[must_use]
    pub fn groups(&self) -> Vec<(String, Source)> {
        let columns = self.columns.iter().enumerate().map(|(at, name)| (name.clone(), Source::Column(at)));
        let channels =
            self.channels.iter().enumerate().map(|(at, name)| (format!("{name} (window)"), Source::Channel(at)));
        columns.chain(channels).collect()
    }

    /// The share of every group: a column with its missing mark, a channel with its summaries and its steps.
    #[must_use]
    pub fn totals(&self, attribution: &Attribution) -> Vec<f64> {
        let mut totals = vec![0.0; self.columns.len() + self.channels.len()];
        for (share, source) in attribution.flat.iter().zip(&self.sources) {
            totals[self.place(*source)] += share;
        }
        for (at, share) in attribution.sequence.iter().enumerate() {
            totals[self.columns.len() + at % self.channels.len().max(1)] += share;
        }
        totals
    }

    /// The share of every channel at every step, channels × steps, oldest step first; summaries are not in it.
    #[must_use]
    pub fn by_step(&self, sequence: &[f64]) -> Vec<Vec<f64>> {
        let channels = self.channels.len();
        (0..channels).map(|channel| sequence.iter().skip(channel).step_by(channels).copied().collect()).collect()
    }

    fn place(&self, source: Source) -> usize {
        match source {
            Source::Column(at) => at,
            Source::Channel(at) => self.columns.len() + at,
        }
    }
}

/// Inputs of one row that a share can rest on: those that differ from the baseline, window cells after flat columns.
pub(super) fn candidates(design: &Design, row: usize, window: bool) -> Vec<usize> {
    let size = design.steps * design.channels;
    let flat = &design.flat[row * design.width..(row + 1) * design.width];
    let mut found: Vec<usize> = (0..design.width).filter(|&at| flat[at] != 0.0).collect();
    if window {
        let sequence = &design.sequence[row * size..(row + 1) * size];
        found.extend((0..size).filter(|&at| sequence[at] != 0.0).map(|at| design.width + at));
    }
    found
}
