//! `forewarn device`: what there is, what passes, what is taken and why.

use model::device::{adapters, choose};
use serde::Serialize;

use crate::args::DeviceArgs;

#[derive(Serialize)]
struct Survey {
    adapters: Vec<model::device::Adapter>,
    asked: model::DeviceChoice,
    taken: Option<Taken>,
    refused: Option<String>,
}

#[derive(Serialize)]
struct Taken {
    name: String,
    why: String,
    self_test: &'static str,
}

pub(crate) fn run(args: DeviceArgs) -> anyhow::Result<()> {
    let adapters = adapters();
    let result = choose(args.device);
    let survey = Survey {
        adapters,
        asked: args.device,
        taken: result.as_ref().ok().map(|chosen| Taken {
            name: chosen.name.clone(),
            why: chosen.why.clone(),
            self_test: if chosen.is_cpu { "reference device, others are compared with it" } else { "passed" },
        }),
        refused: result.as_ref().err().map(ToString::to_string),
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&survey)?);
    } else {
        println!("adapters:");
        for adapter in &survey.adapters {
            println!("  {} ({}, {}) {}", adapter.name, adapter.kind, adapter.api, adapter.driver);
        }
        if survey.adapters.is_empty() {
            println!("  none");
        }
        println!("asked: {}", serde_json::to_value(args.device)?.as_str().unwrap_or("auto"));
        if let Some(taken) = &survey.taken {
            println!("taken: {}\nwhy: {}\nself-test: {}", taken.name, taken.why, taken.self_test);
        }
    }
    result.map(|_| ()).map_err(Into::into)
}
