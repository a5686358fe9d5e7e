//! Making nodes, and their end.

use super::*;

#[test]
fn a_node_gets_its_limits_on_version_1() {
    let host = Host::v1("node-1");
    let node = node_path("r", "n");
    host.cgroups.make_node(&node, 512 << 20, 0.5).unwrap();
    assert_eq!(host.seen("memory/forewarn-lab/r/n/memory.limit_in_bytes"), "536870912");
    assert_eq!(host.seen("cpu/forewarn-lab/r/n/cpu.cfs_quota_us"), "50000");
    assert_eq!(host.seen("cpu/forewarn-lab/r/n/cpu.cfs_period_us"), "100000");
    for mount in ["cpuacct", "pids", "blkio", "freezer", "unified"] {
        assert!(host.folder.join(mount).join("forewarn-lab/r/n").is_dir(), "{mount}");
    }
    // A kernel that counts swap, and one that has to be told to add up.
    std::fs::write(host.folder.join("memory/forewarn-lab/r/n/memory.memsw.limit_in_bytes"), "1").unwrap();
    std::fs::write(host.folder.join("memory/forewarn-lab/memory.use_hierarchy"), "0\n").unwrap();
    host.cgroups.make_node(&node, 256 << 20, 1.25).unwrap();
    assert_eq!(host.seen("memory/forewarn-lab/r/n/memory.memsw.limit_in_bytes"), "268435456");
    assert_eq!(host.seen("memory/forewarn-lab/memory.use_hierarchy"), "1");
    assert_eq!(host.seen("cpu/forewarn-lab/r/n/cpu.cfs_quota_us"), "125000");
    assert_eq!(host.cgroups.leftovers(), ["/forewarn-lab/r"]);
}

#[test]
fn a_node_gets_its_limits_and_hands_controllers_down_on_version_2() {
    let host = Host::v2("node-2");
    std::fs::create_dir_all(host.folder.join("unified")).unwrap();
    std::fs::write(host.folder.join("unified/cgroup.subtree_control"), "memory pids\n").unwrap();
    host.cgroups.make_node(&node_path("r", "n"), 512 << 20, 0.5).unwrap();
    assert_eq!(host.seen("unified/cgroup.subtree_control"), "+cpu +io", "what is given already is not asked for");
    for folder in ["forewarn-lab", "forewarn-lab/r", "forewarn-lab/r/n"] {
        assert_eq!(host.seen(&format!("unified/{folder}/cgroup.subtree_control")), "+cpu +io +memory +pids");
    }
    assert_eq!(host.seen("unified/forewarn-lab/r/n/memory.max"), "536870912");
    assert_eq!(host.seen("unified/forewarn-lab/r/n/cpu.max"), "50000 100000");
    assert!(!host.folder.join("unified/forewarn-lab/r/n/memory.swap.max").exists());
}

#[test]
fn a_controller_that_version_2_lacks_is_named_with_what_to_do() {
    let host = Host::v2("lacks");
    let Layout::V2(unified) = &host.cgroups.0 else { panic!("version 1") };
    std::fs::create_dir_all(host.folder.join("unified")).unwrap();
    let file = host.folder.join("unified/cgroup.controllers");
    std::fs::write(&file, "cpuset cpu io pids misc\n").unwrap();
    let error = unified.check().unwrap_err().to_string();
    assert!(
        error.contains("\"memory\"") && error.contains("cgroup_enable=memory") && error.contains("Delegate"),
        "{error}"
    );
    std::fs::write(&file, "cpuset cpu io memory pids misc\n").unwrap();
    unified.check().unwrap();
}

#[test]
fn nothing_outside_the_lab_is_touched() {
    let host = Host::v1("outside");
    for path in [
        "",
        "/",
        "/kubepods",
        "/forewarn-lab/../x",
        "/forewarn-lab//x",
        "/forewarn-labs/x",
        "/forewarn-lab/a b",
        "forewarn-lab/x",
    ] {
        assert!(host.cgroups.remove(path).is_err(), "{path:?}");
        assert!(host.cgroups.make_node(path, 1 << 20, 1.0).is_err(), "{path:?}");
    }
    assert!(host.cgroups.make_node(ROOT, 1 << 20, 1.0).is_err(), "limits would hold for all runs");
    let node = node_path("r", "n");
    for (memory, cpu) in [(0, 1.0), (1 << 20, 0.0), (1 << 20, -1.0), (1 << 20, f64::NAN), (1 << 20, f64::INFINITY)] {
        assert!(host.cgroups.make_node(&node, memory, cpu).is_err(), "{memory} {cpu}");
    }
    assert!(host.cgroups.leftovers().is_empty());
}

#[test]
#[ignore = "needs root and control groups; .ci/run runs it where there are"]
fn on_this_host_a_node_is_made_read_and_removed_with_what_runs_in_it() {
    let cgroups = Cgroups::of_host().unwrap().with_pressure_of_v2();
    let run = format!("{ROOT}/test-{}", std::process::id());
    let node = format!("{run}/n");
    cgroups.make_node(&node, 64 << 20, 0.25).unwrap();
    let usage = cgroups.read_node(&node).unwrap().unwrap();
    assert_eq!(usage.memory_limit, Some(64 << 20));
    assert_eq!((usage.cpu_quota_us, usage.cpu_period_us), (Some(25_000), Some(100_000)));
    assert_eq!((usage.pids, usage.oom_kills), (Some(0), Some(0)));
    let mut sleeper = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    for mount in cgroups.mounts() {
        let procs = format!("{mount}{node}/cgroup.procs");
        if Path::new(&procs).exists() && cgroups.version() == "v1" {
            std::fs::write(&procs, sleeper.id().to_string()).unwrap();
        }
    }
    if cgroups.version() == "v1" {
        assert_eq!(cgroups.processes(&node).unwrap(), Some(vec![sleeper.id()]));
        assert_eq!(cgroups.read_node(&node).unwrap().unwrap().pids, Some(1));
    }
    // Whoever started it has to take note of its end, else it stays as a zombie.
    let reaper = std::thread::spawn(move || sleeper.wait().unwrap());
    assert!(cgroups.leftovers().contains(&run));
    cgroups.remove(&run).unwrap();
    if cgroups.version() == "v1" {
        assert!(!reaper.join().unwrap().success());
    }
    assert_eq!(cgroups.read_node(&node).unwrap(), None);
    assert!(!cgroups.leftovers().contains(&run));
}
