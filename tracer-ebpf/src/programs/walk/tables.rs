//! The walk by unwind tables.

use core::ffi::c_void;

use aya_ebpf::helpers::bpf_loop;
use tracer_ebpf::{
    abi::{
        CodeKind, CodeRange, MAX_FRAMES, Slot, StopReason,
        event::{FRAME_BY_POINTER, FRAME_INTERRUPTED},
    },
    unwind::{
        Registers, Row, Stop,
        cache::{Place, is_cacheable},
        frame_pointer_step, step,
    },
};

use super::{
    FRAME_PLACES, Scratch, code, end, keep, sign_mask,
    window::{LAST_WORD, fetch},
};
use crate::programs::{
    maps::{HAS_BPF_LOOP, KEEP_ROWS, ROWS},
    process,
};

/// Steps of a walk that are a plain loop: nearly every stack needs fewer. Each takes a run of frames and one more.
const FIRST_STEPS: u32 = 1;
/// Further steps, by `bpf_loop`: each takes one frame at least.
const MORE_STEPS: u32 = MAX_FRAMES as u32;
/// The same where the kernel has no `bpf_loop`: what its verifier has patience for. Rules that were looked up are kept, so
/// that a deep stack is whole when it is met again.
const MORE_STEPS_WITHOUT_LOOP: u32 = 8;
/// Frames that [`run`] takes at most.
const RUN_FRAMES: u32 = 20;
const _: () = assert!(MAX_FRAMES + RUN_FRAMES as usize <= FRAME_PLACES);

/// Walks from the code at `pc`, whose SP and FP are in the scratch.
#[inline(always)]
pub(super) fn walk(scratch: &mut Scratch, slot: *const Slot, pc: u64) {
    scratch.pc = pc;
    scratch.marks = 0;
    scratch.range = CodeRange::default();
    let mut more = true;
    for _ in 0..FIRST_STEPS {
        more = more && advance(scratch, slot);
    }
    if more {
        go_on(scratch, slot);
    }
}

/// The rest of a stack that the first steps did not finish.
#[inline(never)]
fn go_on(scratch: &mut Scratch, slot: *const Slot) {
    if HAS_BPF_LOOP.load() == 0 {
        for _ in 0..MORE_STEPS_WITHOUT_LOOP {
            if !advance(scratch, slot) {
                break;
            }
        }
        return;
    }
    let mut walk = (scratch as *mut Scratch, slot);
    // SAFETY: the callback has the signature that the helper calls, and takes what is passed here.
    unsafe { bpf_loop(MORE_STEPS, step_of_loop as *const () as *mut c_void, (&raw mut walk).cast(), 0) };
}

/// One step for `bpf_loop`, which ends at 1.
unsafe extern "C" fn step_of_loop(_index: u32, walk: *mut c_void) -> i64 {
    // SAFETY: what `go_on` passes.
    let (scratch, slot) = unsafe { *walk.cast::<(*mut Scratch, *const Slot)>() };
    // SAFETY: pointers into map values.
    i64::from(!advance(unsafe { &mut *scratch }, slot))
}

/// A run of frames, and the next one, whatever it needs; false at the end.
#[inline(never)]
fn advance(scratch: &mut Scratch, slot: *const Slot) -> bool {
    run(scratch);
    if scratch.count >= MAX_FRAMES as u64 {
        return false;
    }
    take(scratch, slot)
}

/// Takes frames as long as nothing is needed but the window and rules that are in the cache: what nearly all frames
/// need, with all of its state in registers. That a rule is there says that the address is code.
#[inline(never)]
fn run(scratch: &mut Scratch) {
    let Some(rows) = ROWS.get_ptr_mut(0) else { return };
    if KEEP_ROWS.load() == 0 || scratch.marks & FRAME_INTERRUPTED != 0 {
        return;
    }
    let rows = rows.cast::<u64>();
    let (base, row_key) = (scratch.base, scratch.row_key);
    // Offsets in the window.
    let (mut sp, mut fp) = (scratch.sp.wrapping_sub(base), scratch.fp.wrapping_sub(base));
    let (mut pc, mut marks, mut hash) = (scratch.pc, scratch.marks, scratch.hash);
    let window = (&raw const scratch.window).cast::<u8>();
    let room = (MAX_FRAMES as u64).wrapping_sub(scratch.count);
    // SAFETY: the index is masked, and a run is shorter than what lies behind it.
    let mut place =
        unsafe { (&raw mut scratch.frames).cast::<u64>().add(scratch.count as usize & (MAX_FRAMES - 1)) };
    let mut taken = 0;
    for _ in 0..RUN_FRAMES {
        if taken >= room || !is_cacheable(pc) {
            break;
        }
        let key = Place::of(row_key, pc);
        // SAFETY: the index is less than the array's length.
        let Some(row) = key.rule_in(unsafe { rows.add(key.index).read() }) else { break };
        let Some((is_fp, offset)) = row.plain_cfa() else { break };
        // Arithmetic instead of branches: the verifier would follow each of them.
        let by_fp = sign_mask(u64::from(is_fp) << 63);
        let cfa = (fp & by_fp | sp & !by_fp).wrapping_add(offset);
        let at = cfa.wrapping_sub(8);
        if at > LAST_WORD || at < sp || at & 7 != 0 {
            break;
        }
        let words = row.fp_words();
        let saved = cfa.wrapping_sub(words * 8);
        // The word behind the window is read, and not used, where FP is in its register.
        if saved > LAST_WORD + 8 {
            break;
        }
        // SAFETY: words at offsets that were checked; the window is twice as long as what is used of it.
        let (return_address, saved_fp) = unsafe {
            (window.add(at as usize).cast::<u64>().read(), window.add(saved as usize).cast::<u64>().read())
        };
        // SAFETY: as above.
        unsafe {
            place.write(pc | marks);
            place = place.add(1);
        }
        hash = hash.frame(pc);
        taken += 1;
        marks = 0;
        sp = cfa;
        let is_same = sign_mask(words.wrapping_sub(1));
        fp = fp & is_same | saved_fp.wrapping_sub(base) & !is_same;
        pc = return_address;
    }
    (scratch.sp, scratch.fp) = (base.wrapping_add(sp), base.wrapping_add(fp));
    (scratch.pc, scratch.marks, scratch.hash) = (pc, marks, hash);
    scratch.count += taken;
}

/// Takes one frame; false at the end, with the reason in `stop`.
#[inline(always)]
fn take(scratch: &mut Scratch, slot: *const Slot) -> bool {
    if scratch.pc == scratch.trampoline {
        return end(scratch, StopReason::ForeignReturnProbe);
    }
    let found = code::rule(scratch, slot);
    if found & code::NO_MAPPING != 0 {
        return unmapped(scratch, slot);
    }
    keep(scratch, scratch.pc, scratch.marks);
    if found & code::NO_TABLE != 0 {
        return end(scratch, StopReason::NoTable);
    }
    let found = Row(found & Row::RULE_MASK);
    let by_pointer = found == Row::GAP || found == Row::FRAME_POINTER;
    // One step by frame pointer is a guess that the next rule confirms; two in a row are none.
    let has_pointers = scratch.range.kind == CodeKind::TableOrFramePointers as u8;
    if found == Row::GAP && scratch.marks & FRAME_BY_POINTER != 0 && !has_pointers {
        return end(scratch, StopReason::NoTable);
    }
    scratch.marks = if by_pointer { FRAME_BY_POINTER } else { 0 };
    let stop = if by_pointer { apply_frame_pointer(scratch) } else { apply(scratch, found) };
    scratch.stop = u64::from(stop);
    stop == GOES_ON
}

/// Why a walk ends that has not ended: it is at its deepest then.
const GOES_ON: u32 = StopReason::Depth as u32;

/// Goes to the caller by a rule.
#[inline(never)]
fn apply(scratch: &mut Scratch, row: Row) -> u32 {
    let from = Registers { pc: scratch.pc, sp: scratch.sp, fp: scratch.fp, is_exact: false };
    let to = step(row, &from, |address| if fetch(scratch, address) { Some(scratch.word) } else { None });
    go(scratch, to)
}

/// Goes to the caller by the frame pointer.
#[inline(never)]
fn apply_frame_pointer(scratch: &mut Scratch) -> u32 {
    let from = Registers { pc: scratch.pc, sp: scratch.sp, fp: scratch.fp, is_exact: false };
    let to =
        frame_pointer_step(&from, |address| if fetch(scratch, address) { Some(scratch.word) } else { None });
    go(scratch, to)
}

#[inline(always)]
fn go(scratch: &mut Scratch, to: Result<Registers, Stop>) -> u32 {
    match to {
        Ok(to) => {
            (scratch.pc, scratch.sp, scratch.fp) = (to.pc, to.sp, to.fp);
            if to.is_exact {
                scratch.marks = FRAME_INTERRUPTED;
            }
            GOES_ON
        }
        Err(stop) => reason(stop) as u32,
    }
}

/// An address that is no code, as far as is known.
#[inline(always)]
fn unmapped(scratch: &mut Scratch, slot: *const Slot) -> bool {
    if scratch.count == 0 {
        keep(scratch, scratch.pc, 0);
    }
    if scratch.marks & FRAME_BY_POINTER != 0 {
        return end(scratch, StopReason::NoFramePointer);
    }
    process::unmapped(slot);
    end(scratch, StopReason::NoMapping)
}

#[inline(always)]
const fn reason(stop: Stop) -> StopReason {
    match stop {
        Stop::End => StopReason::Complete,
        Stop::Gap => StopReason::NoTable,
        Stop::Unsupported => StopReason::UnsupportedRule,
        Stop::BadCfa => StopReason::BadCfa,
        Stop::ReadFault => StopReason::ReadFault,
        Stop::NoFramePointer => StopReason::NoFramePointer,
        Stop::FramePointerZero => StopReason::FramePointerZero,
    }
}
