//! How much memory a process's control group may take.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FsWord, Mode, OFlags, ResolveFlags, fstatfs, openat, openat2};

use super::{Group, Hierarchies, groups};

/// `CGROUP2_SUPER_MAGIC` and `CGROUP_SUPER_MAGIC` of include/uapi/linux/magic.h.
const GROUP_SYSTEMS: [FsWord; 2] = [0x6367_7270, 0x0027_e0eb];
/// Where a container sees its own group, in each version, and the limit in it.
const IN_CONTAINER: [&str; 2] = ["sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"];
/// The greatest limit; version 1 has a number near 2^63 where there is none.
const MAX_LIMIT: u64 = 1 << 62;
/// Longer than every number.
const MAX_DIGITS: u64 = 32;

/// The memory limit of a process's control group, the least on the way up, and which group has it; `None` if there is none.
///
/// Where the group is not seen here, what its container sees of itself counts.
#[must_use]
pub fn memory_limit(pid: u32, hierarchies: &Hierarchies) -> Option<(PathBuf, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let of_memory =
        |group: &Group<'_>| group.names.is_empty() || group.names.split(',').any(|name| name == "memory");
    let limit = |group: Group<'_>| {
        let directory = hierarchies.directory(&group).filter(|directory| directory.is_dir());
        directory.map_or_else(|| in_container(pid, &group), |directory| least(&directory))
    };
    groups(&text).filter(of_memory).filter_map(limit).min_by_key(|(_, bytes)| *bytes)
}

/// The least limit of a group and of those that it is in.
fn least(directory: &Path) -> Option<(PathBuf, u64)> {
    let groups = directory.ancestors().take_while(|path| path.join("cgroup.procs").exists());
    groups.filter_map(limit_at).min_by_key(|(_, bytes)| *bytes)
}

/// The limit that a group itself has.
fn limit_at(directory: &Path) -> Option<(PathBuf, u64)> {
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).ok();
    let bytes = limit(&read("memory.max").or_else(|| read("memory.limit_in_bytes"))?)?;
    Some((directory.to_owned(), bytes))
}

/// What the container of a process sees as the limit of its own group.
fn in_container(pid: u32, group: &Group<'_>) -> Option<(PathBuf, u64)> {
    let [version_2, version_1] = IN_CONTAINER;
    let path = if group.names.is_empty() { version_2 } else { version_1 };
    Some((PathBuf::from(group.path), limit(&read_in_root(pid, path).ok()?)?))
}

/// A file of the kernel's in another process's root: what that process has put there instead is not even opened.
fn read_in_root(pid: u32, path: &str) -> io::Result<String> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = openat(CWD, format!("/proc/{pid}/root"), flags | OFlags::DIRECTORY, Mode::empty())?;
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    let found = openat2(&root, path, flags, Mode::empty(), within)?;
    if !GROUP_SYSTEMS.contains(&fstatfs(&found)?.f_type) {
        return Err(io::Error::other("not a file of a control group"));
    }
    let mut text = String::new();
    File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))?.take(MAX_DIGITS).read_to_string(&mut text)?;
    Ok(text)
}

fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|&bytes| bytes < MAX_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_none() {
        let check = |text, expect| assert_eq!(limit(text), expect, "{text:?}");
        check("67108864\n", Some(64 << 20));
        check("0\n", Some(0));
        check("max\n", None);
        check("9223372036854771712\n", None);
        check("", None);
    }

    #[test]
    fn the_least_limit_on_the_way_up_counts() {
        let mount = tempfile::tempdir().expect("a folder");
        let check = |limits: &[(&str, &str)], expect: Option<(&str, u64)>| {
            for path in ["pod", "pod/container"] {
                let group = mount.path().join(path);
                std::fs::create_dir_all(&group).expect("our folder");
                std::fs::write(group.join("cgroup.procs"), "").expect("our folder");
                std::fs::write(group.join("memory.max"), "max\n").expect("our folder");
            }
            for (path, text) in limits {
                std::fs::write(mount.path().join(path).join("memory.max"), text).expect("our folder");
            }
            let expect = expect.map(|(path, bytes)| (mount.path().join(path), bytes));
            assert_eq!(least(&mount.path().join("pod/container")), expect, "{limits:?}");
        };
        check(&[], None);
        check(&[("pod/container", "7\n")], Some(("pod/container", 7)));
        check(&[("pod", "7\n"), ("pod/container", "8\n")], Some(("pod", 7)));
    }

    /// Check that a file which a process has put where its container's limit stands is not believed.
    #[test]
    fn only_the_kernel_says_what_a_limit_is() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "7\n").expect("our file");
        let path = file.path().to_str().expect("a plain path").trim_start_matches('/');
        let read = read_in_root(std::process::id(), path).map_err(|error| error.to_string());
        assert_eq!(read, Err("not a file of a control group".to_owned()));
    }
}
