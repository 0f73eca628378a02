//! The only module that talks to BPF: loads the programs, attaches them, reads and writes their maps.
//!
//! Links are file descriptors: when this process ends, however it ends, the kernel removes every probe.

pub mod attach;
pub mod batch;
pub mod btf;
pub mod preflight;
pub mod seccomp_trial;

use std::fs::File;
use std::os::fd::AsFd;

use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, RingBuf};
use aya::{Ebpf, EbpfLoader};
use tracer_ebpf::abi::{
    Followed, FunctionTotals, InFlight, LiveBlock, LiveKey, MAX_FUNCTIONS, MAX_SLOTS, Range, SiteRecord,
    Slot, SlotTotals, TextRanges, ThreadKey, slot::MAX_TEXT,
};

use self::attach::{Kind, Links};
use self::btf::TaskOffsets;
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
    /// Blocks followed.
    pub max_live: u32,
    /// What is traced: mode `alloc` needs no live map.
    pub mode: Mode,
    /// How probes are attached.
    pub kind: Kind,
    /// Offsets in the kernel's `task_struct`, if its BTF says them.
    pub task: Option<TaskOffsets>,
    /// Deliver the programs' own messages.
    pub log: bool,
}

/// The ring buffer of process events.
pub type NoticeRing = RingBuf<MapData>;

/// The loaded programs and their maps.
pub struct Kernel {
    ebpf: Ebpf,
    kind: Kind,
    mode: Mode,
    logger: Option<aya_log::EbpfLogger<&'static dyn log::Log>>,
    slots: Array<MapData, Slot>,
    text: Array<MapData, TextRanges>,
    function_totals: PerCpuArray<MapData, FunctionTotals>,
    slot_totals: PerCpuArray<MapData, SlotTotals>,
    sites: Dump<u64, SiteRecord>,
    live: Dump<LiveKey, LiveBlock>,
    in_flight: Dump<ThreadKey, InFlight>,
    followed: HashMap<MapData, u32, Followed>,
    stacks: RingBuf<MapData>,
    process_events: Option<RingBuf<MapData>>,
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
        let live_max = if options.mode == Mode::Live { options.max_live } else { 1 };
        let task = options.task.unwrap_or_default();
        let log_level: u8 = if options.log { 5 } else { 0 };
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("SITES", options.max_stacks.saturating_add(MAX_SLOTS))
            .map_max_entries("LIVE", live_max)
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
        insert_overflow_records(&mut ebpf)?;
        Ok(Self {
            slots: map(&mut ebpf, "SLOTS")?,
            text: map(&mut ebpf, "TEXT")?,
            function_totals: map(&mut ebpf, "FUNCTION_TOTALS")?,
            slot_totals: map(&mut ebpf, "SLOT_TOTALS")?,
            sites: Dump::of(&mut ebpf, "SITES")?,
            live: Dump::of(&mut ebpf, "LIVE")?,
            in_flight: Dump::of(&mut ebpf, "IN_FLIGHT")?,
            followed: map(&mut ebpf, "FOLLOWED")?,
            stacks: map(&mut ebpf, "STACKS")?,
            process_events: Some(map(&mut ebpf, "PROCESS_EVENTS")?),
            kind: options.kind,
            mode: options.mode,
            logger,
            ebpf,
        })
    }

    /// How probes are attached.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Writes a slot as a whole.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn set_slot(&mut self, index: u32, slot: &Slot) -> Result<(), KernelError> {
        self.slots.set(index, slot, 0).map_err(|error| map_error("SLOTS", &error))
    }

    /// Tells the walk which ranges of a target are executable; sorted, at most [`MAX_TEXT`].
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn set_text(&mut self, index: u32, sorted: &[Range]) -> Result<(), KernelError> {
        let unused = Range { start: u64::MAX, end: u64::MAX };
        let mut ranges = [unused; MAX_TEXT];
        for (to, from) in ranges.iter_mut().zip(sorted) {
            *to = *from;
        }
        self.text.set(index, &TextRanges { ranges }, 0).map_err(|error| map_error("TEXT", &error))
    }

    /// Follows the life of a process: its execs, forks and library loads are noticed.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn follow(&mut self, tgid: u32, followed: Followed) -> Result<(), KernelError> {
        self.followed.insert(&tgid, &followed, 0).map_err(|error| map_error("FOLLOWED", &error))
    }

    /// Forgets a process that has ended: its pid may come to mean another one.
    pub fn unfollow(&mut self, tgid: u32) {
        // It may never have been followed.
        let _ = self.followed.remove(&tgid);
    }

    /// Attaches the programs of the mode to the points of one object in one process.
    ///
    /// # Errors
    ///
    /// The kernel's refusal of any of them; those attached so far are removed.
    pub fn attach(&mut self, pid: u32, object: &File, points: &attach::Points) -> Result<Links, KernelError> {
        attach::attach(&mut self.ebpf, self.kind, self.mode, pid, object, points)
    }

    /// Attaches to the loader's rendezvous function, to learn when libraries are loaded.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn attach_rendezvous(
        &mut self,
        pid: u32,
        loader: &File,
        file_offset: u64,
    ) -> Result<Links, KernelError> {
        attach::rendezvous(&mut self.ebpf, self.kind, pid, loader, file_offset)
    }

    /// Attaches to the exec and fork of every process; only the followed ones are reported.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn attach_process_events(&mut self) -> Result<(), KernelError> {
        attach::process_events(&mut self.ebpf)
    }

    /// The ring buffer of process events, once.
    pub fn take_process_events(&mut self) -> Option<NoticeRing> {
        self.process_events.take()
    }

    /// Gives each new stack record to `take`.
    pub fn drain_stacks(&mut self, mut take: impl FnMut(&[u8])) {
        while let Some(record) = self.stacks.next() {
            take(&record);
        }
    }

    /// Delivers the programs' own messages to the log.
    pub fn flush_log(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }

    /// All site records.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn sites(&self) -> Result<Vec<(u64, SiteRecord)>, KernelError> {
        self.sites.read()
    }

    /// All live blocks.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn live_blocks(&self) -> Result<Vec<(LiveKey, LiveBlock)>, KernelError> {
        self.live.read()
    }

    /// All calls in flight.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn calls_in_flight(&self) -> Result<Vec<(ThreadKey, InFlight)>, KernelError> {
        self.in_flight.read()
    }

    /// The totals of one function of one slot, summed over the CPUs.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn function_totals(&self, slot: u32, function: u32) -> Result<FunctionTotals, KernelError> {
        let index = slot * MAX_FUNCTIONS + function;
        let per_cpu =
            self.function_totals.get(&index, 0).map_err(|error| map_error("FUNCTION_TOTALS", &error))?;
        Ok(per_cpu.iter().fold(FunctionTotals::default(), |sum, cpu| FunctionTotals {
            calls: sum.calls + cpu.calls,
            bytes: sum.bytes.wrapping_add(cpu.bytes),
            failed: sum.failed + cpu.failed,
            _reserved: 0,
        }))
    }

    /// The totals of one slot, one entry per CPU.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub fn slot_totals(&self, slot: u32) -> Result<Vec<SlotTotals>, KernelError> {
        let per_cpu = self.slot_totals.get(&slot, 0).map_err(|error| map_error("SLOT_TOTALS", &error))?;
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

/// One record per slot takes what has no record of its own.
fn insert_overflow_records(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    const NAME: &str = "SITES";
    let Some(map) = ebpf.map_mut(NAME) else {
        return Err(KernelError::Map { map: NAME, reason: "it is not in the BPF object".to_owned() });
    };
    let mut sites: HashMap<_, u64, SiteRecord> =
        HashMap::try_from(map).map_err(|error| map_error(NAME, &error))?;
    for slot in 0..MAX_SLOTS {
        let record = SiteRecord { slot, sent: 1, ..SiteRecord::default() };
        sites.insert(&SiteRecord::overflow_key(slot), &record, 0).map_err(|error| map_error(NAME, &error))?;
    }
    Ok(())
}

/// A hash map that is read as a whole.
struct Dump<K, V> {
    name: &'static str,
    map: MapData,
    types: std::marker::PhantomData<(K, V)>,
}

impl<K: aya::Pod, V: aya::Pod> Dump<K, V> {
    fn of(ebpf: &mut Ebpf, name: &'static str) -> Result<Self, KernelError> {
        match ebpf.take_map(name) {
            Some(Map::HashMap(map)) => Ok(Self { name, map, types: std::marker::PhantomData }),
            _ => Err(KernelError::Map {
                map: name,
                reason: "it is not a hash map of the BPF object".to_owned(),
            }),
        }
    }

    fn read(&self) -> Result<Vec<(K, V)>, KernelError> {
        batch::read_hash(self.map.fd().as_fd())
            .map_err(|error| KernelError::Map { map: self.name, reason: error.to_string() })
    }
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
