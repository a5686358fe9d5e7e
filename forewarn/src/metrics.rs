//! `forewarn metrics`: the catalogue, and what a Prometheus lacks of it.

use features::Catalogue;
use features::mapping::{MappingSet, MetricOverview, overview};

#[cfg(feature = "ingest")]
use crate::args::MetricsAction;
use crate::args::MetricsArgs;
use crate::exit::usage;

pub(crate) fn run(args: MetricsArgs) -> anyhow::Result<()> {
    let catalogue = Catalogue::standard();
    let mappings = MappingSet::standard(&catalogue);
    #[cfg(feature = "ingest")]
    if let Some(MetricsAction::Check { service, json }) = args.action {
        return check(&catalogue, &mappings, &service.endpoint()?, json);
    }
    let mut metrics = overview(&catalogue, &mappings);
    if let Some(source) = &args.source {
        let known: Vec<&str> = mappings.sources().iter().map(|source| source.name.as_str()).collect();
        if !known.contains(&source.as_str()) {
            return Err(usage(format!("--source {source:?} is not known; there are {}", known.join(", "))));
        }
        metrics.retain(|metric| metric.sources.iter().any(|row| row.source == *source));
    }
    if args.json {
        let sources = mappings.sources();
        println!("{}", serde_json::to_string_pretty(&serde_json::json!({ "metrics": metrics, "sources": sources }))?);
    } else {
        print(&metrics, &mappings);
    }
    Ok(())
}

fn print(metrics: &[MetricOverview], mappings: &MappingSet) {
    for metric in metrics {
        let kind = serde_json::to_value(metric.kind).unwrap_or_default();
        println!("{:<26} {:<7} {:<8} {}", metric.id, metric.unit, kind.as_str().unwrap_or(""), metric.foretells);
        for row in &metric.sources {
            let note = if row.verified { "" } else { "  (unverified: known from documentation alone)" };
            println!("    {:<24} {}{note}", row.source, row.select);
        }
    }
    let rows: Vec<_> = metrics.iter().flat_map(|metric| &metric.sources).collect();
    let unverified = rows.iter().filter(|row| !row.verified).count();
    println!(
        "\n{} metrics; {} rows of {} sources, {unverified} of them unverified",
        metrics.len(),
        rows.len(),
        mappings.sources().len()
    );
}

#[cfg(feature = "ingest")]
fn check(
    catalogue: &Catalogue,
    mappings: &MappingSet,
    endpoint: &datasets::ingest::Endpoint,
    json: bool,
) -> anyhow::Result<()> {
    use std::collections::BTreeSet;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let offered: BTreeSet<String> = runtime.block_on(datasets::ingest::prometheus::metric_names(endpoint))?;
    let offer = features::mapping::Offer::of_names(offered.iter().cloned());
    let lacks = features::mapping::missing(catalogue, mappings, &offer);
    let known = mappings.names().into_iter().filter(|name| offered.contains(*name)).count();
    if json {
        let answer = serde_json::json!({ "offered": offered.len(), "used": known, "lacks": lacks });
        println!("{}", serde_json::to_string_pretty(&answer)?);
        return Ok(());
    }
    println!("{}: {} metric names, {known} of them used", endpoint.name(), offered.len());
    for lack in &lacks {
        println!("  lacks {:<24} {} ({})", lack.id, lack.select.join(" or "), lack.exporter);
        let cost = if !lack.provided_by.is_empty() {
            format!("costs little: {} gives it too", lack.provided_by.join(", "))
        } else if lack.costs.is_empty() {
            format!("costs: {}", lack.foretells)
        } else {
            let costs: Vec<String> = lack.costs.iter().map(|cost| format!("{}: {}", cost.cause, cost.effect)).collect();
            format!("costs labels: {}; {}", costs.join("; "), lack.foretells)
        };
        println!("        {cost}");
    }
    if known == 0 {
        println!("  none of the sources is there; `forewarn metrics` lists them");
    } else if lacks.is_empty() {
        println!("  nothing is missing of the sources that are there");
    }
    Ok(())
}
