//! Reads machine code: where a function's calls and jumps go, and where it returns.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, OpKind};

use crate::units::ElfVaddr;

/// Targets of one function's direct calls and jumps.
///
/// The code is decoded from its start to its end. A table between instructions may give targets that are
/// none; a jump through a register or through memory gives none. Compilers do not let either lead into the
/// first instructions of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Flow {
    /// Of `call`.
    pub(super) calls: Vec<ElfVaddr>,
    /// Of `jmp`, `jcc`, `loop` and `jrcxz`, those inside the function included.
    pub(super) jumps: Vec<ElfVaddr>,
    /// Each of these jumps that leaves the function.
    pub(super) exits: Vec<Exit>,
    /// Its `ret` instructions.
    pub(super) returns: Vec<ElfVaddr>,
    /// It has a jump whose target is not known: a table of a `switch`, or a call that takes its place.
    pub(super) jumps_anywhere: bool,
    /// Not all of it is instructions, so that what looks like one may be a part of another: no probe may go there but at
    /// the entry.
    pub(super) is_garbled: bool,
}

/// A direct jump out of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exit {
    /// The instruction.
    pub(super) at: ElfVaddr,
    /// Where it leads.
    pub(super) to: ElfVaddr,
    /// The condition code of a `jcc` (the low half of its opcode), `None` if it always jumps.
    pub(super) condition: Option<u8>,
}

/// Decodes a function. `resolve` says where a call or jump to an address ends, or one through a word of memory: it
/// knows the stubs and slots of the dynamic linker.
pub(super) fn flow(start: ElfVaddr, code: &[u8], resolve: &dyn Fn(Via) -> Option<ElfVaddr>) -> Flow {
    let mut flow = Flow::default();
    let end = start.0.saturating_add(code.len() as u64);
    for instruction in &mut decoder(start, code) {
        if instruction.is_invalid() {
            flow.is_garbled = true;
            continue;
        }
        let target = match target(&instruction) {
            Some(Via::Address(address)) => Some(resolve(Via::Address(address)).unwrap_or(address)),
            Some(slot) => resolve(slot),
            None => None,
        };
        match (instruction.flow_control(), target) {
            (FlowControl::Call | FlowControl::IndirectCall, Some(target)) => flow.calls.push(target),
            (
                FlowControl::UnconditionalBranch
                | FlowControl::ConditionalBranch
                | FlowControl::IndirectBranch,
                Some(to),
            ) => {
                flow.jumps.push(to);
                if to < start || to.0 >= end {
                    let condition = condition(&instruction);
                    flow.exits.push(Exit { at: ElfVaddr(instruction.ip()), to, condition });
                }
            }
            (FlowControl::IndirectBranch, None) => flow.jumps_anywhere = true,
            (FlowControl::Return, _) => flow.returns.push(ElfVaddr(instruction.ip())),
            _ => {}
        }
    }
    flow
}

/// How a branch names its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// The target itself.
    Address(ElfVaddr),
    /// A word of the object's memory that holds it.
    Slot(ElfVaddr),
}

/// What a branch instruction names.
pub(super) fn target(instruction: &Instruction) -> Option<Via> {
    match instruction.try_op_kind(0) {
        Ok(OpKind::NearBranch64) => Some(Via::Address(ElfVaddr(instruction.near_branch_target()))),
        Ok(OpKind::Memory) if instruction.is_ip_rel_memory_operand() => {
            Some(Via::Slot(ElfVaddr(instruction.ip_rel_memory_address())))
        }
        _ => None,
    }
}

/// The low half of the opcode of a `jcc`.
fn condition(instruction: &Instruction) -> Option<u8> {
    use iced_x86::ConditionCode as Code;
    Some(match instruction.condition_code() {
        Code::None => return None,
        Code::o => 0,
        Code::no => 1,
        Code::b => 2,
        Code::ae => 3,
        Code::e => 4,
        Code::ne => 5,
        Code::be => 6,
        Code::a => 7,
        Code::s => 8,
        Code::ns => 9,
        Code::p => 10,
        Code::np => 11,
        Code::l => 12,
        Code::ge => 13,
        Code::le => 14,
        Code::g => 15,
    })
}

/// A decoder of 64-bit code.
pub(super) fn decoder(start: ElfVaddr, code: &[u8]) -> Decoder<'_> {
    Decoder::with_ip(64, code, start.0, DecoderOptions::NONE)
}

/// `push r12`, `je`: the mnemonic, and the register of a `push`.
pub(super) fn describe(instruction: &Instruction) -> String {
    let mnemonic = format!("{:?}", instruction.mnemonic()).to_lowercase();
    match instruction.try_op_kind(0) {
        Ok(OpKind::Register) if mnemonic == "push" => {
            format!("{mnemonic} {:?}", instruction.op0_register()).to_lowercase()
        }
        _ => mnemonic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that each kind of direct branch is found and that indirect ones are not.
    #[test]
    fn branches_are_collected() {
        let code = [
            0xe8, 0xfb, 0xff, 0xff, 0xff, // call 0x1000
            0x74, 0x02, // je 0x1009
            0xff, 0xe0, // jmp rax
            0xeb, 0xf5, // jmp 0x1000
            0xe9, 0x00, 0x01, 0x00, 0x00, // jmp 0x1110
            0x0f, 0x85, 0x00, 0x00, 0x00, 0x00, // jne 0x1016
            0xff, 0xd0, // call rax
            0xc3, // ret
        ];
        let flow = flow(ElfVaddr(0x1000), &code, &|_| None);
        assert_eq!(flow.calls, [0x1000].map(ElfVaddr));
        assert_eq!(flow.jumps, [0x1009, 0x1000, 0x1110, 0x1016].map(ElfVaddr));
        let exit = Exit { at: ElfVaddr(0x100b), to: ElfVaddr(0x1110), condition: None };
        assert_eq!((flow.exits, flow.returns), (vec![exit], vec![ElfVaddr(0x1018)]));
        assert!(flow.jumps_anywhere, "jmp rax");
    }

    /// Check that stubs and slots of the dynamic linker are seen through, and that conditions are kept.
    #[test]
    fn linkage_is_seen_through() {
        let code = [
            0xe8, 0xfb, 0x0f, 0x00, 0x00, // call 0x2000, a stub
            0xff, 0x15, 0xf5, 0x1f, 0x00, 0x00, // call [0x3000]
            0x77, 0x73, // ja 0x1080
            0xff, 0x25, 0xed, 0x1f, 0x00, 0x00, // jmp [0x3000]
        ];
        let resolve = |via: Via| match via {
            Via::Address(ElfVaddr(0x2000)) => Some(ElfVaddr(0x5000)),
            Via::Slot(ElfVaddr(0x3000)) => Some(ElfVaddr(0x6000)),
            _ => None,
        };
        let flow = flow(ElfVaddr(0x1000), &code, &resolve);
        assert_eq!(flow.calls, [0x5000, 0x6000].map(ElfVaddr));
        let exit = |at, to, condition| Exit { at: ElfVaddr(at), to: ElfVaddr(to), condition };
        assert_eq!(flow.exits, [exit(0x100b, 0x1080, Some(7)), exit(0x100d, 0x6000, None)]);
        assert!(!flow.jumps_anywhere && !flow.is_garbled);
    }

    /// Check that any bytes can be decoded.
    #[test]
    fn garbage_is_decoded_to_something() {
        let mut seed = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        })
        .take(1 << 16)
        .collect();
        assert!(flow(ElfVaddr(u64::MAX - 100), &noise, &|_| None).is_garbled);
    }
}
