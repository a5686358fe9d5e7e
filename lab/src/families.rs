//! The mix of the lab: families of scripts, and the pods drawn from them.
//!
//! A family is a recipe in TOML (`lab/families.toml` says how it is written); a pod is one draw of it, told by the seed
//! and its index alone, so that a run can go on where it stopped and be repeated. [`Families::read`] checks everything
//! a draw may meet, so that drawing cannot fail; `deck` chooses the family, `recipe` draws the pod, `quantity` its
//! numbers.

mod deck;
mod plan;
mod quantity;
mod recipe;

use std::collections::BTreeMap;
use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::error::{LabError, Result};
use deck::Deck;
pub use plan::{NodePlan, PlannedEnd, PodPlan, ProbePlan};
use quantity::Table;
pub use recipe::CAUSES;
use recipe::Recipe;

/// The families that come with the lab.
const SHIPPED: &str = include_str!("../families.toml");
/// Name of the shipped families in errors.
const SHIPPED_NAME: &str = "lab/families.toml (shipped)";

/// A checked mix of families.
#[derive(Debug, Clone)]
pub struct Families {
    text: String,
    nodes: NodePlan,
    recipes: Vec<Recipe>,
    deck: Deck,
}

/// The file as a whole; what is inside the tables is read family by family, so that errors can name it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    nodes: toml::Table,
    pod: toml::Table,
    family: BTreeMap<String, toml::Table>,
}

impl Families {
    /// Reads and checks a file of families.
    ///
    /// # Errors
    /// When the file cannot be read, or a family or key in it cannot be used: which, what was seen, what is allowed.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| LabError::Families { path: name.clone(), reason: format!("cannot be read: {error}") })?;
        Self::parse(&name, text)
    }

    /// The families that come with the lab.
    ///
    /// # Errors
    /// None in a build whose tests pass; the same checks as for any other file.
    pub fn shipped() -> Result<Self> {
        Self::parse(SHIPPED_NAME, SHIPPED.to_owned())
    }

    /// The families as they were read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the text, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        hex::encode(Sha256::digest(self.text.as_bytes()))
    }

    /// The nodes the pods run on.
    #[must_use]
    pub fn nodes(&self) -> &NodePlan {
        &self.nodes
    }

    /// Names of the families with what they are: `name, text, cause, held out`, in the order of names.
    pub fn list(&self) -> impl Iterator<Item = (&str, &str, Option<&str>, bool)> {
        self.recipes
            .iter()
            .map(|recipe| (recipe.name.as_str(), recipe.text.as_str(), recipe.cause.as_deref(), recipe.held_out))
    }

    /// The pod of an index: the same for the same seed, whatever was drawn before.
    #[must_use]
    pub fn draw(&self, seed: u64, index: u64) -> PodPlan {
        let place = self.deck.family(seed, index);
        let recipe = &self.recipes[place.min(self.recipes.len() - 1)];
        let mut random = stream(seed, index);
        let own = random.random();
        recipe.draw(index, own, &mut random)
    }

    /// The script of a later run of a pod, with its limits and other numbers: the same bug does not kill twice at the same
    /// age, and nothing could be learned from the age at the last death but that.
    #[must_use]
    pub fn script(&self, seed: u64, plan: &PodPlan, run: u32) -> Vec<String> {
        let Some(recipe) = self.recipes.iter().find(|recipe| recipe.name == plan.family) else {
            return plan.script.clone();
        };
        let mut random = stream(seed, plan.index);
        let _: u64 = random.random();
        let mut own = ChaCha8Rng::seed_from_u64(plan.seed);
        own.set_stream(u64::from(run));
        recipe.script(&mut random, &mut own)
    }

    fn parse(path: &str, text: String) -> Result<Self> {
        let wrong = |reason: String| LabError::Families { path: path.to_owned(), reason };
        let file: FileText = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let nodes = nodes(file.nodes).map_err(|reason| wrong(format!("[nodes] {reason}")))?;
        let mut recipes = Vec::new();
        for (name, own) in file.family {
            let recipe = Recipe::read(&name, &file.pod, own).and_then(|recipe| recipe.check().map(|()| recipe));
            recipes.push(recipe.map_err(|reason| wrong(format!("family {name}: {reason}")))?);
        }
        let weights: Vec<f64> = recipes.iter().map(|recipe| recipe.weight).collect();
        let deck = Deck::new(&weights).ok_or_else(|| wrong("no family has a weight above 0".to_owned()))?;
        Ok(Self { text, nodes, recipes, deck })
    }
}

/// Random numbers of one pod: its own stream, so that one pod's draws leave the others alone.
fn stream(seed: u64, index: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(index);
    random
}

fn nodes(table: toml::Table) -> std::result::Result<NodePlan, String> {
    let mut table = Table::new(table);
    let plan = NodePlan {
        memory: table.constant("memory")? as u64,
        cpu: table.constant("cpu")?,
        pods: table.constant("pods")? as u32,
        eviction_below: table.constant("eviction_below")? as u64,
    };
    table.end()?;
    if plan.memory <= plan.eviction_below || plan.cpu <= 0.0 || plan.pods == 0 {
        return Err("a node has CPU, room for a pod and more memory than eviction keeps free".to_owned());
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Families {
        Families::shipped().expect("the shipped families are good")
    }

    fn refusal(from: &str, to: &str) -> String {
        assert!(SHIPPED.contains(from), "{from}");
        Families::parse("x.toml", SHIPPED.replacen(from, to, 1)).expect_err(to).to_string()
    }

    #[test]
    fn a_pod_is_told_by_seed_and_index_alone() {
        let families = shipped();
        let forward: Vec<PodPlan> = (0..60).map(|index| families.draw(7, index)).collect();
        let backward: Vec<PodPlan> = (0..60).rev().map(|index| families.draw(7, index)).collect();
        assert!(forward.iter().eq(backward.iter().rev()));
        assert!(forward.iter().zip(0..).any(|(plan, index)| *plan != families.draw(8, index)));
        let text = toml::to_string(&forward[3]).expect("a plan is data");
        assert_eq!(toml::from_str::<PodPlan>(&text).expect("the same data"), forward[3]);
    }

    #[test]
    fn a_later_run_keeps_the_limits_and_draws_its_own_numbers() {
        let families = shipped();
        for index in 0..300 {
            let plan = families.draw(7, index);
            let [second, third] = [1, 2].map(|run| families.script(7, &plan, run));
            assert_eq!(second, families.script(7, &plan, 1));
            let moving = plan.script.iter().any(|line| line.contains("onset_ms") || line.contains("rate"));
            if moving {
                assert_ne!(second, plan.script, "{plan:?}");
                assert_ne!(second, third, "{plan:?}");
            }
            for script in [second, third] {
                let text = format!("seed {}\nrun 1\n{}\n", plan.seed, script.join("\n"));
                lab_workload::script::Script::parse(&text).expect(&text);
            }
        }
    }

    #[test]
    fn a_long_run_meets_the_weights_closely_at_every_point() {
        let families = shipped();
        let total: f64 = families.recipes.iter().map(|recipe| recipe.weight).sum();
        for seed in 0..5 {
            let mut counts: BTreeMap<String, f64> = BTreeMap::new();
            for index in 0..960 {
                *counts.entry(families.draw(seed, index).family).or_default() += 1.0;
                if index % 120 != 119 {
                    continue;
                }
                for recipe in &families.recipes {
                    let wanted = recipe.weight / total * (index + 1) as f64;
                    let seen = counts.get(&recipe.name).copied().unwrap_or_default();
                    // Independent draws would be off by three times that at the end.
                    assert!((seen - wanted).abs() <= 4.0, "{} after {index}: {seen} instead of {wanted}", recipe.name);
                }
            }
        }
    }

    #[test]
    fn every_frequent_cause_has_a_family_that_is_held_out_and_one_that_is_not() {
        let families = shipped();
        for cause in ["memory_leak", "fd_leak", "thread_leak", "disk_full", "cpu_starvation", "cache_thrash"] {
            for held_out in [false, true] {
                let found = families.list().any(|(_, _, of, held)| of == Some(cause) && held == held_out);
                assert!(found, "{cause} held out: {held_out}");
            }
        }
        assert!(families.list().all(|(_, text, _, _)| !text.is_empty()));
    }

    #[test]
    fn pods_are_light_and_their_limits_hang_together() {
        let families = shipped();
        let mebibyte = 1024 * 1024;
        for index in 0..2000 {
            let plan = families.draw(3, index);
            let label = format!("{plan:?}");
            let script = format!("seed {}\nrun 3\n{}\n", plan.seed, plan.script.join("\n"));
            lab_workload::script::Script::parse(&script).expect(&label);
            assert!(plan.memory_limit.is_none_or(|limit| limit >= 16 * mebibyte && limit <= 160 * mebibyte), "{label}");
            assert!(plan.memory_limit.is_none_or(|limit| plan.memory_request <= limit), "{label}");
            assert!(plan.cpu_limit.is_some_and(|limit| limit <= 0.31 && plan.cpu_request <= limit), "{label}");
            assert!(plan.probe.timeout_ms < plan.probe.period_ms, "{label}");
            assert!((1..=3).contains(&plan.failures_allowed) && plan.life_ms >= 60_000, "{label}");
            assert!(plan.volume_bytes <= 48 * mebibyte && plan.read_bps >= mebibyte, "{label}");
        }
    }

    #[test]
    fn an_error_names_file_family_and_key() {
        for (from, to, wanted) in [
            ("weight = 8", "weigth = 8", "weigth"),
            ("cause = \"memory_leak\"", "cause = \"gremlins\"", "gremlins"),
            ("life_ms = [\"200s\", \"600s\"]", "life_ms = [\"200s\", \"600\"]", "life_ms"),
            ("shape = \"linear\"", "shape = \"lineal\"", "shape=lineal"),
            ("of = \"memory_limit\", share = [0.1, 0.45]", "of = \"memory\", share = 0.1", "base"),
        ] {
            let text = refusal(from, to);
            assert!(text.contains("x.toml") && text.contains("family ") && text.contains(wanted), "{to}: {text}");
        }
        assert!(refusal("eviction_below = \"40MiB\"", "eviction_below = \"900MiB\"").contains("[nodes]"));
    }
}
