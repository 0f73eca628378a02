//! Notices of what processes do: exec, fork, loading of libraries. Of followed ones, or of all (`WATCH_ALL`).

use aya_ebpf::{
    bindings::BPF_RB_FORCE_WAKEUP,
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_prandom_u32, bpf_ktime_get_ns,
        bpf_probe_read_kernel,
        generated::{self, bpf_send_signal, bpf_send_signal_thread},
    },
    programs::{ProbeContext, RawTracePointContext},
};
use tracer_ebpf::abi::{
    COMM_BYTES, EventHeader, EventKind, ExecEvent, Followed, MAX_SLOTS, Slot,
    slot::{HOLD_AT_EXEC, HOLD_AT_LOADER},
    slot_place,
};

use super::{
    atomic,
    maps::{
        FOLLOWED, PROCESS_EVENTS, PROCESS_EVENTS_LOST, SLOTS, STOP_ONE_IN, TASK_PID_OFFSET, TASK_TGID_OFFSET,
        WATCH_ALL, get,
    },
};

const SIGSTOP: u32 = 19;
/// Between two notices of unknown code of one process.
const TELL_AGAIN_NS: u64 = 20_000_000;

#[inline(always)]
fn current_tgid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// Whether strangers are reported too.
#[inline(always)]
fn watches_all() -> bool {
    WATCH_ALL.load() != 0
}

/// The name of the current thread.
#[inline(always)]
pub(crate) fn thread_name(name: &mut [u64; COMM_BYTES / 8]) {
    // SAFETY: the helper fills exactly so many bytes. It fails for a kernel thread without a task only.
    unsafe { generated::bpf_get_current_comm(name.as_mut_ptr().cast(), COMM_BYTES as u32) };
}

/// A followed process's notice wakes its reader at once, a stranger's only if the reader has seen all before it.
#[inline(always)]
fn notify<T: 'static>(event: &T, is_followed: bool) {
    let flags = if is_followed { u64::from(BPF_RB_FORCE_WAKEUP) } else { 0 };
    if PROCESS_EVENTS.output(event, flags).is_err() {
        lost();
    }
}

/// User space looks at all processes when it sees this.
#[inline(always)]
fn lost() {
    if let Some(count) = PROCESS_EVENTS_LOST.get_ptr_mut(0) {
        atomic::add(count, 1);
    }
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
    let followed = FOLLOWED.get_ptr_mut(&tgid);
    if let Some(followed) = followed {
        stop_counting(followed);
    } else if !watches_all() {
        return;
    }
    let header = EventHeader { kind: EventKind::Exec as u32, tgid, value: 0 };
    let comm = bpf_get_current_comm().unwrap_or([0; COMM_BYTES]);
    notify(&ExecEvent { header, comm }, followed.is_some());
}

#[inline(always)]
fn stop_counting(followed: *mut Followed) {
    // SAFETY: pointers into the maps' values.
    unsafe {
        let slot = (*followed).slot;
        if slot != u32::MAX
            && let Some(slot) = SLOTS.get_ptr_mut(slot_place(slot))
        {
            core::ptr::write_volatile(&raw mut (*slot).counting, 0);
        }
        // Who sets the flag at this moment looks here afterwards.
        core::ptr::write_volatile(&raw mut (*followed).slot, u32::MAX);
        if (*followed).hold & HOLD_AT_EXEC != 0 {
            hold();
        }
    }
}

/// A task is created: a process may have a child. The tracepoint's second argument is its task_struct.
#[inline(always)]
pub(crate) fn fork(ctx: &RawTracePointContext) {
    let parent = current_tgid();
    let is_followed = get(&FOLLOWED, &parent).is_some();
    if TASK_PID_OFFSET.load() == 0 || !is_followed && !watches_all() {
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
    // Its exec is to be reported; where every exec is, the map is not filled with what ends at once.
    if !watches_all() && FOLLOWED.insert(&tgid, &Followed { slot: u32::MAX, hold: 0 }, 0).is_err() {
        lost();
    }
    let event = EventHeader { kind: EventKind::Fork as u32, tgid: parent, value: u64::from(tgid) };
    notify(&event, is_followed);
}

/// Stops the current thread, and with it its process, if it is its turn: for tests. Not tracer, which calibrates on
/// itself with the last slot.
#[inline(always)]
pub(crate) fn stop_for_comparison(slot: u32) {
    let one_in = STOP_ONE_IN.load();
    // SAFETY: helpers that take numbers.
    unsafe {
        if one_in != 0 && slot != MAX_SLOTS - 1 && bpf_get_prandom_u32().is_multiple_of(one_in) {
            bpf_send_signal_thread(SIGSTOP);
        }
    }
}

/// A stack leads through code that user space has not told of: it is told, but not of every such stack.
#[inline(never)]
pub(crate) fn unmapped(slot: *const Slot) {
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    // SAFETY: a pointer into the map's value, of which user space leaves this word alone.
    unsafe {
        let told = (&raw const (*slot).told_ns).cast_mut();
        if now.wrapping_sub(core::ptr::read_volatile(told)) < TELL_AGAIN_NS {
            return;
        }
        core::ptr::write_volatile(told, now);
    }
    notify(&EventHeader { kind: EventKind::Unmapped as u32, tgid: current_tgid(), value: 0 }, true);
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
    notify(&EventHeader { kind: EventKind::Loaded as u32, tgid, value: 0 }, true);
}
