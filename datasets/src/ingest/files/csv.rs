//! Tables as comma-separated values, with a header.

use arrow::array::StringBuilder;
use csv::StringRecord;
use features::Catalogue;

use super::plan::{TablePlan, TimeColumn, TimeUnit};
use super::table::{Chunk, Values, parse_time, take};
use super::{Run, open, reading};
use crate::{DatasetError, Result};

/// Rows taken at once.
const CHUNK: usize = 8192;

pub(super) fn read(run: &mut Run<'_>, plan: &TablePlan, catalogue: &Catalogue) -> Result<()> {
    let path = run.path.to_owned();
    let mut reader = ::csv::ReaderBuilder::new().trim(::csv::Trim::Headers).from_reader(open(&path)?);
    let fail = |error: ::csv::Error| {
        let line = error.position().map_or(0, ::csv::Position::line);
        match error.into_kind() {
            ::csv::ErrorKind::Io(error) => reading(&path, error),
            ::csv::ErrorKind::UnequalLengths { expected_len, len, .. } => DatasetError::Line {
                path: path.clone(),
                line,
                problem: format!("{len} cells, the header has {expected_len}"),
            },
            other => DatasetError::Line { path: path.clone(), line, problem: format!("{other:?}") },
        }
    };
    let header = reader.headers().map_err(fail)?.clone();
    plan.check_columns(&path, header.iter())?;
    let columns = Columns::new(plan, &header)?;
    let mut record = StringRecord::new();
    let mut skip = run.position.done;
    let mut chunk = Builder::new(&columns);
    loop {
        let more = reader.read_record(&mut record).map_err(fail)?;
        if more && skip > 0 {
            skip -= 1;
            continue;
        }
        if more {
            let line = record.position().map_or(0, ::csv::Position::line);
            chunk.push(&columns, &record, line).map_err(|problem| DatasetError::Line {
                path: path.clone(),
                line,
                problem,
            })?;
        }
        if chunk.times.len() == CHUNK || (!more && !chunk.times.is_empty()) {
            let full = std::mem::replace(&mut chunk, Builder::new(&columns));
            take(run, plan, catalogue, &full.finish())?;
        }
        if !more {
            return Ok(());
        }
    }
}

/// Where the plan's columns are in the file.
struct Columns {
    time: (usize, TimeUnit),
    known_at: Option<(usize, TimeUnit)>,
    texts: Vec<usize>,
    values: Vec<usize>,
}

impl Columns {
    fn new(plan: &TablePlan, header: &StringRecord) -> Result<Self> {
        let at = |name: &str| header.iter().position(|column| column == name).unwrap_or(usize::MAX);
        let time = |column: &TimeColumn| match column.unit {
            Some(unit) => Ok((at(&column.column), unit)),
            None => Err(DatasetError::Config {
                subject: "mapping file".to_owned(),
                reason: format!("column {:?} of a CSV file needs a unit: s, ms, us, ns or rfc3339", column.column),
            }),
        };
        Ok(Self {
            time: time(&plan.time)?,
            known_at: plan.known_at.as_ref().map(time).transpose()?,
            texts: plan.text_columns().map(at).collect(),
            values: plan.value_columns().into_iter().map(at).collect(),
        })
    }
}

struct Builder {
    first_line: u64,
    times: Vec<i64>,
    known_at: Option<Vec<i64>>,
    texts: Vec<StringBuilder>,
    values: Vec<StringBuilder>,
}

impl Builder {
    fn new(columns: &Columns) -> Self {
        let builders = |columns: &[usize]| columns.iter().map(|_| StringBuilder::new()).collect();
        Self {
            first_line: 0,
            times: Vec::with_capacity(CHUNK),
            known_at: columns.known_at.map(|_| Vec::with_capacity(CHUNK)),
            texts: builders(&columns.texts),
            values: builders(&columns.values),
        }
    }

    fn push(&mut self, columns: &Columns, record: &StringRecord, line: u64) -> Result<(), String> {
        if self.times.is_empty() {
            self.first_line = line;
        }
        let cell = |at: usize| record.get(at).unwrap_or_default();
        self.times.push(parse_time(cell(columns.time.0), columns.time.1)?);
        if let (Some(known_at), Some((at, unit))) = (&mut self.known_at, columns.known_at) {
            known_at.push(parse_time(cell(at), unit)?);
        }
        for (builder, &at) in self.texts.iter_mut().zip(&columns.texts) {
            builder.append_value(cell(at));
        }
        for (builder, &at) in self.values.iter_mut().zip(&columns.values) {
            builder.append_value(cell(at));
        }
        Ok(())
    }

    fn finish(mut self) -> Chunk {
        Chunk {
            first_line: self.first_line,
            times: self.times,
            known_at: self.known_at,
            texts: self.texts.iter_mut().map(StringBuilder::finish).collect(),
            values: self.values.iter_mut().map(|values| Values::Text(values.finish())).collect(),
        }
    }
}
