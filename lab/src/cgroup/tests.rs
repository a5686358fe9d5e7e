//! Fixtures follow what Linux 6.18 shows: version 1 as recorded on a host with all hierarchies mounted one by one, version
//! 2 in the form of its documentation.

use std::path::PathBuf;

use super::*;

mod nodes;

/// Folders that stand for mounted hierarchies.
struct Host {
    folder: PathBuf,
    cgroups: Cgroups,
}

const PATH: &str = "/forewarn-lab/r/n/podu/a";

const V1: [(&str, &str); 14] = [
    ("memory/memory.usage_in_bytes", "3854336\n"),
    ("memory/memory.max_usage_in_bytes", "4980736\n"),
    ("memory/memory.limit_in_bytes", "16777216\n"),
    ("memory/memory.failcnt", "7\n"),
    ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
    (
        "memory/memory.stat",
        "cache 1\nrss 2\ninactive_file 3\npgmajfault 4\nhierarchical_memory_limit 16777216\ntotal_cache 835584\n\
         total_rss 1724416\ntotal_rss_huge 0\ntotal_pgfault 34762\ntotal_pgmajfault 12\ntotal_inactive_file 49152\n",
    ),
    ("cpu/cpu.stat", "nr_periods 723\nnr_throttled 18\nthrottled_time 1724314000\nnr_bursts 0\nburst_time 0\n"),
    ("cpu/cpu.cfs_quota_us", "50000\n"),
    ("cpu/cpu.cfs_period_us", "100000\n"),
    ("cpuacct/cpuacct.usage", "16807762394\n"),
    ("cpuacct/cpuacct.stat", "user 1582\nsystem 98\n"),
    ("pids/pids.current", "24\n"),
    ("pids/pids.max", "64\n"),
    (
        "blkio/blkio.throttle.io_service_bytes_recursive",
        "7:0 Read 4096\n7:0 Write 8192\n7:0 Sync 0\n7:0 Total 12288\n7:1 Read 100\nTotal 12388\n",
    ),
];

const V2: [(&str, &str); 11] = [
    ("memory.current", "3854336\n"),
    ("memory.peak", "4980736\n"),
    ("memory.max", "16777216\n"),
    ("memory.events", "low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\noom_group_kill 0\n"),
    (
        "memory.stat",
        "anon 1724416\nfile 835584\nkernel 90112\ninactive_anon 5\ninactive_file 49152\npgfault 34762\npgmajfault 12\n",
    ),
    (
        "cpu.stat",
        "usage_usec 16807762\nuser_usec 15820000\nsystem_usec 980000\nnr_periods 723\nnr_throttled 18\n\
         throttled_usec 1724314\nnr_bursts 0\nburst_usec 0\n",
    ),
    ("cpu.max", "50000 100000\n"),
    ("pids.current", "24\n"),
    ("pids.max", "64\n"),
    ("io.stat", "7:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n7:1 rbytes=100 wbytes=0 rios=1 wios=0\n"),
    (
        "memory.pressure",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n",
    ),
];

impl Host {
    fn new(name: &str, mounts: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("lab-cgroup-{name}-{}", std::process::id()));
        let mounts = mounts.replace('@', folder.to_str().unwrap());
        std::fs::create_dir_all(&folder).unwrap();
        Self { cgroups: Cgroups::detect(&mounts, "").unwrap(), folder }
    }

    fn v1(name: &str) -> Self {
        let controllers = ["memory", "cpu", "cpuacct", "pids", "blkio", "freezer"];
        let mut mounts: String =
            controllers.map(|name| format!("cgroup @/{name} cgroup rw,relatime,{name} 0 0\n")).concat();
        mounts.push_str("cgroup2 @/unified cgroup2 rw 0 0\n");
        Self::new(name, &mounts)
    }

    fn v2(name: &str) -> Self {
        Self::new(name, "cgroup2 @/unified cgroup2 rw 0 0\n")
    }

    /// Writes a file of the cgroup [`PATH`]; `None` takes it away.
    fn put(&self, mount: &str, name: &str, text: Option<&str>) {
        let folder = format!("{}/{mount}{PATH}", self.folder.display());
        std::fs::create_dir_all(&folder).unwrap();
        match text {
            Some(text) => std::fs::write(format!("{folder}/{name}"), text).unwrap(),
            None => std::fs::remove_file(format!("{folder}/{name}")).unwrap(),
        }
    }

    fn put_all(&self) {
        match self.cgroups.version() {
            "v1" => {
                for (file, text) in V1 {
                    let (mount, name) = file.split_once('/').unwrap();
                    self.put(mount, name, Some(text));
                }
            }
            _ => {
                for (name, text) in V2 {
                    self.put("unified", name, Some(text));
                }
            }
        }
    }

    fn read(&self) -> Option<Usage> {
        self.cgroups.read_container(PATH).unwrap()
    }

    fn seen(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.join(file)).unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn close(seen: Option<f64>, wanted: f64) {
    assert!(seen.is_some_and(|seen| (seen - wanted).abs() < 1e-9), "{seen:?}, not {wanted}");
}

/// What both versions tell of the same container.
fn check_common(usage: &Usage) {
    assert_eq!(usage.memory, Some(3_854_336));
    assert_eq!(usage.rss, Some(1_724_416));
    assert_eq!(usage.cache, Some(835_584));
    assert_eq!(usage.inactive_file, Some(49_152));
    assert_eq!(usage.working_set, Some(3_854_336 - 49_152));
    assert_eq!(usage.memory_peak, Some(4_980_736));
    assert_eq!(usage.memory_limit, Some(16_777_216));
    assert_eq!((usage.limit_hits, usage.oom_kills, usage.major_faults), (Some(7), Some(1), Some(12)));
    assert_eq!((usage.cpu_periods, usage.cpu_throttled_periods), (Some(723), Some(18)));
    close(usage.cpu_throttled_seconds, 1.724_314);
    assert_eq!((usage.cpu_quota_us, usage.cpu_period_us), (Some(50_000), Some(100_000)));
    assert_eq!((usage.pids, usage.pids_limit), (Some(24), Some(64)));
    assert_eq!((usage.read_bytes, usage.written_bytes), (Some(4_196), Some(8_192)));
    close(usage.cpu_user_seconds, 15.82);
    close(usage.cpu_system_seconds, 0.98);
}

#[test]
fn version_1_is_read_into_usage_with_what_is_below() {
    let host = Host::v1("read-1");
    host.put_all();
    let usage = host.read().unwrap();
    check_common(&usage);
    close(usage.cpu_seconds, 16.807_762_394);
    assert_eq!(usage.pressure, Pressure::default());
    assert_eq!(host.cgroups.read_node(PATH).unwrap(), Some(usage));
    assert_eq!(host.cgroups.working_set(PATH), usage.working_set);
}

#[test]
fn version_2_is_read_into_usage() {
    let host = Host::v2("read-2");
    host.put_all();
    let usage = host.read().unwrap();
    check_common(&usage);
    close(usage.cpu_seconds, 16.807_762);
    assert_eq!(usage.pressure.memory, Some(Stall { some: 2.5, full: Some(0.5) }));
    assert_eq!(usage.pressure.io, None, "a kernel without it");
    assert_eq!(host.cgroups.working_set(PATH), usage.working_set);
}

#[test]
fn pressure_of_version_2_is_read_beside_version_1_only_when_asked_for() {
    let mut host = Host::v1("beside");
    host.put_all();
    let text = V2.iter().find(|(name, _)| *name == "memory.pressure").unwrap().1;
    host.put("unified", "memory.pressure", Some(text));
    assert_eq!(host.read().unwrap().pressure.memory, None);
    host.cgroups = host.cgroups.clone().with_pressure_of_v2();
    assert_eq!(host.read().unwrap().pressure.memory, Some(Stall { some: 2.5, full: Some(0.5) }));
}

#[test]
fn no_limit_is_none() {
    let host = Host::v1("unlimited-1");
    host.put_all();
    host.put("memory", "memory.limit_in_bytes", Some("9223372036854771712\n"));
    host.put("cpu", "cpu.cfs_quota_us", Some("-1\n"));
    host.put("pids", "pids.max", Some("max\n"));
    let usage = host.read().unwrap();
    assert_eq!((usage.memory_limit, usage.cpu_quota_us, usage.pids_limit), (None, None, None));
    assert_eq!(usage.cpu_period_us, Some(100_000));

    let host = Host::v2("unlimited-2");
    host.put_all();
    host.put("unified", "memory.max", Some("max\n"));
    host.put("unified", "cpu.max", Some("max 100000\n"));
    host.put("unified", "pids.max", Some("max\n"));
    let usage = host.read().unwrap();
    assert_eq!((usage.memory_limit, usage.cpu_quota_us, usage.pids_limit), (None, None, None));
    assert_eq!(usage.cpu_period_us, Some(100_000));
}

#[test]
fn a_working_set_is_never_below_zero() {
    let host = Host::v2("floor");
    host.put_all();
    host.put("unified", "memory.current", Some("4096\n"));
    assert_eq!(host.read().unwrap().working_set, Some(0));
}

#[test]
fn a_container_that_is_gone_or_half_gone_is_none_and_a_file_of_other_kernels_is_not_missed() {
    let host = Host::v1("gone-1");
    assert_eq!(host.read(), None);
    assert_eq!(host.cgroups.working_set(PATH), None);
    host.put_all();
    host.put("cpuacct", "cpuacct.usage", None);
    assert_eq!(host.read(), None);
    host.put_all();
    host.put("blkio", "blkio.throttle.io_service_bytes_recursive", None);
    assert_eq!(host.read().unwrap().read_bytes, None);

    let host = Host::v2("gone-2");
    assert_eq!(host.read(), None);
    host.put_all();
    host.put("unified", "pids.current", None);
    assert_eq!(host.read(), None);
    host.put_all();
    host.put("unified", "memory.peak", None);
    assert_eq!(host.read().unwrap().memory_peak, None);
}

#[test]
fn processes_of_a_cgroup_are_listed() {
    for host in [Host::v1("procs-1"), Host::v2("procs-2")] {
        assert_eq!(host.cgroups.processes(PATH).unwrap(), None);
        let mount = if host.cgroups.version() == "v1" { "pids" } else { "unified" };
        host.put(mount, "cgroup.procs", Some("17\n4\n"));
        assert_eq!(host.cgroups.processes(PATH).unwrap(), Some(vec![17, 4]));
    }
}
