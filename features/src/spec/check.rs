//! What a spec must not say.

use std::collections::HashSet;

use super::{FeatureSpec, FlatSource, KERNEL_VERSION, Summary, check_statistic};
use crate::catalogue::{Catalogue, MetricKind};
use crate::tile::MAX_STATES;
use crate::{FeatureError, Result};

fn refuse<T>(reason: String) -> Result<T> {
    Err(FeatureError::Spec { reason })
}

impl FeatureSpec {
    /// Checks the whole: names, windows against tiles, metrics against the catalogue.
    ///
    /// A spec of an earlier kernel is welcome: finished rows are read, learned from and scored whatever computed
    /// them. Only computing asks for [`FeatureSpec::check_kernel`] besides.
    ///
    /// # Errors
    /// One message naming the key, its value and what it contradicts.
    pub fn validate(&self, catalogue: &Catalogue) -> Result<()> {
        if !(1..=KERNEL_VERSION).contains(&self.kernel_version) {
            return refuse(format!(
                "kernel_version is {}, this build knows 1 to {KERNEL_VERSION}; use a newer build",
                self.kernel_version
            ));
        }
        if self.catalogue_digest != catalogue.digest() {
            return refuse("catalogue_digest differs from the catalogue given".to_owned());
        }
        self.check_times()?;
        self.check_shape()?;
        for column in &self.flat {
            self.check_column(&column.name, &column.source, catalogue)?;
        }
        for channel in &self.channels {
            catalogue.id(&channel.metric)?;
            if let Some(limit) = &channel.divide_by {
                catalogue.id(limit)?;
            }
        }
        self.check_normalising()
    }

    /// Refuses to compute for a spec of another kernel: its rows would not be those it was made with.
    ///
    /// # Errors
    /// When `kernel_version` is not that of this build.
    pub fn check_kernel(&self) -> Result<()> {
        if self.kernel_version == KERNEL_VERSION {
            return Ok(());
        }
        refuse(format!(
            "kernel_version is {}, this build computes {KERNEL_VERSION}; rebuild the data set with this build \
             (finished rows of it can still be read, trained on and scored)",
            self.kernel_version
        ))
    }

    /// Refuses statistics that mean nothing for their metric's kind; asked of specs that are to be computed.
    pub(crate) fn check_statistics(&self, catalogue: &Catalogue) -> Result<()> {
        for column in &self.flat {
            if let FlatSource::Tile { metric, statistic, .. } = &column.source {
                check_statistic(catalogue, catalogue.id(metric)?, *statistic, &column.name)?;
            }
        }
        for channel in &self.channels {
            check_statistic(catalogue, catalogue.id(&channel.metric)?, channel.statistic, &channel.name)?;
        }
        Ok(())
    }

    fn check_times(&self) -> Result<()> {
        if self.tile <= 0 || self.time.ticks_per_unit <= 0 {
            return refuse(format!(
                "tile ({}) and ticks_per_unit ({}) must be above 0",
                self.tile, self.time.ticks_per_unit
            ));
        }
        if self.ingest_lag < 0 || self.longest_gap <= 0 {
            return refuse(format!(
                "ingest_lag ({}) must be at least 0 and longest_gap ({}) above 0",
                self.ingest_lag, self.longest_gap
            ));
        }
        if let Some(interval) = self.scrape_interval
            && interval <= 0
        {
            return refuse(format!("scrape_interval ({interval}) must be above 0"));
        }
        if let Some(rollup) = self.rollup {
            let (multiple, from) = (rollup.tile_multiple, rollup.from_window);
            let length = multiple.checked_mul(self.tile).filter(|_| multiple > 1);
            if length.is_none_or(|length| from < length) {
                return refuse(format!(
                    "rollup: tile_multiple ({multiple}) must be above 1 and from_window ({from}) at least \
                     tile_multiple tiles of {}",
                    self.tile
                ));
            }
        }
        Ok(())
    }

    fn check_shape(&self) -> Result<()> {
        if self.flat.is_empty() && (self.steps == 0 || self.channels.is_empty()) {
            return refuse("neither flat columns nor sequence channels: nothing to learn from".to_owned());
        }
        if (self.steps == 0) != self.channels.is_empty() {
            return refuse(format!(
                "steps ({}) and channels ({}) must both be given or both be 0",
                self.steps,
                self.channels.len()
            ));
        }
        if self.steps > 0 && (self.step <= 0 || self.step % self.tile != 0) {
            return refuse(format!("step ({}) must be a multiple of tile ({})", self.step, self.tile));
        }
        let mut names = HashSet::new();
        for name in self.flat.iter().map(|c| &c.name).chain(self.channels.iter().map(|c| &c.name)) {
            if name.is_empty() || !names.insert(name) {
                return refuse(format!("column {name:?} is empty or given twice"));
            }
        }
        Ok(())
    }

    fn check_column(&self, name: &str, source: &FlatSource, catalogue: &Catalogue) -> Result<()> {
        for metric in source.metrics() {
            catalogue.id(metric)?;
        }
        let windows = source.windows().into_iter().chain(match *source {
            FlatSource::EventCount { window, .. } => Some(window),
            _ => None,
        });
        for window in windows {
            let unit = self.window_unit(window);
            if window <= 0 || window % unit != 0 {
                let what = if unit == self.tile { "tile" } else { "rolled-up tiles" };
                return refuse(format!("column {name:?}: window ({window}) must be a multiple of {what} ({unit})"));
            }
        }
        let kind = |metric: &str| catalogue.id(metric).ok().and_then(|id| catalogue.definition(id)).map(|d| d.kind);
        let must_be = |metric: &str, kinds: &[MetricKind]| match kind(metric) {
            Some(kind) if !kinds.contains(&kind) => {
                refuse(format!("column {name:?}: {metric} is {kind:?}, must be one of {kinds:?}"))
            }
            _ => Ok(()),
        };
        match source {
            FlatSource::LoadOfLimit { metric, .. } => must_be(metric, &[MetricKind::Counter]),
            FlatSource::StallShare { metric, .. } => {
                must_be(metric, &[MetricKind::Counter])?;
                self.needs_clock(name)
            }
            FlatSource::IncreaseRatio { numerator, denominator, .. } => {
                let growing = [MetricKind::Counter, MetricKind::Delta];
                must_be(numerator, &growing)?;
                must_be(denominator, &growing)
            }
            FlatSource::SlopeRatio { metric, short, long } => {
                must_be(metric, &[MetricKind::Gauge])?;
                if short >= long {
                    return refuse(format!("column {name:?}: short ({short}) must be below long ({long})"));
                }
                Ok(())
            }
            FlatSource::TimeToLimit { used, .. } => must_be(used, &[MetricKind::Gauge]),
            FlatSource::TimeSince { metric, .. } => {
                must_be(metric, &[MetricKind::Time])?;
                self.needs_clock(name)
            }
            FlatSource::StateShare { metric, state, .. } => check_state(catalogue, name, metric, state),
            FlatSource::Completeness { .. } if self.scrape_interval.is_none() => {
                refuse(format!("column {name:?}: completeness needs scrape_interval"))
            }
            FlatSource::EventDecay { half_life, .. } if *half_life <= 0 => {
                refuse(format!("column {name:?}: half_life ({half_life}) must be above 0"))
            }
            FlatSource::Season { metric, period, cycles } => {
                must_be(metric, &[MetricKind::Gauge, MetricKind::Counter])?;
                self.check_season(name, *period, *cycles, 1)
            }
            FlatSource::Cusum { metric, period, cycles, steps } => {
                must_be(metric, &[MetricKind::Gauge, MetricKind::Counter])?;
                self.check_season(name, *period, *cycles, *steps)
            }
            FlatSource::Neighbour { column, kind: None, .. } => match self.flat.iter().find(|c| c.name == *column) {
                Some(base) if !matches!(base.source, FlatSource::Neighbour { .. }) => Ok(()),
                Some(_) => refuse(format!("column {name:?} pools {column:?}, which is pooled itself")),
                None => refuse(format!("column {name:?} pools {column:?}, which is no flat column of this spec")),
            },
            _ => Ok(()),
        }
    }

    /// What a window must be a multiple of.
    fn window_unit(&self, window: i64) -> i64 {
        match self.rollup {
            Some(rollup) if window >= rollup.from_window => rollup.tile_multiple * self.tile,
            _ => self.tile,
        }
    }

    fn needs_clock(&self, name: &str) -> Result<()> {
        match self.time.ticks_per_second() {
            Some(_) => Ok(()),
            None => refuse(format!("column {name:?} reads seconds, but time is counted in {:?}", self.time.unit)),
        }
    }

    fn check_season(&self, name: &str, period: i64, cycles: u32, steps: u32) -> Result<()> {
        let Some(rollup) = self.rollup else {
            return refuse(format!("column {name:?}: a season is read from roll-ups; give rollup"));
        };
        let hour = rollup.tile_multiple * self.tile;
        if period < hour || period % hour != 0 || cycles == 0 || steps == 0 {
            return refuse(format!(
                "column {name:?}: period ({period}) must be a multiple of rolled-up tiles ({hour}), cycles ({cycles}) \
                 and steps ({steps}) above 0"
            ));
        }
        Ok(())
    }

    fn check_normalising(&self) -> Result<()> {
        for regime in &self.regimes {
            if self.channel_index(&regime.channel).is_none() || regime.resolution <= 0.0 {
                return refuse(format!(
                    "regime channel {:?} must be a channel, with a resolution above 0",
                    regime.channel
                ));
            }
        }
        for summary in &self.summaries {
            let steps = match *summary {
                Summary::Last => 1,
                Summary::Mean { steps }
                | Summary::Std { steps }
                | Summary::Slope { steps }
                | Summary::Change { steps } => steps,
            };
            if steps == 0 || steps > self.steps {
                return refuse(format!(
                    "summary {summary:?} reaches over {steps} steps, the window has {}",
                    self.steps
                ));
            }
        }
        Ok(())
    }
}

fn check_state(catalogue: &Catalogue, name: &str, metric: &str, state: &str) -> Result<()> {
    let id = catalogue.id(metric)?;
    let states = catalogue.definition(id).map(|d| d.states.as_slice()).unwrap_or_default();
    match states.iter().position(|known| known == state) {
        Some(index) if index < MAX_STATES => Ok(()),
        Some(index) => refuse(format!(
            "column {name:?}: state {state:?} of {metric} is number {index}; time is kept for the first {MAX_STATES}"
        )),
        None => refuse(format!("column {name:?}: {metric} has no state {state:?}; it has {}", states.join(", "))),
    }
}
