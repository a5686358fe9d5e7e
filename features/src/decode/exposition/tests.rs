//! Both dialects, by example.

use proptest::prelude::*;

use super::*;
use crate::decode::Collector;

const NOW: i64 = 1_700_000_000_000;

fn read(text: &str, dialect: Dialect) -> (Collector, Vec<String>) {
    let mut collector = Collector::default();
    let (decoded, bad) = super::text(text, dialect, NOW, &mut collector);
    assert_eq!(decoded.series, collector.series.len() as u64 + collector.refused);
    assert_eq!(bad.len(), bad.iter().count());
    (collector, bad.iter().map(ToString::to_string).collect())
}

/// Every series as one line: labels, value, time, what is said of it.
fn lines(text: &str, dialect: Dialect) -> Vec<String> {
    let (collector, bad) = read(text, dialect);
    assert_eq!(bad, [""; 0]);
    assert_eq!(collector.reasons, []);
    let line = |series: &crate::decode::Collected| {
        let [point] = series.points[..] else { panic!("{series:?}") };
        let created = series.created.map_or(String::new(), |created| format!(" since {created}"));
        format!("{} {} @{} {:?}{created}", series.labels, point.value, point.time, series.temporality)
    };
    collector.series.iter().map(line).collect()
}

fn problem(line: &str) -> String {
    let (collector, bad) = read(line, Dialect::Text);
    assert_eq!(collector, Collector::default(), "{line}");
    bad.concat()
}

#[test]
fn a_text_of_the_older_format() {
    let text = "\
# HELP http_requests_total The \"total\" number.
# TYPE http_requests_total counter
http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000
http_requests_total { method = \"post\" , code = \"400\" , }    3

# a comment of no meaning
msdos_file_access_time_seconds{path=\"C:\\\\DIR\\\\FILE.TXT\",error=\"Cannot find file:\\n\\\"FILE.TXT\\\"\"} 1.458255915e9
metric_without_timestamp_and_labels 12.47
something_weird{problem=\"division by zero\"} +Inf -3982045
# TYPE rpc_duration_seconds summary
rpc_duration_seconds{quantile=\"0.5\"} NaN
rpc_duration_seconds_sum 1.7560473e+07
rpc_duration_seconds_count 2693
# TYPE up untyped
up 1
# TYPE load gauge
load -0.5
";
    assert_eq!(
        lines(text, Dialect::Text),
        [
            "http_requests_total{code=\"200\",method=\"post\"} 1027 @1395066363000 Cumulative",
            "http_requests_total{code=\"400\",method=\"post\"} 3 @1700000000000 Cumulative",
            "msdos_file_access_time_seconds{error=\"Cannot find file:\\n\\\"FILE.TXT\\\"\",path=\"C:\\\\DIR\\\\FILE.TXT\"} \
             1458255915 @1700000000000 Unknown",
            "metric_without_timestamp_and_labels{} 12.47 @1700000000000 Unknown",
            "something_weird{problem=\"division by zero\"} inf @-3982045 Unknown",
            "rpc_duration_seconds{quantile=\"0.5\"} NaN @1700000000000 Gauge",
            "rpc_duration_seconds_sum{} 17560473 @1700000000000 Cumulative",
            "rpc_duration_seconds_count{} 2693 @1700000000000 Cumulative",
            "up{} 1 @1700000000000 Unknown",
            "load{} -0.5 @1700000000000 Gauge",
        ]
    );
}

#[test]
fn a_text_of_open_metrics() {
    let text = "\
# TYPE acme_http_router_request_seconds summary
# UNIT acme_http_router_request_seconds seconds
acme_http_router_request_seconds_sum{path=\"/api/v1\"} 9036.32
acme_http_router_request_seconds_count{path=\"/api/v1\"} 807283.0
acme_http_router_request_seconds_created{path=\"/api/v1\"} 1605281325.001
acme_http_router_request_seconds_sum{path=\"/api/v2\"} 479.3
# TYPE go_goroutines gauge
go_goroutines 69 1520879607.789
# TYPE foo counter
foo_created{b=\"2\",a=\"1\"} 1520872607.5
foo_total{a=\"1\",b=\"2\"} 17.0 1520879607.789 # {trace_id=\"KOO5S4vxi0o\"} 0.67 1520879600
# TYPE h histogram
h_bucket{le=\"0.1\"} 8 # {} 0.04
h_bucket{le=\"+Inf\"} 10
h_count 10
h_created 1.6e9
# EOF
";
    assert_eq!(
        lines(text, Dialect::OpenMetrics),
        [
            "acme_http_router_request_seconds_sum{path=\"/api/v1\"} 9036.32 @1700000000000 Cumulative since 1605281325001",
            "acme_http_router_request_seconds_count{path=\"/api/v1\"} 807283 @1700000000000 Cumulative since 1605281325001",
            "acme_http_router_request_seconds_sum{path=\"/api/v2\"} 479.3 @1700000000000 Cumulative",
            "go_goroutines{} 69 @1520879607789 Gauge",
            "foo_total{a=\"1\",b=\"2\"} 17 @1520879607789 Cumulative since 1520872607500",
            "h_bucket{le=\"0.1\"} 8 @1700000000000 Cumulative since 1600000000000",
            "h_bucket{le=\"+Inf\"} 10 @1700000000000 Cumulative since 1600000000000",
            "h_count{} 10 @1700000000000 Cumulative since 1600000000000",
        ]
    );
    assert_eq!(strict(text, Dialect::OpenMetrics, NOW, &mut Collector::default()).unwrap().points, 8);
}

#[test]
fn in_the_older_format_a_creation_time_is_a_series_like_others() {
    let text = "# TYPE foo_total counter\nfoo_total 1\n# TYPE foo_created gauge\nfoo_created 1.6e9\n";
    assert_eq!(
        lines(text, Dialect::Text),
        ["foo_total{} 1 @1700000000000 Cumulative", "foo_created{} 1600000000 @1700000000000 Gauge"]
    );
}

#[test]
fn names_in_quotes() {
    let text = "{\"my.metric\",\"a.label\"=\"1\",b=\"{}\"} 5\n{\"caf\\\"é\"} 6\n";
    assert_eq!(
        lines(text, Dialect::Text),
        ["my.metric{a.label=\"1\",b=\"{}\"} 5 @1700000000000 Unknown", "caf\"é{} 6 @1700000000000 Unknown"]
    );
}

#[test]
fn a_bad_line_costs_itself_alone() {
    let (collector, bad) = read("up 1\nup{a=\"1\"\nup{a=\"2\"} 2\r\nup{a=\"3\"} three\n", Dialect::Text);
    let labels: Vec<String> = collector.series.iter().map(|series| series.labels.to_string()).collect();
    assert_eq!(labels, ["up{}", "up{a=\"2\"}"]);
    assert_eq!(
        bad,
        [
            "line 2, column 9: , or } after a label is expected, the end of the line is there",
            "line 4, column 11: \"three\" is no value",
        ]
    );
}

#[test]
fn problems_name_the_column() {
    assert_eq!(problem("1up 1"), "line 1, column 1: a metric name is expected, '1' is there");
    assert_eq!(problem("up"), "line 1, column 3: no value after the series");
    assert_eq!(problem("up-time 1"), "line 1, column 3: a blank or { after the metric name is expected, '-' is there");
    assert_eq!(problem("{} 1"), "line 1, column 1: a sample without a metric name");
    assert_eq!(problem("up{\"a\"} 1"), "line 1, column 7: = after a label name is expected, '}' is there");
    assert_eq!(problem("up{a} 1"), "line 1, column 5: = after a label name is expected, '}' is there");
    assert_eq!(problem("up{a:b=\"1\"} 1"), "line 1, column 5: = after a label name is expected, ':' is there");
    assert_eq!(problem("up{a=1} 1"), "line 1, column 6: a quote is expected, '1' is there");
    assert_eq!(problem("up{a=\"1} 1"), "line 1, column 6: a quote without an end");
    assert_eq!(problem("up{a=\"1\" b=\"2\"} 1"), "line 1, column 10: , or } after a label is expected, 'b' is there");
    assert_eq!(problem("up{,} 1"), "line 1, column 4: a label name or } is expected, ',' is there");
    assert_eq!(problem("up 1 1.5"), "line 1, column 6: \"1.5\" is no time in whole milliseconds");
    assert_eq!(problem("up 1 2 3"), "line 1, column 8: \"3\" after the sample");
    assert_eq!(problem("# TYPE up level").split(';').next().unwrap(), "line 1, column 2: \"level\" is no type");
    assert_eq!(problem("# TYPE up"), "line 1, column 2: # TYPE takes a name and a type");
}

#[test]
fn labels_that_no_series_may_have_cost_the_series() {
    let (collector, bad) = read("up{a=\"1\",a=\"2\"} 1\nup{b=\"1\"} 1\n", Dialect::Text);
    assert_eq!((collector.series.len(), collector.refused, bad.len()), (1, 1, 0));
    assert_eq!(
        collector.reasons[0].to_string(),
        "text exposition, byte 0: series up{a=\"1\", a=\"2\"}: label \"a\" is given twice"
    );
}

#[test]
fn strict_reading_stops_at_the_first_fault() {
    let strict = |text: &str, dialect| {
        let mut collector = Collector::default();
        let result = strict(text, dialect, NOW, &mut collector).map(|decoded| decoded.points);
        (result.map_err(|bad| bad.to_string()), collector.series.len())
    };
    assert_eq!(
        strict("a 1\nb\nc 1\n", Dialect::Text),
        (Err("line 2, column 2: no value after the series".to_owned()), 1)
    );
    assert_eq!(
        strict("a 1\n", Dialect::OpenMetrics).0,
        Err("line 2, column 1: the text ends without # EOF; it was cut off".to_owned())
    );
    assert_eq!(
        strict("a 1\n# EOF\nb 1\n", Dialect::OpenMetrics).0,
        Err("line 3, column 1: \"b 1\" after # EOF".to_owned())
    );
    assert_eq!(strict("a 1\n# EOF\n", Dialect::OpenMetrics), (Ok(1), 1));
}

#[test]
fn expositions_may_follow_each_other() {
    let text = "# TYPE a gauge\na 1 1\n# EOF\na 2 2\n# EOF\n";
    assert_eq!(lines(text, Dialect::OpenMetrics), ["a{} 1 @1000 Gauge", "a{} 2 @2000 Unknown"]);
}

#[test]
fn many_bad_lines_are_counted_and_few_kept() {
    let text = "!\n".repeat(1000);
    let (_, bad) = super::text(&text, Dialect::Text, NOW, &mut Collector::default());
    assert_eq!((bad.len(), bad.iter().count()), (1000, 100));
}

#[test]
fn seconds_are_floored_to_milliseconds() {
    for (word, expected) in [
        ("1520879607.789", Some(1_520_879_607_789)),
        ("1520879607.7899", Some(1_520_879_607_789)),
        ("-0.0001", Some(-1)),
        ("-1.5", Some(-1500)),
        ("+3", Some(3000)),
        (".5", Some(500)),
        ("5.", Some(5000)),
        ("1.7e9", Some(1_700_000_000_000)),
        ("1e300", None),
        ("NaN", None),
        (".", None),
        ("", None),
        ("99999999999999999999", None),
        ("9223372036854775.807", Some(i64::MAX)),
        ("9223372036854775.808", None),
    ] {
        assert_eq!(line::seconds(word), expected, "{word}");
    }
}

fn escaped(raw: &str) -> String {
    raw.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,10}",
        labels in prop::collection::btree_map("[a-zA-Z][a-zA-Z0-9_]{0,6}", "[^\r]{1,12}", 0..6),
        value: f64,
        time in prop::option::of(any::<i64>()),
    ) {
        let list: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let time_word = time.map_or(String::new(), |time| format!(" {time}"));
        let text = format!("{name}{{{}}} {value:?}{time_word}\n", list.join(","));
        let (collector, bad) = read(&text, Dialect::Text);
        prop_assert_eq!(bad, [""; 0]);
        let [series] = collector.series.as_slice() else { panic!("{text:?}: {collector:?}") };
        prop_assert_eq!(series.labels.name(), name);
        prop_assert_eq!(series.labels.iter().count(), labels.len() + 1);
        for (name, value) in &labels {
            prop_assert_eq!(series.labels.get(name), value);
        }
        prop_assert_eq!(series.points[0].time, time.unwrap_or(NOW));
        prop_assert!(series.points[0].value.total_cmp(&value).is_eq() || value.is_nan());
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[ -~\n\té]{0,200}", open: bool) {
        read(&text, if open { Dialect::OpenMetrics } else { Dialect::Text });
    }
}
