//! Notices of what followed processes do: exec, fork, loading of libraries.

use aya_ebpf::{
    bindings::BPF_RB_FORCE_WAKEUP,
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_kernel, generated::bpf_send_signal},
    programs::{ProbeContext, RawTracePointContext},
};
use tracer_ebpf::abi::{
    EventHeader, EventKind, Followed,
    slot::{HOLD_AT_EXEC, HOLD_AT_LOADER},
};

use super::maps::{FOLLOWED, PROCESS_EVENTS, SLOTS, TASK_PID_OFFSET, TASK_TGID_OFFSET, get};

const SIGSTOP: u32 = 19;

#[inline(always)]
fn current_tgid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

#[inline(always)]
fn notify(kind: EventKind, tgid: u32, value: u64) {
    let event = EventHeader { kind: kind as u32, tgid, value };
    // A thread of user space does nothing but read this ring, which holds 2,700 notices.
    let _ = PROCESS_EVENTS.output(&event, u64::from(BPF_RB_FORCE_WAKEUP));
}

/// Stops the current process for user space to attach.
#[inline(always)]
fn hold() {
    // SAFETY: a helper that signals the current task.
    unsafe { bpf_send_signal(SIGSTOP) };
}

/// The current process has executed another program: its heap is gone, so its slot stops counting.
#[inline(always)]
pub(crate) fn exec() {
    let tgid = current_tgid();
    let Some(followed) = get(&FOLLOWED, &tgid) else { return };
    if let Some(slot) = SLOTS.get_ptr_mut(followed.slot) {
        // SAFETY: a pointer into the map's value.
        unsafe { core::ptr::write_volatile(&raw mut (*slot).counting, 0) };
    }
    if followed.hold & HOLD_AT_EXEC != 0 {
        hold();
    }
    notify(EventKind::Exec, tgid, 0);
}

/// A task is created: a followed process may have a child. The tracepoint's second argument is its task_struct.
#[inline(always)]
pub(crate) fn fork(ctx: &RawTracePointContext) {
    let parent = current_tgid();
    if get(&FOLLOWED, &parent).is_none() || TASK_PID_OFFSET.load() == 0 {
        return;
    }
    let task = ctx.arg::<u64>(1);
    // SAFETY: the helper checks the address and fails on a fault.
    let pid = unsafe { bpf_probe_read_kernel((task + u64::from(TASK_PID_OFFSET.load())) as *const u32) };
    // SAFETY: as above.
    let tgid = unsafe { bpf_probe_read_kernel((task + u64::from(TASK_TGID_OFFSET.load())) as *const u32) };
    let (Ok(pid), Ok(tgid)) = (pid, tgid) else { return };
    if pid != tgid {
        return;
    }
    let _ = FOLLOWED.insert(&tgid, &Followed { slot: u32::MAX, hold: 0 }, 0);
    notify(EventKind::Fork, parent, u64::from(tgid));
}

/// The loader has changed the mappings of the current process, or is about to.
#[inline(always)]
pub(crate) fn rendezvous(_ctx: &ProbeContext) {
    let tgid = current_tgid();
    if let Some(followed) = get(&FOLLOWED, &tgid)
        && followed.hold & HOLD_AT_LOADER != 0
    {
        hold();
    }
    notify(EventKind::Loaded, tgid, 0);
}
