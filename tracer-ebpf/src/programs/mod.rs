//! The BPF programs, in the order in which an allocation meets them.

pub(crate) mod alloc;
pub(crate) mod atomic;
pub(crate) mod blocks;
pub(crate) mod call;
pub(crate) mod calls;
pub(crate) mod count;
pub(crate) mod free;
pub(crate) mod live;
pub(crate) mod maps;
pub(crate) mod process;
pub(crate) mod sample;
pub(crate) mod sites;
pub(crate) mod stops;
pub(crate) mod user;
pub(crate) mod walk;

use aya_ebpf::EbpfContext;

/// How a program is attached.
#[derive(Clone, Copy)]
pub(crate) enum Attach {
    Multi,
    Perf,
}

/// Ends every uprobe program with a tail call that is never taken.
///
/// Kernels from 6.13 give a uprobe program with 64 bytes of stack or more a per-CPU private stack, which a
/// preempting program overwrites. A program that holds a tail call never gets one (kernel commit
/// a76ab5731e32, `check_max_stack_depth`). The two kinds need two arrays: a program array accepts one attach
/// type only.
#[inline(always)]
pub(crate) fn refuse_private_stack<C: EbpfContext>(ctx: &C, attach: Attach) -> u32 {
    if maps::NEVER.load() != 0 {
        match attach {
            Attach::Multi => maps::tail_call(ctx, &maps::NO_PRIVATE_STACK_MULTI),
            Attach::Perf => maps::tail_call(ctx, &maps::NO_PRIVATE_STACK_PERF),
        }
    }
    0
}
