//! Control groups that a test makes and removes.

use std::fs;
use std::path::PathBuf;

/// A control group of a test, in one hierarchy; removed when dropped, its processes must have ended.
pub(crate) struct Group {
    mount: PathBuf,
    /// Below the mount.
    pub(crate) relative: PathBuf,
}

impl Group {
    /// In version 2, or the first hierarchy that lets us; `None` if none does.
    pub(crate) fn create(name: &str) -> Option<Self> {
        let relative = PathBuf::from(format!("tracer-test-{}-{name}", std::process::id()));
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let of_kind = |kind: &'static str| {
            mounts.lines().filter_map(move |line| {
                let mut words = line.split(' ');
                let (_, point, found) = (words.next()?, words.next()?, words.next()?);
                (found == kind).then(|| PathBuf::from(point))
            })
        };
        // Processes of a version 1 `cpuset` need processors first.
        let usable = |mount: &PathBuf| !mount.ends_with("cpuset");
        let group = |mount: PathBuf| Self { mount, relative: relative.clone() };
        of_kind("cgroup2").chain(of_kind("cgroup").filter(usable)).map(group).find(Self::make)
    }

    /// One whose memory is limited, in either version; `None` where that cannot be.
    pub(crate) fn with_memory_limit(name: &str, bytes: u64) -> Option<Self> {
        let relative = PathBuf::from(format!("tracer-test-{}-{name}", std::process::id()));
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        mounts.lines().find_map(|line| {
            let mut words = line.split(' ');
            let (_, mount, kind) = (words.next()?, PathBuf::from(words.next()?), words.next()?);
            let file = match kind {
                "cgroup2" => "memory.max",
                "cgroup" if mount.ends_with("memory") => "memory.limit_in_bytes",
                _ => return None,
            };
            let group = Self { mount, relative: relative.clone() };
            let is_limited = group.make() && fs::write(group.path().join(file), bytes.to_string()).is_ok();
            // What is dropped removes its folder.
            is_limited.then_some(group)
        })
    }

    fn make(&self) -> bool {
        fs::create_dir(self.path()).is_ok()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.mount.join(&self.relative)
    }

    pub(crate) fn below(&self, name: &str) -> Self {
        let group = Self { mount: self.mount.clone(), relative: self.relative.join(name) };
        assert!(group.make(), "a group below {}", self.path().display());
        group
    }

    pub(crate) fn take(&self, pid: u32) {
        fs::write(self.path().join("cgroup.procs"), pid.to_string()).expect("root may move processes");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that was killed leaves its group a moment later.
        for _ in 0..100 {
            if fs::remove_dir(self.path()).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
