//! Chooses the instruction of a function that its probe is put on.
//!
//! A probe costs one trap if the kernel can emulate the instruction under it, else a second one to step over
//! a copy of it, which is 1.6 times the price on hardware and far more on some virtual machines.
//! Source: Linux 6.18, `arch/x86/kernel/uprobes.c`, `branch_setup_xol_ops` and `push_setup_xol_ops`
//! (<https://github.com/torvalds/linux/blob/v6.18/arch/x86/kernel/uprobes.c>).

use std::collections::BTreeSet;
use std::fmt;

use iced_x86::{
    FlowControl, Instruction, InstructionInfoFactory, InstructionInfoOptions, Mnemonic, OpAccess, OpKind,
    Register, RflagsBits,
};
use tracer_ebpf::abi::Argument;

use crate::probe::code;
use crate::units::ElfVaddr;

/// Bytes from the entry in which a place is looked for.
pub const WINDOW_BYTES: usize = 64;

/// Where a probe goes and what is known there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Bytes from the entry to the probed instruction.
    pub offset_from_entry: u8,
    /// Bytes that SP has moved down from the entry until before that instruction.
    pub shift_bytes: u8,
    /// The kernel emulates it; else it is single-stepped.
    pub emulated: bool,
    /// For the reader: `push rbp`.
    pub instruction: String,
    /// What the reader should know.
    pub note: Option<Note>,
}

/// What the reader should know about a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// No instruction that the kernel emulates is reached straight from the entry.
    SingleStepped,
    /// There is one, but SP has moved before it and a return probe is wanted.
    SingleSteppedForReturn,
    /// A longer `nop`.
    NopSince6_16,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::SingleStepped => "single-stepped: it begins with no instruction that the kernel emulates",
            Self::SingleSteppedForReturn => {
                "single-stepped: the stack has moved at the first instruction that the kernel emulates, \
                 and a return probe must lie before that"
            }
            Self::NopSince6_16 => "the probed instruction is single-stepped before Linux 6.16",
        })
    }
}

/// What a place must offer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    /// Its registers must still hold the arguments.
    pub(super) argument: Argument,
    /// A call with NULL need not be seen.
    pub(super) skips_null: bool,
    /// SP must not have moved.
    pub(super) has_return: bool,
}

/// How the kernel gets past an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Emulation {
    Always,
    Since6_16,
}

/// An instruction that every call of the function passes, but for calls with NULL after `is_null_check`.
#[derive(Debug)]
struct Candidate {
    offset: u8,
    shift: u8,
    emulation: Emulation,
    instruction: String,
    is_null_check: bool,
}

/// Chooses a place in a function's code, given from its entry; `targets` are where jumps lead.
pub(super) fn place(entry: ElfVaddr, code: &[u8], targets: &BTreeSet<ElfVaddr>, want: Want) -> Placement {
    let candidates = candidates(entry, &code[..code.len().min(WINDOW_BYTES)], targets, want);
    let usable = || candidates.iter().filter(|c| c.shift == 0 || !want.has_return);
    let always = || usable().filter(|c| c.emulation == Emulation::Always);
    // Behind the check for NULL, free(NULL) costs nothing.
    let best = always().find(|c| !c.is_null_check).or_else(|| always().next()).or_else(|| usable().next());
    if let Some(best) = best {
        return Placement {
            offset_from_entry: best.offset,
            shift_bytes: best.shift,
            emulated: true,
            instruction: best.instruction.clone(),
            note: (best.emulation == Emulation::Since6_16).then_some(Note::NopSince6_16),
        };
    }
    let note = if candidates.is_empty() { Note::SingleStepped } else { Note::SingleSteppedForReturn };
    Placement {
        offset_from_entry: 0,
        shift_bytes: 0,
        emulated: false,
        instruction: code::describe(&code::decoder(entry, code).decode()),
        note: Some(note),
    }
}

/// Follows the code from the entry as long as all calls take the same way with their arguments intact.
fn candidates(entry: ElfVaddr, code: &[u8], targets: &BTreeSet<ElfVaddr>, want: Want) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut straight = Straight { shift: 0, flags_say_null: false, registers: registers(want.argument) };
    let mut decoder = code::decoder(entry, code);
    while decoder.can_decode() {
        let start = decoder.position();
        let instruction = decoder.decode();
        let at = ElfVaddr(instruction.ip());
        // A jump into the middle would make the probe see one call twice.
        let is_joined = targets.range(..=at).next_back().is_some_and(|&target| target > entry);
        if instruction.is_invalid() || is_joined {
            break;
        }
        let is_null_check =
            want.skips_null && straight.flags_say_null && instruction.mnemonic() == Mnemonic::Je;
        let (offset, shift) = (u8::try_from(start), u8::try_from(straight.shift));
        let bytes = &code[start..decoder.position()];
        if let (Ok(offset), Ok(shift), Some(emulation)) = (offset, shift, emulation(bytes)) {
            let instruction = code::describe(&instruction);
            found.push(Candidate { offset, shift, emulation, instruction, is_null_check });
        }
        match instruction.flow_control() {
            FlowControl::Next if straight.step(&instruction) => {}
            FlowControl::ConditionalBranch if is_null_check => straight.flags_say_null = false,
            _ => break,
        }
    }
    found
}

/// What is known before an instruction.
struct Straight {
    /// Bytes that SP has moved down.
    shift: i64,
    /// The zero flag is set if and only if the first argument is NULL.
    flags_say_null: bool,
    /// What must stay as it is.
    registers: &'static [Register],
}

impl Straight {
    /// Takes one instruction into account; false if a register that is needed or SP is lost by it.
    fn step(&mut self, instruction: &Instruction) -> bool {
        let mut factory = InstructionInfoFactory::new();
        let info = factory.info_options(instruction, InstructionInfoOptions::NO_MEMORY_USAGE);
        let mut writes = info.used_registers().iter().filter(|used| is_write(used.access()));
        if writes.clone().any(|used| self.registers.contains(&used.register().full_register())) {
            return false;
        }
        match stack_movement(instruction) {
            Some(bytes) => self.shift += bytes,
            None if writes.any(|used| used.register().full_register() == Register::RSP) => return false,
            None => {}
        }
        if is_null_test(instruction) {
            self.flags_say_null = true;
        } else if instruction.rflags_modified() & RflagsBits::ZF != 0 {
            self.flags_say_null = false;
        }
        self.shift >= 0
    }
}

/// How far SP moves down, if that is certain: `push`, `pop`, `sub rsp, n`, `add rsp, n`, `lea rsp, [rsp ± n]`.
fn stack_movement(instruction: &Instruction) -> Option<i64> {
    let is_sp = |operand| is_register(instruction, operand, Register::RSP);
    let is_number = |operand| instruction.try_immediate(operand).is_ok();
    match instruction.mnemonic() {
        Mnemonic::Push | Mnemonic::Pop if !is_sp(0) => {
            Some(-i64::from(instruction.stack_pointer_increment()))
        }
        Mnemonic::Push => Some(-i64::from(instruction.stack_pointer_increment())),
        Mnemonic::Sub if is_sp(0) && is_number(1) => instruction.immediate(1).try_into().ok(),
        Mnemonic::Add if is_sp(0) && is_number(1) => Some((instruction.immediate(1) as i64).wrapping_neg()),
        Mnemonic::Lea if is_sp(0) && is_plain_sp(instruction) => {
            Some((instruction.memory_displacement64() as i64).wrapping_neg())
        }
        _ => None,
    }
}

fn is_plain_sp(instruction: &Instruction) -> bool {
    instruction.memory_base() == Register::RSP && instruction.memory_index() == Register::None
}

/// `test rdi, rdi` or `cmp rdi, 0`.
fn is_null_test(instruction: &Instruction) -> bool {
    let is_argument = |operand| is_register(instruction, operand, Register::RDI);
    match instruction.mnemonic() {
        Mnemonic::Test => is_argument(0) && is_argument(1),
        Mnemonic::Cmp => is_argument(0) && instruction.try_immediate(1).is_ok_and(|number| number == 0),
        _ => false,
    }
}

fn is_register(instruction: &Instruction, operand: u32, register: Register) -> bool {
    instruction.try_op_kind(operand).is_ok_and(|kind| kind == OpKind::Register)
        && instruction.try_op_register(operand).is_ok_and(|found| found == register)
}

fn is_write(access: OpAccess) -> bool {
    !matches!(access, OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess)
}

/// Registers of the arguments (System V AMD64 ABI, section 3.2.3).
fn registers(argument: Argument) -> &'static [Register] {
    const ALL: [Register; 3] = [Register::RDI, Register::RSI, Register::RDX];
    match argument {
        Argument::GoSize | Argument::GoSizeAtCheck => &[Register::RAX],
        Argument::Size | Argument::Pointer => &ALL[..1],
        Argument::CountSize
        | Argument::OldSize
        | Argument::OldSizeOrFree
        | Argument::AlignSize
        | Argument::Resize => &ALL[..2],
        Argument::OutAlignSize
        | Argument::OldCountSize
        | Argument::HeapCountSize
        | Argument::HeapOldSize
        | Argument::HeapOldSizeOrFree => &ALL,
    }
}

/// Whether every kernel emulates an instruction.
pub(super) fn is_emulated(bytes: &[u8]) -> bool {
    emulation(bytes) == Some(Emulation::Always)
}

/// Whether the kernel emulates an instruction, by its bytes, as the kernel decides too.
///
/// Left out though some kernels emulate them: `call` (the kernel then works on a word below SP), anything
/// with unusual prefixes, and 5-byte nops, which Linux 6.18 rewrites to a call.
fn emulation(bytes: &[u8]) -> Option<Emulation> {
    match bytes {
        [0x50..=0x57] | [0x41, 0x50..=0x57] => Some(Emulation::Always),
        [0x90] | [0x66, 0x90] => Some(Emulation::Always),
        [0xeb, _] | [0xe9, _, _, _, _] => Some(Emulation::Always),
        [0x70..=0x7f, _] | [0x0f, 0x80..=0x8f, _, _, _, _] => Some(Emulation::Always),
        [0x0f, 0x1f, 0x00] | [0x0f, 0x1f, 0x40, 0] | [0x66, 0x0f, 0x1f, 0x44, 0, 0] => {
            Some(Emulation::Since6_16)
        }
        [0x0f, 0x1f, 0x80, 0, 0, 0, 0] | [0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0] => Some(Emulation::Since6_16),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
