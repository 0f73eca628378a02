//! Opens a file as a process sees it, in that process's root: it decides what lies there, and must not lead tracer to
//! a file outside, nor make it wait.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, FsWord, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// How often a look-up is repeated that another process's renames have disturbed (`EAGAIN` of openat2(2)).
const ATTEMPTS: u32 = 8;

/// File systems whose files look regular, and whose reads can wait for ever or have effects: `f_type` of statfs(2).
/// Values of include/uapi/linux/magic.h.
const KERNEL_FILES: [(FsWord, &str); 5] = [
    (rustix::fs::PROC_SUPER_MAGIC, "procfs"),
    (0x6265_6572, "sysfs"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x6367_7270, "cgroup"),
];

/// A root directory, held open.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    /// The root of a process. It stays what it was when the process ends.
    ///
    /// # Errors
    /// The process is gone, or may not be looked at.
    pub fn of_process(pid: u32) -> io::Result<Self> {
        Self::at(Path::new(&format!("/proc/{pid}/root")))
    }

    /// The root that tracer itself has.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn own() -> io::Result<Self> {
        Self::at(Path::new("/"))
    }

    /// Any directory.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn at(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::openat(CWD, path, flags, Mode::empty())?))
    }

    /// A regular file on a real file system, for reading; `None` if nothing has that name.
    ///
    /// Symbolic links are followed as the process would follow them, and never out of its root.
    ///
    /// # Errors
    /// What lies there is something else, or cannot be opened.
    pub fn open_file(&self, path: &Path) -> io::Result<Option<File>> {
        let found = match self.resolve(path) {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Looked at before it is opened: to open a pipe or a device can wait, or do something.
        let status = rustix::fs::fstat(&found)?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("not a regular file"));
        }
        let system = rustix::fs::fstatfs(&found)?.f_type;
        if let Some((_, name)) = KERNEL_FILES.iter().find(|(magic, _)| *magic == system) {
            return Err(io::Error::other(format!("a file of the kernel's {name}")));
        }
        File::open(format!("/proc/self/fd/{}", found.as_raw_fd())).map(Some)
    }

    fn resolve(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let mut attempts =
            (0..ATTEMPTS).map(|_| rustix::fs::openat2(&self.0, path, flags, Mode::empty(), within));
        attempts.find(|found| !matches!(found, Err(Errno::AGAIN))).unwrap_or(Err(Errno::AGAIN))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Check that links stay inside the root, and that what is no plain file is refused without waiting.
    #[test]
    fn nothing_outside_the_root_is_opened_and_nothing_that_waits() {
        let outside = tempfile::tempdir().expect("a directory");
        fs::write(outside.path().join("secret"), "outside").expect("our directory");
        let folder = tempfile::tempdir().expect("a directory");
        let inside = |name: &str| folder.path().join(name);
        fs::create_dir(inside("sub")).expect("our directory");
        fs::write(inside("sub/plain"), "inside").expect("our directory");
        let link = |name: &str, to: &Path| symlink(to, inside(name)).expect("our directory");
        link("absolute", Path::new("/sub/plain"));
        link("sub/relative", Path::new("../../../../sub/plain"));
        link("escape", &outside.path().join("secret"));
        link("dots", Path::new(&format!("../../../../../..{}/secret", outside.path().display())));
        link("loop", Path::new("loop"));
        link("magic", Path::new("/proc/self/root/etc/passwd"));
        let pipe = inside("pipe");
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        let root = Root::at(folder.path()).expect("our directory");
        let check = |name: &str, expect: Result<Option<&str>, &str>| {
            let opened = root
                .open_file(Path::new(name))
                .map(|file| file.map(|file| io::read_to_string(file).expect("a plain file")));
            match (opened, expect) {
                (Ok(text), Ok(expect)) => assert_eq!(text.as_deref(), expect, "{name}"),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{name}: {error}"),
                (opened, _) => panic!("{name}: {opened:?}"),
            }
        };
        check("sub/plain", Ok(Some("inside")));
        check("/sub/plain", Ok(Some("inside")));
        check("../../sub/plain", Ok(Some("inside")));
        check("absolute", Ok(Some("inside")));
        check("sub/relative", Ok(Some("inside")));
        check("escape", Ok(None));
        check("dots", Ok(None));
        check("magic", Ok(None));
        check("absent", Ok(None));
        check("sub/plain/below", Ok(None));
        check(&"n".repeat(5000), Ok(None));
        check("loop", Err("symbolic links"));
        check("pipe", Err("not a regular file"));
        check("sub", Err("not a regular file"));
    }

    /// Check a process that exchanges a folder for a link to another one as fast as it can: the names before and after
    /// one system call of ours never belong to different files.
    #[test]
    fn no_race_leads_out_of_the_root() {
        let outside = tempfile::tempdir().expect("a directory");
        fs::write(outside.path().join("file"), "outside").expect("our directory");
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir(root.path().join("folder")).expect("our directory");
        fs::write(root.path().join("folder/file"), "inside").expect("our directory");
        symlink(outside.path(), root.path().join("link")).expect("our directory");
        let exchange = || {
            let path = |name: &str| root.path().join(name);
            let flags = rustix::fs::RenameFlags::EXCHANGE;
            rustix::fs::renameat_with(CWD, path("folder"), CWD, path("link"), flags).expect("our directory");
        };
        let done = std::sync::atomic::AtomicBool::new(false);
        let order = std::sync::atomic::Ordering::Relaxed;
        let (mut inside, mut absent) = (0, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(order) {
                    exchange();
                }
            });
            let opened = Root::at(root.path()).expect("our directory");
            let begin = std::time::Instant::now();
            // Both are met within some milliseconds, where both threads run.
            while (inside < 10_000 || absent < 100) && begin.elapsed() < std::time::Duration::from_secs(30) {
                match opened.open_file(Path::new("folder/file")) {
                    Ok(Some(file)) => {
                        assert_eq!(io::read_to_string(file).expect("a plain file"), "inside");
                        inside += 1;
                    }
                    Ok(None) => absent += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            done.store(true, order);
        });
        assert!(
            inside > 0 && absent > 0,
            "both were met: {inside} times the folder, {absent} times the link"
        );
    }

    /// Check that files which only look regular are refused, and that a link to them is.
    #[test]
    fn the_kernels_own_files_are_refused() {
        let root = Root::own().expect("there is a root");
        let check = |path: &str, words: &str| {
            let refused = root.open_file(Path::new(path)).expect_err("it is the kernel's").to_string();
            assert!(refused.contains(words), "{path}: {refused}");
        };
        check("/proc/self/maps", "procfs");
        check("/proc/version", "procfs");
        check("/proc/self/exe", "symbolic links");
        check("/sys/kernel/notes", "sysfs");
        check("/dev/null", "not a regular file");
    }
}
