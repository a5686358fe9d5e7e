//! `forewarn report`: one bundle, one page, the numbers behind it as Parquet.

use anyhow::Context;
use datasets::Dataset;
use model::LoadedBundle;
use train::examine::{ExamineConfig, Request, examine, tables};
use train::report::render_bundle;

use crate::args::ReportArgs;
use crate::bar::{Bar, Style};
use crate::config_file;
use crate::exit::usage;

pub(crate) fn run(args: ReportArgs) -> anyhow::Result<()> {
    let text = config_file::text(args.config.as_deref())?;
    let config: ExamineConfig = config_file::parse(&text, args.config.as_deref())?;
    let name = args.config.as_ref().map_or("settings".to_owned(), |path| path.display().to_string());
    config.validate(&name)?;
    let beside = args.out.with_extension("data");
    if beside == args.out {
        return Err(usage(format!(
            "--out {} is the name of the folder for its tables; call it .html",
            args.out.display()
        )));
    }
    config_file::fresh(&args.out)?;
    config_file::fresh(&beside)?;
    let dataset = Dataset::open(&args.dataset)?;
    let later = args.drift.as_ref().map(Dataset::open).transpose()?;
    let bundle = LoadedBundle::load(&args.bundle, args.device)?;
    let against = args.against.iter().map(|dir| LoadedBundle::load(dir, args.device)).collect::<Result<Vec<_>, _>>()?;
    let rows = dataset.rows()?;
    let later_rows = later.as_ref().map(Dataset::rows).transpose()?;
    let bar = Bar::new(if args.json { Style::Script } else { Style::Person });
    let request = Request {
        dataset: &dataset,
        rows: &rows,
        part: args.part.into(),
        bundle: &bundle,
        dir: &args.bundle,
        against: &against,
        later: later.as_ref().zip(later_rows.as_ref()),
    };
    let examination = examine(&request, &config, &bar)
        .with_context(|| format!("reporting on {} with {}", args.bundle.display(), args.dataset.display()))?;
    let files = tables::write(&examination, &beside)?;
    let folder = beside.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    config_file::write(&args.out, render_bundle(&examination, &folder).as_bytes())?;
    config_file::write(&beside.join("report.toml"), toml::to_string_pretty(&config)?.as_bytes())?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&examination)?);
    } else {
        println!("{}: written", args.out.display());
        println!("{}: {} tables", beside.display(), files.len());
        let curve = &examination.attribution.deletion;
        println!("check of the shares by deletion: {:>8} {:>10} {:>10}", "inputs", "top", "random");
        for ((k, top), random) in curve.replaced.iter().zip(&curve.top).zip(&curve.random) {
            println!("{:31} {k:>8} {top:>10.4} {random:>10.4}", "");
        }
    }
    Ok(())
}
