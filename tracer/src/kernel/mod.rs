//! The only module that talks to BPF: loads the programs, attaches them, reads and writes their maps.
//!
//! Links are file descriptors: when this process ends, however it ends, the kernel removes every probe.

pub mod attach;
pub mod btf;
mod calls;
mod code;
mod forget;
pub mod memory;
pub mod preflight;
mod processes;
mod records;
mod runs;
pub mod seccomp_trial;
mod sizes;
mod slot_set;
mod stops;
mod table;
mod tables;

use std::fs::File;
use std::mem::offset_of;
use std::sync::atomic::Ordering;

use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, RingBuf};
use aya::{Ebpf, EbpfLoader};
use tracer_ebpf::abi::record::{BUCKET_BLOCKS, CALL_BUCKETS, KEY_RESERVED};
use tracer_ebpf::abi::{
    BlockBucket, CallBucket, Followed, FunctionTotals, LiveBlock, MAX_SLOTS, Range, SiteRecord, SiteSpread,
    Slot, SlotTotals, StopSlot,
    slot::{MAX_HULLS, MAX_NESTED},
    slot_place,
};

use self::attach::{Kind, Links};
use self::btf::TaskOffsets;
use self::code::Code;
pub use self::runs::Runs;
use self::sizes::Sizes;
pub use self::slot_set::SlotSet;
use self::table::Table;
pub use self::tables::{Placed, Tables};
use crate::mode::Mode;

/// What failed on the way to the kernel, and what would help.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The kernel refused the object or a program.
    #[error("failed to load the BPF programs: {reason}")]
    Load {
        /// The kernel's words.
        reason: String,
    },
    /// The kernel refused a probe.
    #[error("failed to attach to {object}: {reason}")]
    Attach {
        /// Path of the probed file.
        object: String,
        /// The kernel's words.
        reason: String,
        /// The process has ended meanwhile.
        gone: bool,
    },
    /// A map could not be read or written.
    #[error("failed to access the BPF map {map}: {reason}")]
    Map {
        /// Its name.
        map: &'static str,
        /// The kernel's words.
        reason: String,
    },
}

/// What the loader must know.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Call stacks kept apart.
    pub max_stacks: u32,
    /// Functions that are counted apart in all.
    pub functions: u32,
    /// Blocks followed.
    pub max_live: u32,
    /// Stacks are walked by unwind tables, not by frame pointers.
    pub by_tables: bool,
    /// Stacks are told apart by the name of their thread.
    pub by_thread: bool,
    /// Rules are kept by return address.
    pub keep_rows: bool,
    /// Use `bpf_loop` if the kernel has it.
    pub bpf_loop: bool,
    /// Above 0 the target is stopped at one in so many samples: for tests.
    pub stop_one_in: u32,
    /// Bytes that unwind tables may take.
    pub max_unwind_bytes: u64,
    /// Blocks may be followed: where none is, the table of live blocks takes no memory.
    pub may_follow: bool,
    /// How probes are attached.
    pub kind: Kind,
    /// Offsets in the kernel's `task_struct`, if its BTF says them.
    pub task: Option<TaskOffsets>,
    /// The execs and forks of every process are reported, not only those of followed ones.
    pub watch_all: bool,
    /// Deliver the programs' own messages.
    pub log: bool,
}

/// Bytes of the ring buffer of new stacks (`STACKS` in tracer-ebpf/src/programs/maps.rs).
pub const RING_BYTES: u64 = 8 << 20;

/// The ring buffer of process events.
pub type NoticeRing = RingBuf<MapData>;

/// The loaded programs and their maps.
pub struct Kernel {
    ebpf: Ebpf,
    functions: u32,
    kind: Kind,
    logger: Option<aya_log::EbpfLogger<&'static dyn log::Log>>,
    slots: Table<Slot>,
    code: Code,
    tables: Option<Tables>,
    function_totals: PerCpuArray<MapData, FunctionTotals>,
    slot_totals: PerCpuArray<MapData, SlotTotals>,
    sites: Table<SiteRecord>,
    sites_taken: Table<u64>,
    spreads: Table<SiteSpread>,
    live: Table<BlockBucket>,
    calls: Table<CallBucket>,
    followed: HashMap<MapData, u32, Followed>,
    stacks: RingBuf<MapData>,
    stops: Array<MapData, StopSlot>,
    process_events: Option<RingBuf<MapData>>,
    process_events_lost: Array<MapData, u64>,
}

/// The BPF object, aligned as aya's ELF reader needs it.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("TRACER_BPF_OBJECT"));

impl Kernel {
    /// Loads the object; nothing is attached yet.
    ///
    /// # Errors
    ///
    /// The kernel's refusal, with what would help.
    pub fn load(options: &LoadOptions) -> Result<Self, KernelError> {
        let sizes = Sizes::of(options);
        let task = options.task.unwrap_or_default();
        let log_level: u8 = if options.log { 5 } else { 0 };
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("SITES", sizes.sites())
            .map_max_entries("SPREADS", sizes.sites())
            .map_max_entries("LIVE", sizes.live_buckets)
            .map_max_entries("FUNCTION_TOTALS", options.functions)
            .override_global("SITE_PLACES", &sizes.site_places, true)
            .override_global("LIVE_BUCKETS", &sizes.live_buckets, true)
            .override_global("MAX_STACKS", &options.max_stacks, true)
            .override_global("BY_TABLES", &u32::from(options.by_tables), true)
            .override_global("HAS_BPF_LOOP", &u32::from(options.bpf_loop && preflight::has_bpf_loop()), true)
            .override_global("BY_THREAD", &u32::from(options.by_thread), true)
            .override_global("KEEP_ROWS", &u32::from(options.keep_rows), true)
            .override_global("STOP_ONE_IN", &options.stop_one_in, true)
            .override_global("WATCH_ALL", &u32::from(options.watch_all), true)
            .override_global("TASK_PID_OFFSET", &task.pid, true)
            .override_global("TASK_TGID_OFFSET", &task.tgid, true)
            .override_global(aya_log::LEVEL, &log_level, true)
            .load(OBJECT)
            .map_err(|error| load_error(&error))?;
        let logger = if options.log {
            let logger = aya_log::EbpfLogger::init(&mut ebpf).map_err(|error| load_error(&error))?;
            Some(logger)
        } else {
            None
        };
        Ok(Self {
            slots: Table::of(ebpf.take_map("SLOTS"), "SLOTS", MAX_SLOTS)?,
            code: Code::of(ebpf.take_map("CODE"), ebpf.take_map("ROWS"))?,
            tables: Some(Tables::of(ebpf.take_map("TABLES"), options.max_unwind_bytes)?),
            function_totals: map(&mut ebpf, "FUNCTION_TOTALS")?,
            slot_totals: map(&mut ebpf, "SLOT_TOTALS")?,
            sites: Table::of(ebpf.take_map("SITES"), "SITES", sizes.sites())?,
            sites_taken: Table::of(ebpf.take_map("SITES_TAKEN"), "SITES_TAKEN", 1)?,
            spreads: Table::of(ebpf.take_map("SPREADS"), "SPREADS", sizes.sites())?,
            live: Table::of(ebpf.take_map("LIVE"), "LIVE", sizes.live_buckets)?,
            calls: Table::of(ebpf.take_map("CALLS"), "CALLS", CALL_BUCKETS)?,
            followed: map(&mut ebpf, "FOLLOWED")?,
            stacks: map(&mut ebpf, "STACKS")?,
            stops: map(&mut ebpf, "STOPS")?,
            process_events: Some(map(&mut ebpf, "PROCESS_EVENTS")?),
            functions: options.functions,
            process_events_lost: map(&mut ebpf, "PROCESS_EVENTS_LOST")?,
            kind: options.kind,
            logger,
            ebpf,
        })
    }

    /// How many functions can be counted apart.
    #[must_use]
    pub const fn functions(&self) -> u32 {
        self.functions
    }

    /// How probes are attached.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Writes a slot that does not count yet, and says whose its overflow record is.
    pub fn set_slot(&mut self, index: u32, slot: &Slot) {
        let row_key = self.new_row_key(index);
        self.slots.write(slot_place(index), &Slot { row_key, ..*slot });
        let owner = self.sites.word(slot_place(index), offset_of!(SiteRecord, sent));
        owner.store(1 + u64::from(index), Ordering::Release);
    }

    /// Tells a slot that may count where the code of its allocators is now.
    pub fn set_regions(
        &self,
        index: u32,
        (hulls, nested): &([Range; MAX_HULLS], [Range; MAX_NESTED]),
        passes_on: bool,
    ) {
        let index = slot_place(index);
        let put = |base: usize, ranges: &[Range]| {
            for (number, range) in ranges.iter().enumerate() {
                let at = base + number * size_of::<Range>();
                self.slots.word(index, at + offset_of!(Range, start)).store(range.start, Ordering::Relaxed);
                self.slots.word(index, at + offset_of!(Range, end)).store(range.end, Ordering::Release);
            }
        };
        put(offset_of!(Slot, nested), nested);
        put(offset_of!(Slot, hulls), hulls);
        self.slots.word(index, offset_of!(Slot, passes_on)).store(u64::from(passes_on), Ordering::Release);
    }

    /// Begins or ends the counting of a slot.
    pub fn set_counting(&self, index: u32, counting: bool) {
        self.slots
            .half(slot_place(index), offset_of!(Slot, counting))
            .store(u32::from(counting), Ordering::Release);
    }

    /// Changes the mean bytes between samples of a slot, at any time; 0 is every allocation.
    pub fn set_sample_bytes(&self, index: u32, sample_bytes: u64) {
        self.slots
            .word(slot_place(index), offset_of!(Slot, sample_bytes))
            .store(sample_bytes, Ordering::Release);
    }

    /// The unwind tables, once: another thread fills them.
    pub fn take_tables(&mut self) -> Option<Tables> {
        self.tables.take()
    }

    /// Attaches the programs of a mode to the points of one object in one process.
    ///
    /// # Errors
    ///
    /// The kernel's refusal of any of them; those attached so far are removed.
    pub fn attach(
        &mut self,
        pid: u32,
        mode: Mode,
        object: &File,
        points: &attach::Points,
    ) -> Result<Links, KernelError> {
        attach::attach(&mut self.ebpf, self.kind, mode, pid, object, points)
    }

    /// Gives new stack records to `take`, as long as there are any and it says so.
    pub fn drain_stacks(&mut self, mut take: impl FnMut(&[u8]) -> bool) {
        while let Some(record) = self.stacks.next() {
            if !take(&record) {
                return;
            }
        }
    }

    /// Delivers the programs' own messages to the log.
    pub fn flush_log(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }

    /// Buckets of the table of live blocks.
    #[must_use]
    pub const fn live_buckets(&self) -> u32 {
        self.live.len()
    }

    /// The live blocks of some buckets.
    pub fn live_blocks(&self, buckets: std::ops::Range<u32>) -> impl Iterator<Item = LiveBlock> {
        let word = |bucket, offset| self.live.word(bucket, offset).load(Ordering::Relaxed);
        buckets.flat_map(move |bucket| {
            let used = move |entry: &usize| {
                word(bucket, offset_of!(BlockBucket, keys) + entry * size_of::<u64>()) > KEY_RESERVED
            };
            (0..BUCKET_BLOCKS).filter(used).map(move |entry| {
                let base = offset_of!(BlockBucket, blocks) + entry * size_of::<LiveBlock>();
                // The first word is two numbers.
                let first = word(bucket, base);
                LiveBlock {
                    site: first as u32,
                    interval: (first >> 32) as u32,
                    size_bytes: word(bucket, base + offset_of!(LiveBlock, size_bytes)),
                    born_ns: word(bucket, base + offset_of!(LiveBlock, born_ns)),
                }
            })
        })
    }

    /// The totals of one function, one entry per CPU.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn function_totals(&self, index: u32) -> Result<Vec<FunctionTotals>, KernelError> {
        let per_cpu =
            self.function_totals.get(&index, 0).map_err(|error| map_error("FUNCTION_TOTALS", &error))?;
        Ok(per_cpu.iter().copied().collect())
    }

    /// The totals of one slot, one entry per CPU.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn slot_totals(&self, slot: u32) -> Result<Vec<SlotTotals>, KernelError> {
        let per_cpu =
            self.slot_totals.get(&slot_place(slot), 0).map_err(|error| map_error("SLOT_TOTALS", &error))?;
        Ok(per_cpu.iter().copied().collect())
    }
}

/// Takes a typed map out of the object.
fn map<M: TryFrom<Map, Error = aya::maps::MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<M, KernelError> {
    let map = ebpf
        .take_map(name)
        .ok_or_else(|| KernelError::Map { map: name, reason: "it is not in the BPF object".to_owned() })?;
    M::try_from(map).map_err(|error| map_error(name, &error))
}

fn map_error(map: &'static str, error: &aya::maps::MapError) -> KernelError {
    KernelError::Map { map, reason: chain(error) }
}

fn load_error(error: &(dyn std::error::Error + 'static)) -> KernelError {
    KernelError::Load { reason: chain(error) }
}

/// An error and its causes, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
