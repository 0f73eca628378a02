//! Where the hierarchies of control groups are mounted, and which directory a group of `/proc/PID/cgroup` is there.
//!
//! In a private namespace (cgroup_namespaces(7)) the kernel writes both relative to the namespace's root: the mount of a
//! whole hierarchy as `/../../..`, somebody else's group as `/../../../burstable/podUID/ID`.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use procfs::process::{MountInfo, Process};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::{Group, MAX_GROUPS, groups, lists};

/// Where the hierarchies are mounted, version 2 first.
#[derive(Clone, Debug, Default)]
pub struct Hierarchies(Vec<Hierarchy>);

#[derive(Clone, Debug)]
struct Hierarchy {
    mount_point: PathBuf,
    /// The group that is mounted there.
    root: Place,
    /// Controllers and `name=…` of version 1; none in version 2.
    names: Vec<String>,
    /// How the namespace's root is called, from the ancestor on that is so many levels above it as the mounted group's
    /// path begins with `..`; less of it, or nothing, where that is not known.
    namespace: Vec<OsString>,
}

/// A group, seen from the root of this process's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// So many levels up,
    ups: usize,
    /// and then down.
    down: PathBuf,
}

impl Place {
    /// As the kernel writes it.
    fn of(path: &Path) -> Self {
        let mut parts = path.components().filter(|part| *part != Component::RootDir).peekable();
        let mut ups = 0;
        while parts.next_if_eq(&Component::ParentDir).is_some() {
            ups += 1;
        }
        Self { ups, down: parts.collect() }
    }
}

impl Hierarchies {
    /// Those that this process sees; none where the mounts cannot be read.
    #[must_use]
    pub fn mounted() -> Self {
        let mounts = Process::myself().and_then(|process| process.mountinfo());
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let is_of_groups = |mount: &MountInfo| matches!(mount.fs_type.as_str(), "cgroup" | "cgroup2");
        let mounts = mounts.into_iter().flat_map(|mounts| mounts.0).filter(is_of_groups).filter(is_on_top);
        let mut found: Vec<Hierarchy> = mounts.map(Hierarchy::of).collect();
        for hierarchy in &mut found {
            hierarchy.find_namespace(&own, std::process::id());
        }
        found.sort_by_key(|hierarchy| !hierarchy.names.is_empty());
        Self(found)
    }

    /// Where a group may lie that the user names: a path under a mount, or one relative to any of them.
    #[must_use]
    pub fn directories(&self, named: &Path) -> Vec<PathBuf> {
        if self.0.iter().any(|hierarchy| named.starts_with(&hierarchy.mount_point)) {
            return vec![named.to_owned()];
        }
        let relative = named.strip_prefix("/").unwrap_or(named);
        let whole = self.0.iter().map(|hierarchy| hierarchy.mount_point.join(relative));
        // Where a part of a hierarchy is mounted its groups have the names that they have in the whole.
        let parts = self.0.iter().filter(|hierarchy| !hierarchy.root.down.as_os_str().is_empty());
        let in_parts = parts.filter_map(|hierarchy| {
            Some(hierarchy.mount_point.join(relative.strip_prefix(&hierarchy.root.down).ok()?))
        });
        whole.chain(in_parts).collect()
    }

    /// The directory of a group of `/proc/PID/cgroup`; `None` if its hierarchy, or that part of it, is not mounted here.
    pub(super) fn directory(&self, group: &Group<'_>) -> Option<PathBuf> {
        let place = Place::of(Path::new(group.path));
        self.0.iter().filter(|hierarchy| hierarchy.is_of(group)).find_map(|hierarchy| hierarchy.find(&place))
    }
}

/// Whether its mount point leads to it, and not to what was mounted over it.
fn is_on_top(mount: &MountInfo) -> bool {
    let status = statx(CWD, &mount.mount_point, AtFlags::empty(), StatxFlags::MNT_ID);
    status.is_ok_and(|status| {
        // Kernels before 5.8 do not say.
        status.stx_mask & StatxFlags::MNT_ID.bits() == 0
            || i64::try_from(status.stx_mnt_id) == Ok(i64::from(mount.mnt_id))
    })
}

impl Hierarchy {
    fn of(mount: MountInfo) -> Self {
        let names = match mount.fs_type.as_str() {
            "cgroup2" => Vec::new(),
            _ => mount.super_options.into_iter().map(|(key, value)| option(key, value)).collect(),
        };
        let root = Place::of(Path::new(&mount.root));
        Self { mount_point: mount.mount_point, root, names, namespace: Vec::new() }
    }

    fn is_of(&self, group: &Group<'_>) -> bool {
        match group.names {
            "" => self.names.is_empty(),
            names => names.split(',').any(|name| self.names.iter().any(|own| own == name)),
        }
    }

    /// Its directory; `None` if it lies outside of what is mounted.
    fn find(&self, place: &Place) -> Option<PathBuf> {
        // What lies further up than the mounted group is not below it: the kernel goes up no further than it must.
        let unseen = self.root.ups.checked_sub(place.ups)?;
        let names: PathBuf = self.namespace.get(..unseen)?.iter().collect();
        let inside = names.join(&place.down);
        Some(self.mount_point.join(inside.strip_prefix(&self.root.down).ok()?))
    }

    /// Looks for the group of this process in the mount: where the namespace is private that alone tells what its root is
    /// called outside. `own` is its `/proc/PID/cgroup`.
    fn find_namespace(&mut self, own: &str, pid: u32) {
        if self.root.ups == 0 || !self.root.down.as_os_str().is_empty() {
            return;
        }
        let Some(group) = groups(own).find(|group| self.is_of(group)) else { return };
        let place = Place::of(Path::new(group.path));
        let Some(unseen) = self.root.ups.checked_sub(place.ups) else { return };
        let depth = unseen + place.down.components().count();
        if let Some(found) = find_group(&self.mount_point, depth, &place.down, pid) {
            self.namespace = found.iter().take(unseen).map(ToOwned::to_owned).collect();
        }
    }
}

/// The group with this process, so many levels below the mount, whose path ends so; relative to the mount.
fn find_group(mount_point: &Path, depth: usize, end: &Path, pid: u32) -> Option<PathBuf> {
    let mut waiting = vec![PathBuf::new()];
    let mut seen = 0;
    while let Some(group) = waiting.pop() {
        seen += 1;
        if seen > MAX_GROUPS {
            return None;
        }
        let directory = mount_point.join(&group);
        if group.components().count() == depth {
            if group.ends_with(end) && lists(&directory, pid) {
                return Some(group);
            }
            continue;
        }
        let below = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
        let is_group = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
        waiting.extend(below.filter(is_group).map(|entry| group.join(entry.file_name())));
    }
    None
}

/// As `/proc/PID/cgroup` writes it.
fn option(key: String, value: Option<String>) -> String {
    match value {
        Some(value) => format!("{key}={value}"),
        None => key,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn hierarchy(at: &str, root: &str, names: &[&str], namespace: &[&str]) -> Hierarchy {
        Hierarchy {
            mount_point: PathBuf::from(at),
            root: Place::of(Path::new(root)),
            names: names.iter().map(ToString::to_string).collect(),
            namespace: namespace.iter().map(OsString::from).collect(),
        }
    }

    #[test]
    fn a_group_is_found_below_the_mount_of_its_hierarchy() {
        let mounts = Hierarchies(vec![
            hierarchy("/sys/fs/cgroup/unified", "/", &[], &[]),
            hierarchy("/sys/fs/cgroup/cpu,cpuacct", "/outer", &["rw", "cpu", "cpuacct"], &[]),
            hierarchy("/sys/fs/cgroup/systemd", "/", &["name=systemd"], &[]),
        ]);
        let check = |names, path, expect: Option<&str>| {
            let found = mounts.directory(&Group { names, path });
            assert_eq!(found, expect.map(PathBuf::from), "{names}:{path}");
        };
        check("", "/a/b", Some("/sys/fs/cgroup/unified/a/b"));
        check("cpu,cpuacct", "/outer/a", Some("/sys/fs/cgroup/cpu,cpuacct/a"));
        check("cpu,cpuacct", "/a", None);
        check("name=systemd", "/a", Some("/sys/fs/cgroup/systemd/a"));
        check("memory", "/a", None);
        check("", "/../a", None);
        let named = |path| mounts.directories(Path::new(path));
        assert_eq!(named("/sys/fs/cgroup/systemd/a").len(), 1, "it is one directory");
        assert_eq!((named("a/b").len(), named("/a/b").len()), (3, 3), "it may be in any of them");
        let in_part = Path::new("/sys/fs/cgroup/cpu,cpuacct/a");
        assert!(named("/outer/a").contains(&in_part.to_owned()), "by its name in the whole hierarchy");
    }

    /// Check every pair of a mount and a group, as the kernel writes them in a namespace whose root is
    /// `/kubepods/burstable/pod-1/own`.
    #[test]
    fn a_group_is_found_from_a_private_namespace() {
        let own = ["kubepods", "burstable", "pod-1", "own"];
        let check = |root, namespace: &[&str], path, expect: Option<&str>| {
            let mounts = Hierarchies(vec![hierarchy("/at", root, &[], namespace)]);
            let found = mounts.directory(&Group { names: "", path });
            assert_eq!(found, expect.map(PathBuf::from), "{path} where {root} is mounted, {namespace:?}");
        };
        let all = "/../../../..";
        let other = "/../../../besteffort/pod-2/other";
        check(all, &own, other, Some("/at/kubepods/besteffort/pod-2/other"));
        check(all, &own, "/../../pod-2/other", Some("/at/kubepods/burstable/pod-2/other"));
        check(all, &own, "/../sidecar", Some("/at/kubepods/burstable/pod-1/sidecar"));
        check(all, &own, "/", Some("/at/kubepods/burstable/pod-1/own"));
        check(all, &own, "/below", Some("/at/kubepods/burstable/pod-1/own/below"));
        check(all, &own, "/../../../../system.slice/api.service", Some("/at/system.slice/api.service"));
        check(all, &own, "/../../../../..", None);
        // The own group was not found: what has no name in common with it still is.
        check(all, &[], "/../../../../system.slice/api.service", Some("/at/system.slice/api.service"));
        check(all, &[], other, None);
        check(all, &own[..1], other, Some("/at/kubepods/besteffort/pod-2/other"));
        check(all, &own[..1], "/../sidecar", None);
        // A part of the hierarchy that holds the own group, one that does not, and the own group itself.
        check("/../../..", &own[1..], other, Some("/at/besteffort/pod-2/other"));
        check("/../../..", &own[1..], "/../../../../system.slice/api.service", None);
        check(
            "/../../../../system.slice",
            &[],
            "/../../../../system.slice/api.service",
            Some("/at/api.service"),
        );
        check("/../../../../system.slice", &[], "/../../../../other.slice/api.service", None);
        check("/../../../../system.slice", &[], other, None);
        check("/", &[], "/", Some("/at"));
        check("/", &[], "/below", Some("/at/below"));
        check("/", &[], other, None);
    }

    /// Check that the group of this process is looked for at its depth only, among all, by its processes.
    #[test]
    fn the_root_of_a_private_namespace_is_found_by_its_processes() {
        let mount = tempfile::tempdir().expect("a folder");
        let group = |path: &str, pids: &str| {
            fs::create_dir_all(mount.path().join(path)).expect("our folder");
            fs::write(mount.path().join(path).join("cgroup.procs"), pids).expect("our folder");
        };
        group("kubepods/pod-1/own", "7\n42\n");
        group("kubepods/pod-1/own/sub", "43\n");
        group("kubepods/pod-2/own", "4\n421\n");
        group("kubepods/pod-2", "42\n");
        let check = |root, line: &str, pid, expect: &[&str]| {
            let mut hierarchy = hierarchy(mount.path().to_str().expect("plain"), root, &["memory"], &[]);
            hierarchy.find_namespace(line, pid);
            assert_eq!(hierarchy.namespace, expect, "{pid} in {line}, mounted: {root}");
        };
        check("/../../..", "3:memory:/\n0::/x\n", 42, &["kubepods", "pod-1", "own"]);
        check("/../../..", "3:memory:/sub\n", 43, &["kubepods", "pod-1", "own"]);
        // It has been moved out of its namespace's root.
        check("/../../..", "3:memory:/../../pod-2/own\n", 421, &["kubepods"]);
        check("/../../..", "3:memory:/\n", 1, &[]);
        check("/../../..", "0::/\n", 42, &[]);
        check("/../../..", "3:memory:/../../../..\n", 42, &[]);
        check("/", "3:memory:/kubepods/pod-1/own\n", 42, &[]);
        check("/../../../other", "3:memory:/\n", 42, &[]);
    }

    #[test]
    fn what_is_mounted_here_leads_to_the_groups_of_this_process() {
        let text = fs::read_to_string("/proc/self/cgroup").expect("its own file");
        let mounts = Hierarchies::mounted();
        let is_mounted = |group: &Group<'_>| mounts.0.iter().any(|hierarchy| hierarchy.is_of(group));
        for group in groups(&text).filter(is_mounted) {
            let directory = mounts.directory(&group).expect("its hierarchy is mounted");
            assert!(lists(&directory, std::process::id()), "{group:?} is {}", directory.display());
        }
    }
}
