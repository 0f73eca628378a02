//! Places in hand-assembled code of Go.

use super::{NoEntry, choose};
use crate::units::ElfVaddr;

const ENTRY: ElfVaddr = ElfVaddr(0x1000);

#[track_caller]
fn check(parts: &[&[u8]], expect: Result<(u8, &str, bool), NoEntry>) {
    let code = parts.concat();
    let found = choose(ENTRY, &code);
    let found = found.as_ref().map(|(place, branch)| {
        let behind = branch
            .as_ref()
            .map(|branch| (branch.instruction.as_str(), branch.offset_from_entry < place.offset_from_entry));
        assert_eq!(behind, (place.offset_from_entry > 0).then_some(("jbe", true)));
        assert_eq!((place.shift_bytes, place.note.is_none()), (0, place.emulated));
        (place.offset_from_entry, place.instruction.as_str(), place.emulated)
    });
    assert_eq!(found, expect.as_ref().map(|place| *place), "{code:02x?}");
}

/// cmp rsp, [r14+16]
const SMALL: &[u8] = &[0x49, 0x3b, 0x66, 0x10];
/// lea r12, [rsp-0x28]; cmp r12, [r14+24]
const LARGE: &[u8] = &[0x4c, 0x8d, 0x64, 0x24, 0xd8, 0x4d, 0x3b, 0x66, 0x18];
/// mov r12, rsp; sub r12, 0x10000; jb +0x40; cmp r12, [r14+16]
const HUGE: &[u8] =
    &[0x49, 0x89, 0xe4, 0x49, 0x81, 0xec, 0, 0, 1, 0, 0x0f, 0x82, 0x40, 0, 0, 0, 0x4d, 0x3b, 0x66, 0x10];
/// mov rcx, fs:[-8]; cmp rsp, [rcx+16]
const ASSEMBLER: &[u8] = &[0x64, 0x48, 0x8b, 0x0c, 0x25, 0xf8, 0xff, 0xff, 0xff, 0x48, 0x3b, 0x61, 0x10];
/// jbe, to the end of the code
const TO_MORE_STACK: &[u8] = &[0x0f, 0x86, 0x10, 0, 0, 0];
/// push rbp; mov rbp, rsp; ret
const FRAME: &[u8] = &[0x55, 0x48, 0x89, 0xe5, 0xc3];

#[test]
fn a_probe_lies_behind_the_check_of_the_stack() {
    for (before, offset) in [(SMALL, 10), (LARGE, 15), (HUGE, 26), (ASSEMBLER, 19)] {
        check(&[before, TO_MORE_STACK, FRAME], Ok((offset, "push rbp", true)));
    }
    // Go 1.19: sub rsp, 0x70
    check(&[SMALL, &[0x76, 0x10], &[0x48, 0x83, 0xec, 0x70], FRAME], Ok((6, "sub", false)));
    // A branch that is aligned: nop between.
    check(&[SMALL, &[0x90], &[0x76, 0x10], FRAME], Ok((7, "push rbp", true)));
}

#[test]
fn without_a_check_the_probe_lies_at_the_entry() {
    check(&[FRAME], Ok((0, "push rbp", true)));
    check(&[&[0x48, 0x83, 0xec, 0x18], FRAME], Ok((0, "sub", false)));
    // cmp rsp, [r14+32]; jbe: of nothing that is known.
    check(&[&[0x49, 0x3b, 0x66, 0x20], TO_MORE_STACK, FRAME], Ok((0, "cmp", false)));
    // cmp rsp, [r14+16]; ja
    check(&[SMALL, &[0x77, 0x10], FRAME], Ok((0, "cmp", false)));
}

#[test]
fn growing_the_stack_leads_to_the_entry_and_to_no_probe() {
    // jmp to the entry, from 15: behind push, mov, ret.
    check(&[SMALL, &[0x76, 0x05], FRAME, &[0xeb, 0xf3]], Ok((6, "push rbp", true)));
}

#[test]
fn a_place_that_a_jump_leads_to_is_refused() {
    // nop; jmp to the entry, or behind the check.
    check(&[&[0x90, 0xeb, 0xfd]], Err(NoEntry::JumpedTo));
    check(&[SMALL, &[0x76, 0x03], &[0x90, 0xeb, 0xfd]], Err(NoEntry::JumpedTo));
    // Into the check.
    check(&[SMALL, &[0x76, 0x03], &[0x90, 0xeb, 0xfb]], Err(NoEntry::JumpedTo));
}

#[test]
fn what_is_no_code_is_refused() {
    check(&[], Err(NoEntry::NoCode));
    check(&[SMALL, TO_MORE_STACK], Err(NoEntry::NoCode));
    check(&[&[0x06]], Err(NoEntry::Garbled));
    check(&[FRAME, &[0x06, 0x07]], Err(NoEntry::Garbled));
}
