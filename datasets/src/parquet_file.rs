//! Parquet as this project writes it: zstd, split bytes for floats, deltas for times, the same bytes every time.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};

use crate::error::{DatasetError, Result};
use crate::manifest::FileEntry;

/// Rows of a row group, and of what is held in memory while writing.
pub(crate) const ROW_GROUP: usize = 4096;
/// Speed and size at rest are both good here.
const ZSTD_LEVEL: i32 = 3;

/// Counts and digests what passes through.
#[derive(Debug)]
pub(crate) struct Digesting<W> {
    inner: W,
    digest: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.digest.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A Parquet file being written; one row group per batch.
pub(crate) struct ParquetSink<W: Write + Send> {
    writer: ArrowWriter<Digesting<W>>,
    path: PathBuf,
    rows: u64,
}

impl ParquetSink<File> {
    /// Begins a file that must not exist yet.
    pub(crate) fn create(path: PathBuf, schema: &SchemaRef) -> Result<Self> {
        let file = File::create_new(&path).map_err(DatasetError::io(&path, "create the file"))?;
        Self::over(file, path, schema)
    }

    /// Ends the file and waits until it is on disk; `name` is its path inside the data set.
    pub(crate) fn close(self, name: &str) -> Result<FileEntry> {
        let path = self.path.clone();
        let (file, entry) = self.finish(name)?;
        file.sync_all().map_err(DatasetError::io(&path, "flush the file to disk"))?;
        Ok(entry)
    }
}

impl<W: Write + Send> ParquetSink<W> {
    /// Begins a file over any writer.
    pub(crate) fn over(inner: W, path: PathBuf, schema: &SchemaRef) -> Result<Self> {
        Self::laid_out(inner, path, schema, properties(schema))
    }

    /// Begins a file over any writer, in a layout of its own.
    pub(crate) fn laid_out(inner: W, path: PathBuf, schema: &SchemaRef, properties: WriterProperties) -> Result<Self> {
        let sink = Digesting { inner, digest: Sha256::new(), bytes: 0 };
        // The embedded Arrow schema is left out: its metadata map has no fixed order, so equal data would give other bytes.
        let options = ArrowWriterOptions::new().with_skip_arrow_metadata(true).with_properties(properties);
        let writer =
            ArrowWriter::try_new_with_options(sink, schema.clone(), options).map_err(DatasetError::parquet(&path))?;
        Ok(Self { writer, path, rows: 0 })
    }

    /// Writes a batch as one row group.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let named = DatasetError::parquet(&self.path);
        self.writer.write(batch).map_err(&named)?;
        self.writer.flush().map_err(&named)?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Bytes written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.writer.inner().bytes
    }

    /// Ends the file and hands back the writer below it; what is written may not be on disk yet.
    pub(crate) fn finish(self, name: &str) -> Result<(W, FileEntry)> {
        let sink = self.writer.into_inner().map_err(DatasetError::parquet(&self.path))?;
        let entry = FileEntry {
            path: name.to_owned(),
            sha256: hex::encode(sink.digest.finalize()),
            bytes: sink.bytes,
            rows: Some(self.rows),
        };
        Ok((sink.inner, entry))
    }
}

/// What every file says of who wrote it.
pub(crate) const CREATED_BY: &str = concat!("forewarn ", env!("CARGO_PKG_VERSION"));

fn properties(schema: &Schema) -> WriterProperties {
    let mut metadata: Vec<KeyValue> =
        schema.metadata().iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    metadata.sort_by(|a, b| a.key.cmp(&b.key));
    let mut builder = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default()))
        .set_key_value_metadata(Some(metadata));
    for field in schema.fields() {
        let column = ColumnPath::new(vec![field.name().clone()]);
        builder = match field.data_type() {
            DataType::Float32 | DataType::Float64 => builder
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::BYTE_STREAM_SPLIT),
            DataType::Int64 | DataType::Timestamp(_, _) => builder
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED),
            // Smallest and largest window as bytes mean nothing and would bloat the footer.
            DataType::FixedSizeBinary(_) => builder
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_statistics_enabled(column, EnabledStatistics::None),
            _ => builder,
        };
    }
    builder.build()
}

/// SHA-256 of a file, hexadecimal, and its size.
pub(crate) fn digest(path: &Path) -> Result<(String, u64)> {
    let mut file = File::open(path).map_err(DatasetError::io(path, "open the file"))?;
    let mut sink = Digesting { inner: io::sink(), digest: Sha256::new(), bytes: 0 };
    io::copy(&mut file, &mut sink).map_err(DatasetError::io(path, "read the file"))?;
    Ok((hex::encode(sink.digest.finalize()), sink.bytes))
}

/// Opens a Parquet file for reading, batch by batch, with its key-value metadata.
pub(crate) fn open(path: &Path) -> Result<(ParquetRecordBatchReader, Vec<KeyValue>, u64)> {
    let file = File::open(path).map_err(DatasetError::io(path, "open the file"))?;
    let named = DatasetError::parquet(path);
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(&named)?.with_batch_size(ROW_GROUP);
    let metadata = builder.metadata().file_metadata();
    let pairs = metadata.key_value_metadata().cloned().unwrap_or_default();
    let rows = u64::try_from(metadata.num_rows()).unwrap_or(0);
    Ok((builder.build().map_err(&named)?, pairs, rows))
}

/// The batches of a file, each error with its name.
pub(crate) fn batches(path: &Path) -> Result<impl Iterator<Item = Result<RecordBatch>>> {
    Ok(named(path, open(path)?.0))
}

/// Names the file in the errors of its batches.
pub(crate) fn named(
    path: &Path,
    batches: ParquetRecordBatchReader,
) -> impl Iterator<Item = Result<RecordBatch>> + use<> {
    let path = path.to_owned();
    batches.map(move |batch| {
        batch.map_err(|error| DatasetError::Parquet { path: path.clone(), reason: error.to_string() })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use arrow::datatypes::Field;

    use super::*;

    /// A disk with room for so many bytes.
    struct SmallDisk(usize);

    impl Write for SmallDisk {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            if self.0 < buffer.len() {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            self.0 -= buffer.len();
            Ok(buffer.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_called_a_full_disk() {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let values = Int64Array::from_iter_values((0..100_000).map(|i| i * i * i % 1_000_003));
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(values)]).unwrap();
        let mut seen = Vec::new();
        for room in [0, 10, 500, 50_000] {
            let outcome = ParquetSink::over(SmallDisk(room), PathBuf::from("somewhere/rows.parquet"), &schema)
                .and_then(|mut sink| sink.write(&batch).map(|()| sink))
                .and_then(|sink| sink.finish("rows.parquet"));
            seen.push(outcome.err().map(|error| error.to_string()).unwrap_or_default());
        }
        for message in seen {
            assert!(message.starts_with("somewhere/rows.parquet: disk full"), "{message}");
        }
    }
}
