//! Two nights of eight containers whose ends are known, judged by the lake they came from; the figures by hand.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use datasets::lake::LakeRow;
use datasets::{LakeOptions, LakeWriter};
use features::event::EventRules;
use features::{CanonicalSeries, Catalogue, Entity, EntityKind};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use score::outcomes::{AlertOutcomes, Slice};
use score::{NightManifest, Outcomes, OutcomesConfig, Part, Reading, ScoreError, outcomes};
use sha2::{Digest, Sha256};
use survival::{Readout, TimeUnit};

/// Sunday noon, 2026-11-22: the first night is the last of week 47, the second the first of week 48.
const START: i64 = 1_795_348_800_000;
const SCRAPE: i64 = 60_000;
const HOUR: i64 = 3_600_000;
const NIGHTS: [i64; 2] = [START + 4 * HOUR, START + 28 * HOUR];
const END: i64 = START + 40 * HOUR;
/// A failure is certain at the scrape after it.
const LATE: f64 = 1.0 / 60.0;

fn close(got: f64, want: f64) {
    assert!((got - want).abs() < 1e-9, "{got} against {want}");
}

/// A container from one hour to another, killed at the ends of some.
fn container(writer: &LakeWriter, name: &str, (from, until): (i64, i64), kills: &[i64]) {
    let catalogue = Catalogue::standard();
    let put = |metric: &str, samples: &mut dyn Iterator<Item = (i64, f64)>| {
        let entity = Entity::try_new(EntityKind::Container, format!("shop/{name}/app"), format!("uid-{name}")).unwrap();
        let series = CanonicalSeries { entity, metric: catalogue.id(metric).unwrap(), part: String::new() };
        let id = writer.register(&series).unwrap();
        for (time, value) in samples {
            let _ = writer.append(time + 200, &[LakeRow { series: id, time, value }]).unwrap();
        }
    };
    let times = || (0..).map(|n| START + from * HOUR + n * SCRAPE).take_while(|&time| time < START + until * HOUR);
    let states = &catalogue.definition(catalogue.id("terminated.reason").unwrap()).unwrap().states;
    let killed = states.iter().position(|state| state == "OOMKilled").unwrap();
    let seen = |time: i64| kills.iter().filter(|&&kill| START + kill * HOUR < time).count();
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let number = |n: usize| n as f64;
    put("mem.working_set", &mut times().map(|time| (time, 1e8)));
    put("restart.count", &mut times().map(|time| (time, number(seen(time)))));
    put("terminated.reason", &mut times().filter(|&time| seen(time) > 0).map(|time| (time, number(killed))));
}

fn lake(dir: &Path) {
    let writer = LakeWriter::open(dir, LakeOptions::default()).unwrap();
    container(&writer, "a", (0, 40), &[6]);
    container(&writer, "b", (0, 40), &[14]);
    container(&writer, "c", (0, 40), &[]);
    container(&writer, "d", (0, 40), &[]);
    // Gone without a word.
    container(&writer, "e", (0, 8), &[]);
    container(&writer, "f", (0, 40), &[33]);
    // Acted upon at hour 9.
    container(&writer, "g", (0, 40), &[]);
    // Born after the last night, dead before the end.
    container(&writer, "h", (30, 40), &[32]);
    writer.flush().unwrap();
}

/// Name, alarm, probability of failing within 6 and within 12 hours.
type Row = (&'static str, &'static str, f64, f64);

const FIRST: [Row; 7] = [
    ("a", "high", 0.6, 0.8),
    ("b", "none", 0.1, 0.2),
    ("c", "high", 0.5, 0.7),
    ("d", "none", 0.0, 0.1),
    ("e", "elevated", 0.3, 0.4),
    ("f", "none", 0.1, 0.1),
    ("g", "high", 0.7, 0.9),
];
const SECOND: [Row; 6] = [
    ("a", "none", 0.1, 0.2),
    ("b", "none", 0.1, 0.2),
    ("c", "none", 0.2, 0.3),
    ("d", "none", 0.0, 0.1),
    ("f", "elevated", 0.4, 0.5),
    ("g", "none", 0.2, 0.4),
];

fn reading() -> Reading {
    Reading {
        unit: TimeUnit::Hours,
        longest_gap: 300_000,
        readout: Readout {
            horizons: vec![6.0, 12.0],
            quantiles: vec![0.5],
            quantile_levels: vec![0.5],
            restricted_to: 12.0,
        },
        causes: vec!["container_oom".to_owned(), "other".to_owned()],
        alarms: model::AlarmLevels { horizon: 12.0, elevated_budget: 0.1, elevated: 0.4, high_budget: 0.01, high: 0.7 },
    }
}

/// A committed night, as `forewarn score` leaves it.
fn night(out: &Path, version: &str, kind: &str, as_of: i64, rows: &[Row], reading: Option<Reading>) {
    let dir = out.join(format!("as_of={as_of}")).join(format!("model=cox@{version}"));
    std::fs::create_dir_all(&dir).unwrap();
    let text = |of: &dyn Fn(&Row) -> String| Arc::new(StringArray::from_iter_values(rows.iter().map(of))) as ArrayRef;
    let number = |of: &dyn Fn(&Row) -> f64| Arc::new(Float64Array::from_iter_values(rows.iter().map(of))) as ArrayRef;
    let batch = RecordBatch::try_from_iter([
        ("entity", text(&|row| format!("shop/{}/app", row.0))),
        ("kind", text(&|_| kind.to_owned())),
        // The number of the life is what was known that night.
        ("incarnation", text(&|row| format!("uid-{}:0", row.0))),
        ("alarm", text(&|row| row.1.to_owned())),
        ("as_of", Arc::new(Int64Array::from(vec![as_of; rows.len()])) as ArrayRef),
        ("failure_probability_6h", number(&|row| row.2)),
        ("failure_probability_12h", number(&|row| row.3)),
        ("incidence_container_oom_12h", number(&|row| row.3)),
        ("incidence_other_12h", number(&|_| 0.0)),
        ("rul_q0.5", Arc::new(Float64Array::from(vec![None::<f64>; rows.len()])) as ArrayRef),
    ])
    .unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    std::fs::write(dir.join("part-00000-00000.parquet"), &bytes).unwrap();
    let manifest = NightManifest {
        run_id: "run".to_owned(),
        input_digest: String::new(),
        model_digest: String::new(),
        model: "cox".to_owned(),
        version: version.to_owned(),
        as_of: as_of.to_string(),
        shards: 1,
        rows: rows.len() as u64,
        failed: 0,
        reading,
        parts: vec![Part {
            file: "part-00000-00000.parquet".to_owned(),
            sha256: hex::encode(Sha256::digest(&bytes)),
            rows: rows.len() as u64,
            failed: 0,
        }],
    };
    std::fs::write(dir.join("manifest.json"), serde_json::to_vec(&manifest).unwrap()).unwrap();
}

fn config(folder: &Path) -> OutcomesConfig {
    let acted = chrono::DateTime::from_timestamp_millis(START + 9 * HOUR).unwrap().to_rfc3339();
    let line =
        format!("{{\"time\":\"{acted}\",\"kind\":\"container\",\"key\":\"shop/g/app\",\"action\":\"restart\"}}\n");
    std::fs::write(folder.join("actions.jsonl"), line).unwrap();
    OutcomesConfig {
        scores: folder.join("scores"),
        lake: folder.join("lake"),
        rules: EventRules::shipped(),
        actions: Some(folder.join("actions.jsonl")),
        since: None,
        until: None,
    }
}

fn both_nights(folder: &Path) -> OutcomesConfig {
    lake(&folder.join("lake"));
    night(&folder.join("scores"), "v1", "container", NIGHTS[0], &FIRST, Some(reading()));
    night(&folder.join("scores"), "v1", "container", NIGHTS[1], &SECOND, Some(reading()));
    config(folder)
}

fn counts(slice: &Slice) -> Vec<(usize, usize, usize)> {
    slice.horizons.iter().map(|at| (at.failures, at.lived, at.undecided)).collect()
}

fn alarms(of: &AlertOutcomes) -> [usize; 8] {
    let undecided = of.undecided.values().sum();
    [of.alerts, of.kept, of.false_alarms, undecided, of.failures, of.caught, of.missed, of.not_scored]
}

fn refused(result: Result<(Outcomes, datasets::table::Table), ScoreError>, code: u8, words: &[&str]) {
    let Err(error) = result else { panic!("it was to be refused") };
    let message = error.to_string();
    assert_eq!(error.exit_code(), code, "{message}");
    for word in words {
        assert!(message.contains(word), "{word:?} is missing of {message}");
    }
}

#[test]
fn two_weeks_with_known_ends_give_the_figures_worked_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let config = both_nights(folder.path());
    let (found, rows) = outcomes(&config).unwrap();
    assert_eq!((found.bundles.len(), found.unfinished, found.left_out.len()), (1, 0, 0));
    let bundle = &found.bundles[0];
    assert_eq!(bundle.weeks.iter().map(|week| week.week.as_str()).collect::<Vec<_>>(), ["2026-W47", "2026-W48"]);
    assert_eq!((bundle.runs, bundle.alarm_horizon_guessed), (2, false));
    let (first, second, total) = (&bundle.weeks[0], &bundle.weeks[1], &bundle.total);

    // Night 1, hours from it: a fails at 2, b at 10, f at 29; e is lost after 4, g acted upon at 5; c and d live on.
    assert_eq!(counts(first), [(1, 4, 2), (2, 3, 2)]);
    assert_eq!((first.rows, first.entities, first.nights), (7, 7, 1));
    assert_eq!(first.censored.get("lost"), Some(&1));
    assert_eq!(first.censored.get("intervention"), Some(&1));
    assert_eq!(first.censored.len(), 2);
    // Censorings at 4 (of 6 left) and at 5 (of 5): G = 5/6 · 4/5 = 2/3 from there on.
    let g = 2.0 / 3.0;
    let lived = |risk: f64| risk * risk / g;
    let brier_6 = (0.4_f64.powi(2) + lived(0.1) + lived(0.5) + lived(0.0) + lived(0.1)) / 7.0;
    let brier_12 = (0.2_f64.powi(2) + 0.8_f64.powi(2) / g + lived(0.7) + lived(0.1) + lived(0.1)) / 7.0;
    close(first.brier.at[0].unwrap(), brier_6);
    close(first.brier.at[1].unwrap(), brier_12);
    // Kaplan–Meier: 1 of 7, then 1 of the 4 left.
    close(first.horizons[0].observed.unwrap().share, 1.0 / 7.0);
    close(first.horizons[1].observed.unwrap().share, 1.0 - 6.0 / 7.0 * 3.0 / 4.0);
    close(first.horizons[0].predicted, 2.3 / 7.0);
    close(first.horizons[0].moved.unwrap(), 0.0);
    // The integral by the trapezoid rule in eight steps; S runs straight from one horizon to the other.
    let mut area = 0.0;
    for step in 0..=8_u32 {
        let time = 6.0 + 0.75 * f64::from(step);
        let survival = |row: usize| 1.0 - FIRST[row].2 - (FIRST[row].3 - FIRST[row].2) * (time - 6.0) / 6.0;
        let alive = |row: usize| (1.0 - survival(row)).powi(2) / g;
        let b = if time >= 10.0 + LATE { survival(1).powi(2) / g } else { alive(1) };
        let score = (survival(0).powi(2) + b + alive(2) + alive(3) + alive(5)) / 7.0;
        area += score * if step == 0 || step == 8 { 0.5 } else { 1.0 } / 8.0;
    }
    close(first.brier.integrated.unwrap(), area);
    let (low, high) = first.brier.interval.unwrap();
    assert!(low < area && area < high, "{low} {area} {high}");

    // Alarms: a kept, c false, e and g undecided; b was missed.
    let elevated = &first.alerts[0];
    assert_eq!(alarms(elevated), [4, 1, 1, 2, 2, 1, 1, 0]);
    assert_eq!(elevated.undecided.get("intervention"), Some(&1));
    close(elevated.lead.unwrap().median, 2.0 + LATE);
    close(elevated.precision.unwrap(), 0.5);
    assert_eq!(alarms(&first.alerts[1]), [3, 1, 1, 1, 2, 1, 1, 0]);

    // Acted upon: without g, G falls to 4/5 at 4; with g as a failure at 5, to 5/6.
    let acted = &first.interventions;
    assert_eq!((acted.rows, acted.entities, acted.after_alarm), (1, 1, 1));
    let others = 0.01 + 0.25 + 0.0 + 0.01;
    close(acted.left_out.as_ref().unwrap().at[0].unwrap(), (0.16 + others / 0.8) / 6.0);
    close(acted.as_failures.as_ref().unwrap().at[0].unwrap(), (0.16 + (0.09 + others) * 6.0 / 5.0) / 7.0);

    // Night 2: f fails at 5; the lake ends a scrape before 12 hours, so nothing is told of that horizon.
    assert_eq!(counts(second), [(1, 5, 0), (1, 0, 5)]);
    assert_eq!(second.censored.get("end_of_observation"), Some(&5));
    let second_6 = (0.6_f64.powi(2) + 0.01 + 0.01 + 0.04 + 0.0 + 0.04) / 6.0;
    close(second.brier.at[0].unwrap(), second_6);
    assert_eq!((second.brier.at[1], second.brier.integrated, second.horizons[1].observed), (None, None, None));
    close(second.horizons[0].moved.unwrap(), 1.0 / 6.0 - 2.3 / 7.0);
    // h was never scored; f was alerted, not as high.
    assert_eq!(alarms(&second.alerts[0]), [1, 1, 0, 0, 1, 1, 0, 1]);
    assert_eq!(alarms(&second.alerts[1]), [0, 0, 0, 0, 1, 0, 1, 1]);
    assert_eq!(second.interventions.rows, 0);

    // All: counts add up, scores are the mean by rows of the weeks that have one.
    assert_eq!((total.rows, total.entities, total.nights), (13, 7, 2));
    assert_eq!(counts(total), [(2, 9, 2), (3, 3, 7)]);
    close(total.brier.at[0].unwrap(), (7.0 * brier_6 + 6.0 * second_6) / 13.0);
    close(total.brier.at[1].unwrap(), brier_12);
    assert_eq!(alarms(&total.alerts[0]), [5, 2, 1, 2, 3, 2, 1, 1]);
    assert_eq!(total.d_calibration.as_ref().unwrap().rows, 7);
    close(total.d_calibration.as_ref().unwrap().counts.iter().sum::<f64>(), 7.0);

    // The rows as Parquet say the same.
    let path = folder.path().join("rows.parquet");
    rows.write(&path).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    let read = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = read.map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 13);
    let text =
        |name: &str, row: usize| batches[0].column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned();
    assert_eq!((text("outcome", 0), text("reason", 0)), ("failed".to_owned(), "container_oom".to_owned()));
    assert_eq!((text("outcome", 4), text("reason", 4)), ("censored".to_owned(), "lost".to_owned()));
    assert_eq!((text("outcome", 6), text("reason", 6)), ("censored".to_owned(), "intervention".to_owned()));
    let page = found.text();
    for words in ["2026-W47", "total", "1 intervention", "acted upon: 1 rows of 1 entities, 1 of them after an alarm"] {
        assert!(page.contains(words), "{words:?} is missing of\n{page}");
    }
    // Nothing depends on the order of a map.
    assert_eq!(outcomes(&config).unwrap().0, found);
}

#[test]
fn nights_of_an_earlier_release_are_read_by_their_columns() {
    let folder = tempfile::tempdir().unwrap();
    let with = both_nights(folder.path());
    let written = outcomes(&with).unwrap().0;
    let old = folder.path().join("old");
    night(&old, "v1", "container", NIGHTS[0], &FIRST, None);
    night(&old, "v1", "container", NIGHTS[1], &SECOND, None);
    let found = outcomes(&OutcomesConfig { scores: old, ..with }).unwrap().0;
    let bundle = &found.bundles[0];
    assert!(bundle.alarm_horizon_guessed);
    close(bundle.alarm_horizon, 12.0);
    assert_eq!(bundle.total.brier, written.bundles[0].total.brier);
}

#[test]
fn each_bundle_and_each_span_of_time_is_reported_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let config = both_nights(folder.path());
    night(&config.scores, "v2", "container", NIGHTS[1], &SECOND, Some(reading()));
    // Pods the lake knows nothing of are left out by name; the others are judged.
    night(&config.scores, "v3", "pod", NIGHTS[1], &SECOND, Some(reading()));
    std::fs::create_dir_all(config.scores.join("as_of=1").join("model=cox@v1")).unwrap();
    let found = outcomes(&config).unwrap().0;
    let versions: Vec<(&str, usize)> =
        found.bundles.iter().map(|bundle| (bundle.version.as_str(), bundle.total.rows)).collect();
    assert_eq!(versions, [("v1", 13), ("v2", 6)]);
    assert_eq!(found.unfinished, 1);
    assert!(found.left_out.len() == 1 && found.left_out[0].contains("kind pod"), "{:?}", found.left_out);
    let later = OutcomesConfig { since: Some(NIGHTS[1]), ..config.clone() };
    assert_eq!(outcomes(&later).unwrap().0.bundles[0].total.rows, 6);
    let earlier = OutcomesConfig { until: Some(NIGHTS[1]), ..config };
    let found = outcomes(&earlier).unwrap().0;
    assert_eq!((found.bundles.len(), found.bundles[0].total.rows), (1, 7));
}

#[test]
fn without_the_log_of_actions_who_was_acted_upon_is_followed_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = OutcomesConfig { actions: None, ..both_nights(folder.path()) };
    let found = outcomes(&config).unwrap().0;
    let first = &found.bundles[0].weeks[0];
    assert_eq!(first.interventions.rows, 0);
    assert_eq!(counts(first), [(1, 5, 1), (2, 4, 1)]);
    assert_eq!(alarms(&first.alerts[1])[..4], [3, 1, 2, 0], "g's alarm is false now");
}

#[test]
fn what_cannot_be_judged_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    lake(&folder.path().join("lake"));
    let config = config(folder.path());
    refused(outcomes(&config), 66, &["scores", "forewarn score"]);
    let fresh = |name: &str| {
        let scores = folder.path().join(name);
        std::fs::create_dir_all(&scores).unwrap();
        OutcomesConfig { scores, ..config.clone() }
    };
    refused(outcomes(&fresh("empty")), 66, &["holds no run"]);
    let half = fresh("half");
    std::fs::create_dir_all(half.scores.join("as_of=1").join("model=cox@v1")).unwrap();
    refused(outcomes(&half), 66, &["1 unfinished"]);

    let pods = fresh("pods");
    night(&pods.scores, "v1", "pod", NIGHTS[0], &FIRST, Some(reading()));
    refused(outcomes(&pods), 66, &["kind pod", "container"]);
    let late = fresh("late");
    night(&late.scores, "v1", "container", END, &SECOND, Some(reading()));
    refused(outcomes(&late), 66, &["2026-11-24T04:00:00Z", "nothing has been seen since"]);
    let early = fresh("early");
    night(&early.scores, "v1", "container", START - HOUR, &FIRST, Some(reading()));
    refused(outcomes(&early), 66, &["does not reach back"]);
    let strangers = fresh("strangers");
    night(&strangers.scores, "v1", "container", NIGHTS[0], &[("x", "none", 0.1, 0.2)], Some(reading()));
    refused(outcomes(&strangers), 66, &["1 not_in_the_lake"]);
    let void = fresh("void");
    night(&void.scores, "v1", "container", NIGHTS[0], &[], Some(reading()));
    refused(outcomes(&void), 66, &["hold no row"]);

    let fine = fresh("fine");
    night(&fine.scores, "v1", "container", NIGHTS[0], &FIRST, Some(reading()));
    let later = OutcomesConfig { since: Some(NIGHTS[1]), ..fine.clone() };
    refused(outcomes(&later), 66, &["no row is as of the time asked for", "2026-11-22T16:00:00Z"]);
    let none = OutcomesConfig { since: Some(NIGHTS[1]), until: Some(NIGHTS[0]), ..fine.clone() };
    refused(outcomes(&none), 64, &["--since", "--until"]);
    let no_lake = OutcomesConfig { lake: folder.path().join("nowhere"), ..fine.clone() };
    refused(outcomes(&no_lake), 66, &["nowhere"]);
    let part = fine.scores.join(format!("as_of={}", NIGHTS[0])).join("model=cox@v1").join("part-00000-00000.parquet");
    std::fs::write(part, b"torn").unwrap();
    refused(outcomes(&fine), 70, &["other bytes"]);

    let odd = fresh("odd");
    night(&odd.scores, "v1", "container", NIGHTS[0], &[("a", "none", 1.5, 0.2)], Some(reading()));
    refused(outcomes(&odd), 74, &["failure_probability_6h", "1.5"]);
    let nan = fresh("nan");
    night(&nan.scores, "v1", "container", NIGHTS[0], &[("a", "none", f64::NAN, 0.2)], Some(reading()));
    refused(outcomes(&nan), 74, &["failure_probability_6h", "NaN"]);
}
