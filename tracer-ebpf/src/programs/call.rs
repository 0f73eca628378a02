//! A call of an allocator function: what it asks for, and whether another probed function made it.

use tracer_ebpf::abi::{Argument, Cookie, Range, Slot, slot_place};

use super::{maps::SLOTS, user::Registers};

/// What a call asks for.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) size_bytes: u64,
    /// The old block of a realloc, the out pointer of posix_memalign, else 0.
    pub(crate) pointer: u64,
}

impl Request {
    /// Reads the arguments of an allocating function.
    #[inline(always)]
    pub(crate) fn of(registers: Registers, argument: Argument) -> Self {
        let (first, second) = (registers.argument::<0>(), registers.argument::<1>());
        match argument {
            Argument::CountSize => Self { size_bytes: product(first, second), pointer: 0 },
            Argument::OldSize | Argument::OldSizeOrFree => Self { size_bytes: second, pointer: first },
            Argument::AlignSize => Self { size_bytes: second, pointer: 0 },
            Argument::OutAlignSize => Self { size_bytes: registers.argument::<2>(), pointer: first },
            Argument::Resize => Self { size_bytes: second, pointer: first },
            Argument::OldCountSize => {
                Self { size_bytes: product(second, registers.argument::<2>()), pointer: first }
            }
            Argument::HeapCountSize => {
                Self { size_bytes: product(second, registers.argument::<2>()), pointer: 0 }
            }
            Argument::HeapOldSize | Argument::HeapOldSizeOrFree => {
                Self { size_bytes: registers.argument::<2>(), pointer: second }
            }
            Argument::GoSize | Argument::GoSizeAtCheck => {
                Self { size_bytes: registers.returned(), pointer: 0 }
            }
            Argument::Size | Argument::Pointer => Self { size_bytes: first, pointer: 0 },
        }
    }
}

/// `calloc`'s size; 0 if it overflows, for then the call fails and asks for no number of bytes.
///
/// In halves, because BPF has no 128-bit product, which the compiler makes of the usual check.
#[inline(always)]
fn product(count: u64, size: u64) -> u64 {
    const HALF: u64 = 0xffff_ffff;
    let (count_high, size_high) = (count >> 32, size >> 32);
    if count_high != 0 && size_high != 0 {
        return 0;
    }
    let low = (count & HALF) * (size & HALF);
    let cross = count_high * (size & HALF) + (count & HALF) * size_high;
    let sum = low.wrapping_add(cross << 32);
    if cross > HALF || sum < low { 0 } else { sum }
}

/// Whether the arguments make a function of this kind jump to another one as its last act.
#[inline(always)]
pub(crate) fn jumps_away(registers: Registers, argument: Argument) -> bool {
    const MALLOC_ALIGNMENT: u64 = 16;
    match argument {
        Argument::OldSize => registers.argument::<0>() == 0,
        Argument::AlignSize => registers.argument::<0>() <= MALLOC_ALIGNMENT,
        _ => false,
    }
}

/// The slot of a probe. A call that was begun to be counted is counted to its end, whatever the flag says meanwhile.
#[inline(always)]
pub(crate) fn slot(cookie: &Cookie) -> Option<*mut Slot> {
    SLOTS.get_ptr_mut(slot_place(u32::from(cookie.slot)))
}

/// The slot of a probe, if it counts now.
#[inline(always)]
pub(crate) fn counting_slot(cookie: &Cookie) -> Option<*mut Slot> {
    let slot = slot(cookie)?;
    // SAFETY: a pointer into the map's value; user space writes the flag as a whole word.
    let counting = unsafe { core::ptr::read_volatile(&raw const (*slot).counting) };
    (counting != 0).then_some(slot)
}

/// Whether a return address lies in the body of an allocator function: the call is part of another one.
#[inline(always)]
pub(crate) fn is_nested(slot: *const Slot, return_address: u64) -> bool {
    // SAFETY: a pointer into the map's value.
    let slot = unsafe { &*slot };
    let is_in = |range: &Range| return_address >= range.start && return_address < range.end;
    slot.hulls.iter().any(is_in) && slot.nested.iter().any(is_in)
}

/// Whether the allocator of one object may call that of another.
#[inline(always)]
pub(crate) fn passes_on(slot: *const Slot) -> bool {
    // SAFETY: as above.
    unsafe { (*slot).passes_on != 0 }
}
