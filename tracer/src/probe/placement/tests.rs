//! Placement on hand-assembled code.

use std::collections::BTreeSet;

use tracer_ebpf::abi::Argument;

use super::{Note, Placement, WINDOW_BYTES, Want, place};
use crate::units::ElfVaddr;

const ENTRY: ElfVaddr = ElfVaddr(0x1000);

const fn want(argument: Argument) -> Want {
    Want { argument, skips_null: false, has_return: true }
}

const SIZE: Want = want(Argument::Size);
const FREE: Want = Want { argument: Argument::Pointer, skips_null: true, has_return: false };

/// Where the probe goes (`None` is the entry, single-stepped), how far SP has moved, and what is there.
fn check(code: &[u8], targets: &[u64], want: Want, expect: Option<(u8, u8, &str)>) {
    let targets: BTreeSet<ElfVaddr> = targets.iter().map(|target| ElfVaddr(ENTRY.0 + target)).collect();
    let found = place(ENTRY, code, &targets, want);
    match expect {
        Some((offset, shift, instruction)) => {
            let found_at = (found.offset_from_entry, found.shift_bytes, found.instruction.as_str());
            assert_eq!(found_at, (offset, shift, instruction), "{code:02x?}");
            assert!(found.emulated);
        }
        None => {
            assert_eq!(
                (found.offset_from_entry, found.shift_bytes, found.emulated),
                (0, 0, false),
                "{found:?}"
            );
            assert!(found.note.is_some());
        }
    }
}

/// Check that the first emulated instruction is taken, whatever the compiler puts before it.
#[test]
fn prologues_of_compilers() {
    check(&[0x55, 0x48, 0x89, 0xe5], &[], SIZE, Some((0, 0, "push rbp")));
    check(&[0x41, 0x54, 0x55], &[], SIZE, Some((0, 0, "push r12")));
    // endbr64; push r12
    check(&[0xf3, 0x0f, 0x1e, 0xfa, 0x41, 0x54], &[], SIZE, Some((4, 0, "push r12")));
    // jemalloc: cmp rdi, 0x1000; ja
    check(&[0x48, 0x81, 0xff, 0, 0x10, 0, 0, 0x0f, 0x87, 9, 0, 0, 0], &[], SIZE, Some((7, 0, "ja")));
    // cmp byte [rip+n], 0; je +7; jmp
    let memalign = [0x80, 0x3d, 0x71, 0x0e, 0x14, 0, 0, 0x74, 0x07, 0xe9, 0x32, 0xf6, 0xff, 0xff];
    check(&memalign, &[0x10], want(Argument::AlignSize), Some((7, 0, "je")));
    // jmp to another function
    check(&[0xe9, 0, 1, 0, 0], &[], SIZE, Some((0, 0, "jmp")));
    check(&[0xeb, 0x10], &[], SIZE, Some((0, 0, "jmp")));
    check(&[0x90, 0x55], &[], SIZE, Some((0, 0, "nop")));
    check(&[0x66, 0x90, 0x55], &[], SIZE, Some((0, 0, "nop")));
    // mov eax, 1; push rbx: a register that holds no argument may change.
    check(&[0xb8, 1, 0, 0, 0, 0x53], &[], SIZE, Some((5, 0, "push rbx")));
}

/// Check that nothing is taken that is passed by some calls only, or too late to read the arguments.
#[test]
fn the_way_must_be_straight_and_the_arguments_intact() {
    // call; push: a call may change all of them.
    check(&[0xe8, 0, 0, 0, 0, 0x55], &[], SIZE, None);
    // mov edi, eax; push
    check(&[0x89, 0xc7, 0x55], &[], SIZE, None);
    // mov rsi, rax; push: malloc has one argument, calloc has two.
    check(&[0x48, 0x89, 0xc6, 0x55], &[], SIZE, Some((3, 0, "push rbp")));
    check(&[0x48, 0x89, 0xc6, 0x55], &[], want(Argument::CountSize), None);
    // xor edx, edx; push
    check(&[0x31, 0xd2, 0x55], &[], want(Argument::OldSize), Some((2, 0, "push rbp")));
    check(&[0x31, 0xd2, 0x55], &[], want(Argument::OutAlignSize), None);
    // cmp rdi, 0; jrcxz; push: not emulated, and passed by some.
    check(&[0x48, 0x83, 0xff, 0, 0xe3, 0x05, 0x55], &[], SIZE, None);
    // ret; push
    check(&[0xc3, 0x55], &[], SIZE, None);
    // jmp rax; push
    check(&[0xff, 0xe0, 0x55], &[], SIZE, None);
    // mov rsp, rax; push: nobody knows where the return address is.
    check(&[0x48, 0x89, 0xc4, 0x55], &[], FREE, None);
    // and rsp, -16; push
    check(&[0x48, 0x83, 0xe4, 0xf0, 0x55], &[], FREE, None);
    // pop rax; push rax
    check(&[0x58, 0x50], &[], FREE, None);
    // an instruction of unusual length: push by the long form, and a cut-off jump
    check(&[0x48, 0x55], &[], SIZE, None);
    check(&[0x0f, 0x87, 1], &[], SIZE, None);
    check(&[], &[], SIZE, None);
    // Nothing within the window.
    let late: Vec<u8> = [0x31, 0xc0].repeat(WINDOW_BYTES / 2).into_iter().chain([0x55]).collect();
    check(&late, &[], SIZE, None);
}

/// Check that a place that jumps can lead past, or back to, is not taken.
#[test]
fn jumps_into_the_prologue_lead_to_the_entry() {
    // test al, al; push rbx
    let code = [0x84, 0xc0, 0x53, 0x90];
    check(&code, &[], SIZE, Some((2, 0, "push rbx")));
    check(&code, &[2], SIZE, None);
    check(&code, &[1], SIZE, None);
    // To the entry itself, and behind the place.
    check(&code, &[0, 3], SIZE, Some((2, 0, "push rbx")));
}

/// Check that freeing functions are probed behind their check for NULL, and only behind that.
#[test]
fn free_skips_null() {
    // glibc 2.36: test rdi, rdi; je; push rbp
    let glibc = [0x48, 0x85, 0xff, 0x0f, 0x84, 0xbf, 0, 0, 0, 0x55, 0x48];
    check(&glibc, &[0xc8], FREE, Some((9, 0, "push rbp")));
    check(&glibc, &[9], FREE, Some((3, 0, "je")));
    check(&glibc, &[], SIZE, Some((3, 0, "je")));
    // cmp rdi, 0; je +2; push rbx
    check(&[0x48, 0x83, 0xff, 0, 0x74, 2, 0x53], &[], FREE, Some((6, 0, "push rbx")));
    // jne: what follows is the way of NULL.
    check(&[0x48, 0x85, 0xff, 0x75, 1, 0x55], &[], FREE, Some((3, 0, "jne")));
    // test rsi, rsi; je: another argument.
    check(&[0x48, 0x85, 0xf6, 0x74, 1, 0x55], &[], FREE, Some((3, 0, "je")));
    // test rdi, rdi; cmp al, 1; je: another question.
    check(&[0x48, 0x85, 0xff, 0x3c, 1, 0x74, 1, 0x55], &[], FREE, Some((5, 0, "je")));
    // test rdi, rdi; je; ret: nothing behind it, so the check itself.
    check(&[0x48, 0x85, 0xff, 0x74, 1, 0xc3], &[], FREE, Some((3, 0, "je")));
    // test rdi, rdi; je; mov rax, [rdi-8]; test al, 2; jne: the first that all others pass.
    let later = [0x48, 0x85, 0xff, 0x74, 1, 0x48, 0x8b, 0x47, 0xf8, 0xa8, 2, 0x75, 1];
    check(&later, &[], FREE, Some((11, 0, "jne")));
}

/// Check that SP is followed, and that a return probe never lies where it has moved.
#[test]
fn the_stack_is_followed() {
    let entry_only = Want { has_return: false, ..SIZE };
    // sub rsp, 24; push rbx
    let sub = [0x48, 0x83, 0xec, 0x18, 0x53];
    check(&sub, &[], entry_only, Some((4, 24, "push rbx")));
    check(&sub, &[], SIZE, None);
    // lea rsp, [rsp-16]; add rsp, 8; jmp
    let lea = [0x48, 0x8d, 0x64, 0x24, 0xf0, 0x48, 0x83, 0xc4, 8, 0xeb, 0];
    check(&lea, &[], entry_only, Some((9, 8, "jmp")));
    // push 1; add rsp, 8; je: SP is back.
    check(&[0x6a, 1, 0x48, 0x83, 0xc4, 8, 0x74, 0], &[], SIZE, Some((6, 0, "je")));
    // sub rsp, 0x100; push: more than a cookie can say.
    check(&[0x48, 0x81, 0xec, 0, 1, 0, 0, 0x53], &[], entry_only, None);
    let note = place(ENTRY, &sub, &BTreeSet::new(), SIZE).note;
    assert_eq!(note, Some(Note::SingleSteppedForReturn));
}

/// Check that longer nops are the last choice, and that the one of five bytes is none.
#[test]
fn longer_nops_are_the_last_choice() {
    let since = |code: &[u8]| place(ENTRY, code, &BTreeSet::new(), SIZE).note;
    check(&[0x0f, 0x1f, 0x40, 0, 0x55], &[], SIZE, Some((4, 0, "push rbp")));
    check(&[0x0f, 0x1f, 0x40, 0, 0xc3], &[], SIZE, Some((0, 0, "nop")));
    assert_eq!(since(&[0x0f, 0x1f, 0x40, 0, 0xc3]), Some(Note::NopSince6_16));
    assert_eq!(since(&[0x0f, 0x1f, 0x40, 0, 0x55]), None);
    check(&[0x0f, 0x1f, 0x44, 0, 0, 0xc3], &[], SIZE, None);
    assert_eq!(since(&[0x0f, 0x1f, 0x44, 0, 0, 0xc3]), Some(Note::SingleStepped));
}

/// Check that any bytes have a place.
#[test]
fn garbage_has_a_place() {
    let mut seed = 7_u32;
    let mut noise = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    for _ in 0..20_000 {
        let code: Vec<u8> = (0..80).map(|_| noise()).collect();
        let Placement { offset_from_entry, .. } =
            place(ElfVaddr(u64::MAX - 20), &code, &BTreeSet::new(), FREE);
        assert!(usize::from(offset_from_entry) < WINDOW_BYTES);
    }
}
