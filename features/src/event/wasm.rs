//! Failures of a WebAssembly module: errors in a burst, deadlines that trap, an instance put in another's place.

use super::trace::Traces;
use super::{EventRules, Telling};
use crate::Result;

const COUNTERS: &str = "counters of the module";

pub(super) fn tell(rules: &EventRules, traces: Traces<'_>, told: &mut Telling<'_>) -> Result<()> {
    let mut signs: Vec<(i64, i64, String)> = Vec::new();
    for (name, least) in [("invoke.errors", f64::from(rules.wasm_trap.errors)), ("wasm.deadline_traps", 1.0)] {
        for trace in traces.parts(name) {
            signs.extend(trace.steps().filter_map(|step| {
                let rise = step.growth();
                (rise >= least.max(1.0)).then(|| (step.low, step.high, format!("{name} +{rise}")))
            }));
        }
    }
    for trace in traces.parts("start.time") {
        signs.extend(
            trace
                .steps()
                .filter(|step| step.after > step.before)
                .map(|step| (step.low, step.high, "instance replaced".to_owned())),
        );
    }
    signs.sort();
    let mut last: Option<i64> = None;
    for (low, high, evidence) in signs {
        if last.is_none_or(|last| high - last >= rules.wasm_trap.merge_within.0) {
            told.failure(COUNTERS, "wasm_trap", (low, high), high, evidence)?;
        }
        last = Some(high);
    }
    Ok(())
}
