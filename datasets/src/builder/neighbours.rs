//! Columns about neighbours: a second pass over finished rows, where the spec has any.

use std::collections::HashMap;
use std::path::Path;

use arrow::array::RecordBatch;
use features::neighbour::{Neighbours, Place};
use features::spec::FlatSource;
use features::{EntityKind, FeatureBatch, schema};
use serde::{Deserialize, Serialize};

use crate::error::{DatasetError, Result};
use crate::parquet_file;
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

/// The node of a number; 0 is none.
fn name(names: &[String], number: u32) -> Option<&str> {
    names.get(usize::try_from(number).ok()?.checked_sub(1)?).map(String::as_str)
}

/// Rows that follow each other on one node; `None` where it is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stretch {
    rows: u64,
    node: Option<String>,
}

impl SecondPass {
    /// Notes where the next row was.
    pub(super) fn place(&mut self, node: Option<&str>) {
        let number = self.number(node);
        self.nodes.push(number);
    }

    /// The number of a node.
    pub(super) fn number(&mut self, node: Option<&str>) -> u32 {
        match node {
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
        }
    }

    fn node(&self, row: usize) -> Option<&str> {
        name(&self.names, *self.nodes.get(row)?)
    }

    /// Nodes of the rows from `row` on.
    pub(super) fn stretches_from(&self, row: usize) -> Vec<Stretch> {
        self.stretches(&self.nodes[row..])
    }

    /// Nodes by their numbers.
    pub(super) fn stretches(&self, nodes: &[u32]) -> Vec<Stretch> {
        let same = nodes.chunk_by(|a, b| a == b);
        same.map(|nodes| {
            let node = name(&self.names, nodes[0]).map(str::to_owned);
            Stretch { rows: nodes.len() as u64, node }
        })
        .collect()
    }

    /// Takes up the rows of a unit that an earlier run finished, and those of entities that were there beside them.
    pub(super) fn resume(
        &mut self,
        plan: &BuildPlan,
        rows: (&Path, &[Stretch]),
        beside: (&Path, &[Stretch]),
    ) -> Result<()> {
        for ((path, nodes), kept) in [(rows, true), (beside, false)] {
            let mut numbers = Vec::new();
            for stretch in nodes {
                let number = self.number(stretch.node.as_deref());
                numbers.extend((0..stretch.rows).map(|_| number));
            }
            let mut from = 0;
            for batch in parquet_file::batches(path)? {
                let rows = schema::from_record_batch(&plan.spec, &plan.causes, &batch?)
                    .map_err(DatasetError::feature(&plan.name))?;
                let until = (from + rows.rows()).min(numbers.len());
                self.collect(plan, &rows.features, &rows.groups, &numbers[from..until])?;
                from = until;
            }
            if kept {
                self.collected += numbers.len();
                self.nodes.extend(numbers);
            }
        }
        Ok(())
    }

    /// Adds the next rows of the data set, whose nodes were noted.
    pub(super) fn collect_rows(&mut self, plan: &BuildPlan, rows: &FeatureBatch, groups: &[String]) -> Result<()> {
        let nodes = self.nodes[self.collected..self.collected + rows.rows()].to_vec();
        self.collected += rows.rows();
        self.collect(plan, rows, groups, &nodes)
    }

    /// Adds rows, each on the node of this number.
    pub(super) fn collect(
        &mut self,
        plan: &BuildPlan,
        rows: &FeatureBatch,
        groups: &[String],
        nodes: &[u32],
    ) -> Result<()> {
        let Some(first) = rows.entities().first() else { return Ok(()) };
        let kind = first.kind();
        let mut pools = match self.pools.take() {
            Some((_, pools)) => pools,
            None => Neighbours::try_new(kind, &plan.spec, &[(kind, &plan.spec)])
                .map_err(DatasetError::feature(&plan.name))?,
        };
        for ((row, group), &node) in groups.iter().enumerate().zip(nodes) {
            let place = Place { node: name(&self.names, node), workload: Some(group) };
            pools.collect(&place, rows.as_of()[row], rows.flat_row(row));
        }
        self.pools = Some((kind, pools));
        Ok(())
    }

    /// Fills the columns about neighbours of every row, batch by batch in the order of the first pass.
    pub(super) fn filler<'a>(
        &'a self,
        plan: &'a BuildPlan,
    ) -> Result<impl FnMut(RecordBatch) -> Result<RecordBatch> + use<'a>> {
        let named = DatasetError::feature(&plan.name);
        let reader = match &self.pools {
            Some((kind, pools)) => Some(pools.reader(*kind, &plan.spec).map_err(&named)?),
            None => None,
        };
        let mut row = 0;
        Ok(move |batch: RecordBatch| {
            let mut rows = schema::from_record_batch(&plan.spec, &plan.causes, &batch).map_err(&named)?;
            for at in 0..rows.rows() {
                let place = Place { node: self.node(row), workload: Some(&rows.groups[at]) };
                let as_of = rows.features.as_of()[at];
                if let Some(reader) = &reader {
                    reader.fill(&place, as_of, rows.features.flat_row_mut(at));
                }
                row += 1;
            }
            schema::to_record_batch(&plan.spec, &plan.causes, &rows).map_err(&named)
        })
    }
}
