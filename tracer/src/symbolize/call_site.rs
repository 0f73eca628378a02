//! Whether an address is one that a call returns to: the check that keeps garbage out of stacks.

use std::fs::File;
use std::os::unix::fs::FileExt;

use iced_x86::{Decoder, DecoderOptions, Mnemonic};

/// Longest x86-64 call: a prefix, REX, opcode, ModRM, SIB and a 32-bit displacement.
const CALL_BYTES_MAX: usize = 9;
/// Shortest: `call *%rax`.
const CALL_BYTES_MIN: usize = 2;

/// Whether the bytes before an offset decode to a call that ends there.
#[must_use]
pub fn stands_before(file: &File, file_offset: u64) -> bool {
    let mut buffer = [0; CALL_BYTES_MAX];
    let length = CALL_BYTES_MAX.min(usize::try_from(file_offset).unwrap_or(CALL_BYTES_MAX));
    let bytes = &mut buffer[..length];
    file.read_exact_at(bytes, file_offset - length as u64).is_ok() && ends_with_call(bytes)
}

/// Whether an offset is where the first function of a goroutine returns to: behind the first byte of `runtime.goexit`, which
/// is a `nop` before a call (`runtime/asm_amd64.s`), so that tables of code find it.
#[must_use]
pub fn ends_goroutine(file: &File, file_offset: u64) -> bool {
    const NOP: u8 = 0x90;
    const CALL: u8 = 0xe8;
    let mut bytes = [0; 2];
    let before = file_offset.checked_sub(1);
    before.is_some_and(|at| file.read_exact_at(&mut bytes, at).is_ok()) && bytes == [NOP, CALL]
}

fn ends_with_call(bytes: &[u8]) -> bool {
    (CALL_BYTES_MIN..=bytes.len()).any(|length| {
        let tail = &bytes[bytes.len() - length..];
        let instruction = Decoder::with_ip(64, tail, 0, DecoderOptions::NONE).decode();
        instruction.mnemonic() == Mnemonic::Call && instruction.len() == length
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_call_is_recognised_and_nothing_else() {
        let check = |bytes: &[u8], expect| assert_eq!(ends_with_call(bytes), expect, "{bytes:02x?}");
        check(&[0xe8, 1, 2, 3, 4], true);
        check(&[0xff, 0xd0], true);
        check(&[0x41, 0xff, 0xd4], true);
        check(&[0xff, 0x50, 0x18], true);
        check(&[0xff, 0x15, 1, 2, 3, 4], true);
        check(&[0xff, 0x94, 0xc3, 1, 2, 3, 4], true);
        check(&[0x41, 0xff, 0x94, 0xc4, 1, 2, 3, 4], true);
        check(&[0x90, 0x90, 0xe8, 1, 2, 3, 4], true);
        check(&[0xe9, 1, 2, 3, 4], false);
        check(&[0xff, 0xe0], false);
        check(&[0x90; 9], false);
        check(&[0xe8, 1, 2, 3, 4, 0x90], false);
        check(&[], false);
    }
}
