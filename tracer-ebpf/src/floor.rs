//! The floors: empty uprobe programs, which the benchmark attaches where tracer attaches its own.
//!
//! What a pair costs under them is the price of the probes alone. They end as the programs of `main.rs` end,
//! so that the kernel builds the same frame round them; they must never do anything else.
#![no_std]
#![no_main]
#![expect(
    missing_docs,
    unreachable_pub,
    reason = "the attribute macros write a second, undocumented function"
)]

use aya_ebpf::{
    EbpfContext, Global,
    macros::{map, uprobe, uretprobe},
    maps::ProgramArray,
    programs::{ProbeContext, RetProbeContext},
};

/// Empty for ever: see `refuse_private_stack` in `programs/mod.rs`.
#[map]
static NO_PRIVATE_STACK: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// 0 for ever; the compiler must not know it.
// SAFETY: no other symbol of the object has this name.
#[unsafe(no_mangle)]
static NEVER: Global<u32> = Global::new(0);

/// Entry of a function.
#[uprobe(multi)]
pub fn floor_enter(ctx: ProbeContext) -> u32 {
    refuse_private_stack(&ctx)
}

/// Return of a function.
#[uretprobe(multi)]
pub fn floor_leave(ctx: RetProbeContext) -> u32 {
    refuse_private_stack(&ctx)
}

/// Ends as every program of tracer ends: with a tail call that is never taken.
#[inline(always)]
fn refuse_private_stack<C: EbpfContext>(ctx: &C) -> u32 {
    if NEVER.load() != 0 {
        // SAFETY: the array is empty, so the call falls through.
        unsafe { NO_PRIVATE_STACK.tail_call(ctx, 0) };
    }
    0
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
