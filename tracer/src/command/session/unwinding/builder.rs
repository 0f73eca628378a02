//! The thread that builds unwind tables: nobody waits for it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::registry::{FileState, Registry, Request, TableKey, TableState};
use crate::elf::Image;
use crate::kernel::Tables;
use crate::unwind::{UnwindSource, UnwindTable};

/// The registry, and the word that something in it has changed: for those that wait, and for the session's loop.
#[derive(Default)]
pub(super) struct Shared {
    registry: Mutex<Registry>,
    pub(super) changed: Condvar,
    new: Mutex<Option<Box<dyn Fn() + Send>>>,
}

impl Shared {
    /// Calls this whenever a file was looked at.
    pub(super) fn tell(&self, new: impl Fn() + Send + 'static) {
        *self.new.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(new));
    }

    fn say(&self) {
        if let Some(new) = &*self.new.lock().unwrap_or_else(PoisonError::into_inner) {
            new();
        }
    }

    /// The registry; a thread that has panicked with it left it whole between two statements.
    pub(super) fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the thread; it ends when the registry is over.
pub(super) fn start(shared: Arc<Shared>, tables: Tables) -> std::io::Result<()> {
    let mut builder = Builder { shared, tables, generation: 0 };
    std::thread::Builder::new().name("tracer-unwind".to_owned()).spawn(move || {
        while let Some(request) = builder.wait() {
            let state = builder.look(&request);
            let mut registry = builder.shared.lock();
            registry.finish(request.key, state);
            drop(registry);
            builder.shared.changed.notify_all();
            builder.shared.say();
        }
    })?;
    Ok(())
}

struct Builder {
    shared: Arc<Shared>,
    tables: Tables,
    generation: u16,
}

impl Builder {
    /// The next file; `None` when nobody asks any more.
    fn wait(&self) -> Option<Request> {
        let mut registry = self.shared.lock();
        loop {
            if registry.is_over {
                return None;
            }
            if let Some(request) = registry.next_request() {
                return Some(request);
            }
            registry = self.shared.changed.wait(registry).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn look(&mut self, request: &Request) -> FileState {
        let opened = request.file.file.try_clone().map_err(|error| error.to_string());
        let image = match opened.and_then(|file| Image::open(file).map_err(|error| error.to_string())) {
            Ok(image) => image,
            // Code in a file that is no program: a compiler's cache.
            Err(_) => return FileState::FramePointers,
        };
        let source = match UnwindSource::load(&image) {
            Ok(Some(source)) => source,
            Ok(None) => return FileState::FramePointers,
            Err(reason) => return FileState::Failed(reason),
        };
        let key = source.fingerprint();
        let of = |key: TableKey| FileState::Table {
            key,
            segments: image.segments().into(),
            has_pointers: is_go(&image),
        };
        if self.shared.lock().tables.contains_key(&key) {
            return of(key);
        }
        match source.build().and_then(|table| self.put(key, table)) {
            Ok(true) => of(key),
            Ok(false) => FileState::NoRoom,
            Err(reason) => FileState::Failed(reason),
        }
    }

    /// Writes a table into the arena, where others must make room for it if they can; false if they cannot.
    fn put(&mut self, key: TableKey, mut table: UnwindTable) -> Result<bool, String> {
        // Generation 0 is that of memory that no table was written to.
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        table.stamp(self.generation);
        let placed = loop {
            if let Some(placed) = self.tables.put(table.words()).map_err(|error| error.to_string())? {
                break placed;
            }
            let Some(unused) = self.shared.lock().evict() else { return Ok(false) };
            self.tables.remove(unused).map_err(|error| error.to_string())?;
        };
        let state = TableState {
            placed,
            generation: self.generation,
            first_page: table.first_page(),
            pages: table.pages() as u64,
            users: 0,
            last_used: 0,
        };
        self.shared.lock().tables.insert(key, state);
        Ok(true)
    }
}

/// Whether Go's linker made a file: its own code keeps frame pointers and has no frame descriptions.
fn is_go(image: &Image) -> bool {
    [".gopclntab", ".note.go.buildid"].iter().any(|name| image.section_range(name).is_some())
}
