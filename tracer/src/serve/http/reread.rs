//! Files that are read again when they change: certificates and tokens are renewed while the daemon runs.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::serve::ServeError;

/// How often it is looked whether they have changed.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What was read from files.
pub(super) struct Reread<T> {
    paths: Vec<PathBuf>,
    read: Box<dyn Fn() -> Result<T, ServeError> + Send + Sync>,
    state: Mutex<State<T>>,
    every: Duration,
}

struct State<T> {
    value: T,
    stamps: Vec<Option<Stamp>>,
    looked_at: Instant,
}

/// What another file of the same name, or other contents, would not have.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    changed_at: (i64, i64),
}

impl<T: Clone> Reread<T> {
    /// Reads them for the first time.
    pub(super) fn new(
        paths: Vec<PathBuf>,
        read: impl Fn() -> Result<T, ServeError> + Send + Sync + 'static,
    ) -> Result<Self, ServeError> {
        // The stamps first: what changes in between is read again.
        let stamps = stamps(&paths);
        let value = read()?;
        let state = Mutex::new(State { value, stamps, looked_at: Instant::now() });
        Ok(Self { paths, read: Box::new(read), state, every: LOOK_EVERY })
    }

    /// What they say now. While they cannot be read, what they said before.
    pub(super) fn get(&self) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked_at.elapsed() >= self.every {
            state.looked_at = Instant::now();
            let stamps = stamps(&self.paths);
            if stamps != state.stamps
                && let Ok(value) = (self.read)()
            {
                (state.value, state.stamps) = (value, stamps);
            }
        }
        state.value.clone()
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |path: &PathBuf| {
        let file = std::fs::metadata(path).ok()?;
        Some(Stamp {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.len(),
            changed_at: (file.mtime(), file.mtime_nsec()),
        })
    };
    paths.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_when_it_changes_and_kept_when_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "one").unwrap();
        let read = {
            let path = path.clone();
            move || {
                let error = |error: std::io::Error| ServeError::File {
                    path: path.clone(),
                    reason: error.to_string(),
                };
                std::fs::read_to_string(&path).map_err(error)
            }
        };
        let mut file = Reread::new(vec![path.clone()], read).unwrap();
        std::fs::write(&path, "three").unwrap();
        assert_eq!(file.get(), "one", "it was looked at a moment ago");
        file.every = Duration::ZERO;
        assert_eq!(file.get(), "three");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(file.get(), "three");
        std::fs::write(&path, "four").unwrap();
        assert_eq!(file.get(), "four");
    }
}
