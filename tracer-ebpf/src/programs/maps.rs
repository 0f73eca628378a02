//! Every map: key, value, who writes, who reads, limit, bytes at the limit.

use aya_ebpf::{
    EbpfContext, Global,
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap, PerCpuArray, ProgramArray, RingBuf},
};
use tracer_ebpf::abi::{
    Followed, FunctionTotals, InFlight, LiveBlock, LiveKey, MAX_FUNCTIONS, MAX_SLOTS, Moved, SiteRecord,
    Slot, SlotTotals, TextRanges, ThreadKey,
};

use super::walk::Scratch;

/// Targets. Key: slot index. Written by user space at attach (and `pending_tails` by the programs), read by
/// every program. Limit: [`MAX_SLOTS`]; 78 KiB.
#[map]
pub(crate) static SLOTS: Array<Slot> = Array::with_max_entries(MAX_SLOTS, 0);

/// Executable ranges of each target. Key: slot index. Written by user space when the mappings change, read by
/// the stack walk. Limit: [`MAX_SLOTS`]; 512 KiB.
#[map]
pub(crate) static TEXT: Array<TextRanges> = Array::with_max_entries(MAX_SLOTS, 0);

/// Exact counts per function. Key: slot × [`MAX_FUNCTIONS`] + function. Written by the programs, read by user
/// space. Limit: 8,192; 256 KiB per CPU.
#[map]
pub(crate) static FUNCTION_TOTALS: PerCpuArray<FunctionTotals> =
    PerCpuArray::with_max_entries(MAX_SLOTS * MAX_FUNCTIONS, 0);

/// Exact counts per target. Key: slot. Written by the programs, read by user space. Limit: [`MAX_SLOTS`];
/// 196 KiB per CPU.
#[map]
pub(crate) static SLOT_TOTALS: PerCpuArray<SlotTotals> = PerCpuArray::with_max_entries(MAX_SLOTS, 0);

/// Calls in flight. Key: thread and SP at entry. Written by entries, removed by returns, read by both.
/// Limit: 16,384 calls (user space may raise it); 104 bytes each, 1.6 MiB, preallocated. Full: `inflight_full`.
#[map]
pub(crate) static IN_FLIGHT: HashMap<ThreadKey, InFlight> = HashMap::with_max_entries(16_384, 0);

/// Old blocks of reallocs in flight. Key as `IN_FLIGHT`. Written at entry, removed at return. Limit: 16,384;
/// not preallocated. Full: `inflight_full`.
#[map]
pub(crate) static MOVED: HashMap<ThreadKey, Moved> = HashMap::with_max_entries(16_384, BPF_F_NO_PREALLOC);

/// Live blocks. Key: address and slot. Written at the return of an allocation, removed by its free, read by user
/// space for ages. Limit: `--max-live` (1,048,576); 16 bytes each, and 96 more when used (not preallocated). Full: `live_full`.
#[map]
pub(crate) static LIVE: HashMap<LiveKey, LiveBlock> = HashMap::with_max_entries(1_048_576, BPF_F_NO_PREALLOC);

/// Counts per call stack. Key: the stack's seeded hash. Written by the programs (and by user space one overflow
/// record per slot), read by user space. Limit: `--max-stacks` (16,384); 128 bytes each, 2 MiB, preallocated.
/// Full: `map_full`, the overflow record takes the counts.
#[map]
pub(crate) static SITES: HashMap<u64, SiteRecord> = HashMap::with_max_entries(16_384, 0);

/// Frames of new stacks, each once. Written by the programs, read by user space on a timer. 4 MiB. Full:
/// `ring_full`, and the next hit of the stack tries again.
#[map]
pub(crate) static STACKS: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// Execs, forks and loader events of followed processes. Read at once. 64 KiB.
#[map]
pub(crate) static PROCESS_EVENTS: RingBuf = RingBuf::with_byte_size(64 << 10, 0);

/// Followed processes. Key: tgid. Written by user space and at a fork, read by the tracepoints. Limit: 4,096;
/// not preallocated.
#[map]
pub(crate) static FOLLOWED: HashMap<u32, Followed> = HashMap::with_max_entries(4096, BPF_F_NO_PREALLOC);

/// Memory of the stack walk. Four per CPU, because a uprobe program can be preempted by another one on the same
/// CPU: claimed and released atomically. 2.2 KiB each. All taken: `scratch_busy`.
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
    // SAFETY: a preallocated element may be reused while it is copied; callers hold the only right to remove
    // their key (one thread's call in flight, one block's free).
    unsafe { map.get(key).copied() }
}
