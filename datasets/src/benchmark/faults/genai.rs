//! Production pods that serve image generation (Alibaba, SoCC 2025): no labels, for false alarms on healthy pods.

use std::path::Path;

use super::grid::{Columns, Gridded, Repeats};
use super::{WatchedSet, WatchedSystem};
use crate::error::{DatasetError, Result};
use crate::source::Input;

/// Seconds between samples.
const STEP: i64 = 57;
/// Samples below which a pod's series is too short to learn from and be judged.
const FEWEST: usize = 300;

/// Memory and GPU duty of every pod, one system per pod; a series of fewer than 300 samples is left out.
///
/// # Errors
/// When a file is missing or is not what it should be.
pub fn pods(folder: &Path) -> Result<WatchedSet> {
    let mut grids = Vec::new();
    let mut inputs = Vec::new();
    for name in ["pod_memory_util", "pod_gpu_duty_cycle"] {
        let (grid, input) = read(&folder.join(format!("{name}.parquet")))?;
        grids.push((name, grid));
        inputs.push(input);
    }
    let mut systems = Vec::new();
    for pod in &grids[0].1.series.entities {
        let (mut names, mut series) = (Vec::new(), Vec::new());
        // Both grids begin at their own first sample; they are shifted to one start.
        let start = grids.iter().map(|(_, grid)| grid.start).min().unwrap_or(0);
        let mut steps = 0;
        for (name, grid) in &grids {
            let Some(entity) = grid.series.entity(pod) else { continue };
            let offset = usize::try_from((grid.start - start) / STEP).unwrap_or(0);
            let mut values = vec![f32::NAN; offset];
            #[expect(clippy::cast_possible_truncation, reason = "back to the precision it was read in")]
            values.extend(grid.series.column(0..grid.series.steps, entity, 0).into_iter().map(|value| value as f32));
            if values.iter().filter(|value| !value.is_nan()).count() < FEWEST {
                continue;
            }
            names.push((*name).to_owned());
            steps = steps.max(values.len());
            series.push(values);
        }
        if series.is_empty() {
            continue;
        }
        for values in &mut series {
            values.resize(steps, f32::NAN);
        }
        let seen = |step: &usize| series.iter().any(|values| !values[*step].is_nan());
        let first = (0..steps).find(seen).unwrap_or(0);
        let last = (0..steps).rev().find(seen).map_or(0, |step| step + 1);
        let part = |share: usize| first + (last - first) * share / 100;
        systems.push(WatchedSystem {
            id: pod.clone(),
            start,
            step: STEP,
            names,
            train: first..part(40),
            validation: part(40)..part(60),
            test: part(60)..last,
            series,
            windows: Vec::new(),
            ignored: Vec::new(),
        });
    }
    if systems.is_empty() {
        return Err(DatasetError::Empty { path: folder.to_owned(), what: "pod with enough samples" });
    }
    Ok(WatchedSet {
        name: "alibaba_genai_pods_2026".to_owned(),
        systems,
        labelled: false,
        inputs,
        notes: vec![
            "No outcome is known: every alarm counts as false, although some may be right.".to_owned(),
            "Learning, threshold and judgement follow each other in time: 40, 20 and 40 % of each pod's series."
                .to_owned(),
        ],
    })
}

fn read(path: &Path) -> Result<(Gridded, Input)> {
    let (columns, input) = Columns::read(path)?;
    // The publisher's file has the same second twice for one address.
    let metrics = ["value".to_owned()];
    Ok((Gridded::of(&columns, "timestamp_anon", "container_ip", &metrics, STEP, Repeats::KeepFirst)?, input))
}
