//! A description as a page: what a person looks at before trusting a data set.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::describe::{Description, OverTime, explanation, missing_share};
use crate::manifest::Manifest;
use crate::page::number::{count, short, small_percent};
use crate::page::{Layout, absent, document, figure, text};
use crate::svg::{Axis, Look, Plot};

/// Causes with a line of their own; the rest is left to the table.
const LINES: usize = 5;
/// Columns in the table of missing values.
const COLUMNS: usize = 40;

impl Description {
    /// The page, which needs nothing beside it.
    #[must_use]
    pub fn page(&self, manifest: &Manifest) -> String {
        let mut body = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_page(&mut body, manifest);
        document(&self.title, &body)
    }

    fn write_page(&self, out: &mut String, manifest: &Manifest) -> std::fmt::Result {
        let counts = &self.counts;
        writeln!(
            out,
            "<p>{} rows from {} histories in {} groups; {} rows end in a failure. Durations are in {}. Source: {}. \
             Licence: {}.</p>",
            whole(counts.rows),
            whole(counts.entities),
            whole(counts.groups),
            whole(counts.failures),
            text(&self.unit),
            text(&manifest.source),
            text(&manifest.licence)
        )?;
        self.parts(out)?;
        writeln!(out, "<h2>Failures</h2>")?;
        two_columns(out, "Cause", "Failures", &counts.events_by_cause, None)?;
        out.push_str(&self.failures_figure(manifest));
        writeln!(
            out,
            "<h2>Censoring</h2>\n<p>A row that no failure ended is no negative: it says how long the entity was seen alive.</p>"
        )?;
        two_columns(out, "Reason", "Rows", &counts.rows_by_censor_reason, Some(&explanation))?;
        two_columns(out, "Left out, by rule", "Cuts or records", &counts.excluded, None)?;
        out.push_str(&self.survival_figure());
        self.gaps(out, manifest)?;
        self.columns(out)?;
        self.audit(out)
    }

    fn parts(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "<h2>Parts</h2>\n<div class=\"scroll\"><table class=\"plain\"><thead><tr><th>Part</th><th>Rows</th><th>Failures</th><th>Entities</th><th>Groups</th>"
        )?;
        let horizons: Vec<f64> =
            self.splits.first().map_or(Vec::new(), |part| part.within.iter().map(|w| w.0).collect());
        for horizon in &horizons {
            writeln!(out, "<th>Failed / alive at {} {}</th>", short(*horizon), text(&self.unit))?;
        }
        writeln!(out, "</tr></thead><tbody>")?;
        for part in &self.splits {
            write!(
                out,
                "<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
                text(&part.split),
                count(part.rows),
                count(part.failures),
                count(part.entities),
                count(part.groups)
            )?;
            for (_, failed, alive) in &part.within {
                write!(out, "<td>{} / {}</td>", count(*failed), count(*alive))?;
            }
            writeln!(out, "</tr>")?;
        }
        writeln!(out, "</tbody></table></div>")
    }

    #[expect(clippy::cast_precision_loss, reason = "counts and spans of a picture")]
    fn failures_figure(&self, manifest: &Manifest) -> String {
        const TITLE: &str = "Failures over time";
        let Some(OverTime { from, step, causes }) = &self.over_time else {
            return absent(TITLE, "there is no failure");
        };
        let per_unit = manifest.spec.time.ticks_per_unit as f64;
        let mut named: Vec<(&String, &Vec<u64>)> = causes.iter().collect();
        named.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.iter().sum::<u64>()));
        let stretches = named.first().map_or(1, |(_, counts)| counts.len());
        let width = *step as f64 / per_unit;
        let most = named.iter().flat_map(|(_, counts)| counts.iter()).max().copied().unwrap_or(1);
        let x = Axis::new(&format!("Time since the first failure ({})", self.unit), 0.0, width * stretches as f64);
        let mut plot = Plot::wide(TITLE, x, Axis::new("Failures", 0.0, 1.08 * most as f64));
        for (index, (cause, counts)) in named.iter().take(LINES).enumerate() {
            let look = Look::series(index);
            let last = counts.last().copied().unwrap_or(0);
            let points: Vec<[f64; 2]> = counts
                .iter()
                .chain(std::iter::once(&last))
                .enumerate()
                .map(|(at, &n)| [width * at as f64, n as f64])
                .collect();
            plot.steps(&points, &look);
            plot.name_line(&look, cause);
        }
        let caption = format!(
            "Failures in stretches of {} {}, the first at tick {from}. A step that no release or incident explains is often a change of the exporters.",
            short(width),
            self.unit
        );
        figure(TITLE, Layout::Alone, &[(String::new(), plot.render())], &caption)
    }

    fn survival_figure(&self) -> String {
        const TITLE: &str = "How long rows live";
        let Some(&(last, _)) = self.survival.last() else { return absent(TITLE, "there is no row") };
        let x = Axis::new(&format!("Time from the row's moment ({})", self.unit), 0.0, last);
        let lowest = self.survival.iter().map(|point| point.1).fold(1.0, f64::min);
        let low = if lowest > 0.5 { (lowest - 0.05 * (1.0 - lowest)).max(0.0) } else { 0.0 };
        let mut plot = Plot::wide(TITLE, x, Axis::new("Share not failed", low, 1.0));
        let points: Vec<[f64; 2]> = self.survival.iter().map(|&(time, share)| [time, share]).collect();
        plot.steps(&points, &Look::series(0));
        figure(
            TITLE,
            Layout::Alone,
            &[(String::new(), plot.render())],
            "Kaplan–Meier estimate over all rows; censored rows leave the risk set when they are censored. Rows of one entity overlap, so that no interval is drawn.",
        )
    }

    #[expect(clippy::cast_precision_loss, reason = "spans of a table")]
    fn gaps(&self, out: &mut String, manifest: &Manifest) -> std::fmt::Result {
        let Some(watched) = &self.counts.watched else { return Ok(()) };
        let per_unit = manifest.spec.time.ticks_per_unit as f64;
        writeln!(
            out,
            "<h2>Gaps</h2>\n<p>{} gaps in {} histories; {} of the watched time is missing. {} histories were older than their first sample (left truncation).</p>",
            whole(watched.gaps),
            whole(watched.histories_with_gaps),
            small_percent(missing_share(watched) / 100.0),
            whole(watched.joined_late)
        )?;
        if watched.gaps == 0 {
            return Ok(());
        }
        let lengths: BTreeMap<String, u64> = watched
            .gaps_up_to
            .iter()
            .enumerate()
            // Lengths sort as they stand, not as words.
            .map(|(place, &(bound, n))| {
                (format!("{:02}. up to {} {}", place + 1, short(bound as f64 / per_unit), self.unit), n)
            })
            .collect();
        two_columns(out, "Length", "Gaps", &lengths, None)?;
        writeln!(
            out,
            "<p>The longest, {} {}, is one of {}.</p>",
            short(watched.longest_gap as f64 / per_unit),
            text(&self.unit),
            text(&watched.longest_gap_entity)
        )
    }

    fn columns(&self, out: &mut String) -> std::fmt::Result {
        let mut missing: Vec<&(String, f64)> = self.missing.iter().filter(|(_, share)| *share > 0.0).collect();
        missing.sort_by(|a, b| b.1.total_cmp(&a.1));
        writeln!(
            out,
            "<h2>Columns</h2>\n<p>{} of {} columns and channels miss values.</p>",
            missing.len(),
            self.missing.len()
        )?;
        if missing.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "<div class=\"scroll\"><table class=\"plain\"><thead><tr><th>Column</th><th>Not observed</th></tr></thead><tbody>"
        )?;
        for (name, share) in missing.iter().take(COLUMNS) {
            writeln!(out, "<tr><th>{}</th><td>{}</td></tr>", text(name), small_percent(*share))?;
        }
        writeln!(out, "</tbody></table></div>")?;
        if missing.len() > COLUMNS {
            writeln!(out, "<p class=\"note\">{} more, with fewer missing.</p>", missing.len() - COLUMNS)?;
        }
        Ok(())
    }

    fn audit(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "<h2>Audit</h2>\n<p>A random sample of the failures and the samples they follow from. Would you have called each of them this?</p>\n\
             <div class=\"scroll\"><table class=\"plain\"><thead><tr><th>Entity</th><th>Cause</th><th>After</th><th>Certain at</th><th>Evidence</th></tr></thead><tbody>"
        )?;
        for event in &self.events {
            writeln!(
                out,
                "<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                text(&event.entity),
                text(&event.cause),
                event.t_low,
                event.t_high,
                text(&event.evidence)
            )?;
        }
        writeln!(out, "</tbody></table></div>")
    }
}

fn two_columns(
    out: &mut String,
    what: &str,
    of: &str,
    counts: &BTreeMap<String, u64>,
    words: Option<&dyn Fn(&str) -> &'static str>,
) -> std::fmt::Result {
    if counts.is_empty() {
        return Ok(());
    }
    let third = if words.is_some() { "<th>What it says</th>" } else { "" };
    writeln!(
        out,
        "<div class=\"scroll\"><table class=\"plain\"><thead><tr><th>{what}</th><th>{of}</th>{third}</tr></thead><tbody>"
    )?;
    for (name, n) in counts {
        let third = words.map_or_else(String::new, |words| format!("<td>{}</td>", text(words(name))));
        writeln!(out, "<tr><th>{}</th><td>{}</td>{third}</tr>", text(name), whole(*n))?;
    }
    writeln!(out, "</tbody></table></div>")
}

fn whole(n: u64) -> String {
    count(usize::try_from(n).unwrap_or(usize::MAX))
}
