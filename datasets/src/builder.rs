//! One streaming pass from histories to a finished data set.
//!
//! Each history becomes tiles, its cuts get their labels, a row is assembled per cut and written in row
//! groups: memory holds one entity and one row group, whatever the size of the source. Nothing here reads
//! a clock, so the same source gives the same bytes, whether or not the build was killed on the way: a source hands
//! its histories over in units, and a later run goes on behind the last unit that was finished.

mod joined;
mod labels;
mod neighbours;
mod rows;
mod tally;
mod unit;

use std::path::Path;

pub(crate) use rows::{EVENTS, TRUTH, TRUTH_COLUMN};

use crate::card;
use crate::croissant;
use crate::error::{DatasetError, Result};
use crate::manifest::{FILE_NAME, Manifest, SCHEMA_VERSION};
use crate::progress::Progress;
use crate::source::{BuildPlan, Source};
use crate::staging::Staging;

/// A data set that is now at its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// Its manifest.
    pub manifest: Manifest,
    /// Whether it was there already, made from the same input, and left as it was.
    pub reused: bool,
}

/// Builds a data set from `source` at `dir`, whole or not at all.
///
/// A complete data set of the same input that is there already is left as it is.
///
/// # Errors
/// When the plan contradicts itself, the source cannot be read, `dir` holds something else, no row comes
/// out, none ends in a failure, or the disk is full.
pub fn build(source: &mut dyn Source, dir: &Path, progress: &dyn Progress) -> Result<Built> {
    let plan = source.plan().clone();
    plan.check()?;
    let digest = plan.digest();
    if let Some(manifest) = already_there(dir, &digest)? {
        return Ok(Built { manifest, reused: true });
    }
    let units = source.units();
    let resumable = plan.permute_labels.is_none();
    let staging = Staging::create(dir, |dead| resumable && unit::any(dead, &digest, units))?;
    let shuffled = match plan.permute_labels {
        Some(seed) => Some(labels::shuffled(source, &plan, seed, progress)?),
        None => None,
    };

    let mut writer = rows::RowWriter::resume(&plan, staging.path(), (&digest, units), shuffled)?;
    let (done, resumed) = (writer.entities(), writer.units_done());
    let going_on = if resumed > 0 { format!(", going on behind {resumed} of {units} units") } else { String::new() };
    progress.begin(&format!("building {}{going_on}", plan.name), source.entities());
    progress.advance(done);
    for unit in resumed..units {
        source.unit(unit, &mut |history, truth| {
            let before = writer.entities();
            writer.add(&history, truth.as_ref())?;
            progress.advance(writer.entities() - before);
            Ok(())
        })?;
        writer.end_unit(source.skipped())?;
    }
    progress.end();

    let written = writer.finish()?;
    if written.counts.rows == 0 {
        return Err(DatasetError::Empty { path: dir.to_owned(), what: "rows" });
    }
    if written.counts.failures == 0 {
        return Err(DatasetError::NoFailures { path: dir.to_owned(), rows: written.counts.rows });
    }
    let mut manifest = manifest_of(plan, digest, written, source.raw_since());
    let croissant = staging.write(croissant::FILE_NAME, &croissant::render(&manifest)?)?;
    manifest.files.push(croissant);
    let readme = staging.write("README.md", card::render(&manifest).as_bytes())?;
    manifest.files.push(readme);
    staging.write(FILE_NAME, &manifest.to_json()?)?;
    staging.publish(dir)?;
    Ok(Built { manifest, reused: false })
}

/// The data set at `dir`, when it is complete and made from the same input.
fn already_there(dir: &Path, digest: &str) -> Result<Option<Manifest>> {
    if !dir.exists() {
        return Ok(None);
    }
    let refuse = |problem: String| Err(DatasetError::Exists { path: dir.to_owned(), problem });
    let mut entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(_) => return refuse("no folder".to_owned()),
    };
    if entries.next().is_none() {
        return Ok(None);
    }
    let manifest = match Manifest::read(dir) {
        Ok(manifest) => manifest,
        Err(error) => return refuse(format!("no data set of this build ({error})")),
    };
    if manifest.input_digest != digest {
        return refuse(format!("a data set of another input ({})", manifest.name));
    }
    for file in &manifest.files {
        let size = std::fs::metadata(dir.join(&file.path)).map(|metadata| metadata.len()).ok();
        if size != Some(file.bytes) {
            return refuse(format!("incomplete: {} is missing or of another size", file.path));
        }
    }
    Ok(Some(manifest))
}

fn manifest_of(plan: BuildPlan, input_digest: String, written: rows::Written, raw_since: Option<i64>) -> Manifest {
    let mut notes = plan.notes;
    if let Some(seed) = plan.permute_labels {
        notes.push(format!(
            "Control: outcomes were shuffled between the rows of each part (seed {seed}); nothing can be learned from it, and it has no truth."
        ));
    }
    Manifest {
        schema_version: SCHEMA_VERSION,
        name: plan.name,
        title: plan.title,
        licence: plan.licence,
        source: plan.source_text,
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        input_digest,
        inputs: plan.inputs,
        spec_hash: plan.spec.hash(),
        spec: plan.spec,
        catalogue: plan.catalogue,
        grid: plan.grid,
        causes: plan.causes,
        readout: plan.readout,
        cuts: plan.cuts,
        split: plan.split,
        permuted_labels: plan.permute_labels,
        has_truth: written.has_truth,
        counts: written.counts,
        notes,
        raw_since,
        files: written.files,
    }
}
