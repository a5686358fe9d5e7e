//! Series and entities of a lake, in memory and on disk.

use std::fs::File;
use std::hash::BuildHasher;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, StringArray, UInt16Array};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef, UInt16Type};
use features::{CanonicalSeries, Catalogue, Entity, EntityKind, MetricId};
use hashbrown::{DefaultHashBuilder, HashTable};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::commit::{LakeFile, Snapshot, Table};
use super::disk::Disk;
use crate::error::{DatasetError, Result};
use crate::parquet_file::ParquetSink;

/// An entity over all its incarnations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityRow {
    /// Its kind.
    pub kind: EntityKind,
    /// Its stable key.
    pub key: String,
}

/// One canonical metric of one part of one incarnation of an entity.
///
/// Incarnations and parts are shared by the many series that have the same, so that a series takes about 70 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesRow {
    /// Index into the entities.
    pub entity: i32,
    /// Which metric.
    pub metric: MetricId,
    /// Incarnation, empty where its source does not say.
    pub incarnation: Arc<str>,
    /// Part of the entity, empty for the whole.
    pub part: Arc<str>,
}

/// Sort key of a series: entity, metric, series. Rows of a file lie in this order.
pub(super) type Rank = (i32, u16, u32);

/// Where the rows of a series go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) entity: i32,
    pub(super) metric: MetricId,
    pub(super) kind: EntityKind,
}

/// Every series and entity of a lake; ids are places.
#[derive(Debug, Clone, Default)]
pub struct LakeTables {
    entities: Vec<EntityRow>,
    series: Vec<SeriesRow>,
    // Tables of ids alone: the keys are read where they rest, not stored twice.
    entity_ids: HashTable<i32>,
    series_ids: HashTable<u32>,
    texts: HashTable<Arc<str>>,
    hasher: DefaultHashBuilder,
}

impl LakeTables {
    /// Entities by id.
    #[must_use]
    pub fn entities(&self) -> &[EntityRow] {
        &self.entities
    }

    /// Series by id.
    #[must_use]
    pub fn series(&self) -> &[SeriesRow] {
        &self.series
    }

    /// Number of series, which is also the next id.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.series.len()).unwrap_or(u32::MAX)
    }

    fn entity(&self, id: i32) -> &EntityRow {
        &self.entities[usize::try_from(id).unwrap_or(0)]
    }

    /// The id of an entity.
    #[must_use]
    pub fn entity_id(&self, kind: EntityKind, key: &str) -> Option<i32> {
        let is_it = |&id: &i32| self.entity(id).kind == kind && self.entity(id).key == key;
        self.entity_ids.find(self.hasher.hash_one((kind, key)), is_it).copied()
    }

    /// The id of a series.
    pub(super) fn series_id(&self, series: &CanonicalSeries) -> Option<u32> {
        let entity = self.entity_id(series.entity.kind(), series.entity.key())?;
        let wanted = (entity, series.metric.0, series.entity.incarnation(), series.part.as_str());
        let is_it = |&id: &u32| content(&self.series[id as usize]) == wanted;
        self.series_ids.find(self.hasher.hash_one(wanted), is_it).copied()
    }

    /// Sort key of a series: rows lie in this order.
    pub(super) fn rank(&self, series: u32) -> Rank {
        let row = &self.series[series as usize];
        (row.entity, row.metric.0, series)
    }

    /// Where the rows of a series go.
    pub(super) fn place(&self, series: u32) -> Place {
        let row = &self.series[series as usize];
        Place { entity: row.entity, metric: row.metric, kind: self.entity(row.entity).kind }
    }

    /// The series behind an id.
    pub(super) fn is(&self, id: u32, series: &CanonicalSeries) -> bool {
        self.series_id(series) == Some(id)
    }

    /// Adds a series under the next id.
    pub(super) fn add(&mut self, series: &CanonicalSeries) -> Result<u32> {
        let full = || DatasetError::config("lake", "more than 2^31 series".to_owned());
        let id = u32::try_from(self.series.len()).ok().filter(|&id| id < i32::MAX.cast_unsigned()).ok_or_else(full)?;
        let (kind, key) = (series.entity.kind(), series.entity.key());
        let entity = match self.entity_id(kind, key) {
            Some(entity) => entity,
            None => {
                let next = i32::try_from(self.entities.len()).map_err(|_| full())?;
                self.entities.push(EntityRow { kind, key: key.to_owned() });
                let (hasher, entities) = (&self.hasher, &self.entities);
                self.entity_ids.insert_unique(hasher.hash_one((kind, key)), next, |&id| {
                    let row = &entities[usize::try_from(id).unwrap_or(0)];
                    hasher.hash_one((row.kind, row.key.as_str()))
                });
                next
            }
        };
        let incarnation = self.share(series.entity.incarnation());
        let part = self.share(&series.part);
        self.series.push(SeriesRow { entity, metric: series.metric, incarnation, part });
        let (hasher, rows) = (&self.hasher, &self.series);
        let hash = |&id: &u32| hasher.hash_one(content(&rows[id as usize]));
        self.series_ids.insert_unique(hash(&id), id, hash);
        Ok(id)
    }

    /// One copy of each text.
    fn share(&mut self, text: &str) -> Arc<str> {
        let hasher = &self.hasher;
        let hash = |text: &Arc<str>| hasher.hash_one(&**text);
        let entry = self.texts.entry(hasher.hash_one(text), |known| &**known == text, hash);
        Arc::clone(entry.or_insert_with(|| Arc::from(text)).get())
    }

    /// Reads the series files of a snapshot.
    pub(super) fn read(lake: &Path, snapshot: &Snapshot) -> Result<Self> {
        let mut tables = Self::default();
        let mut files: Vec<&LakeFile> = snapshot.table(Table::Series).collect();
        // Ids are given in the order of the files' names.
        files.sort_by(|a, b| a.path.cmp(&b.path));
        for entry in files {
            let path = lake.join(&entry.path);
            let file = File::open(&path).map_err(DatasetError::io(&path, "open the series"))?;
            let named = DatasetError::parquet(&path);
            let reader = ParquetRecordBatchReaderBuilder::try_new(file)
                .and_then(ParquetRecordBatchReaderBuilder::build)
                .map_err(&named)?;
            for batch in reader {
                let batch =
                    batch.map_err(|error| DatasetError::Parquet { path: path.clone(), reason: error.to_string() })?;
                tables.read_batch(&path, &batch)?;
            }
        }
        Ok(tables)
    }

    fn read_batch(&mut self, path: &Path, batch: &RecordBatch) -> Result<()> {
        let column = |name: &str, kind: &DataType| {
            batch.column_by_name(name).filter(|column| column.data_type() == kind).ok_or_else(|| DatasetError::Column {
                path: path.to_owned(),
                column: name.to_owned(),
                problem: format!("is missing or not {kind}"),
            })
        };
        let ids = column("series_id", &DataType::Int32)?.as_primitive::<Int32Type>();
        let entities = column("entity_id", &DataType::Int32)?.as_primitive::<Int32Type>();
        let metrics = column("metric", &DataType::UInt16)?.as_primitive::<UInt16Type>();
        let kinds = column("kind", &DataType::Utf8)?.as_string::<i32>();
        let keys = column("key", &DataType::Utf8)?.as_string::<i32>();
        let incarnations = column("incarnation", &DataType::Utf8)?.as_string::<i32>();
        let parts = column("part", &DataType::Utf8)?.as_string::<i32>();
        for row in 0..batch.num_rows() {
            let kind = EntityKind::from_name(kinds.value(row)).map_err(DatasetError::feature(path.display()))?;
            let entity = Entity::try_new(kind, keys.value(row), incarnations.value(row))
                .map_err(DatasetError::feature(path.display()))?;
            let series =
                CanonicalSeries { entity, metric: MetricId(metrics.value(row)), part: parts.value(row).to_owned() };
            let id = self.add(&series)?;
            let entity = self.series[id as usize].entity;
            if id.cast_signed() != ids.value(row) || entity != entities.value(row) {
                return Err(DatasetError::Disagrees {
                    path: path.to_owned(),
                    what: "series_id, entity_id",
                    expected: format!("{id}, {entity}"),
                    got: format!("{}, {}", ids.value(row), entities.value(row)),
                });
            }
        }
        Ok(())
    }

    /// Series `from..` with their entities, to be written as a file of their own.
    pub(super) fn batch(&self, from: u32) -> Result<RecordBatch> {
        let ids = from..self.count();
        let rows = &self.series[from as usize..];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from_iter_values(ids.map(u32::cast_signed))),
            Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.entity))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| self.entity(row.entity).kind.name()))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| self.entity(row.entity).key.as_str()))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &*row.incarnation))),
            Arc::new(UInt16Array::from_iter_values(rows.iter().map(|row| row.metric.0))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &*row.part))),
        ];
        RecordBatch::try_new(series_schema(), columns)
            .map_err(|error| DatasetError::config("series", error.to_string()))
    }
}

/// What makes a series: entity, metric, incarnation, part.
fn content(row: &SeriesRow) -> (i32, u16, &str, &str) {
    (row.entity, row.metric.0, &row.incarnation, &row.part)
}

/// Writes series from id `from` on as a file of their own.
pub(super) fn write_series(disk: &Disk, lake: &Path, from: u32, batch: &RecordBatch) -> Result<LakeFile> {
    let entities = batch.column(1).as_primitive::<Int32Type>().values();
    let low = entities.iter().copied().min().unwrap_or(0);
    let high = entities.iter().copied().max().unwrap_or(0);
    let file =
        write_table_on(disk, lake, Table::Series, &format!("series/part-{from:010}.parquet"), batch, (low, high))?;
    disk.sync_folder(&lake.join("series"))?;
    Ok(file)
}

/// Schema of series files.
#[must_use]
pub fn series_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![
        Field::new("series_id", DataType::Int32, false),
        Field::new("entity_id", DataType::Int32, false),
        text("kind"),
        text("key"),
        text("incarnation"),
        Field::new("metric", DataType::UInt16, false),
        text("part"),
    ]))
}

/// Writes a small table as one file, replacing a leftover of the same name.
pub(super) fn write_table(
    lake: &Path,
    table: Table,
    name: &str,
    batch: &RecordBatch,
    entities: (i32, i32),
) -> Result<LakeFile> {
    write_table_on(&Disk::default(), lake, table, name, batch, entities)
}

fn write_table_on(
    disk: &Disk,
    lake: &Path,
    table: Table,
    name: &str,
    batch: &RecordBatch,
    entities: (i32, i32),
) -> Result<LakeFile> {
    let path = lake.join(name);
    let staged = path.with_extension("staged");
    disk.remove(&staged)?;
    let file = disk.create_new(&staged, "create the file")?;
    let written = ParquetSink::over(file, staged.clone(), &batch.schema())
        .and_then(|mut sink| sink.write(batch).map(|()| sink))
        .and_then(|sink| sink.finish(name))
        .and_then(|(file, entry)| file.sync().map(|()| entry))
        .and_then(|entry| disk.rename(&staged, &path).map(|()| entry));
    let entry = written.inspect_err(|_| {
        // Best effort, as with samples.
        let _ = std::fs::remove_file(&staged);
    })?;
    Ok(LakeFile {
        table,
        path: entry.path,
        sha256: entry.sha256,
        bytes: entry.bytes,
        rows: entry.rows.unwrap_or(0),
        kind: String::new(),
        date: String::new(),
        entities,
        times: (0, 0),
        pruned: false,
        settled: false,
    })
}

/// Where the names behind the storage ids of a catalogue rest.
pub(super) fn metrics_path(catalogue: &Catalogue) -> String {
    format!("metrics/metrics-{}.parquet", &catalogue.digest()[..16])
}

/// Refuses a lake whose storage ids mean other metrics than those of this build.
pub(super) fn check_metrics(lake: &Path, snapshot: &Snapshot, catalogue: &Catalogue) -> Result<()> {
    for entry in snapshot.table(Table::Metrics) {
        if entry.path == metrics_path(catalogue) {
            continue;
        }
        let path = lake.join(&entry.path);
        let file = File::open(&path).map_err(DatasetError::io(&path, "open the metrics"))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(ParquetRecordBatchReaderBuilder::build)
            .map_err(DatasetError::parquet(&path))?;
        for batch in reader {
            let batch =
                batch.map_err(|error| DatasetError::Parquet { path: path.clone(), reason: error.to_string() })?;
            let ids = batch.column_by_name("metric").and_then(|column| column.as_primitive_opt::<UInt16Type>());
            let names = batch.column_by_name("id").and_then(|column| column.as_string_opt::<i32>());
            let (Some(ids), Some(names)) = (ids, names) else {
                return Err(DatasetError::Column {
                    path,
                    column: "metric, id".to_owned(),
                    problem: "are not both there".to_owned(),
                });
            };
            for (id, name) in ids.values().iter().zip(names.iter().flatten()) {
                let here = catalogue.name(MetricId(*id));
                if here != name {
                    return Err(DatasetError::Disagrees {
                        path,
                        what: "the metric behind a storage id (`forewarn lake migrate` brings the lake to this build's)",
                        expected: format!("{id} = {here}"),
                        got: format!("{id} = {name}"),
                    });
                }
            }
        }
    }
    Ok(())
}

/// The names behind the storage ids of metrics, as a file.
pub(super) fn write_metrics(disk: &Disk, lake: &Path, catalogue: &Catalogue) -> Result<LakeFile> {
    let definitions = catalogue.definitions();
    let count = u16::try_from(definitions.len()).unwrap_or(u16::MAX);
    let name = metrics_path(catalogue);
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let schema = Schema::new(vec![
        Field::new("metric", DataType::UInt16, false),
        text("id"),
        text("unit"),
        text("metric_kind"),
        text("foretells"),
    ]);
    let kind = |kind| serde_json::to_value(kind).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt16Array::from_iter_values(0..count)),
        Arc::new(StringArray::from_iter_values(definitions.iter().map(|d| d.id.as_str()))),
        Arc::new(StringArray::from_iter_values(definitions.iter().map(|d| d.unit.as_str()))),
        Arc::new(StringArray::from_iter_values(definitions.iter().map(|d| kind(d.kind)))),
        Arc::new(StringArray::from_iter_values(definitions.iter().map(|d| d.foretells.as_str()))),
    ];
    let batch = RecordBatch::try_new(Arc::new(schema), columns)
        .map_err(|error| DatasetError::config(&name, error.to_string()))?;
    write_table_on(disk, lake, Table::Metrics, &name, &batch, (0, 0))
}
