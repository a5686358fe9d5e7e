//! The order of the catalogue: a metric's storage id is its place, a state's number its place in the list.

use features::mapping::{MappingSet, overview};
use features::{Catalogue, Combine, MetricDefinition, MetricKind};

/// `position id unit kind [states]`, one line per metric, as released.
fn line(position: usize, definition: &MetricDefinition) -> String {
    let kind = serde_json::to_value(definition.kind).unwrap();
    let head = format!("{position} {} {} {}", definition.id, definition.unit, kind.as_str().unwrap());
    if definition.states.is_empty() { head } else { format!("{head} {}", definition.states.join(",")) }
}

#[test]
fn ids_and_states_only_grow_at_their_end() {
    let released = include_str!("fixtures/metric_ids.txt");
    let released: Vec<&str> = released.lines().filter(|line| !line.starts_with('#')).collect();
    let catalogue = Catalogue::standard();
    let definitions = catalogue.definitions();
    for (position, old) in released.iter().enumerate() {
        let now = definitions.get(position).map(|d| line(position, d)).unwrap_or_default();
        let same = now == *old || now.starts_with(&format!("{old},"));
        assert!(
            same,
            "position {position} was {old:?} and is {now:?}: metrics and states are only ever added at the end"
        );
    }
    let new: Vec<String> = definitions.iter().enumerate().skip(released.len()).map(|(at, d)| line(at, d)).collect();
    assert!(new.is_empty(), "add to features/tests/fixtures/metric_ids.txt:\n{}", new.join("\n"));
}

#[test]
fn the_first_release_keeps_its_positions() {
    let first = [
        "mem.working_set",
        "mem.limit",
        "mem.rss",
        "mem.cache",
        "mem.limit_hits",
        "mem.major_faults",
        "cpu.time",
        "cpu.limit",
        "cpu.periods",
        "cpu.throttled_periods",
        "fd.open",
        "thread.count",
        "net.rx_errors",
        "start.time",
        "restart.count",
        "terminated.reason",
        "terminated.time",
        "ready",
        "node.mem.available",
        "node.mem.total",
        "node.psi.mem.full",
        "node.disk.weighted_time",
    ];
    let catalogue = Catalogue::standard();
    for (position, id) in first.into_iter().enumerate() {
        assert_eq!(usize::from(catalogue.id(id).unwrap().0), position, "{id}");
    }
}

#[test]
fn a_catalogue_stored_before_there_were_parts_keeps_its_digest() {
    // As a data set of the first release stores it: no `combine`.
    let stored = r#"[{"id":"mem.working_set","unit":"By","kind":"gauge","signed":false,"foretells":"leak"},
        {"id":"ready","unit":"1","kind":"state","states":["a","b"],"signed":false}]"#;
    let catalogue: Catalogue = serde_json::from_str(stored).unwrap();
    let compact: String = stored.lines().map(str::trim).collect();
    assert_eq!(serde_json::to_string(&catalogue).unwrap(), compact);
}

#[test]
fn every_metric_says_what_it_foretells_and_is_in_a_base_unit() {
    for definition in Catalogue::standard().definitions() {
        assert!(!definition.foretells.is_empty(), "{}", definition.id);
        assert!(["By", "s", "1", "{cpu}", "Cel", "1/s"].contains(&definition.unit.as_str()), "{}", definition.id);
        let time = definition.kind == MetricKind::Time;
        assert!(!time || definition.unit == "s", "{}: times are in seconds", definition.id);
        let parts_matter = definition.combine != Combine::Max;
        assert!(!parts_matter || definition.kind != MetricKind::State, "{}: states have no sum", definition.id);
    }
}

#[test]
fn every_metric_but_those_of_readers_has_a_source() {
    // Kept for exporters that are not mapped yet.
    let without = ["disk.io_time", "disk.errors"];
    let catalogue = Catalogue::standard();
    for metric in overview(&catalogue, &MappingSet::standard(&catalogue)) {
        let expected = without.contains(&metric.id.as_str());
        assert_eq!(metric.sources.is_empty(), expected, "{}", metric.id);
    }
}
