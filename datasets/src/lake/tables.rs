//! Series and entities of a lake, in memory and on disk.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, StringArray, UInt16Array};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef, UInt16Type};
use features::{CanonicalSeries, Catalogue, Entity, EntityKind, MetricId};
use hashbrown::HashMap;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::commit::{LakeFile, Snapshot, Table};
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesRow {
    /// Index into the entities.
    pub entity: i32,
    /// Which metric.
    pub metric: MetricId,
    /// Incarnation, empty where its source does not say.
    pub incarnation: String,
    /// Part of the entity, empty for the whole.
    pub part: String,
}

/// Every series and entity of a lake; ids are places.
#[derive(Debug, Clone, Default)]
pub struct LakeTables {
    entities: Vec<EntityRow>,
    series: Vec<SeriesRow>,
    entity_ids: HashMap<(EntityKind, String), i32>,
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

    /// The id of an entity.
    #[must_use]
    pub fn entity_id(&self, kind: EntityKind, key: &str) -> Option<i32> {
        self.entity_ids.get(&(kind, key.to_owned())).copied()
    }

    /// Sort key of a series: rows lie in this order.
    pub(super) fn rank(&self, series: u32) -> (i32, u16, u32) {
        let row = &self.series[series as usize];
        (row.entity, row.metric.0, series)
    }

    /// Kind of a series' entity.
    pub(super) fn kind(&self, series: u32) -> EntityKind {
        let entity = self.series[series as usize].entity;
        self.entities[usize::try_from(entity).unwrap_or(0)].kind
    }

    /// Adds a series under the next id.
    pub(super) fn add(&mut self, series: &CanonicalSeries) -> Result<u32> {
        let full = || DatasetError::config("lake", "more than 2^31 series".to_owned());
        let id = u32::try_from(self.series.len()).ok().filter(|&id| id < i32::MAX.cast_unsigned()).ok_or_else(full)?;
        let key = (series.entity.kind(), series.entity.key().to_owned());
        let next = i32::try_from(self.entities.len()).map_err(|_| full())?;
        let entity = *self.entity_ids.entry(key).or_insert_with_key(|(kind, key)| {
            self.entities.push(EntityRow { kind: *kind, key: key.clone() });
            next
        });
        self.series.push(SeriesRow {
            entity,
            metric: series.metric,
            incarnation: series.entity.incarnation().to_owned(),
            part: series.part.clone(),
        });
        Ok(id)
    }

    /// A series as it was registered.
    pub(super) fn canonical(&self, id: u32) -> Result<CanonicalSeries> {
        let row = &self.series[id as usize];
        let entity = &self.entities[usize::try_from(row.entity).unwrap_or(0)];
        let entity = Entity::try_new(entity.kind, entity.key.as_str(), row.incarnation.as_str())
            .map_err(DatasetError::feature("lake"))?;
        Ok(CanonicalSeries { entity, metric: row.metric, part: row.part.clone() })
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
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|b| b.build()).map_err(&named)?;
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

    /// Writes series `from..` as a file of their own.
    pub(super) fn write(&self, lake: &Path, from: u32, until: u32) -> Result<LakeFile> {
        let name = format!("series/part-{from:010}.parquet");
        let ids: Vec<u32> = (from..until).collect();
        let rows = || ids.iter().map(|&id| &self.series[id as usize]);
        let entity = |row: &SeriesRow| &self.entities[usize::try_from(row.entity).unwrap_or(0)];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from_iter_values(ids.iter().map(|id| id.cast_signed()))),
            Arc::new(Int32Array::from_iter_values(rows().map(|row| row.entity))),
            Arc::new(StringArray::from_iter_values(rows().map(|row| entity(row).kind.name()))),
            Arc::new(StringArray::from_iter_values(rows().map(|row| entity(row).key.as_str()))),
            Arc::new(StringArray::from_iter_values(rows().map(|row| row.incarnation.as_str()))),
            Arc::new(UInt16Array::from_iter_values(rows().map(|row| row.metric.0))),
            Arc::new(StringArray::from_iter_values(rows().map(|row| row.part.as_str()))),
        ];
        let batch = RecordBatch::try_new(series_schema(), columns)
            .map_err(|error| DatasetError::config(&name, error.to_string()))?;
        let entities =
            rows().fold((i32::MAX, i32::MIN), |(low, high), row| (low.min(row.entity), high.max(row.entity)));
        write_table(lake, Table::Series, &name, &batch, entities)
    }
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
    let path = lake.join(name);
    let staged = path.with_extension("staged");
    let _ = std::fs::remove_file(&staged);
    let mut sink = ParquetSink::create(staged.clone(), &batch.schema())?;
    sink.write(batch)?;
    let entry = sink.close(name)?;
    std::fs::rename(&staged, &path).map_err(DatasetError::io(&path, "move the finished file here"))?;
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
    })
}

/// The names behind the storage ids of metrics, as a file.
pub(super) fn write_metrics(lake: &Path, catalogue: &Catalogue) -> Result<LakeFile> {
    let definitions = catalogue.definitions();
    let count = u16::try_from(definitions.len()).unwrap_or(u16::MAX);
    let name = format!("metrics/metrics-{count:05}.parquet");
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
    write_table(lake, Table::Metrics, &name, &batch, (0, 0))
}
