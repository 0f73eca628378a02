//! What is found out of files, once for each: a hundred processes map the same libc.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use super::mappings::MappedFile;

/// A file's identity, and the state in which it was looked at: one that is written over is another.
type Key = ((u64, u64), u64, (i64, i64));

/// Facts of files, by device and inode. Each file is kept open, so that its inode does not come to mean another one.
#[derive(Debug)]
pub struct PerFile<T>(HashMap<Key, (Arc<MappedFile>, Arc<T>)>);

impl<T> Default for PerFile<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> PerFile<T> {
    /// The fact of a file; `find_out` is asked if it is not known yet.
    pub fn get(&mut self, file: &Arc<MappedFile>, find_out: impl FnOnce(&MappedFile) -> T) -> Arc<T> {
        // A file whose state cannot be read is looked at again under the same key: there is nothing better.
        let state = file.file.metadata().map(|state| (state.len(), (state.mtime(), state.mtime_nsec())));
        let (length, changed) = state.unwrap_or_default();
        let make = || (Arc::clone(file), Arc::new(find_out(file)));
        let (_, fact) = self.0.entry((file.identity, length, changed)).or_insert_with(make);
        Arc::clone(fact)
    }

    /// Forgets all files but these.
    pub fn keep(&mut self, files: &HashSet<(u64, u64)>) {
        self.0.retain(|(identity, _, _), _| files.contains(identity));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn opened(path: &std::path::Path) -> Arc<MappedFile> {
        let file = File::open(path).expect("it was just written");
        let metadata = file.metadata().expect("it is open");
        let identity = (metadata.dev(), metadata.ino());
        Arc::new(MappedFile { file, path: path.display().to_string(), identity, root: None })
    }

    #[test]
    fn a_file_is_looked_at_once_by_whatever_name_and_again_when_it_was_written_over() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, link) = (directory.path().join("a"), directory.path().join("b"));
        std::fs::write(&path, "one").expect("a file");
        std::fs::hard_link(&path, &link).expect("a second name");
        let mut facts = PerFile::default();
        let mut looked = 0;
        let mut length = |path: &std::path::Path| {
            *facts.get(&opened(path), |file| {
                looked += 1;
                file.file.metadata().expect("it is open").len()
            })
        };
        assert_eq!((length(&path), length(&path), length(&link)), (3, 3, 3));
        std::fs::write(&path, "three").expect("a file");
        assert_eq!(length(&link), 5);
        assert_eq!(looked, 2);
    }

    #[test]
    fn what_no_process_has_mapped_any_more_is_closed() {
        let directory = tempfile::tempdir().expect("a directory");
        let paths = ["a", "b"].map(|name| directory.path().join(name));
        let files = paths.each_ref().map(|path| {
            std::fs::write(path, "text").expect("a file");
            opened(path)
        });
        let mut facts = PerFile::default();
        for file in &files {
            facts.get(file, |_| ());
        }
        facts.keep(&[files[1].identity].into());
        assert_eq!(files.each_ref().map(Arc::strong_count), [1, 2]);
    }
}
