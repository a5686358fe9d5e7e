//! Every rule of the event table: what it tells, when, and what it leaves alone.

use features::event::{EventRules, Notice, Subject, Told, Trace, extract, notice};
use features::{Catalogue, EntityKind, FailureEvent};
use survival::CensorReason;

const SCRAPE: i64 = 30_000;
const START: i64 = 1_795_000_000_000;

/// Series of an entity: metric, part, (scrape number, value).
#[derive(Default)]
struct Shown(Vec<(String, String, Vec<i64>, Vec<f64>)>);

fn at(scrape: i64) -> i64 {
    START + scrape * SCRAPE
}

/// Seconds, as exporters give moments.
#[expect(clippy::cast_precision_loss, reason = "moments of this century")]
fn seconds(time: i64) -> f64 {
    time as f64 / 1000.0
}

impl Shown {
    fn with(mut self, metric: &str, part: &str, samples: &[(i64, f64)]) -> Self {
        let (times, values) = samples.iter().map(|&(scrape, value)| (at(scrape), value)).unzip();
        self.0.push((metric.to_owned(), part.to_owned(), times, values));
        self
    }

    /// A state shown at these scrapes.
    fn state(self, metric: &str, part: &str, state: &str, scrapes: &[i64]) -> Self {
        let index = index(metric, state);
        self.with(metric, part, &scrapes.iter().map(|&scrape| (scrape, index)).collect::<Vec<_>>())
    }

    fn tell(&self, kind: EntityKind, notices: &[Notice]) -> Told {
        self.tell_of(kind, notices, None)
    }

    fn tell_of(&self, kind: EntityKind, notices: &[Notice], born: Option<i64>) -> Told {
        let catalogue = Catalogue::standard();
        let traces: Vec<Trace<'_>> = self
            .0
            .iter()
            .map(|(metric, part, times, values)| Trace { metric: catalogue.id(metric).unwrap(), part, times, values })
            .collect();
        let mut seen: Vec<i64> = traces.iter().flat_map(|trace| trace.times).copied().collect();
        seen.sort_unstable();
        seen.dedup();
        let subject = Subject { kind, key: "it", traces: &traces, seen: &seen, born, notices };
        extract(&EventRules::shipped(), &catalogue, &subject).unwrap()
    }

    fn causes(&self, kind: EntityKind) -> Vec<String> {
        self.tell(kind, &[]).failures.iter().map(|event| event.cause().to_owned()).collect()
    }
}

fn index(metric: &str, state: &str) -> f64 {
    let catalogue = Catalogue::standard();
    let states = &catalogue.definition(catalogue.id(metric).unwrap()).unwrap().states;
    f64::from(u32::try_from(states.iter().position(|name| name == state).unwrap()).unwrap())
}

fn shown() -> Shown {
    Shown::default()
}

fn gap(event: &FailureEvent) -> (i64, i64) {
    (event.t_low(), event.t_high())
}

fn causes(told: &Told) -> Vec<&str> {
    told.failures.iter().map(FailureEvent::cause).collect()
}

/// `restart.count` that rises from 0 to `to` at scrape 3 of 6.
fn restart(to: f64) -> Shown {
    shown().with("restart.count", "", &[(0, 0.0), (1, 0.0), (2, 0.0), (3, to), (4, to), (5, to)])
}

#[test]
fn restarts_mean_what_the_last_reason_says() {
    for (reason, cause) in [
        ("OOMKilled", Some("container_oom")),
        ("Error", Some("container_crash")),
        ("ContainerCannotRun", Some("container_crash")),
        ("StartError", Some("container_crash")),
        ("Evicted", Some("evicted")),
        ("Completed", None),
        ("other", Some("unknown")),
    ] {
        let told = restart(1.0).state("terminated.reason", "", reason, &[3, 4, 5]).tell(EntityKind::Container, &[]);
        let causes: Vec<&str> = told.failures.iter().map(features::FailureEvent::cause).collect();
        assert_eq!(causes, cause.into_iter().collect::<Vec<_>>(), "{reason}");
        if let Some(event) = told.failures.first() {
            assert_eq!((event.t_low(), event.t_high()), (at(2), at(3)), "{reason}");
            assert!(event.evidence().contains("restart.count 0 -> 1"), "{}", event.evidence());
        } else {
            assert_eq!(told.breaks[0].reason, CensorReason::Completed);
        }
    }
}

#[test]
fn an_exit_code_decides_where_the_reason_does_not() {
    let crashed = restart(1.0).with("terminated.exit_code", "", &[(3, 137.0)]);
    assert_eq!(crashed.causes(EntityKind::Container), ["container_crash"]);
    let lied =
        restart(1.0).state("terminated.reason", "", "Completed", &[3]).with("terminated.exit_code", "", &[(3, 2.0)]);
    assert_eq!(lied.causes(EntityKind::Container), ["container_crash"]);
    let node_saw_it = restart(1.0).with("oom.events", "", &[(2, 4.0), (3, 5.0)]);
    assert_eq!(node_saw_it.causes(EntityKind::Container), ["container_oom"]);
}

#[test]
fn the_moment_is_exact_where_it_lies_in_the_gap() {
    let inside = at(2) + 12_000;
    let reason = |shown: Shown| shown.state("terminated.reason", "", "OOMKilled", &[3, 4, 5]);
    let exact = reason(restart(1.0)).with("terminated.time", "", &[(3, seconds(inside)), (4, seconds(inside))]);
    let told = exact.tell(EntityKind::Container, &[]);
    assert_eq!((told.failures[0].t_low(), told.failures[0].t_high()), (inside, inside));
    // A time of an earlier end says nothing of this one.
    let old = reason(restart(1.0)).with("terminated.time", "", &[(3, seconds(at(0) - 5000))]);
    let told = old.tell(EntityKind::Container, &[]);
    assert_eq!((told.failures[0].t_low(), told.failures[0].t_high()), (at(2), at(3)));
}

#[test]
fn a_moment_given_long_before_the_restart_is_kept_through_the_back_off() {
    let (ended, again) = (at(2) + 12_000, at(16) + 1000);
    let counts: Vec<(i64, f64)> =
        (0..20).map(|scrape| (scrape, if scrape >= 18 { 2.0 } else { f64::from(u8::from(scrape >= 10)) })).collect();
    let backing_off = |times: &[(i64, f64)]| {
        let reasons: Vec<i64> = (3..20).collect();
        shown()
            .with("restart.count", "", &counts)
            .state("terminated.reason", "", "Error", &reasons)
            .with("terminated.time", "", times)
            .tell(EntityKind::Container, &[])
    };
    let times: Vec<(i64, f64)> =
        (3..20).map(|scrape| (scrape, seconds(if scrape >= 17 { again } else { ended }))).collect();
    let told = backing_off(&times);
    assert_eq!(told.failures.iter().map(gap).collect::<Vec<_>>(), [(ended, ended), (again, again)]);
    // Nobody could know of the failure before the count rose.
    assert_eq!(told.failures[0].shown_at(), at(10));
    // The moment of the first end says nothing of the second.
    let stuck: Vec<(i64, f64)> = (3..20).map(|scrape| (scrape, seconds(ended))).collect();
    let told = backing_off(&stuck);
    assert_eq!(told.failures.iter().map(gap).collect::<Vec<_>>(), [(ended, ended), (at(17), at(18))]);
}

#[test]
fn a_reason_shown_before_the_gap_is_that_of_an_earlier_end() {
    let counts = [(0, 0.0), (1, 0.0), (2, 0.0), (3, 1.0), (4, 1.0), (5, 2.0)];
    let twice = shown().with("restart.count", "", &counts).state("terminated.reason", "", "OOMKilled", &[3, 4]);
    assert_eq!(twice.causes(EntityKind::Container), ["container_oom", "unknown"]);
    let coded = shown().with("restart.count", "", &counts).with("terminated.exit_code", "", &[(3, 1.0), (4, 1.0)]);
    assert_eq!(coded.causes(EntityKind::Container), ["container_crash", "unknown"]);
}

#[test]
fn several_restarts_in_a_gap_are_as_many_failures_of_which_one_is_known() {
    let several = restart(3.0).state("terminated.reason", "", "OOMKilled", &[3]);
    let told = several.tell(EntityKind::Container, &[]);
    let mut names = causes(&told);
    names.sort_unstable();
    assert_eq!(names, ["container_oom", "unknown", "unknown"]);
    // The others ended before the last.
    let last = at(2) + 12_000;
    let told = several.with("terminated.time", "", &[(3, seconds(last))]).tell(EntityKind::Container, &[]);
    let of_cause = |cause: &str| told.failures.iter().filter(|e| e.cause() == cause).map(gap).collect::<Vec<_>>();
    assert_eq!(of_cause("container_oom"), [(last, last)]);
    assert_eq!(of_cause("unknown"), [(at(2), last), (at(2), last)]);
}

#[test]
fn a_failure_is_not_known_before_a_sample_shows_it() {
    let inside = at(2) + 12_000;
    let exact =
        restart(1.0).state("terminated.reason", "", "Error", &[3]).with("terminated.time", "", &[(3, seconds(inside))]);
    let event = exact.tell(EntityKind::Container, &[]).failures.remove(0);
    assert_eq!((event.t_high(), event.shown_at()), (inside, at(3)));
    // Two scrapes make an image_pull of the first of them.
    let scrapes: Vec<(i64, f64)> = (0..9).map(|scrape| (scrape, 0.0)).collect();
    let pulling = shown().with("restart.count", "", &scrapes).state("waiting.reason", "", "ErrImagePull", &[5, 6, 7]);
    let event = pulling.tell(EntityKind::Container, &[]).failures.remove(0);
    assert_eq!((event.t_high(), event.shown_at()), (at(5), at(6)));
    // Only the kill that another source counted a scrape later tells this one.
    let late = restart(1.0).with("oom.events", "", &[(2, 4.0), (5, 5.0)]);
    let event = late.tell(EntityKind::Container, &[]).failures.remove(0);
    assert_eq!((event.cause(), event.t_high(), event.shown_at()), ("container_oom", at(3), at(5)));

    let mut json = serde_json::to_value(&event).unwrap();
    json.as_object_mut().unwrap().remove("shown_at");
    let earlier: FailureEvent = serde_json::from_value(json).unwrap();
    assert_eq!(earlier.shown_at(), at(3), "an event that was written before it was kept");
}

#[test]
fn a_first_value_and_a_fall_are_no_events() {
    let known_past = shown().with("restart.count", "", &[(0, 7.0), (1, 7.0)]);
    assert!(known_past.causes(EntityKind::Container).is_empty());
    let reset = shown().with("restart.count", "", &[(0, 7.0), (1, 0.0), (2, 0.0)]);
    assert!(reset.causes(EntityKind::Container).is_empty());
}

#[test]
fn failed_liveness_probes_before_a_restart_are_the_cause() {
    let probes = |failed: f64| {
        restart(1.0).state("terminated.reason", "", "Error", &[3]).with(
            "probe.count",
            "probe_type=Liveness,result=failed",
            &[(0, 0.0), (1, 1.0), (2, failed)],
        )
    };
    assert_eq!(probes(3.0).causes(EntityKind::Container), ["probe_kill"]);
    assert_eq!(probes(2.0).causes(EntityKind::Container), ["container_crash"]);
    let ready = restart(1.0).state("terminated.reason", "", "Error", &[3]).with(
        "probe.count",
        "probe_type=Readiness,result=failed",
        &[(0, 0.0), (2, 9.0)],
    );
    assert_eq!(ready.causes(EntityKind::Container), ["container_crash"]);
}

#[test]
fn probes_that_failed_from_their_first_count_on_are_counted() {
    let probes = |samples: &[(i64, f64)]| {
        restart(1.0).state("terminated.reason", "", "Error", &[3]).with(
            "probe.failures",
            "probe_type=Liveness",
            samples,
        )
    };
    // The kubelet creates the series with the first failure.
    assert_eq!(probes(&[(2, 3.0), (3, 3.0)]).causes(EntityKind::Container), ["probe_kill"]);
    assert_eq!(probes(&[(1, 1.0), (2, 3.0)]).causes(EntityKind::Container), ["probe_kill"]);
    assert_eq!(probes(&[(2, 2.0)]).causes(EntityKind::Container), ["container_crash"]);
    // There from the first moment on: nobody knows since when.
    assert_eq!(probes(&[(0, 9.0), (3, 9.0)]).causes(EntityKind::Container), ["container_crash"]);
    // Another spelling of the same count is no growth.
    let renamed = probes(&[(2, 9.0), (3, 9.0)]).with("probe.count", "probe_type=Liveness,result=failed", &[(0, 9.0)]);
    assert_eq!(renamed.causes(EntityKind::Container), ["container_crash"]);
}

#[test]
fn reasons_of_opentelemetry_stand_in_for_those_of_kube_state_metrics() {
    let oom = restart(1.0).state("container.reason", "", "OOMKilled", &[2]);
    assert_eq!(oom.causes(EntityKind::Container), ["container_oom"]);
    let told_by_state =
        restart(1.0).state("container.reason", "", "OOMKilled", &[2]).state("terminated.reason", "", "Error", &[3]);
    assert_eq!(told_by_state.causes(EntityKind::Container), ["container_crash"]);
    let scrapes: Vec<(i64, f64)> = (0..9).map(|scrape| (scrape, 0.0)).collect();
    let waits = |state: &str| shown().with("restart.count", "", &scrapes).state("container.reason", "", state, &[5, 6]);
    assert_eq!(waits("CrashLoopBackOff").causes(EntityKind::Container), ["crash_loop"]);
    assert_eq!(waits("ImagePullBackOff").causes(EntityKind::Container), ["image_pull"]);
}

#[test]
fn what_the_first_scrape_shows_of_a_newborn_began_with_it() {
    let scrapes: Vec<(i64, f64)> = (0..9).map(|scrape| (scrape, 0.0)).collect();
    let pulling = shown().with("restart.count", "", &scrapes).state("waiting.reason", "", "ErrImagePull", &[0, 1, 2]);
    let born = at(0) - 20_000;
    let told = pulling.tell_of(EntityKind::Container, &[], Some(born));
    assert_eq!(causes(&told), ["image_pull"]);
    assert_eq!(gap(&told.failures[0]), (born, at(0)));
    let old = pulling.tell_of(EntityKind::Container, &[], Some(at(0) - 3_600_000));
    assert!(old.failures.is_empty(), "it may have waited long before anybody looked");
}

#[test]
fn what_one_source_tells_apart_stays_apart() {
    let counts = [(0, 0.0), (1, 0.0), (2, 1.0), (3, 2.0), (13, 2.0), (14, 3.0)];
    let loops = shown().with("restart.count", "", &counts).state("terminated.reason", "", "Error", &[2, 3, 14]);
    assert_eq!(loops.causes(EntityKind::Container), ["container_crash"; 3]);
}

#[test]
fn episodes_closer_than_ten_minutes_are_one() {
    let scrapes: Vec<(i64, f64)> = (0..100).map(|scrape| (scrape, 0.0)).collect();
    let looping =
        |at: &[i64]| shown().with("restart.count", "", &scrapes).state("waiting.reason", "", "CrashLoopBackOff", at);
    // 10 minutes are 20 scrapes.
    assert_eq!(looping(&[5, 6, 20, 21]).causes(EntityKind::Container), ["crash_loop"]);
    assert_eq!(looping(&[5, 6, 25]).causes(EntityKind::Container), ["crash_loop"]);
    assert_eq!(looping(&[5, 6, 26]).causes(EntityKind::Container), ["crash_loop", "crash_loop"]);
    assert_eq!(looping(&[5, 6, 40, 41]).causes(EntityKind::Container), ["crash_loop", "crash_loop"]);
    assert!(looping(&[0, 1, 2]).causes(EntityKind::Container).is_empty(), "began before anybody looked");
    let told = looping(&[5, 6]).tell(EntityKind::Container, &[]);
    assert_eq!((told.failures[0].t_low(), told.failures[0].t_high()), (at(4), at(5)));
}

#[test]
fn an_image_must_be_missing_at_two_scrapes_in_a_row() {
    let scrapes: Vec<(i64, f64)> = (0..20).map(|scrape| (scrape, 0.0)).collect();
    let pulling =
        |at: &[i64]| shown().with("restart.count", "", &scrapes).state("waiting.reason", "", "ImagePullBackOff", at);
    assert_eq!(pulling(&[5, 6]).causes(EntityKind::Container), ["image_pull"]);
    assert!(pulling(&[5, 7]).causes(EntityKind::Container).is_empty());
}

#[test]
fn pods_are_evicted_and_preempted() {
    let phases: Vec<i64> = (0..6).collect();
    let running = |shown: Shown| shown.state("phase", "", "Failed", &phases);
    let evicted = running(shown()).state("status.reason", "", "Evicted", &[3, 4]);
    assert_eq!(evicted.causes(EntityKind::Pod), ["evicted"]);
    let by_kubelet = running(shown()).state("disruption.reason", "", "TerminationByKubelet", &[3]);
    assert_eq!(by_kubelet.causes(EntityKind::Pod), ["evicted"]);
    let preempted = running(shown()).state("disruption.reason", "", "PreemptionByScheduler", &[3]);
    assert_eq!(preempted.causes(EntityKind::Pod), ["preempted"]);
    let alive = shown().state("phase", "", "Running", &phases).state("status.reason", "", "Evicted", &[3]);
    assert!(alive.causes(EntityKind::Pod).is_empty());
}

#[test]
fn an_eviction_that_two_sources_tell_is_one_event() {
    let phases: Vec<i64> = (0..60).collect();
    let evicted = |scrape: i64| {
        shown()
            .state("phase", "", "Failed", &phases)
            .state("status.reason", "", "Evicted", &[3, 4])
            .state("disruption.reason", "", "TerminationByKubelet", &[scrape])
            .tell(EntityKind::Pod, &[])
    };
    for scrape in [3, 4] {
        let told = evicted(scrape);
        assert_eq!(causes(&told), ["evicted"], "{scrape}");
        let event = &told.failures[0];
        assert_eq!((gap(event), event.shown_at()), ((at(2), at(3)), at(3)));
        for words in ["status.reason Evicted", "disruption.reason TerminationByKubelet"] {
            assert!(event.evidence().contains(words), "{}", event.evidence());
        }
    }
    assert_eq!(causes(&evicted(40)), ["evicted", "evicted"], "too far apart to be one");
}

#[test]
fn a_node_fails_unless_it_was_cordoned() {
    let ready = |down: &[i64]| {
        let (yes, no) = (index("node.condition", "true"), index("node.condition", "unknown"));
        let samples: Vec<(i64, f64)> =
            (0..60).map(|scrape| (scrape, if down.contains(&scrape) { no } else { yes })).collect();
        shown().with("node.condition", "condition=Ready", &samples)
    };
    let told = ready(&[10, 11, 12]).tell(EntityKind::Node, &[]);
    assert_eq!(told.failures[0].cause(), "node_not_ready");
    assert_eq!((told.failures[0].t_low(), told.failures[0].t_high()), (at(9), at(10)));
    assert!(ready(&[10]).causes(EntityKind::Node).is_empty(), "one scrape is a flap");
    assert_eq!(ready(&[10, 11, 20, 21]).causes(EntityKind::Node).len(), 1, "flaps are merged");
    let cordoned = ready(&[10, 11]).with("node.cordoned", "", &[(0, 0.0), (5, 1.0), (12, 0.0)]);
    let told = cordoned.tell(EntityKind::Node, &[]);
    assert!(told.failures.is_empty());
    assert_eq!(told.breaks[0].reason, CensorReason::Maintenance);
    let pressure = {
        let no = index("node.condition", "false");
        shown().with("node.condition", "condition=MemoryPressure", &[(0, no), (1, no), (2, no)])
    };
    assert!(pressure.causes(EntityKind::Node).is_empty());
}

#[test]
fn a_boot_time_that_jumps_is_a_reboot_and_one_that_wobbles_is_not() {
    let booted = at(2) + 10_000;
    let first = seconds(at(0) - 3_600_000);
    let jump = shown().with("boot.time", "", &[(0, first), (2, first), (4, seconds(booted))]);
    let told = jump.tell(EntityKind::Node, &[]);
    assert_eq!(told.failures[0].cause(), "node_reboot");
    assert_eq!((told.failures[0].t_low(), told.failures[0].t_high()), (at(2), booted));
    let wobble = shown().with("boot.time", "", &[(0, first), (2, first + 1.0), (4, first)]);
    assert!(wobble.causes(EntityKind::Node).is_empty());
    let planned = jump.with("node.cordoned", "", &[(0, 1.0), (4, 1.0)]);
    assert!(planned.causes(EntityKind::Node).is_empty());
}

#[test]
fn disks_fail_once_however_many_signs_there_are() {
    let both = shown().with("fs.readonly", "mountpoint=/var", &[(0, 0.0), (5, 1.0)]).with(
        "kernel.problem_active",
        "reason=FilesystemIsReadOnly,type=ReadonlyFilesystem",
        &[(0, 0.0), (6, 1.0)],
    );
    let told = both.tell(EntityKind::Node, &[]);
    assert_eq!(told.failures.len(), 1);
    assert_eq!(told.failures[0].cause(), "disk_fail");
    assert!(told.failures[0].evidence().contains("ReadonlyFilesystem"), "{}", told.failures[0].evidence());
    for metric in ["fs.device_error", "raid.disks_failed"] {
        assert_eq!(shown().with(metric, "device=a", &[(0, 0.0), (1, 1.0)]).causes(EntityKind::Node), ["disk_fail"]);
    }
    let smart = shown().with("disk.smart.healthy", "disk=a", &[(0, 1.0), (1, 0.0)]);
    assert_eq!(smart.causes(EntityKind::Node), ["disk_fail"]);
    let array = shown().with("raid.disks_active", "device=md0", &[(0, 4.0), (1, 3.0)]).with(
        "raid.disks_required",
        "device=md0",
        &[(0, 4.0), (1, 4.0)],
    );
    assert_eq!(array.causes(EntityKind::Node), ["disk_fail"]);
    assert!(shown().with("fs.readonly", "mountpoint=/", &[(0, 1.0), (1, 1.0)]).causes(EntityKind::Node).is_empty());
}

#[test]
fn a_target_that_is_down_alone_is_no_failure() {
    let down = shown().with("target.up", "", &[(0, 1.0), (1, 0.0), (2, 0.0)]);
    for kind in EntityKind::ALL {
        assert!(down.causes(kind).is_empty());
    }
}

#[test]
fn a_machine_that_goes_off_has_failed_unless_somebody_meant_it() {
    let (on, off) = (index("power.state", "on"), index("power.state", "off"));
    let off_at = |shown: Shown| shown.with("power.state", "", &[(0, on), (1, on), (2, off)]);
    assert_eq!(off_at(shown()).causes(EntityKind::Vm), ["vm_down"]);
    assert!(off_at(shown()).with("maintenance", "", &[(0, 1.0)]).causes(EntityKind::Vm).is_empty());
    let line = r#"{"time":"2026-11-18T13:07:00Z","vm":"it","event":"VmGuestShutdownEvent","message":""}"#;
    let (_, mut asked) = notice::vcenter(line, &|_| Some(at(1) + 5)).unwrap().unwrap();
    let told = off_at(shown()).tell(EntityKind::Vm, std::slice::from_ref(&asked));
    assert!(told.failures.is_empty());
    assert_eq!(told.breaks[0].reason, CensorReason::Maintenance);
    asked.time = at(0) - 1;
    assert_eq!(off_at(shown()).tell(EntityKind::Vm, &[asked]).failures.len(), 1, "asked for long before");
    let suspended = shown().with("power.state", "", &[(0, on), (1, index("power.state", "suspended"))]);
    assert!(suspended.causes(EntityKind::Vm).is_empty());
    // A state nobody knows is none.
    let other = index("power.state", "other");
    let told = shown().with("power.state", "", &[(0, on), (1, other), (2, on)]).tell(EntityKind::Vm, &[]);
    assert_eq!(told, Told::default());
    let told = shown().with("power.state", "", &[(0, on), (1, other), (2, off)]).tell(EntityKind::Vm, &[]);
    assert_eq!(gap(&told.failures[0]), (at(0), at(2)));
}

/// On, off at scrapes 2 and 3, on again: an exporter shows no boot time of a machine that is off.
fn outage() -> Shown {
    let (on, off) = (index("power.state", "on"), index("power.state", "off"));
    let (first, again) = (seconds(at(0) - 3_600_000), seconds(at(3) + 10_000));
    shown().with("power.state", "", &[(0, on), (1, on), (2, off), (3, off), (4, on), (5, on)]).with(
        "boot.time",
        "",
        &[(0, first), (1, first), (4, again), (5, again)],
    )
}

#[test]
fn a_machine_that_was_off_and_is_started_again_has_failed_once() {
    let told = outage().tell(EntityKind::Vm, &[]);
    assert_eq!((causes(&told), told.breaks.len(), told.ambiguous), (vec!["vm_down"], 0, 0));
    assert_eq!(gap(&told.failures[0]), (at(1), at(2)));

    let moved = outage().with("vm.info", "host_name=esx-1", &[(0, 1.0), (1, 1.0)]).with(
        "vm.info",
        "host_name=esx-2",
        &[(4, 1.0), (5, 1.0)],
    );
    let told = moved.tell(EntityKind::Vm, &[]);
    assert_eq!((causes(&told), told.breaks.len(), told.ambiguous), (vec!["ha_restart"], 0, 0));
    let event = &told.failures[0];
    assert_eq!((gap(event), event.shown_at()), ((at(1), at(2)), at(4)));
    for words in ["power.state on -> off", "boot.time moved on", "esx-1 -> esx-2"] {
        assert!(event.evidence().contains(words), "{}", event.evidence());
    }

    // Meant to be off, and started elsewhere: no failure, and no second end.
    let planned = moved.with("maintenance", "", &[(0, 1.0), (2, 1.0)]).tell(EntityKind::Vm, &[]);
    assert!(planned.failures.is_empty());
    assert_eq!(planned.breaks.iter().map(|b| b.reason).collect::<Vec<_>>(), [CensorReason::Maintenance]);
    assert_eq!(planned.ambiguous, 0);
}

#[test]
fn high_availability_is_believed_without_a_boot_time() {
    let restarted = |time: i64, event: &str| {
        let line = format!(r#"{{"time":"t","vm":"it","event":"{event}","message":""}}"#);
        notice::vcenter(&line, &|_| Some(time)).unwrap().unwrap().1
    };
    let both = [
        restarted(at(4) + 1000, "com.vmware.vc.ha.VmRestartedByHAEvent"),
        restarted(at(4) + 2000, "VmRestartedOnAlternateHostEvent"),
    ];
    let told = shown().with("cpu.usage", "", &[(0, 0.1), (9, 0.1)]).tell(EntityKind::Vm, &both);
    assert_eq!(causes(&told), ["ha_restart"], "two words for one start");
    assert_eq!(gap(&told.failures[0]), (at(4) + 1000, at(4) + 1000));
    // It ended an outage: one failure, of the moment it began.
    let (on, off) = (index("power.state", "on"), index("power.state", "off"));
    let power = shown().with("power.state", "", &[(0, on), (1, on), (2, off), (3, off), (4, off), (5, on)]);
    let told = power.tell(EntityKind::Vm, &both);
    assert_eq!(causes(&told), ["ha_restart"]);
    assert_eq!((gap(&told.failures[0]), told.failures[0].shown_at()), ((at(1), at(2)), at(4) + 1000));
    assert!(told.failures[0].evidence().contains("power.state on -> off"), "{}", told.failures[0].evidence());
    // The boot time tells it already.
    assert_eq!(causes(&outage().tell(EntityKind::Vm, &both)), ["ha_restart"]);
}

#[test]
fn a_start_on_another_host_is_high_availability_at_work() {
    let first = seconds(at(0) - 3_600_000);
    let boot = |shown: Shown| shown.with("boot.time", "", &[(0, first), (2, first), (3, seconds(at(2) + 9000))]);
    let moved = boot(shown()).with("vm.info", "cluster_name=c,ds_name=d,host_name=esx-1", &[(0, 1.0), (2, 1.0)]).with(
        "vm.info",
        "cluster_name=c,ds_name=d,host_name=esx-2",
        &[(3, 1.0)],
    );
    let told = moved.tell(EntityKind::Vm, &[]);
    assert_eq!(told.failures[0].cause(), "ha_restart");
    assert!(told.failures[0].evidence().contains("esx-1 -> esx-2"), "{}", told.failures[0].evidence());
    let stayed = boot(shown()).with("vm.info", "host_name=esx-1", &[(0, 1.0), (3, 1.0)]);
    let told = stayed.tell(EntityKind::Vm, &[]);
    assert!(told.failures.is_empty());
    assert_eq!(told.breaks[0].reason, CensorReason::Lost);
    let message = "vSphere HA reset this virtual machine. Reason: VMware Tools heartbeat failure.";
    let line = format!(r#"{{"time":"t","vm":"it","event":"EventEx","message":"{message}"}}"#);
    let (_, reset) = notice::vcenter(&line, &|_| Some(at(2) + 5000)).unwrap().unwrap();
    assert_eq!(stayed.tell(EntityKind::Vm, &[reset]).failures[0].cause(), "ha_restart");
}

#[test]
fn docker_says_itself_what_happened() {
    let line = |action: &str, attributes: &str, after: i64| {
        let nanos = (at(3) + after) * 1_000_000;
        let text = format!(
            r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"abc","Attributes":{{{attributes}"name":"web"}}}},"time":{},"timeNano":{nanos}}}"#,
            nanos / 1_000_000_000
        );
        let (name, notice) = notice::docker(&text).unwrap().unwrap();
        assert_eq!(name, "web");
        notice
    };
    let told = |notices: &[Notice]| {
        let told = shown().tell(EntityKind::DockerContainer, notices);
        (told.failures.iter().map(|e| e.cause().to_owned()).collect::<Vec<_>>(), told.breaks.len())
    };
    let died = line("die", r#""exitCode":"1","#, 0);
    assert_eq!(told(std::slice::from_ref(&died)), (vec!["docker_exit".to_owned()], 0));
    assert_eq!(told(&[line("kill", r#""signal":"15","#, -500), died.clone()]), (vec![], 1));
    assert_eq!(told(&[line("oom", "", -500), died.clone()]), (vec!["docker_oom".to_owned()], 0));
    assert_eq!(told(&[line("die", r#""exitCode":"0","#, 0)]), (vec![], 1));
    assert_eq!(told(&[line("health_status: unhealthy", "", 0)]).0, ["docker_unhealthy"]);
    assert!(notice::docker(r#"{"Type":"network","Action":"connect"}"#).unwrap().is_none());
    assert!(notice::docker("{").is_err());
    assert!(notice::docker(r#"{"Type":"container","Action":"die","Actor":{"Attributes":{"name":"a"}}}"#).is_err());

    // A container that gets another signal goes on.
    for (signal, planned) in [("15", true), ("SIGTERM", true), ("9", true), ("1", false), ("USR1", false)] {
        let text = format!(
            r#"{{"Type":"container","Action":"kill","Actor":{{"Attributes":{{"signal":"{signal}","name":"web"}}}}}}"#
        );
        assert_eq!(notice::docker(&text).unwrap().is_some(), planned, "{signal}");
    }

    // The same end, polled: told once, by the engine's word. There is no finished_at before the first end.
    let polled = shown().with("start.time", "", &[(0, 1e9), (2, 1e9), (4, 1e9)]).with(
        "terminated.time",
        "",
        &[(4, seconds(at(3)))],
    );
    let polled = polled.with("terminated.exit_code", "", &[(2, 0.0), (4, 1.0)]);
    assert_eq!(polled.causes(EntityKind::DockerContainer), ["docker_exit"]);
    let told = polled.tell(EntityKind::DockerContainer, &[died]);
    assert_eq!(told.failures.len(), 1);
    let event = &told.failures[0];
    assert_eq!((gap(event), event.shown_at()), ((at(3), at(3)), at(3)));
    assert!(event.evidence().contains("die") && event.evidence().contains("finished_at"), "{}", event.evidence());
    // Planned, as the engine says: the polled exit code does not make a failure of it.
    let stopped = [line("kill", r#""signal":"15","#, -500), line("die", r#""exitCode":"143","#, 0)];
    let told = polled.tell(EntityKind::DockerContainer, &stopped);
    assert_eq!((causes(&told), told.breaks.len()), (vec![], 1));
}

#[test]
fn ends_of_a_polled_docker_container_are_told_without_the_engines_events() {
    let ended = seconds(at(3) + 5000);
    // Seen first when it had ended long before: past nobody knows.
    let old =
        shown().with("start.time", "", &[(4, 1e9), (5, 1e9)]).with("terminated.time", "", &[(4, ended), (5, ended)]);
    assert!(old.causes(EntityKind::DockerContainer).is_empty());
    // The daemon started it three times; a start sets the exit code back to 0.
    let restarts = shown()
        .with("restart.count", "", &[(0, 0.0), (2, 0.0), (4, 3.0), (5, 3.0)])
        .with("terminated.exit_code", "", &[(0, 0.0), (2, 0.0), (4, 0.0), (5, 0.0)])
        .with("terminated.time", "", &[(4, ended), (5, ended)]);
    let told = restarts.tell(EntityKind::DockerContainer, &[]);
    assert_eq!((causes(&told), told.breaks.len()), (vec!["unknown"; 3], 0));
    // It ended by itself, and nobody started it.
    let done = shown()
        .with("terminated.exit_code", "", &[(0, 0.0), (2, 0.0), (4, 0.0)])
        .with("terminated.time", "", &[(4, ended)])
        .tell(EntityKind::DockerContainer, &[]);
    assert_eq!((causes(&done), done.breaks[0].reason), (vec![], CensorReason::Completed));
    let counted = shown().with("restart.count", "", &[(0, 0.0), (2, 0.0), (4, 1.0)]);
    assert_eq!(counted.causes(EntityKind::DockerContainer), ["unknown"]);
}

#[test]
fn modules_trap_in_bursts() {
    let errors = shown().with("invoke.errors", "", &[(0, 0.0), (1, 0.0), (2, 4.0), (3, 6.0), (4, 6.0), (60, 7.0)]);
    assert_eq!(errors.causes(EntityKind::WasmModule), ["wasm_trap", "wasm_trap"]);
    let replaced = shown().with("start.time", "", &[(0, 100.0), (1, 100.0), (2, 200.0)]);
    assert_eq!(replaced.causes(EntityKind::WasmModule), ["wasm_trap"]);
}

#[test]
fn a_planned_end_in_the_same_gap_makes_a_failure_ambiguous() {
    // Two restarts in one gap: the last completed by itself, of the other nobody knows.
    let told = restart(2.0).state("terminated.reason", "", "Completed", &[3]).tell(EntityKind::Container, &[]);
    assert!(told.failures.is_empty());
    assert_eq!((told.ambiguous, told.breaks.len()), (1, 1));
}

#[test]
fn rules_are_pinned_by_what_they_say() {
    let shipped = EventRules::shipped();
    let text = include_str!("../event_rules.toml");
    let commented = format!("# another comment\n{text}");
    assert_eq!(EventRules::from_toml(&commented).unwrap().digest(), shipped.digest());
    let other = text.replace("jump = \"30s\"", "jump = \"60s\"");
    assert_ne!(EventRules::from_toml(&other).unwrap().digest(), shipped.digest());
    for (from, to, word) in [
        ("version = 3", "version = 9", "version 9"),
        ("version = 3", "version = 2", "version 2 is not known, this build reads 3"),
        ("jump = \"30s\"", "jump = \"30 parsecs\"", "parsecs"),
        ("failures = 3", "failure = 3", "failure"),
        ("scrapes = 2", "scrapes = 0", "scrapes"),
    ] {
        let error = EventRules::from_toml(&text.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(word), "{to}: {error}");
    }
}
