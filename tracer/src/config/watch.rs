//! Tells when the file has changed: by its device, inode, size and time, through symbolic links, so that it is also seen when
//! Kubernetes swaps the link that leads to the files of a `ConfigMap`. There is no thread, and nothing to miss: it is asked.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A file that may change.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    seen: Option<Identity>,
}

/// What changes with a file's contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified_at: (i64, i64),
}

impl Watch {
    /// The file as it is now. To miss nothing, this comes before it is read.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let mut watch = Self { path: path.into(), seen: None };
        watch.seen = watch.look();
        watch
    }

    /// Whether it is another than at the last look. While there is no file, nothing has changed: it may be about to be replaced.
    pub fn changed(&mut self) -> bool {
        let now = self.look();
        let changed = now.is_some() && now != self.seen;
        self.seen = now.or(self.seen);
        changed
    }

    fn look(&self) -> Option<Identity> {
        let metadata = std::fs::metadata(&self.path).ok()?;
        Some(Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified_at: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_that_is_written_or_replaced_has_changed_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tracer.toml");
        fs::write(&path, "a").expect("a file");
        let mut watch = Watch::new(&path);
        assert!(!watch.changed());
        fs::write(&path, "ab").expect("a file");
        assert!(watch.changed());
        assert!(!watch.changed());
        let other = folder.path().join("other");
        fs::write(&other, "cd").expect("a file");
        fs::rename(&other, &path).expect("it is replaced");
        assert!(watch.changed());
        assert!(!watch.changed());
    }

    #[test]
    fn a_file_that_is_away_for_a_while_has_changed_when_it_is_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tracer.toml");
        let mut watch = Watch::new(&path);
        assert!(!watch.changed());
        fs::write(&path, "a").expect("a file");
        assert!(watch.changed());
        let aside = folder.path().join("aside");
        fs::rename(&path, &aside).expect("it is moved");
        assert!(!watch.changed());
        fs::rename(&aside, &path).expect("it is moved back");
        assert!(!watch.changed(), "it is the same file");
    }

    /// As the kubelet does it: `tracer.toml` leads through `..data` to a folder, and `..data` is replaced.
    #[test]
    fn a_link_on_the_way_that_leads_elsewhere_is_a_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(at(version)).expect("a folder");
            fs::write(at(version).join("tracer.toml"), "same").expect("a file");
        }
        symlink("..1", at("..data")).expect("a link");
        symlink("..data/tracer.toml", at("tracer.toml")).expect("a link");
        let mut watch = Watch::new(at("tracer.toml"));
        assert!(!watch.changed());
        symlink("..2", at("..data_tmp")).expect("a link");
        fs::rename(at("..data_tmp"), at("..data")).expect("it is replaced");
        assert!(watch.changed());
        assert!(!watch.changed());
    }
}
