//! Rows, events and truths of the histories, written as they come.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use features::{EntityHistory, EntityTiles, Facts, FailureEvent, LabeledBatch, RowAssembler, Split, schema};
use survival::{CensorReason, Observation, Outcome, SurvivalCurve};

use super::joined::{PART_BYTES, Parts};
use super::labels::{Cut, Shuffled, cuts_of};
use super::neighbours::{self, SecondPass, Stretch};
use super::tally::Tally;
use super::unit::{self, Unit};
use crate::error::{DatasetError, Result};
use crate::manifest::{Counts, FileEntry};
use crate::parquet_file::{ParquetSink, ROW_GROUP};
use crate::source::{BuildPlan, Cuts, Truth};

/// Path of a part of the rows.
fn part_path(part: usize) -> String {
    format!("rows/part-{part:05}.parquet")
}

pub(crate) const EVENTS: &str = "events.parquet";
pub(crate) const TRUTH: &str = "truth.parquet";
/// Column of the truth file: S at the K + 1 edges, then F_c at the edges per cause, little-endian f64.
pub(crate) const TRUTH_COLUMN: &str = "curve";

/// What a finished pass has left in the staging folder.
pub(super) struct Written {
    pub(super) files: Vec<FileEntry>,
    pub(super) counts: Counts,
    pub(super) has_truth: bool,
}

/// Writes the rows of one unit after the other in row groups, holding no more than one group of them.
pub(super) struct RowWriter<'a> {
    plan: &'a BuildPlan,
    folder: PathBuf,
    digest: String,
    units: usize,
    assembler: RowAssembler,
    labels: Vec<Observation>,
    known_alive: Vec<f64>,
    groups: Vec<String>,
    splits: Vec<Split>,
    shuffled: Option<Shuffled>,
    /// Files of the unit under way.
    open: Option<(ParquetSink<File>, EventWriter)>,
    /// Rows and failures of every finished unit.
    done: Vec<(FileEntry, FileEntry)>,
    truth: TruthWriter,
    tally: Tally,
    second: Option<SecondPass>,
    beside: Option<Beside>,
    entities: u64,
    last_key: String,
}

impl<'a> RowWriter<'a> {
    /// Begins, or goes on behind the units that an earlier run of the same build finished in `folder`.
    pub(super) fn resume(
        plan: &'a BuildPlan,
        folder: &Path,
        (digest, units): (&str, usize),
        shuffled: Option<Shuffled>,
    ) -> Result<Self> {
        // Neither a shuffle nor true curves are taken up again: both belong to simulated fleets, which are quick.
        let truth = if shuffled.is_some() || units > 1 {
            TruthWriter::Off { allowed: units == 1 }
        } else {
            TruthWriter::Undecided(folder.join(TRUTH))
        };
        let mut writer = Self {
            assembler: RowAssembler::try_new(&plan.spec, &plan.catalogue).map_err(DatasetError::feature(&plan.name))?,
            labels: Vec::new(),
            known_alive: Vec::new(),
            groups: Vec::new(),
            splits: Vec::new(),
            open: None,
            done: Vec::new(),
            second: neighbours::asked(plan).then(SecondPass::default),
            beside: None,
            truth,
            shuffled,
            folder: folder.to_owned(),
            digest: digest.to_owned(),
            units,
            plan,
            tally: Tally::default(),
            entities: 0,
            last_key: String::new(),
        };
        for unit in unit::finished(folder, digest, units)? {
            if let (Some(second), Some((beside, nodes))) = (&mut writer.second, &unit.beside) {
                let (rows, beside) = (folder.join(&unit.rows.path), folder.join(&beside.path));
                second.resume(plan, (&rows, &unit.nodes), (&beside, nodes))?;
            }
            writer.done.push((unit.rows, unit.events));
            writer.tally = unit.tally;
            writer.entities = unit.entities;
        }
        let rows = folder.join("rows");
        std::fs::create_dir(&rows).map_err(DatasetError::io(&rows, "create the folder"))?;
        Ok(writer)
    }

    /// Units that are finished.
    pub(super) fn units_done(&self) -> usize {
        self.done.len()
    }

    /// Entities handed over so far; the lives of one follow each other.
    pub(super) fn entities(&self) -> u64 {
        self.entities
    }

    /// Makes the rows of one history.
    pub(super) fn add(&mut self, history: &EntityHistory, truth: Option<&Truth>) -> Result<()> {
        let plan = self.plan;
        let named = DatasetError::feature(&plan.name);
        let key = history.entity.key();
        let built;
        let tiles = match &history.tiles {
            Some(tiles) => tiles,
            None => {
                built = EntityTiles::build(&plan.spec, &plan.catalogue, key, &history.samples).map_err(&named)?;
                &built
            }
        };
        let mut cuts = cuts_of(plan, history, &mut self.tally)?;
        if let Some(shuffled) = &mut self.shuffled {
            for cut in &mut cuts {
                cut.label =
                    shuffled.get_mut(&cut.split).and_then(std::collections::VecDeque::pop_front).ok_or_else(|| {
                        DatasetError::config(&plan.name, "the source gave other histories when read a second time")
                    })?;
            }
        }
        let own: Vec<&FailureEvent> = history.own_events().collect();
        if self.last_key != key {
            self.last_key = key.to_owned();
            self.entities += 1;
        }
        self.unit()?.1.add(history, &own)?;
        self.tally.history(history, &own, tiles, &cuts, &plan.causes, plan.spec.longest_gap);

        let known = history.events.partition_point(|event| event.t_high() <= history.observed_until);
        let failures: Vec<i64> = history.events[..known].iter().map(FailureEvent::t_high).collect();
        let causes: Vec<&str> = history.events[..known].iter().map(FailureEvent::cause).collect();
        let shown: Vec<i64> = history.events[..known].iter().map(FailureEvent::shown_at).collect();
        let attributes = &history.attributes;
        let facts = Facts { born: history.born, attributes, failures: &failures, causes: &causes, shown: &shown };
        for cut in &cuts {
            self.assembler.push(&history.entity, &facts, tiles, cut.as_of).map_err(&named)?;
            self.labels.push(cut.label.observation);
            self.known_alive.push(cut.label.known_alive);
            self.groups.push(history.group.clone());
            self.splits.push(cut.split);
            if let Some(second) = &mut self.second {
                second.place(history.node(cut.as_of));
            }
            self.truth.add(plan, truth.and_then(|truth| truth(cut.as_of)))?;
            if self.labels.len() == ROW_GROUP {
                self.flush()?;
            }
        }
        self.beside(history, &facts, tiles, &cuts)
    }

    /// Takes note of an entity at the moments that are no rows: it was somebody's neighbour there, as it will be one
    /// for the rows of a night.
    fn beside(&mut self, history: &EntityHistory, facts: &Facts<'_>, tiles: &EntityTiles, cuts: &[Cut]) -> Result<()> {
        let (Some(second), Cuts::Every { every, phase, .. }) = (&mut self.second, &self.plan.cuts) else {
            return Ok(());
        };
        let plan = self.plan;
        let all = Cuts::Every { first: 0, every: *every, phase: *phase };
        let gap = plan.spec.longest_gap;
        let silent = |at: i64| history.gaps.iter().any(|&(from, until)| at > from.saturating_add(gap) && at < until);
        for as_of in all.moments(history.observed_from, history.observed_until - 1) {
            if cuts.binary_search_by_key(&as_of, |cut| cut.as_of).is_ok() || silent(as_of) {
                continue;
            }
            let beside = match &mut self.beside {
                Some(beside) => beside,
                none => {
                    let path = self.folder.join(unit::beside_path(self.done.len()));
                    none.insert(Beside::create(plan, path)?)
                }
            };
            beside.rows.push(&history.entity, facts, tiles, as_of).map_err(DatasetError::feature(&plan.name))?;
            beside.groups.push(history.group.clone());
            beside.nodes.push(second.number(history.node(as_of)));
            if beside.groups.len() == ROW_GROUP {
                beside.flush(plan, second)?;
            }
        }
        Ok(())
    }

    /// The files of the unit under way.
    fn unit(&mut self) -> Result<&mut (ParquetSink<File>, EventWriter)> {
        let number = self.done.len();
        match &mut self.open {
            Some(open) => Ok(open),
            open => {
                let rows = self.folder.join(unit::rows_path(number));
                let rows = ParquetSink::create(rows, &schema::row_schema(&self.plan.spec))?;
                let events = EventWriter::create(self.folder.join(unit::events_path(number)))?;
                Ok(open.insert((rows, events)))
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        if self.labels.is_empty() {
            return Ok(());
        }
        let named = DatasetError::feature(&self.plan.name);
        let rows = self.assembler.finish().map_err(&named)?;
        if let Some(second) = &mut self.second {
            second.collect_rows(self.plan, &rows, &self.groups)?;
        }
        let batch = LabeledBatch::try_new(
            rows,
            std::mem::take(&mut self.labels),
            std::mem::take(&mut self.known_alive),
            std::mem::take(&mut self.groups),
            std::mem::take(&mut self.splits),
        )
        .map_err(&named)?;
        let batch = schema::to_record_batch(&self.plan.spec, &self.plan.causes, &batch).map_err(&named)?;
        self.unit()?.0.write(&batch)?;
        self.truth.flush()
    }

    /// Ends a unit: from here on a later run need not read it again.
    pub(super) fn end_unit(&mut self, skipped: BTreeMap<String, u64>) -> Result<()> {
        let number = self.done.len();
        self.flush()?;
        self.tally.skipped(skipped);
        self.unit()?;
        let Some((rows, events)) = self.open.take() else { return Ok(()) };
        let rows = rows.close(&unit::rows_path(number))?;
        let events = events.close(&unit::events_path(number))?;
        let first = self.rows_before(number);
        let beside = match &mut self.second {
            None => None,
            Some(second) => {
                let path = unit::beside_path(number);
                let beside = match self.beside.take() {
                    Some(beside) => beside,
                    None => Beside::create(self.plan, self.folder.join(&path))?,
                };
                Some(beside.finish(self.plan, second, &path)?)
            }
        };
        let unit = Unit {
            beside,
            digest: self.digest.clone(),
            of: self.units,
            rows: rows.clone(),
            events: events.clone(),
            nodes: self.second.as_ref().map_or_else(Vec::new, |second| second.stretches_from(first)),
            tally: self.tally.clone(),
            entities: self.entities,
        };
        if self.units > 1 && self.shuffled.is_none() {
            unit.write(&self.folder, number)?;
        }
        self.done.push((rows, events));
        Ok(())
    }

    fn rows_before(&self, unit: usize) -> usize {
        let rows: u64 = self.done[..unit].iter().filter_map(|(rows, _)| rows.rows).sum();
        usize::try_from(rows).unwrap_or(usize::MAX)
    }

    pub(super) fn finish(self) -> Result<Written> {
        let schema = schema::row_schema(&self.plan.spec);
        let mut files = match (&*self.done, &self.second) {
            ([(rows, _)], None) if rows.bytes <= PART_BYTES => vec![self.moved(rows, &part_path(0))?],
            (units, second) => {
                let mut parts = Parts::new(&self.folder, &schema, part_path, PART_BYTES);
                let mut fill = second.as_ref().map(|second| second.filler(self.plan)).transpose()?;
                for (rows, _) in units {
                    parts.take(&self.folder.join(&rows.path), &mut |batch| match &mut fill {
                        Some(fill) => fill(batch),
                        None => Ok(batch),
                    })?;
                }
                parts.close()?
            }
        };
        match &*self.done {
            [(_, events)] => files.push(self.moved(events, EVENTS)?),
            units => {
                let schema = EventWriter::schema();
                let mut whole = Parts::new(&self.folder, &schema, |_| EVENTS.to_owned(), u64::MAX);
                for (_, events) in units {
                    whole.take(&self.folder.join(&events.path), &mut Ok)?;
                }
                files.extend(whole.close()?);
            }
        }
        let truth = self.truth.close()?;
        let has_truth = truth.is_some();
        files.extend(truth);
        let units = self.folder.join(unit::FOLDER);
        std::fs::remove_dir_all(&units).map_err(DatasetError::io(&units, "remove the finished units"))?;
        tracing::debug!(folder = %self.folder.display(), "rows, events and truth written");
        Ok(Written { files, counts: self.tally.finish(), has_truth })
    }

    /// Gives a file of a unit its place in the data set.
    fn moved(&self, file: &FileEntry, to: &str) -> Result<FileEntry> {
        let path = self.folder.join(to);
        std::fs::rename(self.folder.join(&file.path), &path)
            .map_err(DatasetError::io(&path, "move the file to its place"))?;
        Ok(FileEntry { path: to.to_owned(), ..file.clone() })
    }
}

/// Rows of entities at moments that are no cuts of a data set, kept for a build that has to go on.
struct Beside {
    rows: RowAssembler,
    groups: Vec<String>,
    /// Numbers of nodes of the rows not written yet, and of those written.
    nodes: Vec<u32>,
    written: Vec<u32>,
    sink: ParquetSink<File>,
}

impl Beside {
    fn create(plan: &BuildPlan, path: PathBuf) -> Result<Self> {
        Ok(Self {
            rows: RowAssembler::try_new(&plan.spec, &plan.catalogue).map_err(DatasetError::feature(&plan.name))?,
            groups: Vec::new(),
            nodes: Vec::new(),
            written: Vec::new(),
            sink: ParquetSink::create(path, &schema::row_schema(&plan.spec))?,
        })
    }

    fn flush(&mut self, plan: &BuildPlan, second: &mut SecondPass) -> Result<()> {
        if self.groups.is_empty() {
            return Ok(());
        }
        let named = DatasetError::feature(&plan.name);
        let rows = self.rows.finish().map_err(&named)?;
        second.collect(plan, &rows, &self.groups, &self.nodes)?;
        let count = rows.rows();
        // The file is laid out like rows of the data set; nobody reads these labels.
        let none = Observation::try_new(1.0, Outcome::Censored(CensorReason::EndOfObservation))
            .map_err(|error| DatasetError::feature(&plan.name)(error.into()))?;
        let groups = std::mem::take(&mut self.groups);
        let batch = LabeledBatch::try_new(rows, vec![none; count], vec![0.0; count], groups, vec![Split::Train; count])
            .map_err(&named)?;
        self.sink.write(&schema::to_record_batch(&plan.spec, &plan.causes, &batch).map_err(&named)?)?;
        self.written.append(&mut self.nodes);
        Ok(())
    }

    fn finish(mut self, plan: &BuildPlan, second: &mut SecondPass, path: &str) -> Result<(FileEntry, Vec<Stretch>)> {
        self.flush(plan, second)?;
        Ok((self.sink.close(path)?, second.stretches(&self.written)))
    }
}

/// Failures as a table: who, of what, when, on what evidence.
struct EventWriter {
    sink: ParquetSink<File>,
    schema: SchemaRef,
    texts: [Vec<String>; 5],
    times: [Vec<i64>; 2],
}

impl EventWriter {
    fn schema() -> SchemaRef {
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let time = |name: &str| Field::new(name, DataType::Int64, false);
        Arc::new(Schema::new(vec![
            text("entity"),
            text("kind"),
            text("incarnation"),
            text("cause"),
            text("evidence"),
            time("t_low"),
            time("t_high"),
        ]))
    }

    fn create(path: PathBuf) -> Result<Self> {
        let schema = Self::schema();
        let sink = ParquetSink::create(path, &schema)?;
        Ok(Self { sink, schema, texts: Default::default(), times: Default::default() })
    }

    fn add(&mut self, history: &EntityHistory, own: &[&FailureEvent]) -> Result<()> {
        let entity = &history.entity;
        for event in own {
            let texts = [entity.key(), entity.kind().name(), entity.incarnation(), event.cause(), event.evidence()];
            for (column, text) in self.texts.iter_mut().zip(texts) {
                column.push(text.to_owned());
            }
            self.times[0].push(event.t_low());
            self.times[1].push(event.t_high());
        }
        if self.times[0].len() >= ROW_GROUP { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if self.times[0].is_empty() {
            return Ok(());
        }
        let mut columns: Vec<ArrayRef> = Vec::new();
        for column in &mut self.texts {
            columns.push(Arc::new(StringArray::from(std::mem::take(column))));
        }
        for column in &mut self.times {
            columns.push(Arc::new(Int64Array::from(std::mem::take(column))));
        }
        let batch = RecordBatch::try_new(self.schema.clone(), columns)
            .map_err(|error| DatasetError::config(EVENTS, error.to_string()))?;
        self.sink.write(&batch)
    }

    /// `name` is its path inside the data set.
    fn close(mut self, name: &str) -> Result<FileEntry> {
        self.flush()?;
        self.sink.close(name)
    }
}

/// True curves in row order; every row has one, or none has.
enum TruthWriter {
    Off {
        /// Whether true curves may be left out without a word.
        allowed: bool,
    },
    Undecided(PathBuf),
    On {
        sink: Box<ParquetSink<File>>,
        schema: SchemaRef,
        width: i32,
        buffer: Vec<u8>,
    },
}

impl TruthWriter {
    fn add(&mut self, plan: &BuildPlan, curve: Option<SurvivalCurve>) -> Result<()> {
        if let Self::Undecided(path) = self {
            *self = if curve.is_some() {
                let width = i32::try_from(8 * plan.grid.edges().len() * (1 + plan.causes.len())).unwrap_or(i32::MAX);
                let field = Field::new(TRUTH_COLUMN, DataType::FixedSizeBinary(width), false);
                let schema = Arc::new(Schema::new(vec![field]));
                let sink = Box::new(ParquetSink::create(path.clone(), &schema)?);
                Self::On { sink, schema, width, buffer: Vec::new() }
            } else {
                Self::Off { allowed: true }
            };
        }
        match (self, curve) {
            (Self::On { width, buffer, .. }, Some(curve)) => {
                let before = buffer.len();
                for value in curve.survival().iter().chain(curve.incidence().iter().flatten()) {
                    buffer.extend_from_slice(&value.to_le_bytes());
                }
                let got = i32::try_from(buffer.len() - before).unwrap_or(i32::MAX);
                if got != *width {
                    return Err(DatasetError::config(
                        &plan.name,
                        format!("a true curve has {got} bytes, expected {width}"),
                    ));
                }
                Ok(())
            }
            (Self::On { .. }, None) => Err(DatasetError::config(&plan.name, "only some rows have a true curve")),
            (Self::Off { allowed: false }, Some(_)) => {
                Err(DatasetError::config(&plan.name, "a source of several units cannot have true curves"))
            }
            (Self::Off { .. }, _) | (Self::Undecided(_), _) => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<()> {
        let Self::On { sink, schema, width, buffer } = self else { return Ok(()) };
        let arrow = |error: arrow::error::ArrowError| DatasetError::config(TRUTH, error.to_string());
        let column = FixedSizeBinaryArray::try_new(*width, std::mem::take(buffer).into(), None).map_err(arrow)?;
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(column)]).map_err(arrow)?;
        sink.write(&batch)
    }

    fn close(self) -> Result<Option<FileEntry>> {
        match self {
            Self::On { sink, .. } => sink.close(TRUTH).map(Some),
            Self::Off { .. } | Self::Undecided(_) => Ok(None),
        }
    }
}
