//! The public fault episodes as they lie beside the project: counts of the READMEs, who was hurt, and by what traces.
//! Ignored where the data is absent.

mod public_data;

use std::collections::BTreeMap;

use datasets::benchmark::faults::{FaultCase, FaultSet, genai, nab, nezha, petshop, rcd, sockshop};

use public_data::data;

fn main() {
    public_data::run(&[
        ("sockshop_has_the_published_faults_and_no_clock", "sockshop_chaos_2023", sockshop_faults),
        ("sockshop_normal_days_come_before_the_faults", "sockshop_chaos_2023", sockshop_watched),
        ("nezha_has_the_published_faults", "nezha_faults", nezha_faults),
        ("rcd_has_the_published_cases", "rcd_sockshop", rcd_cases),
        ("petshop_has_the_published_issues", "petshop", petshop_issues),
        ("nab_has_the_published_windows", "nab_server_metrics", nab_windows),
        ("genai_pods_are_split_by_time", "alibaba_genai_pods_2026", genai_pods),
    ]);
}

fn types(set: &FaultSet) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for case in &set.cases {
        *counts.entry(case.fault_type.as_deref().unwrap_or("")).or_default() += 1;
    }
    counts
}

fn lawful(set: &FaultSet) {
    for case in &set.cases {
        assert!(!case.fault.is_empty() && case.fault.start > 0 && case.fault.end == case.series.steps, "{}", case.id);
        assert!(case.root < case.series.entities.len(), "{}", case.id);
        let cells = case.series.steps * case.series.entities.len() * case.series.metrics.len();
        assert_eq!(case.series.values.len(), cells, "{}", case.id);
        if let Some(level) = &case.service_level {
            assert_eq!(level.values.len(), case.series.steps, "{}", case.id);
        }
    }
    assert!(set.cases.windows(2).all(|pair| pair[0].time <= pair[1].time), "{} is in order of time", set.name);
}

/// Median over cases of (largest value of the root during the fault) / (its median before).
fn rise(cases: &[&FaultCase], metric: &str) -> f64 {
    let mut rises: Vec<f64> = cases
        .iter()
        .map(|case| {
            let metric = case.series.metrics.iter().position(|name| name == metric).unwrap();
            let mut before = case.series.column(0..case.fault.start, case.root, metric);
            before.retain(|value| value.is_finite());
            before.sort_by(f64::total_cmp);
            let during = case.series.column(case.fault.clone(), case.root, metric);
            during.into_iter().fold(0.0, f64::max) / before[before.len() / 2]
        })
        .collect();
    rises.sort_by(f64::total_cmp);
    rises[rises.len() / 2]
}

fn of_type<'a>(set: &'a FaultSet, name: &str) -> Vec<&'a FaultCase> {
    set.cases.iter().filter(|case| case.fault_type.as_deref() == Some(name)).collect()
}

fn sockshop_faults() {
    let pods = sockshop::containers(&data("sockshop_chaos_2023")).unwrap();
    lawful(&pods);
    assert_eq!(types(&pods), [("cpu-stress", 20), ("memory-stress", 19), ("network-delay", 20)].into());
    assert_eq!(pods.cases[0].series.entities.len(), 19);
    for set in [&pods, &sockshop::nodes(&data("sockshop_chaos_2023")).unwrap()] {
        lawful(set);
        assert!(set.cases[0].series.metrics.iter().all(|name| name != "container_last_seen" && name != "ts"));
        for case in &set.cases {
            assert_eq!(case.fault.len(), 6, "five minutes and one more: {}", case.id);
        }
    }
    // The README's check of the two clocks.
    let median_rise = rise(&of_type(&pods, "cpu-stress"), "container_cpu_usage_seconds_total");
    assert!(median_rise > 100.0, "CPU of a stressed pod rises {median_rise} times");
    let nodes = sockshop::nodes(&data("sockshop_chaos_2023")).unwrap();
    assert_eq!(types(&nodes), [("cpu-stress", 7), ("memory-stress", 8)].into());
    let median_rise = rise(&of_type(&nodes, "cpu-stress"), "cpu_usage");
    assert!(median_rise > 3.0, "CPU of a stressed node rises {median_rise} times");
}

fn sockshop_watched() {
    let set = sockshop::watched(&data("sockshop_chaos_2023")).unwrap();
    let system = &set.systems[0];
    assert_eq!(system.windows.len(), 59);
    assert!(system.train.end <= system.validation.start && system.validation.end <= system.test.start);
    assert!(system.windows.iter().all(|window| window.start >= system.test.start && window.end <= system.test.end));
    assert!(system.names.iter().all(|name| !name.contains("last_seen")));
    assert!(system.series.iter().all(|series| series.len() == system.steps()));
}

fn nezha_faults() {
    let folder = data("nezha_faults");
    let boutique = nezha::day(&folder, "2022-08-22").unwrap();
    lawful(&boutique);
    let expected = [("cpu_consumed", 3), ("cpu_contention", 8), ("exception", 3), ("network_delay", 7), ("return", 3)];
    assert_eq!(types(&boutique), expected.into());
    // Fourteen pairs of the list are between two services with pods; the others name addresses.
    assert_eq!(boutique.cases[0].calls.len(), 14);
    let trainticket = nezha::day(&folder, "2023-01-29").unwrap();
    lawful(&trainticket);
    assert_eq!(types(&trainticket), [("cpu_contention", 4), ("exception", 13), ("return", 11)].into());
    assert_eq!(trainticket.cases[0].series.entities.len(), 46);
    for set in [&boutique, &trainticket] {
        let median_rise = rise(&of_type(set, "cpu_contention"), "CpuUsage(m)");
        assert!(median_rise > 5.0, "{}: CPU rises {median_rise} times", set.name);
    }
    assert!(nezha::day(&folder, "2022-08-23").unwrap_err().to_string().contains("is not one of 2022-08-22"));
}

fn rcd_cases() {
    let set = rcd::cases(&data("rcd_sockshop")).unwrap();
    lawful(&set);
    assert_eq!(types(&set), [("cpu", 15), ("mem", 15)].into());
    let rows: usize = set.cases.iter().map(|case| case.series.steps).sum();
    assert_eq!(rows, 16_938);
    assert_eq!(set.cases[0].series.entities.len(), 13);
    assert!(rise(&of_type(&set, "mem"), "mem") > 3.0);
}

fn petshop_issues() {
    let set = petshop::issues(&data("petshop")).unwrap();
    lawful(&set);
    assert_eq!(set.cases.len(), 20);
    for case in &set.cases {
        assert_eq!(case.series.entities[case.root], "PetSearch_AWS::ECS::Fargate");
        assert!(case.fault.len() >= 2 && case.fault.start >= 589, "{}: {:?}", case.id, case.fault);
        let entry = case.service_level.as_ref().unwrap().entity.unwrap();
        assert_eq!(case.series.entities[entry], "PetSite");
        assert!(case.calls.contains(&(entry, case.root)), "users reach the root: {}", case.id);
    }
}

fn nab_windows() {
    let set = nab::series(&data("nab_server_metrics")).unwrap();
    assert_eq!(set.systems.len(), 17);
    let windows: usize = set.systems.iter().map(|system| system.windows.len()).sum();
    println!("{windows} of 30 windows are judged; the rest lie in the part for learning");
    assert!((28..=30).contains(&windows));
    for system in &set.systems {
        assert!(system.windows.iter().all(|window| window.start >= system.test.start && !window.is_empty()));
    }
}

fn genai_pods() {
    let set = genai::pods(&data("alibaba_genai_pods_2026")).unwrap();
    println!("{} pods with enough samples", set.systems.len());
    assert!(set.systems.len() > 100 && set.systems.len() <= 144 && !set.labelled);
    for system in &set.systems {
        assert_eq!(system.train.end, system.validation.start);
        assert_eq!(system.validation.end, system.test.start);
        assert!(!system.test.is_empty() && system.test.end <= system.steps());
    }
}
