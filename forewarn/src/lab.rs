//! `forewarn lab`: containers run to failure.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use lab::clean::Cleaned;
use lab::publish::{Published, publish};
use lab::runner::clean_up;
use lab::{Families, LabOptions, Record, Standing, Watcher};

use crate::args::{LabAction, LabArgs, LabRunArgs};
use crate::bar::{Bar, Style};
use crate::exit::usage;

pub(crate) fn run(args: LabArgs) -> anyhow::Result<()> {
    match args.action {
        LabAction::Run(args) => run_lives(args),
        LabAction::Build { dir, json } => {
            let published = publish(&dir, &Bar::new(style(json))).with_context(|| building(&dir))?;
            let record = Record::read(&dir)?;
            print(&dir, record.as_ref(), Some(&published), json)
        }
        #[cfg(feature = "train")]
        LabAction::Study { dir, out, config, device, budget, json } => {
            crate::lab_study::run(&crate::lab_study::Study { dir, out, config, device, budget, json })
        }
        LabAction::Families { source: true, .. } => {
            print!("{}", Families::shipped()?.text());
            Ok(())
        }
        LabAction::Families { scripts, .. } => {
            for (name, text, cause, held_out) in families(scripts.as_deref())?.list() {
                let cause = cause.unwrap_or("lives");
                let held_out = if held_out { ", only in test" } else { "" };
                println!("{name:24} {cause}{held_out}\n    {text}");
            }
            Ok(())
        }
        LabAction::Clean => {
            let cleaned = clean_up()?;
            println!(
                "{}",
                if cleaned.is_nothing() { "nothing was left".to_owned() } else { format!("taken away: {cleaned}") }
            );
            Ok(())
        }
    }
}

fn style(json: bool) -> Style {
    if json { Style::Script } else { Style::Person }
}

fn building(dir: &Path) -> String {
    format!("building the data set of {}", dir.display())
}

fn families(scripts: Option<&Path>) -> anyhow::Result<Families> {
    Ok(match scripts {
        Some(path) => Families::read(path)?,
        None => Families::shipped()?,
    })
}

fn run_lives(args: LabRunArgs) -> anyhow::Result<()> {
    if args.lives == 0 || args.concurrency == 0 {
        return Err(usage("--lives and --concurrency must be at least 1"));
    }
    let options = LabOptions {
        lives: args.lives,
        concurrency: args.concurrency,
        seed: args.seed,
        out: args.out.clone(),
        families: families(args.scripts.as_deref())?,
        exporter: args.exporter,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let wish = stop.clone();
    runtime.spawn(async move {
        crate::stop::signal().await;
        wish.store(true, Ordering::Relaxed);
    });
    let eye = Eye::new(style(args.json), args.lives);
    let record = lab::run(&options, &stop, &eye);
    eye.bar.finish_and_clear();
    let record = record?;
    if stop.load(Ordering::Relaxed) {
        println!("{}: stopped; the same command goes on from here", args.out.display());
        return Ok(());
    }
    // Nothing of the lab is left on the machine, and what is built now can be built again.
    runtime.spawn(async {
        crate::stop::signal().await;
        std::process::exit(130);
    });
    let published = if args.no_dataset {
        None
    } else {
        Some(publish(&args.out, &Bar::new(style(args.json))).with_context(|| building(&args.out))?)
    };
    print(&args.out, Some(&record), published.as_ref(), args.json)
}

fn print(dir: &Path, record: Option<&Record>, published: Option<&Published>, json: bool) -> anyhow::Result<()> {
    if json {
        let value = serde_json::json!({
            "run": record.map(|record| &record.sittings),
            "dataset": published.map(|published| &published.built.manifest.counts),
            "extractor": published.map(|published| &published.comparisons),
        });
        println!("{}", serde_json::to_string_pretty(&value)?);
        return Ok(());
    }
    for sitting in record.into_iter().flat_map(|record| &record.sittings) {
        let measuring = &sitting.measuring;
        println!(
            "{:.0} s, {} containers at a time on {} nodes; {} looks, {} missed; measuring 24 containers took {:.1} % of a core",
            sitting.seconds,
            sitting.concurrency,
            sitting.nodes,
            measuring.scrapes,
            measuring.missed,
            100.0 * measuring.share_of_core(24.0, sitting.seconds)
        );
        for problem in &sitting.problems {
            println!("  {problem}");
        }
    }
    if let Some(published) = published {
        let counts = &published.built.manifest.counts;
        println!(
            "{}: {} rows of {} lives, {} of them failed\n",
            dir.join("dataset").display(),
            counts.rows,
            counts.entities,
            counts.events_by_cause.values().sum::<u64>()
        );
        for comparison in &published.comparisons {
            println!("{}\n\n{}", comparison.rules, comparison.table());
        }
    }
    Ok(())
}

/// Shows how a run goes: a bar on a terminal, a line now and then elsewhere.
struct Eye {
    style: Style,
    bar: ProgressBar,
    told: Mutex<Instant>,
}

/// Without a terminal, at most one line in this time.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

impl Eye {
    fn new(style: Style, lives: usize) -> Self {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr()) && style == Style::Person;
        let bar = if terminal { ProgressBar::new(lives as u64) } else { ProgressBar::hidden() };
        if let Ok(style) =
            ProgressStyle::with_template("lives [{bar:30}] {pos}/{len} {elapsed}, {eta} left\n{wide_msg}")
        {
            bar.set_style(style);
        }
        Self { style, bar, told: Mutex::new(Instant::now()) }
    }

    fn say(&self, text: &str) {
        if self.bar.is_hidden() {
            // Nobody may be left to read it; the containers go on all the same.
            let _ = writeln!(std::io::stderr(), "{text}");
        } else {
            self.bar.println(text);
        }
    }
}

impl Watcher for Eye {
    fn cleaned(&self, cleaned: &Cleaned) {
        self.say(&format!("taken away what an earlier run left: {cleaned}"));
    }

    fn listening(&self, address: SocketAddr) {
        self.say(&format!("the fleet is shown at http://{address}/metrics"));
    }

    fn changed(&self, standing: &Standing) {
        let causes: Vec<String> = standing.causes.iter().map(|(cause, n)| format!("{cause} {n}")).collect();
        let counts = format!("alive {}, spared {}, {}", standing.alive, standing.spared, causes.join(", "));
        self.bar.set_position(standing.ended as u64);
        self.bar.set_message(counts.clone());
        let Ok(mut told) = self.told.lock() else { return };
        if !self.bar.is_hidden() || told.elapsed() < BETWEEN_LINES {
            return;
        }
        *told = Instant::now();
        if self.style == Style::Script {
            let line = serde_json::json!({
                "stage": "lives", "done": standing.ended, "total": standing.wanted, "alive": standing.alive,
                "spared": standing.spared, "causes": standing.causes,
            });
            self.say(&line.to_string());
        } else {
            self.say(&format!("lives: {} of {}; {counts}", standing.ended, standing.wanted));
        }
    }

    fn problem(&self, problem: &str) {
        self.say(problem);
    }
}
