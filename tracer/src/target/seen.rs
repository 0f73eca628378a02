//! Paths as a process sees them, below its own root directory.

use std::path::{Path, PathBuf};

use procfs::process::Process;

/// The root directory of a process, in the words of the kernel's paths.
///
/// The kernel writes the path of an executable, and of a mapped file, from the root of the process's mount namespace.
/// A process that has changed its root (`chroot`) sees less of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Root {
    /// Of a process; that of its namespace if it cannot be read.
    #[must_use]
    pub fn of(process: &Process) -> Self {
        Self(process.root().unwrap_or_else(|_| PathBuf::from("/")))
    }

    /// A path of the kernel's as the process sees it. One outside its root, which it may have opened before, stays.
    #[must_use]
    pub fn seen(&self, path: &Path) -> String {
        match path.strip_prefix(&self.0) {
            Ok(inside) => Path::new("/").join(inside).display().to_string(),
            Err(_) => path.display().to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_below_the_root_of_its_process() {
        let check = |root: &str, path: &str, expect: &str| {
            assert_eq!(Root(PathBuf::from(root)).seen(Path::new(path)), expect, "{path} below {root}");
        };
        check("/", "/usr/bin/ls", "/usr/bin/ls");
        check("/srv/jail", "/srv/jail/usr/bin/ls", "/usr/bin/ls");
        check("/srv/jail", "/srv/jailer/ls", "/srv/jailer/ls");
        check("/srv/jail", "/usr/bin/ls", "/usr/bin/ls");
        check("/srv/jail", "/srv/jail/ls (deleted)", "/ls (deleted)");
    }
}
