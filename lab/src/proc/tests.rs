use super::*;

/// A folder that stands for `/proc`.
struct Fixture(PathBuf);

impl Fixture {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root = std::env::temp_dir().join(format!("lab-proc-{name}-{}", std::process::id()));
        for (file, text) in files {
            let path = root.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self(root)
    }

    fn proc(&self) -> Proc {
        Proc::at(&self.0)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const STAT: &str = "17 (a) b) S 1 17 17 0 -1 4194560 1234 0 5 0 250 75 0 0 20 0 9 0 4200 5242880 300 18446744073709551615 \
                    1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0\n";
const ONE: &str = "18 (x) R 1 18 18 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 5000 1 1 1\n";

#[test]
fn tasks_of_living_processes_are_added_up() {
    let host = Fixture::new(
        "tasks",
        &[("17/stat", STAT), ("17/fd/0", ""), ("17/fd/1", ""), ("17/fd/7", ""), ("18/stat", ONE), ("18/fd/0", "")],
    );
    assert_eq!(host.proc().tasks(&[17, 18, 19]).unwrap(), Tasks { processes: 2, threads: 10, files: 4 });
    assert_eq!(host.proc().tasks(&[]).unwrap(), Tasks::default());
    assert_eq!(host.proc().open_files(19).unwrap(), None);
}

#[test]
fn a_start_is_counted_from_the_boot_also_behind_a_name_with_brackets() {
    let host = Fixture::new("start", &[("17/stat", STAT), ("stat", "cpu  1 2 3\nbtime 1790000000\nprocesses 5\n")]);
    let boot = host.proc().boot_time().unwrap();
    assert!((boot - 1.79e9).abs() < 1e-6);
    assert!((host.proc().start_time(17, boot).unwrap().unwrap() - 1_790_000_042.0).abs() < 1e-6);
    assert_eq!(host.proc().start_time(18, boot).unwrap(), None);
}

#[test]
fn files_of_another_form_are_told() {
    let host = Fixture::new("form", &[("17/stat", "17 (a) S 1\n"), ("17/fd/0", ""), ("stat", "cpu 1\n")]);
    assert!(host.proc().tasks(&[17]).unwrap_err().to_string().contains("17/stat"));
    assert!(host.proc().boot_time().unwrap_err().to_string().contains("btime"));
    assert!(host.proc().own_cpu_seconds().unwrap_err().to_string().contains("self"));
}

#[test]
fn interfaces_are_read_but_for_the_loopback() {
    let text = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
lo: 288315199   77749    0    0    0     0          0         0 288315199   77749    0    0    0     0       0          0
  eth0: 540754056   19134    3    4    0     0          0         0  1381495   15544    0    0    0     0       0          0
";
    let host = Fixture::new("net", &[("17/net/dev", text)]);
    let eth0 = Interface {
        name: "eth0".to_owned(),
        receive_bytes: 540_754_056,
        receive_errors: 3,
        receive_dropped: 4,
        transmit_bytes: 1_381_495,
    };
    assert_eq!(host.proc().network(17).unwrap(), Some(vec![eth0]));
    assert_eq!(host.proc().network(18).unwrap(), None);
}

#[test]
fn stalls_of_the_host_are_read_and_not_missed() {
    let text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
    let host = Fixture::new("psi", &[("pressure/memory", text)]);
    let memory = Some(Stall { some: 1.5, full: Some(0.0) });
    assert_eq!(host.proc().pressure(), Pressure { memory, ..Pressure::default() });
}

#[test]
fn the_real_proc_is_of_this_form() {
    let proc = Proc::of_host();
    let pid = std::process::id();
    let tasks = proc.tasks(&[pid]).unwrap();
    assert_eq!(tasks.processes, 1);
    assert!(tasks.threads >= 1 && tasks.files >= 3, "{tasks:?}");
    let start = proc.start_time(pid, proc.boot_time().unwrap()).unwrap().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    // The boot is told in whole seconds, and clocks are set.
    assert!((now - start).abs() < 3_600.0, "{start}, now {now}");
    assert!(proc.own_cpu_seconds().unwrap() >= 0.0);
    assert!(proc.network(pid).unwrap().is_some());
    let root = file_system(Path::new("/")).unwrap();
    assert!(root.size >= root.used && root.size > root.available && root.size > 0, "{root:?}");
}
