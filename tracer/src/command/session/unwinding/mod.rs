//! Unwind tables for the code of all targets: asked for when code is mapped, built by a thread, told to the programs
//! when they are there. Until then stacks end at that code, and say so.

mod builder;
mod ranges;
mod registry;
mod vdso;

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use self::builder::Shared;
use self::ranges::Known;
use self::registry::{FileState, Registry, TableKey};
use crate::elf::Segment;
use crate::kernel::Kernel;
use crate::target::mappings::{Backing, MappedFile, Mappings};

/// Counting waits this long for tables at most: the stacks before them would be short.
const PATIENCE: Duration = Duration::from_millis(60);

/// The tables that an image walks by, and whether others are still to come.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    tables: Vec<TableKey>,
    waits: bool,
}

/// See the module.
pub(crate) struct Unwinding {
    shared: Arc<Shared>,
    /// Files that were looked at when the images were last told of their tables.
    seen: u64,
    vdso: Option<Arc<MappedFile>>,
}

impl Unwinding {
    /// Starts the builder.
    pub(crate) fn start(kernel: &mut Kernel) -> std::io::Result<Option<Self>> {
        let Some(tables) = kernel.take_tables() else { return Ok(None) };
        let shared = Arc::new(Shared::default());
        builder::start(Arc::clone(&shared), tables)?;
        Ok(Some(Self { shared, seen: 0, vdso: vdso::file().map(Arc::new) }))
    }

    /// Calls this whenever tables are new.
    pub(crate) fn tell(&self, new: impl Fn() + Send + 'static) {
        self.shared.tell(new);
    }

    /// Tells the programs which code a slot has, and asks for the tables that it lacks.
    fn publish(&self, kernel: &mut Kernel, slot: u32, mappings: &Mappings, uses: &mut Uses) {
        let mut registry = self.shared.lock();
        let mut now = Uses::default();
        let mut has_asked = false;
        let ranges = ranges::of(mappings, |mapping| {
            let file = match &mapping.backing {
                Backing::File(file) => file,
                Backing::Vdso => match &self.vdso {
                    Some(file) => file,
                    None => return (Known::FramePointers, Vec::new()),
                },
                _ => return (Known::FramePointers, Vec::new()),
            };
            let (state, is_new) = registry.state_of(file);
            has_asked |= is_new;
            now.of(&registry, &state)
        });
        for &table in &now.tables {
            registry.acquire(table);
        }
        kernel.set_code(slot, &ranges);
        let before = std::mem::replace(uses, now);
        before.tables.iter().for_each(|&table| registry.release(table));
        drop(registry);
        if has_asked {
            self.shared.changed.notify_all();
        }
    }

    fn release(&self, uses: &mut Uses) {
        let mut registry = self.shared.lock();
        for table in std::mem::take(uses).tables {
            registry.release(table);
        }
    }

    /// Whether files were looked at since this was last asked.
    pub(super) fn has_news(&mut self) -> bool {
        let finished = self.shared.lock().finished;
        std::mem::replace(&mut self.seen, finished) != finished
    }

    /// Waits for the tables that were asked for, for some time.
    pub(super) fn wait(&self) {
        let deadline = Instant::now() + PATIENCE;
        let mut registry = self.shared.lock();
        while registry.is_waited_for() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.changed.wait_timeout(registry, left);
            registry = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What readers of a report should know.
    pub(super) fn notes(&self) -> Vec<String> {
        let registry = self.shared.lock();
        let note = |(path, state): (&str, &FileState)| match state {
            FileState::NoRoom => {
                Some(format!("no room for the unwind table of {path}: stacks end there. Raise --max-unwind"))
            }
            FileState::Failed(reason) => {
                Some(format!("no unwind table for {path}: {reason}; stacks end there"))
            }
            FileState::Asked | FileState::Table { .. } | FileState::FramePointers => None,
        };
        let mut notes: Vec<String> = registry.files().filter_map(note).collect();
        notes.sort();
        notes
    }
}

impl Drop for Unwinding {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_all();
    }
}

impl Uses {
    /// Whether tables are still to come.
    pub(super) const fn waits(&self) -> bool {
        self.waits
    }

    /// Notes the use of a file's table.
    fn of(&mut self, registry: &Registry, state: &FileState) -> (Known, Vec<Segment>) {
        match state {
            FileState::Table { key, segments, has_pointers } => match registry.tables.get(key) {
                Some(table) => {
                    self.tables.push(*key);
                    let known = Known::Table {
                        block: table.placed.block,
                        generation: table.generation,
                        first_page: table.first_page,
                        pages: table.pages,
                        has_pointers: *has_pointers,
                    };
                    (known, segments.to_vec())
                }
                None => (Known::NoTable, Vec::new()),
            },
            FileState::Asked => {
                self.waits = true;
                (Known::NoTable, Vec::new())
            }
            FileState::FramePointers => (Known::FramePointers, Vec::new()),
            FileState::Failed(_) => (Known::NoTable, Vec::new()),
            FileState::NoRoom => {
                // Another may leave.
                self.waits = true;
                (Known::NoTable, Vec::new())
            }
        }
    }
}

/// An image is over: others may take the place of its tables.
pub(super) fn release(unwinding: Option<&Unwinding>, uses: &mut Uses) {
    if let Some(unwinding) = unwinding {
        unwinding.release(uses);
    }
}

/// Tells the programs which code a slot has: with tables, or, where stacks are walked by frame pointers, without.
pub(super) fn publish(
    unwinding: Option<&Unwinding>,
    kernel: &mut Kernel,
    slot: u32,
    mappings: &Mappings,
    uses: &mut Uses,
) {
    match unwinding {
        Some(unwinding) => unwinding.publish(kernel, slot, mappings, uses),
        None => kernel.set_code(slot, &ranges::of(mappings, |_| (Known::FramePointers, Vec::new()))),
    }
}
