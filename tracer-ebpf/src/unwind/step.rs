//! From one frame to the one that called it.

use super::{Cfa, Row, Rule, SavedFp};

/// No frame is larger: what leaps further is not one.
pub const MAX_FRAME_BYTES: u64 = 8 << 20;

/// End of the user address space with 5-level page tables.
const USER_ADDRESSES: u64 = 1 << 57;

/// What of a thread's registers a frame needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// Where the code goes on.
    pub pc: u64,
    /// Stack pointer there.
    pub sp: u64,
    /// Frame pointer register (RBP), whatever the code uses it for.
    pub fp: u64,
    /// `pc` was interrupted by a signal; else a call returns to it.
    pub is_exact: bool,
}

impl Registers {
    /// The address whose rule holds: a call may be the last instruction of its function, and what follows another's.
    #[inline(always)]
    #[must_use]
    pub const fn rule_address(&self) -> u64 {
        if self.is_exact { self.pc } else { self.pc.wrapping_sub(1) }
    }
}

/// Why there is no further frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The stack is whole.
    End,
    /// The table says nothing.
    Gap,
    /// The table's source says something that rows cannot hold.
    Unsupported,
    /// The frame would lie below its callee, too far above it, or at no address.
    BadCfa,
    /// Memory could not be read.
    ReadFault,
    /// The frame pointer leads to no frame.
    NoFramePointer,
    /// The frame pointer is 0, as the ABI says for the outermost frame.
    FramePointerZero,
}

/// Applies a rule. `read` gives the word at an address of the thread's stack.
///
/// The new SP lies above the old one, so that a stack has an end; after a signal it may lie on another stack.
///
/// # Errors
///
/// Why there is no caller.
#[inline(always)]
pub fn step(row: Row, from: &Registers, mut read: impl FnMut(u64) -> Option<u64>) -> Result<Registers, Stop> {
    let (cfa, fp) = match row.rule() {
        Rule::Frame(Cfa::Sp(offset), fp) => (from.sp.wrapping_add(u64::from(offset)), fp),
        Rule::Frame(Cfa::Fp(offset), fp) => (from.fp.wrapping_add(u64::from(offset)), fp),
        Rule::Frame(Cfa::AtFpMinus(offset), fp) => {
            (read(from.fp.wrapping_sub(u64::from(offset))).ok_or(Stop::ReadFault)?, fp)
        }
        Rule::Frame(Cfa::AtSpPlus(offset), fp) => {
            let saved = read(from.sp.wrapping_add(u64::from(offset))).ok_or(Stop::ReadFault)?;
            (saved.wrapping_add(8), fp)
        }
        Rule::Plt(pushed_from) => {
            let pushed = from.pc & 15 >= u64::from(pushed_from);
            (from.sp.wrapping_add(if pushed { 16 } else { 8 }), SavedFp::Same)
        }
        Rule::Signal => return signal(from, read),
        Rule::FramePointer => return frame_pointer_step(from, read),
        Rule::End => return Err(Stop::End),
        Rule::Gap => return Err(Stop::Gap),
        Rule::Unsupported => return Err(Stop::Unsupported),
    };
    if cfa <= from.sp || cfa - from.sp > MAX_FRAME_BYTES || cfa & 7 != 0 {
        return Err(Stop::BadCfa);
    }
    let pc = read(cfa - 8).ok_or(Stop::ReadFault)?;
    let fp = match fp {
        SavedFp::Same => from.fp,
        SavedFp::BelowCfa(words) => read(cfa.wrapping_sub(8 * u64::from(words))).ok_or(Stop::ReadFault)?,
        SavedFp::AtFp => read(from.fp).ok_or(Stop::ReadFault)?,
    };
    code(pc, cfa, fp, false)
}

/// Applies the convention of frame pointers: FP points at the caller's FP, with the return address above it.
///
/// # Errors
///
/// Why there is no caller.
#[inline(always)]
pub fn frame_pointer_step(
    from: &Registers,
    mut read: impl FnMut(u64) -> Option<u64>,
) -> Result<Registers, Stop> {
    let fp = from.fp;
    if fp == 0 {
        return Err(Stop::FramePointerZero);
    }
    if fp < from.sp || fp - from.sp > MAX_FRAME_BYTES || fp & 7 != 0 || fp >= USER_ADDRESSES {
        return Err(Stop::NoFramePointer);
    }
    let pc = read(fp.wrapping_add(8)).ok_or(Stop::ReadFault)?;
    let saved = read(fp).ok_or(Stop::ReadFault)?;
    code(pc, fp.wrapping_add(16), saved, false)
}

/// The registers that the kernel has saved in `struct ucontext` at SP: Linux `arch/x86/include/uapi/asm/sigcontext.h`
/// (`struct sigcontext_64`) begins 40 bytes into it.
#[inline(always)]
fn signal(from: &Registers, mut read: impl FnMut(u64) -> Option<u64>) -> Result<Registers, Stop> {
    const FP: u64 = 120;
    const SP: u64 = 160;
    const PC: u64 = 168;
    let fp = read(from.sp.wrapping_add(FP)).ok_or(Stop::ReadFault)?;
    let sp = read(from.sp.wrapping_add(SP)).ok_or(Stop::ReadFault)?;
    let pc = read(from.sp.wrapping_add(PC)).ok_or(Stop::ReadFault)?;
    code(pc, sp, fp, true)
}

#[inline(always)]
fn code(pc: u64, sp: u64, fp: u64, is_exact: bool) -> Result<Registers, Stop> {
    if pc == 0 {
        return Err(Stop::End);
    }
    if pc >= USER_ADDRESSES {
        return Err(Stop::BadCfa);
    }
    Ok(Registers { pc, sp, fp, is_exact })
}
