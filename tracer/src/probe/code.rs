//! Reads machine code: where a function's direct calls and jumps go.

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
}

/// Decodes a function.
pub(super) fn flow(start: ElfVaddr, code: &[u8]) -> Flow {
    let mut flow = Flow::default();
    for instruction in decoder(start, code).iter() {
        let is_direct = matches!(instruction.try_op_kind(0), Ok(OpKind::NearBranch64));
        if !is_direct || instruction.is_invalid() {
            continue;
        }
        let target = ElfVaddr(instruction.near_branch_target());
        match instruction.flow_control() {
            FlowControl::Call => flow.calls.push(target),
            FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => flow.jumps.push(target),
            _ => {}
        }
    }
    flow
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
        let flow = flow(ElfVaddr(0x1000), &code);
        assert_eq!(flow.calls, [0x1000].map(ElfVaddr));
        assert_eq!(flow.jumps, [0x1009, 0x1000, 0x1110, 0x1016].map(ElfVaddr));
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
        let _ = flow(ElfVaddr(u64::MAX - 100), &noise);
    }
}
