//! What every shipped mapping makes of the exposition of its exporter.
//!
//! A fixture is an exposition (`.prom`), points of OTLP as JSON lines (`.jsonl`) or line protocol of telegraf
//! (`.influx`); its header names the mapping (`# source:`), where its form comes from (`# form:`, one line each) and the
//! labels that scraping adds (`# target:`). Beside it lies what comes out (`.expected`). A fixture that follows no
//! exposition anyone saw is named `handmade_*`, and what only such fixtures touch is marked `unverified` in its mapping.
//! `BLESS=1 cargo test -p features --test mappings` writes the expected files anew.

mod support {
    pub(crate) mod exposition;
}

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use features::mapping::{MappingSet, SHIPPED, overview};
use features::{Catalogue, Labels, MetricKind, Resolution};
use support::exposition::{Row, rows};

/// A fixture read.
struct Fixture {
    path: PathBuf,
    source: String,
    forms: Vec<String>,
    rows: Vec<Row>,
}

impl Fixture {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let header = |key: &str| -> Vec<String> {
            text.lines().filter_map(|line| line.strip_prefix(key)).map(|rest| rest.trim().to_owned()).collect()
        };
        let target = header("# target:").into_iter().next().unwrap_or_default();
        let source = header("# source:").into_iter().next().unwrap_or_else(|| panic!("{path:?}: no source"));
        let extension = path.extension().unwrap().to_str().unwrap();
        Self { path: path.to_owned(), source, forms: header("# form:"), rows: rows(&text, extension, &target) }
    }

    fn handmade(&self) -> bool {
        self.path.file_name().unwrap().to_str().unwrap().starts_with("handmade_")
    }
}

fn fixtures() -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mappings");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e != "expected")).collect();
    paths.sort();
    paths.iter().map(|path| Fixture::read(path)).collect()
}

/// What one row becomes, as the expected files write it.
fn canonical(row: &Row, mappings: &MappingSet, catalogue: &Catalogue) -> String {
    let named = || row.labels.to_string();
    let (series, transform) = match mappings.resolve(&row.labels) {
        Resolution::Unmapped => return format!("unmapped  {}", row.labels.name()),
        Resolution::Refused(reason) => return format!("refused   {reason}"),
        Resolution::Series(series, transform) => (series, transform),
    };
    let definition = catalogue.definition(series.metric).unwrap();
    let Some(value) = transform.apply(row.value) else { return format!("silent    {}", named()) };
    let value = if definition.kind == MetricKind::State {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let index = value as usize;
        definition.states[index].clone()
    } else {
        // Fifteen digits: products with 1e-9 are not exact in the last one.
        format!("{}", format!("{value:.14e}").parse::<f64>().unwrap())
    };
    let entity = &series.entity;
    let mut line = format!("{} {}", entity.kind().name(), entity.key());
    if !entity.incarnation().is_empty() {
        write!(line, " @{}", entity.incarnation()).unwrap();
    }
    write!(line, " | {}", definition.id).unwrap();
    if !series.part.is_empty() {
        write!(line, " [{}]", series.part).unwrap();
    }
    write!(line, " | {value} {}", definition.unit).unwrap();
    line
}

#[test]
fn every_fixture_becomes_the_committed_samples() {
    let catalogue = Catalogue::standard();
    let all = MappingSet::standard(&catalogue);
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = String::new();
    for fixture in fixtures() {
        let mut lines: Vec<String> = fixture.rows.iter().map(|row| canonical(row, &all, &catalogue)).collect();
        lines.push(String::new());
        let text = lines.join("\n");
        let expected_path = fixture.path.with_extension("expected");
        if bless {
            std::fs::write(&expected_path, &text).unwrap();
            continue;
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
        for (number, (got, want)) in text.lines().zip(expected.lines()).enumerate().filter(|(_, (a, b))| a != b) {
            writeln!(wrong, "{:?} row {}:\n  got  {got}\n  want {want}", fixture.path, number + 1).unwrap();
        }
        if text.lines().count() != expected.lines().count() {
            writeln!(wrong, "{expected_path:?}: {} rows, expected {}", text.lines().count(), expected.lines().count())
                .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_source_means_the_same_alone_and_among_all() {
    let catalogue = Catalogue::standard();
    let all = MappingSet::standard(&catalogue);
    for fixture in fixtures() {
        let file = SHIPPED.iter().find(|(name, _)| *name == fixture.source);
        let alone = MappingSet::of(&[*file.unwrap_or_else(|| panic!("no mapping {}", fixture.source))], &catalogue);
        let alone = alone.unwrap();
        for row in &fixture.rows {
            match (alone.resolve(&row.labels), all.resolve(&row.labels)) {
                // Another source may know a row that this one does not.
                (Resolution::Unmapped, _) => {}
                // The reason names the source.
                (Resolution::Refused(_), other) => assert!(matches!(other, Resolution::Refused(_)), "{}", row.labels),
                (one, other) => assert_eq!(one, other, "{}", row.labels),
            }
        }
    }
}

#[test]
fn fixtures_say_where_their_form_comes_from() {
    for fixture in fixtures() {
        let path = &fixture.path;
        assert!(!fixture.forms.is_empty(), "{path:?}: no form line");
        let public = |form: &str| form.split_whitespace().any(|word| word.len() == 40 && hex::decode(word).is_ok());
        let recorded = |form: &str| form.starts_with("generated by running ");
        let followed = fixture.forms.iter().any(|form| public(form) || recorded(form));
        if !fixture.handmade() {
            assert!(followed, "{path:?} follows no exposition: name it handmade_");
            for form in fixture.forms.iter().filter(|form| public(form)) {
                assert!(form.contains('(') && form.contains('/'), "{path:?}: {form:?} lacks a path or a licence");
            }
        }
    }
}

/// Rows of a source as (select, verified).
fn rows_of(source: &str, catalogue: &Catalogue) -> Vec<(String, bool)> {
    let file = SHIPPED.iter().find(|(name, _)| *name == source).unwrap();
    let alone = MappingSet::of(&[*file], catalogue).unwrap();
    let metrics = overview(catalogue, &alone);
    metrics.into_iter().flat_map(|metric| metric.sources).map(|row| (row.select, row.verified)).collect()
}

#[test]
fn a_row_is_verified_exactly_when_a_followed_exposition_has_it() {
    let catalogue = Catalogue::standard();
    let mut touched: BTreeMap<&str, BTreeMap<String, BTreeSet<bool>>> = BTreeMap::new();
    let fixtures = fixtures();
    for (source, text) in SHIPPED {
        let alone = MappingSet::of(&[(source, text)], &catalogue).unwrap();
        for fixture in fixtures.iter().filter(|fixture| fixture.source == source) {
            for select in fixture.rows.iter().filter_map(|row| alone.selected_by(&row.labels)) {
                touched.entry(source).or_default().entry(select.to_owned()).or_default().insert(!fixture.handmade());
            }
        }
        for (select, verified) in rows_of(source, &catalogue) {
            let seen = touched.get(source).and_then(|rows| rows.get(&select)).cloned().unwrap_or_default();
            assert!(!seen.is_empty(), "{source}: no fixture has a row for {select}");
            let followed = seen.contains(&true);
            assert_eq!(verified, followed, "{source}: {select} is verified {verified}, followed {followed}");
        }
    }
}

#[test]
fn the_main_exporters_follow_real_expositions() {
    let fixtures = fixtures();
    for source in ["cadvisor", "kube-state-metrics", "node_exporter"] {
        let real = fixtures.iter().filter(|fixture| fixture.source == source && !fixture.handmade());
        assert!(real.count() > 0, "{source}");
        let file = SHIPPED.iter().find(|(name, _)| *name == source).unwrap();
        let set = MappingSet::of(&[*file], &Catalogue::standard()).unwrap();
        let known = &set.sources()[0];
        assert!(known.unverified * 10 < known.rows, "{source}: {} of {} rows unverified", known.unverified, known.rows);
    }
}

#[test]
fn every_label_set_of_a_fixture_is_well_formed() {
    for fixture in fixtures() {
        for row in &fixture.rows {
            assert!(!row.labels.name().is_empty(), "{:?}", fixture.path);
            assert_ne!(row.labels, Labels::default());
        }
    }
}
