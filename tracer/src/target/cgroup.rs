//! Control groups: which processes one holds, and which container a process belongs to.
//!
//! Both versions: `/proc/PID/cgroup` and `cgroup.procs` are alike in them (cgroups(7)).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use procfs::process::Process;

/// Hex digits of a container's id.
const ID_DIGITS: usize = 64;
/// Groups of one subtree that are looked at: more than any machine has.
const MAX_GROUPS: usize = 1 << 16;

/// Where the hierarchies are mounted, version 2 first.
#[derive(Clone, Debug, Default)]
pub struct Hierarchies(Vec<Hierarchy>);

#[derive(Clone, Debug)]
struct Hierarchy {
    mount_point: PathBuf,
    /// The group that is mounted there.
    root: PathBuf,
    /// Controllers and `name=…` of version 1; none in version 2.
    names: Vec<String>,
}

impl Hierarchies {
    /// Those that this process sees; none where the mounts cannot be read.
    #[must_use]
    pub fn mounted() -> Self {
        let mounts = Process::myself().and_then(|process| process.mountinfo());
        let mut found: Vec<Hierarchy> = mounts
            .into_iter()
            .flat_map(|mounts| mounts.0)
            .filter(|mount| mount.fs_type == "cgroup" || mount.fs_type == "cgroup2")
            .map(|mount| Hierarchy {
                mount_point: mount.mount_point,
                root: PathBuf::from(mount.root),
                names: match mount.fs_type.as_str() {
                    "cgroup2" => Vec::new(),
                    _ => mount.super_options.into_iter().map(|(key, value)| option(key, value)).collect(),
                },
            })
            .collect();
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
        self.0.iter().map(|hierarchy| hierarchy.mount_point.join(relative)).collect()
    }

    /// The directory of a group of `/proc/PID/cgroup`; `None` if its hierarchy is not mounted here.
    fn directory(&self, group: &Group<'_>) -> Option<PathBuf> {
        let is_its = |hierarchy: &&Hierarchy| match group.names {
            "" => hierarchy.names.is_empty(),
            names => names.split(',').any(|name| hierarchy.names.iter().any(|own| own == name)),
        };
        let hierarchy = self.0.iter().find(is_its)?;
        let inside = Path::new(group.path).strip_prefix(&hierarchy.root).ok()?;
        Some(hierarchy.mount_point.join(inside))
    }
}

/// As `/proc/PID/cgroup` writes it.
fn option(key: String, value: Option<String>) -> String {
    match value {
        Some(value) => format!("{key}={value}"),
        None => key,
    }
}

/// The processes of a group and of all below it; none if there is no such group (any more).
#[must_use]
pub fn processes(directory: &Path) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![directory.to_owned()];
    let mut seen = 0;
    while let Some(group) = waiting.pop() {
        seen += 1;
        if seen > MAX_GROUPS {
            break;
        }
        // A group that is removed meanwhile has no processes; one of threads has none of its own.
        let listed = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        found.extend(listed.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|&pid| pid > 0));
        let below = std::fs::read_dir(&group).into_iter().flatten().filter_map(Result::ok);
        let is_group = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
        waiting.extend(below.filter(is_group).map(|entry| entry.path()));
    }
    found
}

/// A line of `/proc/PID/cgroup`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Group<'a> {
    /// Controllers between commas, or `name=…`; empty for version 2.
    names: &'a str,
    path: &'a str,
}

fn groups(text: &str) -> impl Iterator<Item = Group<'_>> {
    text.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (names, path) = rest.split_once(':')?;
        Some(Group { names, path })
    })
}

/// The container of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// 64 hex digits.
    pub id: String,
    /// Its group, if that is seen here.
    pub directory: Option<PathBuf>,
}

/// The container of a process; `None` if it is in none, or gone.
#[must_use]
pub fn container_of(pid: u32, hierarchies: &Hierarchies) -> Option<Container> {
    container(&std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?, hierarchies)
}

/// The memory limit of a process's control group, the least on the way up, and that group's directory; `None` if there is
/// none.
#[must_use]
pub fn memory_limit(pid: u32, hierarchies: &Hierarchies) -> Option<(PathBuf, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let of_memory =
        |group: &Group<'_>| group.names.is_empty() || group.names.split(',').any(|name| name == "memory");
    let directories: Vec<PathBuf> =
        groups(&text).filter(of_memory).filter_map(|group| hierarchies.directory(&group)).collect();
    let limits = directories.iter().flat_map(|directory| {
        directory.ancestors().take_while(|path| path.join("cgroup.procs").exists()).filter_map(limit_at)
    });
    limits.min_by_key(|(_, bytes)| *bytes)
}

/// The limit that a group itself has.
fn limit_at(directory: &Path) -> Option<(PathBuf, u64)> {
    // Version 2, then 1, where no limit is a number near 2^63.
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).ok()?.trim().parse().ok();
    let bytes: u64 = read("memory.max").or_else(|| read("memory.limit_in_bytes"))?;
    (bytes < 1 << 62).then(|| (directory.to_owned(), bytes))
}

/// The container in the text of `/proc/PID/cgroup`.
fn container(text: &str, hierarchies: &Hierarchies) -> Option<Container> {
    groups(text).find_map(|group| {
        let (id, end) = container_id(group.path)?;
        let own = Group { path: &group.path[..end], ..group };
        Some(Container {
            id: id.to_owned(),
            directory: hierarchies.directory(&own).filter(|path| path.is_dir()),
        })
    })
}

/// The id in the last component of a group's path that has one, and where that component ends.
pub(super) fn container_id(path: &str) -> Option<(&str, usize)> {
    let mut end = path.len();
    for component in path.rsplit('/') {
        // The process that watches a container is not in it.
        if !component.contains("conmon-")
            && let Some(id) = id_in(component)
        {
            return Some((id, end));
        }
        end = end.saturating_sub(component.len() + 1);
    }
    None
}

/// Exactly so many hex digits, with none before or after them.
fn id_in(component: &str) -> Option<&str> {
    let is_hex = |character: char| character.is_ascii_digit() || ('a'..='f').contains(&character);
    component.split(|character| !is_hex(character)).find(|run| run.len() == ID_DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const POD: &str = "8ae4e8a5_1f34_4a52_9f84_2d4e1ad0dc5e";

    /// Check the forms that runtimes and drivers give the paths of containers, and that nothing else is one.
    #[test]
    fn the_id_is_the_last_component_of_64_hex_digits() {
        let check = |text: String, expect: Option<&str>| {
            let found = container(&text, &Hierarchies::default());
            assert_eq!(found.map(|container| container.id).as_deref(), expect, "{text}");
        };
        let burstable = format!("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD}.slice");
        check(format!("0::/{burstable}/cri-containerd-{ID}.scope\n"), Some(ID));
        check(format!("0::/kubepods.slice/kubepods-pod{POD}.slice/crio-{ID}.scope/container\n"), Some(ID));
        check(format!("0::/kubepods.slice/kubepods-pod{POD}.slice/crio-conmon-{ID}.scope\n"), None);
        check(format!("0::/{burstable}/docker-{ID}.scope\n"), Some(ID));
        check(format!("0::/kubepods/burstable/pod{POD}/{ID}\n"), Some(ID));
        check(format!("0::/system.slice/containerd.service/{burstable}:cri-containerd:{ID}\n"), Some(ID));
        check(format!("0::/kubelet.slice/kubelet-kubepods.slice/cri-containerd-{ID}.scope\n"), Some(ID));
        check(
            format!("12:pids:/docker/{ID}\n11:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}\n"),
            Some(ID),
        );
        check(format!("1:name=systemd:/docker/{ID}\n0::/\n"), Some(ID));
        check(format!("0::/../../../burstable/pod{POD}/{ID}\n"), Some(ID));
        check(format!("0::/../{ID}\n"), Some(ID));
        check(format!("0::/docker/{}/docker/{ID}\n", ID.replace('0', "f")), Some(ID));
        check("0::/\n".to_owned(), None);
        check("0::/user.slice/user-1000.slice/session-1.scope\n".to_owned(), None);
        check(format!("0::/docker/{ID}0\n"), None);
        check(format!("0::/docker/{}\n", &ID[1..]), None);
        check(format!("0::/docker/{}\n", ID.to_uppercase()), None);
        check("no line of that kind".to_owned(), None);
    }

    #[test]
    fn a_group_is_found_below_the_mount_of_its_hierarchy() {
        let hierarchy = |at: &str, root: &str, names: &[&str]| Hierarchy {
            mount_point: PathBuf::from(at),
            root: PathBuf::from(root),
            names: names.iter().map(ToString::to_string).collect(),
        };
        let mounts = Hierarchies(vec![
            hierarchy("/sys/fs/cgroup/unified", "/", &[]),
            hierarchy("/sys/fs/cgroup/cpu,cpuacct", "/outer", &["rw", "cpu", "cpuacct"]),
            hierarchy("/sys/fs/cgroup/systemd", "/", &["name=systemd"]),
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
        let named = |path| mounts.directories(Path::new(path)).len();
        assert_eq!(named("/sys/fs/cgroup/systemd/a"), 1, "it is one directory");
        assert_eq!((named("a/b"), named("/a/b")), (3, 3), "it may be in any of them");
    }

    #[test]
    fn a_group_that_is_not_there_has_no_processes() {
        assert!(processes(Path::new("/nowhere/at/all")).is_empty());
    }
}
