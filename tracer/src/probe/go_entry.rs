//! Chooses the instruction of a Go function that its probe is put on: behind the check of the stack, before the frame.
//!
//! A function of Go begins by comparing SP with the end of its goroutine's stack. Where too little is left, the runtime
//! moves the stack and the function begins again: a probe before that check would see one call twice. Behind it comes the
//! frame, by `push rbp` since Go 1.21, which the kernel emulates, by `sub rsp` before, which is single-stepped. There SP is
//! what it was at the entry, RBP is the caller's, and the arguments are still in their registers.
//! Source: `stacksplit` and `preprocess` in `cmd/internal/obj/x86/obj6.go`; `cmd/compile/abi-internal.md`.

use std::ops::Range;

use iced_x86::{Code, Decoder, Instruction, Mnemonic, OpKind, Register};

use crate::elf::Image;
use crate::probe::code;
use crate::probe::graph::MAX_BODY_BYTES;
use crate::probe::placement::{self, Note, Placement};
use crate::units::{ElfVaddr, FileOffset};

/// Where a goroutine's stack ends, in the structure that the check looks at: `stackguard0` and `stackguard1` of `g` in
/// `runtime/runtime2.go`; the second is for code that runs on a system stack.
const GUARDS: [u64; 2] = [0x10, 0x18];
/// Most instructions of a check; that of a large frame has seven.
const MAX_CHECK: usize = 8;

/// Where the probe of a Go function goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoEntry {
    /// The function's first instruction.
    pub entry: ElfVaddr,
    /// Where that lies in the file.
    pub entry_offset: FileOffset,
    /// Where the probe goes in the file.
    pub offset: FileOffset,
    /// Which instruction that is. SP has not moved there.
    pub placement: Placement,
    /// The branch of the check, which the kernel emulates. A call is seen there once more if its stack must grow: then the
    /// branch is taken.
    pub branch: Option<Placement>,
}

/// Why a Go function has no place for a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEntry {
    /// Not in an executable segment, or cut off.
    #[error("its code is not in the file")]
    NoCode,
    /// What seems to be an instruction may be a part of another.
    #[error("not all of its code is instructions")]
    Garbled,
    /// A loop, as some functions without a frame have it.
    #[error("a jump leads to its first instructions: one call would be seen several times")]
    JumpedTo,
}

/// Chooses the place in a function of `image`; `function` is its code, as [`crate::go::Lines::function`] says it.
///
/// # Errors
///
/// There is none: why.
pub fn place(image: &Image, function: &Range<ElfVaddr>) -> Result<GoEntry, NoEntry> {
    let entry = function.start;
    let end = ElfVaddr(function.end.0.min(entry.0.saturating_add(MAX_BODY_BYTES)));
    let entry_offset = image.vaddr_to_file_offset(entry).filter(|_| image.is_executable(entry));
    let entry_offset = entry_offset.ok_or(NoEntry::NoCode)?;
    let (placement, branch) = choose(entry, &image.read_vaddr(entry..end))?;
    let distance = u64::from(placement.offset_from_entry);
    let offset = FileOffset(entry_offset.0.checked_add(distance).ok_or(NoEntry::NoCode)?);
    Ok(GoEntry { entry, entry_offset, offset, placement, branch })
}

/// Chooses the place in code that is given from its entry; and the branch before it.
fn choose(entry: ElfVaddr, bytes: &[u8]) -> Result<(Placement, Option<Placement>), NoEntry> {
    let branch = branch_of_check(code::decoder(entry, bytes));
    let behind = branch.map(|branch| ElfVaddr(branch.next_ip()));
    let at = behind.unwrap_or(entry);
    let distance = at.0.checked_sub(entry.0).and_then(|distance| u8::try_from(distance).ok());
    let offset_from_entry = distance.ok_or(NoEntry::Garbled)?;
    let rest = bytes.get(usize::from(offset_from_entry)..).filter(|rest| !rest.is_empty());
    let rest = rest.ok_or(NoEntry::NoCode)?;
    let instruction = code::decoder(at, rest).decode();
    let flow = code::flow(entry, bytes, &|_| None);
    if instruction.is_invalid() || flow.is_garbled {
        return Err(NoEntry::Garbled);
    }
    // Behind a check the entry itself is where a stack that has grown is gone on with.
    let is_joined = |to: &ElfVaddr| *to <= at && (*to > entry || *to == entry && behind.is_none());
    if flow.jumps.iter().any(is_joined) {
        return Err(NoEntry::JumpedTo);
    }
    let emulated = placement::is_emulated(rest.get(..instruction.len()).unwrap_or_default());
    let placed = |offset_from_entry, instruction: &Instruction, emulated: bool| Placement {
        offset_from_entry,
        shift_bytes: 0,
        emulated,
        instruction: code::describe(instruction),
        note: (!emulated).then_some(Note::SingleStepped),
    };
    let branch = branch.and_then(|branch| {
        let distance =
            u8::try_from(branch.len()).ok().and_then(|bytes| offset_from_entry.checked_sub(bytes))?;
        Some(placed(distance, &branch, true))
    });
    Ok((placed(offset_from_entry, &instruction, emulated), branch))
}

/// The branch of the check of the stack; `None` if the function begins without one.
fn branch_of_check(decoder: Decoder<'_>) -> Option<Instruction> {
    let mut has_compared = false;
    for instruction in decoder.into_iter().take(MAX_CHECK) {
        if instruction.mnemonic() == Mnemonic::Nop {
            continue;
        }
        if has_compared {
            return (instruction.mnemonic() == Mnemonic::Jbe).then_some(instruction);
        }
        has_compared = compares_with_guard(&instruction);
        if !has_compared && !prepares_check(&instruction) {
            return None;
        }
    }
    None
}

/// `cmp rsp, [r14+16]`: the goroutine is in R14, in some functions of assembler in RCX.
fn compares_with_guard(instruction: &Instruction) -> bool {
    instruction.code() == Code::Cmp_r64_rm64
        && matches!(instruction.op0_register(), Register::RSP | Register::R12 | Register::RAX)
        && instruction.op1_kind() == OpKind::Memory
        && matches!(instruction.memory_base(), Register::R14 | Register::RCX)
        && instruction.memory_index() == Register::None
        && GUARDS.contains(&instruction.memory_displacement64())
}

/// What comes before that: the end of a frame that is not small in R12, the goroutine out of the memory of the thread, a
/// branch for a frame that is larger than any stack.
fn prepares_check(instruction: &Instruction) -> bool {
    let to = instruction.op0_register();
    match instruction.mnemonic() {
        Mnemonic::Lea => to == Register::R12 && instruction.memory_base() == Register::RSP,
        Mnemonic::Sub => to == Register::R12 && instruction.op1_kind() != OpKind::Memory,
        Mnemonic::Mov if to == Register::R12 => instruction.op1_register() == Register::RSP,
        Mnemonic::Mov => matches!(to, Register::RCX | Register::R14),
        Mnemonic::Jb => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
