//! The hook table: every BPF program, how it is attached, and one call.
//!
//! Each uprobe program exists twice, because `uprobe.multi` and perf-event uprobes are different kinds to the
//! kernel. User space loads only those that it attaches.
#![no_std]
#![no_main]
#![expect(internal_features, reason = "on the stock BPF target atomics are compiler intrinsics")]
#![expect(
    missing_docs,
    unreachable_pub,
    reason = "the attribute macros write a second, undocumented function"
)]
#![feature(core_intrinsics, asm_experimental_arch)]

mod programs;

use aya_ebpf::{
    macros::{raw_tracepoint, uprobe, uretprobe},
    programs::{ProbeContext, RawTracePointContext, RetProbeContext},
};
use programs::{alloc, free, live, process, stops};

/// Declares a uprobe program for both ways of attaching.
macro_rules! hook {
    ($(#[$doc:meta])* $kind:ident $multi:ident / $perf:ident ($context:ty) => $call:path) => {
        $(#[$doc])*
        #[$kind(multi)]
        pub fn $multi(ctx: $context) -> u32 {
            $call(&ctx);
            programs::refuse_private_stack(&ctx, programs::Attach::Multi)
        }

        $(#[$doc])*
        #[$kind]
        pub fn $perf(ctx: $context) -> u32 {
            $call(&ctx);
            programs::refuse_private_stack(&ctx, programs::Attach::Perf)
        }
    };
}

hook! {
    /// Mode `alloc`, entry of an allocating function: count and walk.
    uprobe alloc_enter / alloc_enter_perf (ProbeContext) => alloc::enter
}
hook! {
    /// Mode `alloc`, a jump from one allocating function to another: the call is counted already.
    uprobe alloc_jump / alloc_jump_perf (ProbeContext) => alloc::jump
}
hook! {
    /// Mode `live`, entry of an allocating function: remember the call.
    uprobe live_enter / live_enter_perf (ProbeContext) => live::enter
}
hook! {
    /// Mode `live`, return of an allocating function: count, walk, follow the block.
    uretprobe live_leave / live_leave_perf (RetProbeContext) => live::leave
}
hook! {
    /// Mode `live`, a `ret` instruction of an allocating function that may have no return probe: the same.
    uprobe live_ret / live_ret_perf (ProbeContext) => live::leave_at_ret
}
hook! {
    /// Mode `live`, entry of a freeing function: the block is gone.
    uprobe live_free / live_free_perf (ProbeContext) => free::enter
}
hook! {
    /// Mode `live`, a jump from one freeing function to another: the block is taken out already.
    uprobe live_jump / live_jump_perf (ProbeContext) => free::jump
}
hook! {
    /// The dynamic loader's rendezvous function: the mappings have changed.
    uprobe loader_rendezvous / loader_rendezvous_perf (ProbeContext) => process::rendezvous
}

hook! {
    /// Go: a collection is asked for, the world is stopped, or goes on.
    uprobe world_stop / world_stop_perf (ProbeContext) => stops::enter
}

/// A process executes another program.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn process_exec(_ctx: RawTracePointContext) -> i32 {
    process::exec();
    0
}

/// A process or thread is created.
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn process_fork(ctx: RawTracePointContext) -> i32 {
    process::fork(&ctx);
    0
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
