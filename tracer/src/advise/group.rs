//! Call sites of one process that were asked for the same by the same function.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::amount::{self, Amount};
use super::document::LookedAt;
use super::map::Maps;
use super::names::MapPart;
use super::rule::{Family, Language};
use super::stack::{self, Asked};
use crate::frame::Frame;
use crate::model::snapshot::{CallSite, Snapshot};

/// See [`knows_what_is_kept`].
const CYCLES_MIN: u64 = 3;

/// Allocations for one purpose by one function.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) family: Family,
    pub(super) language: Language,
    pub(super) pid: u32,
    pub(super) function: String,
    pub(super) file: Option<String>,
    /// Lines of the calls, with their objects.
    pub(super) lines: BTreeMap<u32, f64>,
    /// The function of the library, or the container, that it called.
    pub(super) via: Option<String>,
    pub(super) objects: Amount,
    pub(super) bytes: Amount,
    inuse_objects: Option<u64>,
    pub(super) inuse_bytes: Option<u64>,
    pub(super) sites: u64,
    pub(super) maps: Maps,
}

/// All groups of a snapshot.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) groups: Vec<Group>,
    /// There are stacks of Go, and none of them begins in its runtime.
    pub(super) hides_runtime: bool,
    /// Sites without a function that asked.
    pub(super) unnamed_sites: u64,
}

/// What makes call sites one group. Maps are made on one line and grow on another: for them the function counts.
type Key = (u32, Family, String, Option<String>, Option<u32>);

impl Groups {
    pub(super) fn of(snapshot: &Snapshot, telling: fn(&[Arc<Frame>]) -> Option<usize>) -> Self {
        let mut of_go = snapshot.sites.iter().filter(|site| stack::is_go_site(site)).peekable();
        // What tracer itself has read of a runtime, or seen by probes, is whole.
        let mut allocators = snapshot.targets.iter().flat_map(|target| &target.allocators);
        let is_whole = allocators.any(|allocator| allocator.name == "go");
        let hides_runtime =
            !is_whole && of_go.peek().is_some() && !of_go.any(|site| stack::begins_in_runtime(&site.frames));
        let mut groups: BTreeMap<Key, Group> = BTreeMap::new();
        let mut unnamed_sites = 0;
        for site in &snapshot.sites {
            let Some(asked) = stack::asked(site, hides_runtime, telling) else {
                unnamed_sites += 1;
                continue;
            };
            let group = groups.entry(key(site.pid, &asked)).or_insert_with(|| Group::new(site.pid, &asked));
            group.add(site, &asked, snapshot);
        }
        Self { groups: groups.into_values().collect(), hides_runtime, unnamed_sites }
    }

    pub(super) fn looked_at(&self, snapshot: &Snapshot) -> LookedAt {
        let functions: BTreeSet<_> = self.groups.iter().map(|group| (group.pid, &group.function)).collect();
        let mut families: BTreeMap<Family, u64> = BTreeMap::new();
        for group in &self.groups {
            *families.entry(group.family).or_default() += group.sites;
        }
        let sum = |value: fn(&CallSite) -> u64| {
            snapshot.sites.iter().fold(0_u64, |sum, site| sum.saturating_add(value(site)))
        };
        LookedAt {
            sites: snapshot.sites.len() as u64,
            functions: functions.len() as u64,
            objects: sum(|site| site.alloc_objects),
            bytes: sum(|site| site.alloc_bytes),
            families,
        }
    }
}

/// Whether what a site has in use can be held against what it has allocated. In Go's profile what was allocated in the last two
/// cycles is not in use yet, live or not (`runtime/mprof.go`): with fewer than three all of it looks short-lived.
fn knows_what_is_kept(site: &CallSite, snapshot: &Snapshot) -> bool {
    let target = snapshot.targets.iter().find(|target| target.pid == site.pid);
    let gc = target.and_then(|target| target.gc.as_ref());
    !stack::is_go_site(site) || gc.is_none_or(|gc| gc.cycles >= CYCLES_MIN)
}

fn key(pid: u32, asked: &Asked<'_>) -> Key {
    let line = if asked.family == Family::Map { None } else { asked.user.line };
    let function = asked.user.function.clone().unwrap_or_default();
    (pid, asked.family, function, asked.user.file.clone(), line)
}

impl Group {
    fn new(pid: u32, asked: &Asked<'_>) -> Self {
        Self {
            family: asked.family,
            language: asked.language,
            pid,
            function: asked.user.function.clone().unwrap_or_default(),
            file: asked.user.file.clone(),
            lines: BTreeMap::new(),
            via: asked.via.map(str::to_owned),
            objects: Amount::default(),
            bytes: Amount::default(),
            inuse_objects: Some(0),
            inuse_bytes: Some(0),
            sites: 0,
            maps: Maps::default(),
        }
    }

    fn add(&mut self, site: &CallSite, asked: &Asked<'_>, snapshot: &Snapshot) {
        let (objects, bytes) = amount::of_site(site, snapshot);
        let plus = |sum: Option<u64>, more: Option<u64>| Some(sum?.saturating_add(more?));
        self.objects += objects;
        self.bytes += bytes;
        let is_known = knows_what_is_kept(site, snapshot);
        self.inuse_objects = plus(self.inuse_objects, site.inuse_objects.filter(|_| is_known));
        self.inuse_bytes = plus(self.inuse_bytes, site.inuse_bytes.filter(|_| is_known));
        self.sites += 1;
        if let Some(part) = asked.part {
            self.maps.add(part, objects, bytes);
        }
        // Where maps are made says more than where they grow.
        let is_place = match asked.part {
            Some(MapPart::Header) => true,
            Some(_) => self.maps.made.value <= 0.0,
            None => true,
        };
        if asked.part == Some(MapPart::Header) && self.maps.made == objects {
            self.lines.clear();
        }
        if let Some(line) = asked.user.line.filter(|_| is_place) {
            *self.lines.entry(line).or_default() += objects.value;
        }
    }

    /// The line with the most objects.
    pub(super) fn line(&self) -> Option<u32> {
        self.lines.iter().max_by(|one, other| one.1.total_cmp(other.1)).map(|(&line, _)| line)
    }

    pub(super) fn mean_bytes(&self) -> f64 {
        if self.objects.value > 0.0 { self.bytes.value / self.objects.value } else { 0.0 }
    }

    /// Share of the allocated objects that is in use; `None` where frees were not seen.
    pub(super) fn kept(&self) -> Option<f64> {
        let kept = self.inuse_objects? as f64;
        Some(if self.objects.value > 0.0 { kept / self.objects.value } else { 0.0 })
    }
}
