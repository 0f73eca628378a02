//! Control groups: which processes one holds, and which container a process belongs to.
//!
//! Both versions: `/proc/PID/cgroup` and `cgroup.procs` are alike in them (cgroups(7)).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use hierarchies::Hierarchies;
pub use limit::memory_limit;

mod hierarchies;
mod limit;

/// Hex digits of a container's id.
const ID_DIGITS: usize = 64;
/// Characters of a pod's uid (RFC 9562), and of the hash that a static pod has instead.
const UID_LENGTHS: [usize; 2] = [36, 32];
/// Groups of one subtree that are looked at: more than any machine has.
const MAX_GROUPS: usize = 1 << 16;

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

/// Whether a process is in this very group.
fn lists(directory: &Path, pid: u32) -> bool {
    let listed = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    listed.lines().any(|line| line.parse() == Ok(pid))
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// 64 hex digits.
    pub id: String,
    /// Its pod as its control group is named, with `-` where systemd wants `_`: a uid, or the hash of a static pod's
    /// configuration.
    pub pod_uid: Option<String>,
    /// Its group, if that is seen here.
    pub directory: Option<PathBuf>,
}

/// The container of a process, wherever its group may be seen; `None` if it is in none, or gone.
#[must_use]
pub fn id_of(pid: u32) -> Option<Container> {
    container_of(pid, &Hierarchies::default())
}

/// The container of a process; `None` if it is in none, or gone.
#[must_use]
pub fn container_of(pid: u32, hierarchies: &Hierarchies) -> Option<Container> {
    container(&std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?, hierarchies)
}

/// The container in the text of `/proc/PID/cgroup`.
fn container(text: &str, hierarchies: &Hierarchies) -> Option<Container> {
    groups(text).find_map(|group| {
        let (id, end) = container_id(group.path)?;
        let own = Group { path: &group.path[..end], ..group };
        Some(Container {
            id: id.to_owned(),
            pod_uid: pod_uid(own.path),
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

/// The last `podUID` of a path.
fn pod_uid(path: &str) -> Option<String> {
    let is_of_uid = |c: char| matches!(c, '0'..='9' | 'a'..='f' | '-' | '_');
    path.rsplit('/').find_map(|component| {
        component.match_indices("pod").find_map(|(at, pod)| {
            let rest = &component[at + pod.len()..];
            let uid = &rest[..rest.find(|c| !is_of_uid(c)).unwrap_or(rest.len())];
            UID_LENGTHS.contains(&uid.len()).then(|| uid.replace('_', "-"))
        })
    })
}

/// Exactly so many hex digits, with none before or after them.
fn id_in(component: &str) -> Option<&str> {
    let is_hex = |character: char| character.is_ascii_digit() || ('a'..='f').contains(&character);
    component.split(|character| !is_hex(character)).find(|run| run.len() == ID_DIGITS)
}

#[cfg(test)]
mod tests;
