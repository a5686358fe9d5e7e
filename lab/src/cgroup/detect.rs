//! Which hierarchies are mounted where, from the kernel's own lists.

use super::v1::Hierarchies;
use super::v2::Unified;
use super::{Layout, refuse};
use crate::error::Result;

/// One mounted hierarchy.
struct Mount<'t> {
    point: String,
    version_2: bool,
    options: &'t str,
}

impl Mount<'_> {
    fn has(&self, controller: &str) -> bool {
        self.options.split(',').any(|option| option == controller)
    }
}

/// Finds the layout. Where any controller that is needed is one of version 1, all have to be: the memory of a container
/// and its other limits are then set and read in one way.
pub(super) fn layout(proc_mounts: &str, proc_cgroups: &str) -> Result<Layout> {
    let mounts = mounts(proc_mounts);
    let unified = mounts.iter().find(|mount| mount.version_2).map(|mount| mount.point.clone());
    let find = |controller: &str| {
        mounts.iter().find(|mount| !mount.version_2 && mount.has(controller)).map(|mount| mount.point.clone())
    };
    let any_of_v1 = ["memory", "cpu", "cpuacct", "pids", "blkio"].into_iter().any(|name| find(name).is_some());
    match (any_of_v1, unified) {
        (false, Some(mount)) => Ok(Layout::V2(Unified { mount })),
        (false, None) => refuse(
            "no control groups are mounted: /proc/mounts has neither cgroup nor cgroup2. Mount them: mount -t cgroup2 \
             cgroup2 /sys/fs/cgroup"
                .to_owned(),
        ),
        (true, unified) => {
            let needed = |controller: &str| match find(controller) {
                Some(mount) => Ok(mount),
                None => refuse(missing(controller, proc_cgroups)),
            };
            let mut all: Vec<String> = Vec::new();
            for mount in &mounts {
                if !all.contains(&mount.point) {
                    all.push(mount.point.clone());
                }
            }
            Ok(Layout::V1(Hierarchies {
                memory: needed("memory")?,
                cpu: needed("cpu")?,
                cpuacct: needed("cpuacct")?,
                pids: needed("pids")?,
                blkio: needed("blkio")?,
                freezer: find("freezer"),
                unified,
                pressure: None,
                mounts: all,
            }))
        }
    }
}

fn mounts(proc_mounts: &str) -> Vec<Mount<'_>> {
    let mount = |line| {
        let mut words = str::split_ascii_whitespace(line).skip(1);
        let (point, kind, options) = (words.next()?, words.next()?, words.next()?);
        let version_2 = match kind {
            "cgroup" => false,
            "cgroup2" => true,
            _ => return None,
        };
        Some(Mount { point: unescaped(point), version_2, options })
    };
    proc_mounts.lines().filter_map(mount).collect()
}

/// Spaces and the like stand in `/proc/mounts` as three octal digits.
fn unescaped(point: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(point.to_owned(), |point, (code, plain)| point.replace(code, plain))
}

/// Why a controller of version 1 is not there and what to do.
fn missing(controller: &str, proc_cgroups: &str) -> String {
    // Name, hierarchy, how many cgroups, enabled.
    let row = proc_cgroups.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let state = row.into_iter().find(|row| row.first() == Some(&controller));
    let (seen, remedy) = match state.as_deref() {
        None => (
            "this kernel has no such controller of version 1".to_owned(),
            "boot with cgroups of version 2 (systemd.unified_cgroup_hierarchy=1), or with a kernel that has it"
                .to_owned(),
        ),
        Some([_, _, _, "0"]) => (
            "/proc/cgroups says that it is off".to_owned(),
            format!("boot with the kernel parameter cgroup_enable={controller}, without cgroup_disable={controller}"),
        ),
        Some([_, "0", ..]) => (
            "it is on, but mounted nowhere or taken by version 2".to_owned(),
            format!(
                "mount it (mkdir -p /sys/fs/cgroup/{controller} && mount -t cgroup -o {controller} cgroup \
                 /sys/fs/cgroup/{controller}), or boot with version 2 alone (systemd.unified_cgroup_hierarchy=1)"
            ),
        ),
        Some(_) => (
            "it is in use, but not mounted where this process can see it".to_owned(),
            "run on the host itself, or in a container that sees the cgroups of the host".to_owned(),
        ),
    };
    format!("controller {controller:?} is missing among cgroups of version 1: {seen}. {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE_BY_ONE: &str = "\
proc /proc proc rw,relatime 0 0
tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0
cgroup /sys/fs/cgroup/cpuacct cgroup rw,relatime,cpuacct 0 0
cgroup /sys/fs/cgroup/cpuset cgroup rw,relatime,cpuset 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
cgroup /sys/fs/cgroup/freezer cgroup rw,relatime,freezer 0 0
cgroup /sys/fs/cgroup/blkio cgroup rw,relatime,blkio 0 0
cgroup /sys/fs/cgroup/pids cgroup rw,relatime,pids 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
";

    fn reason(mounts: &str, cgroups: &str) -> String {
        layout(mounts, cgroups).unwrap_err().to_string()
    }

    #[test]
    fn hierarchies_mounted_one_by_one_are_found_also_beside_version_2() {
        let Layout::V1(found) = layout(ONE_BY_ONE, "").unwrap() else { panic!("version 2") };
        assert_eq!(found.memory, "/sys/fs/cgroup/memory");
        assert_eq!(found.cpu, "/sys/fs/cgroup/cpu");
        assert_eq!(found.cpuacct, "/sys/fs/cgroup/cpuacct");
        assert_eq!(found.pids, "/sys/fs/cgroup/pids");
        assert_eq!(found.blkio, "/sys/fs/cgroup/blkio");
        assert_eq!(found.freezer.as_deref(), Some("/sys/fs/cgroup/freezer"));
        assert_eq!(found.unified.as_deref(), Some("/sys/fs/cgroup/unified"));
        assert_eq!(found.pressure, None);
        assert_eq!(found.mounts.len(), 9, "those that hold only folders count: {:?}", found.mounts);
    }

    #[test]
    fn hierarchies_mounted_together_are_found_once() {
        let mounts = ONE_BY_ONE.replace("cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0\n", "").replace(
            "/sys/fs/cgroup/cpuacct cgroup rw,relatime,cpuacct",
            "/sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct",
        );
        let Layout::V1(found) = layout(&mounts, "").unwrap() else { panic!("version 2") };
        assert_eq!((found.cpu.as_str(), found.cpuacct.as_str()), ("/sys/fs/cgroup/cpu,cpuacct", found.cpu.as_str()));
        assert_eq!(found.mounts.len(), 8);
    }

    #[test]
    fn version_2_alone_is_found() {
        let mounts =
            "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot 0 0\n";
        assert_eq!(layout(mounts, "").unwrap(), Layout::V2(Unified { mount: "/sys/fs/cgroup".to_owned() }));
        let named = format!("{mounts}cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n");
        assert!(matches!(layout(&named, "").unwrap(), Layout::V2(_)), "no controller is of version 1");
    }

    #[test]
    fn a_missing_controller_is_named_with_what_to_do() {
        let without = |controller: &str| {
            let line = format!("cgroup /sys/fs/cgroup/{controller} cgroup rw,relatime,{controller} 0 0\n");
            assert!(ONE_BY_ONE.contains(&line));
            ONE_BY_ONE.replace(&line, "")
        };
        let off = reason(&without("memory"), "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t1\t0\n");
        assert!(off.contains("\"memory\"") && off.contains("cgroup_enable=memory"), "{off}");
        let free = reason(&without("pids"), "pids\t0\t1\t1\n");
        assert!(free.contains("mount -t cgroup -o pids"), "{free}");
        let hidden = reason(&without("blkio"), "blkio\t7\t1\t1\n");
        assert!(hidden.contains("run on the host itself"), "{hidden}");
        let unknown = reason(&without("cpu"), "memory\t4\t1\t1\n");
        assert!(unknown.contains("\"cpu\"") && unknown.contains("no such controller"), "{unknown}");
        assert!(reason("proc /proc proc rw 0 0\n", "").contains("mount -t cgroup2"));
    }

    #[test]
    fn mount_points_with_spaces_are_read() {
        let mounts = "cgroup2 /my\\040groups cgroup2 rw 0 0\n";
        assert_eq!(layout(mounts, "").unwrap(), Layout::V2(Unified { mount: "/my groups".to_owned() }));
    }
}
