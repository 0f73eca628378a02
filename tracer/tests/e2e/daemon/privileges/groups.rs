//! Control groups as a kubelet makes them: a pod's, and in it a container's, in every hierarchy that takes them.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// A container's groups; removed with all above them that the test has made when dropped.
pub(super) struct PodGroups {
    id: String,
    /// Below the mounts.
    relative: PathBuf,
    mounts: Vec<PathBuf>,
    limited: PathBuf,
}

impl PodGroups {
    /// Of a container of a test; `None` where no memory can be limited.
    pub(super) fn create(test: &str, container: &str) -> Option<Self> {
        let mut hasher = DefaultHasher::new();
        (test, container, std::process::id()).hash(&mut hasher);
        // Of this container alone: other tests have theirs at the same time.
        let digits = format!("{:016x}", hasher.finish());
        let (id, pod) = (digits.repeat(4), format!("pod{}-1f34-4a52-9f84-2d4e1ad0dc5e", &digits[..8]));
        let relative = Path::new(&top(test)).join("kubepods/burstable").join(pod).join(&id);
        let mounts = mounts();
        let limited = mounts.iter().find_map(|(mount, file)| Some(mount.join(&relative).join((*file)?)))?;
        let groups =
            Self { id, relative, mounts: mounts.into_iter().map(|(mount, _)| mount).collect(), limited };
        for mount in &groups.mounts {
            groups.make_in(mount);
        }
        groups.limited.exists().then_some(groups)
    }

    fn make_in(&self, mount: &Path) {
        let mut group = mount.to_owned();
        for name in &self.relative {
            group.push(name);
            if fs::create_dir(&group).is_err() && !group.is_dir() {
                return;
            }
            // Version 2 hands controllers down one level at a time; version 1 has no such file.
            let control = group.join("cgroup.subtree_control");
            if control.exists() && !group.ends_with(&self.relative) {
                drop(fs::write(control, "+memory"));
            }
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// How the pod's group is called: the container's is in it.
    pub(super) fn pod(&self) -> String {
        let name = self.relative.parent().and_then(Path::file_name).expect("it is in a pod");
        name.to_str().expect("plain").to_owned()
    }

    /// The container's, in every hierarchy that has it.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        let all = self.mounts.iter().map(|mount| mount.join(&self.relative));
        all.filter(|directory| directory.is_dir()).collect()
    }

    /// Where the memory of this group is limited: the mount of that hierarchy, and its version.
    pub(super) fn memory(&self) -> (PathBuf, u32) {
        let is_second = self.limited.ends_with("memory.max");
        let mount = self.mounts.iter().find(|mount| self.limited.starts_with(mount));
        (mount.expect("it lies in one").clone(), if is_second { 2 } else { 1 })
    }

    /// All that this test has made, in the hierarchy that limits memory.
    pub(super) fn top(&self) -> PathBuf {
        self.memory().0.join(self.relative.iter().next().expect("it has names"))
    }

    pub(super) fn limit_memory(&self, bytes: u64) {
        fs::write(&self.limited, bytes.to_string()).expect("root may limit what it has made");
    }
}

fn top(test: &str) -> String {
    format!("tracer-test-{}-{test}", std::process::id())
}

/// Where groups are made, and the file of a limit: version 2, and of version 1 those that runtimes and systemd look at.
fn mounts() -> Vec<(PathBuf, Option<&'static str>)> {
    let text = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let read = |line: &str| {
        let mut words = line.split(' ');
        let (_, point, kind) = (words.next()?, PathBuf::from(words.next()?), words.next()?);
        let has_memory =
            || fs::read_to_string(point.join("cgroup.controllers")).ok()?.contains("memory").then_some(());
        match kind {
            "cgroup2" => {
                let file = has_memory().map(|()| "memory.max");
                Some((point, file))
            }
            "cgroup" if point.ends_with("memory") => Some((point, Some("memory.limit_in_bytes"))),
            "cgroup" if point.ends_with("systemd") => Some((point, None)),
            _ => None,
        }
    };
    text.lines().filter_map(read).collect()
}

impl Drop for PodGroups {
    fn drop(&mut self) {
        for mount in &self.mounts {
            let depth = self.relative.components().count();
            for group in self.relative.ancestors().take(depth) {
                remove(&mount.join(group));
            }
        }
    }
}

/// A process that was killed leaves its group a moment later; a group that others are in stays.
fn remove(group: &Path) {
    for _ in 0..100 {
        match fs::remove_dir(group) {
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                let has_groups = fs::read_dir(group).is_ok_and(|mut entries| {
                    entries.any(|entry| entry.is_ok_and(|entry| entry.path().is_dir()))
                });
                if has_groups {
                    return;
                }
                thread::sleep(Duration::from_millis(20));
            }
            _ => return,
        }
    }
}
