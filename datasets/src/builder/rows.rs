//! Rows, events and truths of the histories, written as they come.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use features::{EntityHistory, EntityTiles, Facts, FailureEvent, LabeledBatch, RowAssembler, Split, schema};
use survival::{Observation, SurvivalCurve};

use super::labels::{Shuffled, cuts_of};
use super::neighbours::{self, SecondPass};
use super::tally::Tally;
use crate::error::{DatasetError, Result};
use crate::manifest::{Counts, FileEntry};
use crate::parquet_file::{ParquetSink, ROW_GROUP};
use crate::source::{BuildPlan, Truth};

const ROWS: &str = "rows/part-00000.parquet";
/// Rows before the pass that fills their columns about neighbours.
const FIRST_PASS: &str = "rows/first-pass.parquet";
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

/// Writes rows in row groups, holding no more than one of them.
pub(super) struct RowWriter<'a> {
    plan: &'a BuildPlan,
    folder: PathBuf,
    assembler: RowAssembler,
    labels: Vec<Observation>,
    known_alive: Vec<f64>,
    groups: Vec<String>,
    splits: Vec<Split>,
    shuffled: Option<Shuffled>,
    rows: ParquetSink<File>,
    events: EventWriter,
    truth: TruthWriter,
    tally: Tally,
    second: Option<SecondPass>,
}

impl<'a> RowWriter<'a> {
    pub(super) fn create(plan: &'a BuildPlan, folder: &Path, shuffled: Option<Shuffled>) -> Result<Self> {
        let rows = folder.join("rows");
        std::fs::create_dir(&rows).map_err(DatasetError::io(&rows, "create the folder"))?;
        Ok(Self {
            assembler: RowAssembler::try_new(&plan.spec, &plan.catalogue).map_err(DatasetError::feature(&plan.name))?,
            labels: Vec::new(),
            known_alive: Vec::new(),
            groups: Vec::new(),
            splits: Vec::new(),
            rows: ParquetSink::create(
                folder.join(if neighbours::asked(plan) { FIRST_PASS } else { ROWS }),
                &schema::row_schema(&plan.spec),
            )?,
            second: neighbours::asked(plan).then(SecondPass::default),
            events: EventWriter::create(folder.join(EVENTS))?,
            truth: if shuffled.is_some() { TruthWriter::Off } else { TruthWriter::Undecided(folder.join(TRUTH)) },
            shuffled,
            folder: folder.to_owned(),
            plan,
            tally: Tally::default(),
        })
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
        // A life also carries the failures of earlier lives of its key; only its own are counted and listed.
        let own: Vec<&FailureEvent> = history
            .events
            .iter()
            .filter(|event| event.t_high() > history.observed_from && event.t_high() <= history.observed_until)
            .collect();
        self.events.add(history, &own)?;
        self.tally.history(history, &own, tiles, &cuts, &plan.causes, plan.spec.longest_gap);

        let failures: Vec<i64> = history.events.iter().map(FailureEvent::t_high).collect();
        let causes: Vec<&str> = history.events.iter().map(FailureEvent::cause).collect();
        let facts = Facts { born: history.born, attributes: &history.attributes, failures: &failures, causes: &causes };
        for cut in &cuts {
            self.assembler.push(&history.entity, &facts, tiles, cut.as_of).map_err(&named)?;
            self.labels.push(cut.label.observation);
            self.known_alive.push(cut.label.known_alive);
            self.groups.push(history.group.clone());
            self.splits.push(cut.split);
            if let Some(second) = &mut self.second {
                second.place(plan, history, cut.as_of)?;
            }
            self.truth.add(plan, truth.and_then(|truth| truth(cut.as_of)))?;
            if self.labels.len() == ROW_GROUP {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.labels.is_empty() {
            return Ok(());
        }
        let named = DatasetError::feature(&self.plan.name);
        let rows = self.assembler.finish().map_err(&named)?;
        if let Some(second) = &mut self.second {
            second.collect(&rows, &self.groups);
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
        self.rows.write(&batch)?;
        self.truth.flush()
    }

    pub(super) fn finish(mut self, skipped: BTreeMap<String, u64>) -> Result<Written> {
        self.flush()?;
        let mut rows = self.rows.close(ROWS)?;
        if let Some(second) = &self.second {
            let first = self.folder.join(FIRST_PASS);
            let mut filled = ParquetSink::create(self.folder.join(ROWS), &schema::row_schema(&self.plan.spec))?;
            second.fill(self.plan, &first, &mut filled)?;
            rows = filled.close(ROWS)?;
            std::fs::remove_file(&first).map_err(DatasetError::io(&first, "remove the rows of the first pass"))?;
        }
        let mut files = vec![rows, self.events.close()?];
        let truth = self.truth.close()?;
        let has_truth = truth.is_some();
        files.extend(truth);
        tracing::debug!(folder = %self.folder.display(), "rows, events and truth written");
        Ok(Written { files, counts: self.tally.finish(skipped), has_truth })
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
    fn create(path: PathBuf) -> Result<Self> {
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let time = |name: &str| Field::new(name, DataType::Int64, false);
        let schema = Arc::new(Schema::new(vec![
            text("entity"),
            text("kind"),
            text("incarnation"),
            text("cause"),
            text("evidence"),
            time("t_low"),
            time("t_high"),
        ]));
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

    fn close(mut self) -> Result<FileEntry> {
        self.flush()?;
        self.sink.close(EVENTS)
    }
}

/// True curves in row order; every row has one, or none has.
enum TruthWriter {
    Off,
    Undecided(PathBuf),
    On { sink: Box<ParquetSink<File>>, schema: SchemaRef, width: i32, buffer: Vec<u8> },
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
                Self::Off
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
            (Self::Off, _) | (Self::Undecided(_), _) => Ok(()),
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
            Self::Off | Self::Undecided(_) => Ok(None),
        }
    }
}
