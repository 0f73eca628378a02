//! Where the fields of the runtime's structures lie: by the program's own DWARF if it has it, else by a table per version.
//!
//! A version that nobody has seen and that has no DWARF is refused by its name: a wrong offset would be a wrong number.

mod classes;
mod dwarf;
mod table;

use super::super::version::GoVersion;
use crate::elf::Image;

pub use classes::{CLASS_BYTES, CLASS_SPAN_BYTES};

/// Offsets of what is read, in bytes. A part is `None` where one of its fields is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Where it comes from.
    pub source: Source,
    /// An entry of the heap profile.
    pub bucket: Option<BucketLayout>,
    /// `runtime.memstats`.
    pub mstats: Option<MstatsLayout>,
    /// The counters in it.
    pub delta: Option<DeltaLayout>,
    /// `runtime.gcController`.
    pub controller: ControllerLayout,
    /// A goroutine and its thread.
    pub threads: Option<ThreadLayout>,
}

/// No structure of the runtime is that large: what lies further off is damage, and no sum of offsets overflows.
const MAX_BYTES: u64 = 1 << 20;

/// What a layout was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The program's own DWARF.
    Dwarf,
    /// The table, by this minor version of Go 1.
    Table(u32),
}

/// `bucket`, `memRecord` and `memRecordCycle` of `runtime/mprof.go`. The stack, then the record, follow the bucket's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketLayout {
    /// The next bucket of the profile.
    pub allnext: u64,
    /// Its kind: 1 is the heap profile.
    pub typ: u64,
    /// Bytes of each object.
    pub size: u64,
    /// Number of return addresses.
    pub nstk: u64,
    /// Bytes of the header.
    pub bytes: u64,
    /// In the record: the counts that are published.
    pub active: u64,
    /// In the record: the counts of the cycles that are not.
    pub future: u64,
    /// How many cycles those are.
    pub futures: u64,
    /// Bytes of the record.
    pub record_bytes: u64,
    /// In the counts of a cycle: allocations.
    pub allocs: u64,
    /// In the counts of a cycle: frees.
    pub frees: u64,
    /// Bytes of the counts of a cycle.
    pub cycle_bytes: u64,
}

/// `mstats` of `runtime/mstats.go`, with the `consistentHeapStats` in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MstatsLayout {
    /// The three deltas (`heapStats.stats`).
    pub stats: u64,
    /// The delta that is written to now (`heapStats.gen`).
    pub r#gen: u64,
    /// End of the last cycle, nanoseconds since 1970.
    pub last_gc_unix: u64,
    /// Sum of all pauses.
    pub pause_total_ns: u64,
    /// The ring of pauses.
    pub pause_ns: u64,
    /// The ring of their ends.
    pub pause_end: u64,
    /// Finished cycles, 32 bits.
    pub numgc: u64,
    /// Those that the program asked for, 32 bits.
    pub numforcedgc: u64,
    /// Share of the CPU time, a 64-bit float.
    pub gc_cpu_fraction: u64,
    /// End of the last cycle by the monotonic clock.
    pub last_gc_nanotime: u64,
    /// Whether collections are on, one byte.
    pub enablegc: Option<u64>,
    /// Bytes of the whole, where they are known.
    pub bytes: Option<u64>,
}

/// `heapStatsDelta` of `runtime/mstats.go`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeltaLayout {
    /// Objects without a block of their own.
    pub tiny_alloc_count: u64,
    /// Bytes of large objects.
    pub large_alloc: u64,
    /// Large objects.
    pub large_alloc_count: u64,
    /// Small objects by size class.
    pub small_alloc_count: u64,
    /// Freed bytes of large objects.
    pub large_free: u64,
    /// Freed large objects.
    pub large_free_count: u64,
    /// Freed small objects by size class.
    pub small_free_count: u64,
    /// Bytes of the whole.
    pub bytes: u64,
}

/// `gcControllerState` of `runtime/mgcpacer.go`, each field as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControllerLayout {
    /// `GOGC`, 32 bits, signed.
    pub gc_percent: Option<u64>,
    /// `GOMEMLIMIT`, signed.
    pub memory_limit: Option<u64>,
    /// The goal that follows from `GOGC`.
    pub gc_percent_heap_goal: Option<u64>,
    /// The least heap at which a cycle begins, from the progress of the sweep.
    pub sweep_dist_min_trigger: Option<u64>,
    /// The heap at which the running cycle began, or all ones.
    pub triggered: Option<u64>,
    /// Marked by the last cycle.
    pub heap_marked: Option<u64>,
    /// Bytes of free spans.
    pub heap_free: Option<u64>,
    /// Bytes that were allocated since the process began.
    pub total_alloc: Option<u64>,
    /// Bytes that were freed.
    pub total_free: Option<u64>,
    /// Bytes of mapped memory that are not given back.
    pub mapped_ready: Option<u64>,
    /// Bytes that the collector takes for live now (`heapLive`).
    pub heap_live: Option<u64>,
    /// Bytes of the whole.
    pub bytes: Option<u64>,
}

/// `g`, its `gobuf`, and `m` of `runtime/runtime2.go`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadLayout {
    /// In the goroutine: its thread (`g.m`).
    pub g_m: u64,
    /// Its stack pointer where it left its stack (`g.sched.sp`).
    pub g_sp: u64,
    /// Its frame pointer there (`g.sched.bp`).
    pub g_bp: u64,
    /// In the thread: the goroutine that it runs (`m.curg`).
    pub m_curg: u64,
    /// Why it must not be preempted, a text (`m.preemptoff`).
    pub m_preemptoff: u64,
}

/// Gives the offset of a field of a structure of the runtime, by their names; the size of a structure has no name.
type Lookup<'a> = dyn Fn(&str, &str) -> Option<u64> + 'a;

impl Layout {
    /// The layout of a program's runtime.
    ///
    /// # Errors
    ///
    /// It has no DWARF that says it, and its version is unknown or none of those that were looked at: which it is.
    pub fn find(image: &Image, version: Option<&GoVersion>) -> Result<Self, String> {
        let damage = match Self::from_dwarf(image) {
            Ok(Some(layout)) => return Ok(layout),
            Ok(None) => String::new(),
            Err(why) => format!(", and {why}"),
        };
        let Some(version) = version else {
            return Err(format!(
                "the program does not say its version of Go{damage}: its layout is not known"
            ));
        };
        version.minor.and_then(Self::from_table).ok_or_else(|| {
            let known = table::MINORS.map(|minor| format!("1.{minor}")).join(", ");
            format!("{version}: its layout is not known{damage}. Those of Go {known} are, and of programs with DWARF")
        })
    }

    /// What the program's DWARF says; `None` if it has none.
    ///
    /// # Errors
    ///
    /// It cannot be read: why.
    pub fn from_dwarf(image: &Image) -> Result<Option<Self>, String> {
        let Some(fields) = dwarf::fields(image, &table::STRUCTURES)? else { return Ok(None) };
        let layout = Self::of(Source::Dwarf, &|structure, field| fields.get(structure, field));
        Ok(layout.has_any().then_some(layout))
    }

    /// What the table has of a minor version of Go 1; `None` if it has nothing.
    #[must_use]
    pub fn from_table(minor: u32) -> Option<Self> {
        let layout =
            Self::of(Source::Table(minor), &|structure, field| table::offset(minor, structure, field));
        layout.has_any().then_some(layout)
    }

    fn of(source: Source, at: &Lookup<'_>) -> Self {
        let at: &Lookup<'_> = &|structure, field| at(structure, field).filter(|&offset| offset < MAX_BYTES);
        let (bucket, mstats) = (BucketLayout::of(at), MstatsLayout::of(at));
        Self {
            source,
            bucket,
            mstats,
            delta: DeltaLayout::of(at),
            controller: ControllerLayout::of(at),
            threads: ThreadLayout::of(at),
        }
    }

    fn has_any(&self) -> bool {
        self.bucket.is_some() || self.mstats.is_some()
    }
}

impl BucketLayout {
    fn of(at: &Lookup<'_>) -> Option<Self> {
        let (future, record_bytes) = (at("memRecord", "future")?, at("memRecord", "")?);
        let cycle_bytes = at("memRecordCycle", "")?;
        let futures = record_bytes.checked_sub(future)?.checked_div(cycle_bytes)?;
        // The cycles are told apart by their remainder modulo three (`runtime/mprof.go`).
        (futures == 3).then_some(())?;
        Some(Self {
            allnext: at("bucket", "allnext")?,
            typ: at("bucket", "typ")?,
            size: at("bucket", "size")?,
            nstk: at("bucket", "nstk")?,
            bytes: at("bucket", "")?,
            active: at("memRecord", "active")?,
            future,
            futures,
            record_bytes,
            allocs: at("memRecordCycle", "allocs")?,
            frees: at("memRecordCycle", "frees")?,
            cycle_bytes,
        })
    }
}

impl MstatsLayout {
    fn of(at: &Lookup<'_>) -> Option<Self> {
        let field = |name: &str| at("mstats", name);
        let heap_stats = field("heapStats")?;
        let layout = Self {
            stats: heap_stats.checked_add(at("consistentHeapStats", "stats")?)?,
            r#gen: heap_stats.checked_add(at("consistentHeapStats", "gen")?)?,
            last_gc_unix: field("last_gc_unix")?,
            pause_total_ns: field("pause_total_ns")?,
            pause_ns: field("pause_ns")?,
            pause_end: field("pause_end")?,
            numgc: field("numgc")?,
            numforcedgc: field("numforcedgc")?,
            gc_cpu_fraction: field("gc_cpu_fraction")?,
            last_gc_nanotime: field("last_gc_nanotime")?,
            enablegc: field("enablegc"),
            bytes: field(""),
        };
        let ring_bytes = layout.pause_end.checked_sub(layout.pause_ns)?;
        (ring_bytes == super::gc::RING as u64 * 8).then_some(layout)
    }
}

impl DeltaLayout {
    fn of(at: &Lookup<'_>) -> Option<Self> {
        let field = |name: &str| at("heapStatsDelta", name);
        let layout = Self {
            tiny_alloc_count: field("tinyAllocCount")?,
            large_alloc: field("largeAlloc")?,
            large_alloc_count: field("largeAllocCount")?,
            small_alloc_count: field("smallAllocCount")?,
            large_free: field("largeFree")?,
            large_free_count: field("largeFreeCount")?,
            small_free_count: field("smallFreeCount")?,
            bytes: field("")?,
        };
        let class_bytes = layout.large_free.checked_sub(layout.small_alloc_count)?;
        (class_bytes == CLASS_BYTES.len() as u64 * 8).then_some(layout)
    }
}

impl ControllerLayout {
    fn of(at: &Lookup<'_>) -> Self {
        let field = |name: &str| at("gcControllerState", name);
        Self {
            gc_percent: field("gcPercent"),
            memory_limit: field("memoryLimit"),
            gc_percent_heap_goal: field("gcPercentHeapGoal"),
            sweep_dist_min_trigger: field("sweepDistMinTrigger"),
            triggered: field("triggered"),
            heap_marked: field("heapMarked"),
            heap_free: field("heapFree"),
            total_alloc: field("totalAlloc"),
            total_free: field("totalFree"),
            mapped_ready: field("mappedReady"),
            heap_live: field("heapLive"),
            bytes: field(""),
        }
    }
}

impl ThreadLayout {
    fn of(at: &Lookup<'_>) -> Option<Self> {
        let saved = at("g", "sched")?;
        Some(Self {
            g_m: at("g", "m")?,
            g_sp: saved.checked_add(at("gobuf", "sp")?)?,
            g_bp: saved.checked_add(at("gobuf", "bp")?)?,
            m_curg: at("m", "curg")?,
            m_preemptoff: at("m", "preemptoff")?,
        })
    }
}

#[cfg(test)]
mod tests;
