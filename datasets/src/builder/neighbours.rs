//! Columns about neighbours: a second pass over finished rows, where the spec has any.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use features::neighbour::{Neighbours, Place};
use features::spec::FlatSource;
use features::{EntityHistory, EntityKind, FeatureBatch, schema};

use crate::error::{DatasetError, Result};
use crate::parquet_file::{self, ParquetSink};
use crate::source::BuildPlan;

/// Pools of the first pass, and where each row was.
#[derive(Debug, Default)]
pub(super) struct SecondPass {
    pools: Option<(EntityKind, Neighbours)>,
    /// Names of nodes; 0 stands for an unknown one.
    names: Vec<String>,
    numbers: HashMap<String, u32>,
    /// Node of each row, in the order of the rows.
    nodes: Vec<u32>,
    collected: usize,
}

/// Whether any column asks for neighbours.
pub(super) fn asked(plan: &BuildPlan) -> bool {
    plan.spec.flat.iter().any(|column| matches!(column.source, FlatSource::Neighbour { .. }))
}

impl SecondPass {
    /// Notes where the row at `as_of` was.
    pub(super) fn place(&mut self, plan: &BuildPlan, history: &EntityHistory, as_of: i64) -> Result<()> {
        let kind = history.entity.kind();
        if self.pools.is_none() {
            let pools = Neighbours::try_new(kind, &plan.spec, &[(kind, &plan.spec)]);
            self.pools = Some((kind, pools.map_err(DatasetError::feature(&plan.name))?));
        }
        let number = match history.node(as_of) {
            None => 0,
            Some(node) => match self.numbers.get(node) {
                Some(&number) => number,
                None => {
                    self.names.push(node.to_owned());
                    let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
                    self.numbers.insert(node.to_owned(), number);
                    number
                }
            },
        };
        self.nodes.push(number);
        Ok(())
    }

    fn node(&self, row: usize) -> Option<&str> {
        let number = usize::try_from(*self.nodes.get(row)?).ok()?;
        self.names.get(number.checked_sub(1)?).map(String::as_str)
    }

    /// Adds rows of the first pass, in order.
    pub(super) fn collect(&mut self, rows: &FeatureBatch, groups: &[String]) {
        let Some((kind, mut pools)) = self.pools.take() else { return };
        for (row, group) in groups.iter().enumerate() {
            let place = Place { node: self.node(self.collected + row), workload: Some(group) };
            pools.collect(&place, rows.as_of()[row], rows.flat_row(row));
        }
        self.collected += rows.rows();
        self.pools = Some((kind, pools));
    }

    /// Copies the rows of the first pass to `to`, their columns about neighbours filled in.
    pub(super) fn fill(&self, plan: &BuildPlan, from: &Path, to: &mut ParquetSink<File>) -> Result<()> {
        let named = DatasetError::feature(&plan.name);
        let reader = match &self.pools {
            Some((kind, pools)) => Some(pools.reader(*kind, &plan.spec).map_err(&named)?),
            None => None,
        };
        let mut row = 0;
        let (batches, ..) = parquet_file::open(from)?;
        for batch in batches {
            let batch = batch.map_err(|error| DatasetError::config(from.display().to_string(), error.to_string()))?;
            let mut rows = schema::from_record_batch(&plan.spec, &plan.causes, &batch).map_err(&named)?;
            for at in 0..rows.rows() {
                let place = Place { node: self.node(row), workload: Some(&rows.groups[at]) };
                let as_of = rows.features.as_of()[at];
                if let Some(reader) = &reader {
                    reader.fill(&place, as_of, rows.features.flat_row_mut(at));
                }
                row += 1;
            }
            to.write(&schema::to_record_batch(&plan.spec, &plan.causes, &rows).map_err(&named)?)?;
        }
        Ok(())
    }
}
