//! Where who watches pods and who asks for them meet.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::{Place, Table};
use crate::target::cgroup::{self, Container};
use crate::target::selection::all_processes;

/// The pods of this node; nobody's if they are not asked for.
#[derive(Clone, Default)]
pub struct Pods(Option<Arc<Inner>>);

struct Inner {
    table: RwLock<Arc<Table>>,
    /// Processes whose pod has become known, or another.
    changed: Mutex<BTreeSet<u32>>,
    /// Containers without a pod, by their ids.
    waiting: Mutex<HashMap<String, Container>>,
    /// Of them, those that ended so.
    unresolved: AtomicU64,
    errors: AtomicU64,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// How well pods are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Everything was listed once.
    pub is_synced: bool,
    /// Pods that are known.
    pub pods: u64,
    /// Containers with processes that were looked at, of which no pod is known (yet).
    pub waiting: u64,
    /// Those whose processes have ended since.
    pub unresolved: u64,
    /// Failed requests, and streams that broke with an error.
    pub watch_errors: u64,
}

impl Pods {
    /// None is known yet; `wake` is called, in the watcher's thread, when that has changed.
    #[must_use]
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(Inner {
            table: RwLock::default(),
            changed: Mutex::default(),
            waiting: Mutex::default(),
            unresolved: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            wake: Box::new(wake),
        })))
    }

    /// Whether pods are asked for.
    #[must_use]
    pub const fn is_watched(&self) -> bool {
        self.0.is_some()
    }

    /// What is known now.
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        self.0
            .as_ref()
            .map_or_default(|inner| Arc::clone(&inner.table.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Where a process lives. A container without a pod is remembered until it has one.
    #[must_use]
    pub fn place(&self, pid: u32) -> Place {
        if !self.is_watched() {
            return Place::Outside;
        }
        let Some(container) = cgroup::id_of(pid) else { return Place::Outside };
        self.place_of(&container)
    }

    /// The same for a process whose container is known.
    #[must_use]
    pub fn place_of(&self, container: &Container) -> Place {
        let Some(inner) = &self.0 else { return Place::Outside };
        let place = self.table().find(container);
        if place == Place::Unknown {
            // Those that have ended are taken out every few seconds.
            locked(&inner.waiting).entry(container.id.clone()).or_insert_with(|| container.clone());
        }
        place
    }

    /// A new picture; processes whose pod it changes are to be looked at again.
    pub fn publish(&self, table: Table) {
        let Some(inner) = &self.0 else { return };
        let table = Arc::new(table);
        let old = std::mem::replace(
            &mut *inner.table.write().unwrap_or_else(PoisonError::into_inner),
            Arc::clone(&table),
        );
        // After the picture is there: what starts meanwhile sees it.
        let containers = containers();
        let changed =
            containers.values().filter(|(container, _)| old.find(container) != table.find(container));
        let changed: BTreeSet<u32> = changed.flat_map(|(_, pids)| pids.iter().copied()).collect();
        self.settle(inner, &table, &containers);
        locked(&inner.changed).extend(changed);
        (inner.wake)();
    }

    /// Looks which of the containers that wait for their pod have ended: who watches pods calls it now and then. It reads the
    /// control group of every process, and only if some wait.
    pub fn survey(&self) {
        if let Some(inner) = &self.0
            && !locked(&inner.waiting).is_empty()
        {
            self.settle(inner, &self.table(), &containers());
        }
    }

    /// Forgets containers that have a pod now, and counts those that have ended without one.
    fn settle(&self, inner: &Inner, table: &Table, running: &HashMap<String, (Container, Vec<u32>)>) {
        let mut ended = 0;
        locked(&inner.waiting).retain(|id, container| {
            let is_unknown = table.find(container) == Place::Unknown;
            let runs = running.contains_key(id);
            ended += u64::from(is_unknown && !runs);
            is_unknown && runs
        });
        inner.unresolved.fetch_add(ended, Ordering::Relaxed);
    }

    /// Processes whose pod has become known or another since this was asked last.
    #[must_use]
    pub fn take_changed(&self) -> BTreeSet<u32> {
        self.0.as_ref().map_or_default(|inner| std::mem::take(&mut *locked(&inner.changed)))
    }

    /// Counts a request that failed.
    pub fn count_error(&self) {
        if let Some(inner) = &self.0 {
            inner.errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How well pods are known; `None` if they are not asked for.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        let inner = self.0.as_ref()?;
        let table = self.table();
        Some(Standing {
            is_synced: table.is_synced(),
            pods: table.len() as u64,
            waiting: locked(&inner.waiting).len() as u64,
            unresolved: inner.unresolved.load(Ordering::Relaxed),
            watch_errors: inner.errors.load(Ordering::Relaxed),
        })
    }
}

/// Every container with a process, and its processes. A process that is forked while they are listed is found by listing them
/// again.
fn containers() -> HashMap<String, (Container, Vec<u32>)> {
    let mut found: HashMap<String, (Container, Vec<u32>)> = HashMap::new();
    let mut seen = HashSet::new();
    for pid in all_processes().into_iter().chain(std::iter::once_with(all_processes).flatten()) {
        if seen.insert(pid)
            && let Some(container) = cgroup::id_of(pid)
        {
            found.entry(container.id.clone()).or_insert_with(|| (container, Vec::new())).1.push(pid);
        }
    }
    found
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Pods {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pods").field(&self.standing()).finish()
    }
}
