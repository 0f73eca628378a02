//! Every map: key, value, who writes, who reads, limit, bytes at the limit.

use aya_ebpf::{
    EbpfContext, Global,
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    btf_maps::{self, ArrayOfMaps},
    macros::{btf_map, map},
    maps::{Array, HashMap, PerCpuArray, ProgramArray, RingBuf},
};
use tracer_ebpf::abi::{
    BlockBucket, CallBucket, CodeRange, Followed, FunctionTotals, MAX_SLOTS, MAX_TOTALS, SiteRecord,
    SiteSpread, Slot, SlotTotals, StopSlot,
    code::{CHUNK_BLOCKS, CODE_RANGES, MAX_CHUNKS},
    record::CALL_BUCKETS,
};

use super::walk::Scratch;
use tracer_ebpf::unwind::{cache::PLACES, page::Block};

/// Targets. Key: slot index. Written by user space, which has it mapped (and `announced` by the programs),
/// read by every program. Limit: [`MAX_SLOTS`]; 80 KiB.
#[map]
pub(crate) static SLOTS: Array<Slot> = Array::with_max_entries(MAX_SLOTS, BPF_F_MMAPABLE);

/// Executable ranges of all targets; a slot says which are its own. Written by user space, which has it mapped, when the
/// mappings change, read by the stack walk. Limit: [`CODE_RANGES`]; 2 MiB. What does not fit is `no_mapping`.
#[map]
pub(crate) static CODE: Array<CodeRange> = Array::with_max_entries(CODE_RANGES, BPF_F_MMAPABLE);

/// Unwind tables, in blocks ([`tracer_ebpf::unwind::page`]) of chunks of 1 MiB. Key: chunk, then block. Written by user
/// space, which makes chunks as they are needed and has them mapped, read by the stack walk. Limit: `--max-unwind`
/// (64 MiB). What does not fit is `no_table`.
#[btf_map]
pub(crate) static TABLES: ArrayOfMaps<
    btf_maps::Array<Block, { CHUNK_BLOCKS as usize }, { BPF_F_MMAPABLE as usize }>,
    { MAX_CHUNKS as usize },
> = ArrayOfMaps::new();

/// Rules by return address ([`tracer_ebpf::unwind::cache`]). Key: 0. Written by the stack walk, cleared by user space,
/// which has it mapped. 256 KiB. Full: never, a rule takes the place of another.
#[map]
pub(crate) static ROWS: Array<[u64; PLACES]> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Exact counts per function. Key: an index that user space gives to each function of each slot. Written by the
/// programs, read by user space. Limit: [`MAX_TOTALS`]; 592 KiB per CPU.
#[map]
pub(crate) static FUNCTION_TOTALS: PerCpuArray<FunctionTotals> = PerCpuArray::with_max_entries(MAX_TOTALS, 0);

/// Exact counts per target. Key: slot. Written by the programs, read by user space. Limit: [`MAX_SLOTS`];
/// 164 KiB per CPU.
#[map]
pub(crate) static SLOT_TOTALS: PerCpuArray<SlotTotals> = PerCpuArray::with_max_entries(MAX_SLOTS, 0);

/// Stops of the world of Go's runtimes. Key: slot. Set up by user space, written by the programs, read by user space.
/// Limit: [`MAX_SLOTS`]; 1.2 MiB.
#[map]
pub(crate) static STOPS: Array<StopSlot> = Array::with_max_entries(MAX_SLOTS, 0);

/// Calls in flight. Key: the last bits of the thread id, then the thread in the bucket ([`super::calls`]).
/// Written by entries, removed by returns; user space has it mapped, counts what is left and removes what ended
/// processes left. Limit: 8 calls per bucket, 32,768 in all; 2 MiB. Full: `inflight_full`.
#[map]
pub(crate) static CALLS: Array<CallBucket> = Array::with_max_entries(CALL_BUCKETS, BPF_F_MMAPABLE);

/// Live blocks. Key: a hash of address and slot, then both in the bucket ([`super::blocks`]). Written at the return
/// of an allocation, removed by its free; user space has it mapped and reads it for ages. Limit: `--max-live`
/// (1,048,576) fills three quarters; 49 bytes for each, 49 MiB (one bucket in mode `alloc`). Full: `live_full`.
#[map]
pub(crate) static LIVE: Array<BlockBucket> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Counts per call stack. Key: the stack's seeded hash ([`super::sites`]); one overflow record per slot comes first.
/// Written by the programs; user space has it mapped. Limit: `--max-stacks` (16,384) fills two thirds; 96 bytes
/// for each, 1.5 MiB. Full: `map_full`, the overflow record takes the counts.
#[map]
pub(crate) static SITES: Array<SiteRecord> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// What samples add to the record of the same index. Written by the programs; user space has it mapped. Limit: as
/// `SITES`; 120 bytes for each, 1.9 MiB.
#[map]
pub(crate) static SPREADS: Array<SiteSpread> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// How many records of `SITES` are taken. Key: 0. User space has it mapped, and gives back those of processes that are
/// gone.
#[map]
pub(crate) static SITES_TAKEN: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Frames of new stacks, each once. Written by the programs, read by user space on a timer. 8 MiB. Full:
/// `ring_full`, and the next hit of the stack tries again.
#[map]
pub(crate) static STACKS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// Execs, forks and loader events of followed processes, and of all if `WATCH_ALL`. Read at once. 256 KiB. Full:
/// counted in `PROCESS_EVENTS_LOST`.
#[map]
pub(crate) static PROCESS_EVENTS: RingBuf = RingBuf::with_byte_size(256 << 10, 0);

/// Notices that did not fit, and children that could not be followed. Key: 0. Written by the tracepoints, read by
/// user space, which then looks at all processes.
#[map]
pub(crate) static PROCESS_EVENTS_LOST: Array<u64> = Array::with_max_entries(1, 0);

/// Followed processes. Key: tgid. Written by user space and at a fork, read by the tracepoints. Limit: 4,096;
/// not preallocated.
#[map]
pub(crate) static FOLLOWED: HashMap<u32, Followed> = HashMap::with_max_entries(4096, BPF_F_NO_PREALLOC);

/// Memory of the stack walk. Four per CPU, because a uprobe program can be preempted by another one on the same
/// CPU: claimed and released atomically. 4.3 KiB each. All taken: `scratch_busy`.
#[map]
pub(crate) static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(SCRATCH_SLOTS, 0);

/// Entries of `SCRATCH`.
pub(crate) const SCRATCH_SLOTS: u32 = 4;

/// Empty for ever: see `refuse_private_stack`.
#[map]
pub(crate) static NO_PRIVATE_STACK_MULTI: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// The same for perf-event uprobes.
#[map]
pub(crate) static NO_PRIVATE_STACK_PERF: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// 0 for ever; the compiler must not know it.
#[unsafe(no_mangle)]
pub(crate) static NEVER: Global<u32> = Global::new(0);

/// 1 if stacks are walked by unwind tables, 0 if by frame pointers.
#[unsafe(no_mangle)]
pub(crate) static BY_TABLES: Global<u32> = Global::new(1);

/// 1 if stacks are told apart by the name of their thread too.
#[unsafe(no_mangle)]
pub(crate) static BY_THREAD: Global<u32> = Global::new(0);

/// 1 if rules are kept by return address, 0 if each is looked up in its table: what the benchmark compares.
#[unsafe(no_mangle)]
pub(crate) static KEEP_ROWS: Global<u32> = Global::new(1);

/// Above 0 the thread of one in so many walked stacks is stopped at that very moment (SIGSTOP), for a debugger to
/// compare: only tests set it.
#[unsafe(no_mangle)]
pub(crate) static STOP_ONE_IN: Global<u32> = Global::new(0);

/// 1 if the kernel has `bpf_loop` (Linux 5.17).
#[unsafe(no_mangle)]
pub(crate) static HAS_BPF_LOOP: Global<u32> = Global::new(1);

/// Buckets of `LIVE`.
#[unsafe(no_mangle)]
pub(crate) static LIVE_BUCKETS: Global<u32> = Global::new(1);

/// Places of `SITES` after the overflow records.
#[unsafe(no_mangle)]
pub(crate) static SITE_PLACES: Global<u32> = Global::new(1);

/// Call stacks kept apart at most.
#[unsafe(no_mangle)]
pub(crate) static MAX_STACKS: Global<u32> = Global::new(1);

/// 1 if the execs and forks of every process are reported, not only those of followed ones.
#[unsafe(no_mangle)]
pub(crate) static WATCH_ALL: Global<u32> = Global::new(0);

/// Offset of `pid` in the kernel's `task_struct`, from its BTF; 0 if unknown, then forks are not followed.
#[unsafe(no_mangle)]
pub(crate) static TASK_PID_OFFSET: Global<u32> = Global::new(0);

/// Offset of `tgid` in the kernel's `task_struct`.
#[unsafe(no_mangle)]
pub(crate) static TASK_TGID_OFFSET: Global<u32> = Global::new(0);

/// Jumps to the program in an array that has none.
#[inline(always)]
pub(crate) fn tail_call<C: EbpfContext>(ctx: &C, array: &ProgramArray) {
    // SAFETY: the array is empty, so the call falls through.
    unsafe { array.tail_call(ctx, 0) };
}

/// A copy of a hash map's value.
#[inline(always)]
pub(crate) fn get<K, V: Copy>(map: &HashMap<K, V>, key: &K) -> Option<V> {
    // SAFETY: an element that is reused while it is copied gives a mix of two values, which are notices' hints only.
    unsafe { map.get(key).copied() }
}
