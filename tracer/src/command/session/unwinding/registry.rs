//! Which files have unwind tables, who uses them, and what is still to be built. Shared by the session and the builder.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use crate::elf::Segment;
use crate::kernel::Placed;
use crate::target::mappings::MappedFile;

/// A file in one state: written over, it is another.
pub(super) type FileKey = ((u64, u64), u64, (i64, i64));

/// A table: what its frame descriptions and its code's addresses hash to.
pub(super) type TableKey = u128;

/// A table in the arena.
#[derive(Clone, Debug)]
pub(super) struct TableState {
    pub(super) placed: Placed,
    pub(super) generation: u16,
    pub(super) first_page: u64,
    pub(super) pages: u64,
    /// Images that walk by it.
    pub(super) users: u32,
    /// When an image last began to; a number that only grows.
    pub(super) last_used: u64,
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FileState {
    /// It is to be looked at.
    Asked,
    /// It has a table.
    Table {
        key: TableKey,
        segments: Arc<[Segment]>,
        /// Go: code without rules keeps frame pointers.
        has_pointers: bool,
    },
    /// It has no frame descriptions.
    FramePointers,
    /// It has some, of which no table can be made.
    Failed(String),
    /// There was no room for its table.
    NoRoom,
}

/// A file to be looked at.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) key: FileKey,
    pub(super) file: Arc<MappedFile>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// The files are kept open, so that their inodes do not come to mean others.
    files: HashMap<FileKey, (Arc<MappedFile>, FileState)>,
    pub(super) tables: HashMap<TableKey, TableState>,
    /// Not begun yet.
    pub(super) requests: Vec<Request>,
    /// One is being looked at.
    is_busy: bool,
    /// Files that were looked at so far.
    pub(super) finished: u64,
    clock: u64,
    /// Nobody asks any more.
    pub(super) is_over: bool,
}

/// The key of a file as it is now.
pub(super) fn key_of(file: &MappedFile) -> FileKey {
    // A file whose state cannot be read is known by its identity: there is nothing better.
    let state = file.file.metadata().map(|state| (state.len(), (state.mtime(), state.mtime_nsec())));
    let (length, changed) = state.unwrap_or_default();
    (file.identity, length, changed)
}

impl Registry {
    /// What is known of a file, which is looked at soon if nothing is. True if that is new.
    pub(super) fn state_of(&mut self, file: &Arc<MappedFile>) -> (FileState, bool) {
        let key = key_of(file);
        if let Some((_, state)) = self.files.get(&key) {
            return (state.clone(), false);
        }
        self.files.insert(key, (Arc::clone(file), FileState::Asked));
        self.requests.push(Request { key, file: Arc::clone(file) });
        (FileState::Asked, true)
    }

    /// The smallest file that waits: it delays nobody for long.
    pub(super) fn next_request(&mut self) -> Option<Request> {
        let smallest = self.requests.iter().enumerate().min_by_key(|(_, request)| request.key.1)?;
        let request = self.requests.swap_remove(smallest.0);
        self.is_busy = true;
        Some(request)
    }

    /// Whether a file is still to be looked at.
    pub(super) fn is_waited_for(&self) -> bool {
        self.is_busy || !self.requests.is_empty()
    }

    /// Takes what was found out of a file.
    pub(super) fn finish(&mut self, key: FileKey, state: FileState) {
        if let Some(known) = self.files.get_mut(&key) {
            known.1 = state;
        }
        self.is_busy = false;
        self.finished += 1;
    }

    /// An image walks by a table.
    pub(super) fn acquire(&mut self, key: TableKey) {
        self.clock += 1;
        if let Some(table) = self.tables.get_mut(&key) {
            table.users += 1;
            table.last_used = self.clock;
        }
    }

    /// It does not any more.
    pub(super) fn release(&mut self, key: TableKey) {
        if let Some(table) = self.tables.get_mut(&key) {
            table.users = table.users.saturating_sub(1);
            if table.users == 0 {
                // It may make room for those that found none: they are asked for again.
                self.files.retain(|_, (_, state)| *state != FileState::NoRoom);
                self.finished += 1;
            }
        }
    }

    /// Takes out the table that was not used for longest, if one is not; its files are looked at again when they are
    /// needed.
    pub(super) fn evict(&mut self) -> Option<Placed> {
        let unused = self.tables.iter().filter(|(_, table)| table.users == 0);
        let (&key, _) = unused.min_by_key(|(_, table)| table.last_used)?;
        let table = self.tables.remove(&key)?;
        self.files.retain(|_, (_, state)| !matches!(state, FileState::Table { key: of, .. } if *of == key));
        Some(table.placed)
    }

    /// All files, by their path.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &FileState)> {
        self.files.values().map(|(file, state)| (file.path.as_str(), state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(block: u32) -> TableState {
        let placed = Placed { block, blocks: 1 };
        TableState { placed, generation: 1, first_page: 0, pages: 1, users: 0, last_used: 0 }
    }

    #[test]
    fn the_table_that_nobody_used_for_longest_makes_room() {
        let mut registry = Registry::default();
        for key in [1, 2, 3] {
            registry.tables.insert(key, table(key as u32));
        }
        for key in [1, 3, 2] {
            registry.acquire(key);
        }
        registry.release(3);
        registry.release(2);
        assert_eq!(registry.evict().map(|placed| placed.block), Some(3));
        registry.acquire(2);
        assert_eq!(registry.evict(), None);
        registry.release(2);
        registry.release(1);
        assert_eq!(registry.evict().map(|placed| placed.block), Some(1));
        assert_eq!(registry.evict().map(|placed| placed.block), Some(2));
    }
}
