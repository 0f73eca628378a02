//! The BPF object, instruction by instruction: what keeps a uprobe program from a private stack, and small.
//!
//! Instruction encoding: RFC 9669.

use std::collections::BTreeSet;

use object::{Object, ObjectSection, ObjectSymbol};

static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("TRACER_BPF_OBJECT"));

/// The programs that run at every call.
const EVERY_CALL: [&str; 4] = ["alloc_enter", "live_enter", "live_leave", "live_free"];
/// From this on the kernel gives a program a private stack (`BPF_PRIV_STACK_MIN_SIZE` in kernel/bpf/verifier.c).
const PRIVATE_STACK_BYTES: i64 = 64;
const FRAME_POINTER: u8 = 10;
const CALL: u8 = 0x85;
const MOVE: u8 = 0xbf;
const ADD_CONSTANT: u8 = 0x07;
const WIDE_CONSTANT: u8 = 0x18;
const TAIL_CALL: i32 = 12;

struct Instruction {
    opcode: u8,
    destination: u8,
    source: u8,
    offset: i16,
    constant: i32,
}

/// Name and instructions of each uprobe program, without the subprograms that it calls.
fn uprobe_programs() -> Vec<(String, Vec<Instruction>)> {
    let file = object::File::parse(OBJECT).expect("the object is an ELF file");
    let mut programs = Vec::new();
    for section in file.sections() {
        let name = section.name().expect("a section has a name");
        if !name.starts_with("uprobe") && !name.starts_with("uretprobe") {
            continue;
        }
        let data = section.data().expect("a section has data");
        for symbol in file.symbols().filter(|symbol| {
            symbol.section_index() == Some(section.index()) && symbol.kind() == object::SymbolKind::Text
        }) {
            let start = symbol.address() as usize;
            let code = &data[start..start + symbol.size() as usize];
            let name = symbol.name().expect("a program has a name").to_owned();
            programs.push((name, code.chunks_exact(8).map(instruction).collect()));
        }
    }
    programs
}

fn instruction(bytes: &[u8]) -> Instruction {
    Instruction {
        opcode: bytes[0],
        destination: bytes[1] & 15,
        source: bytes[1] >> 4,
        offset: i16::from_le_bytes([bytes[2], bytes[3]]),
        constant: i32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    }
}

/// Bytes of stack below the frame pointer that a program uses.
fn stack_bytes(program: &[Instruction]) -> i64 {
    let mut deepest = 0;
    let mut copies = BTreeSet::new();
    let mut wide = false;
    for one in program {
        // The second half of a wide constant is no instruction.
        if std::mem::replace(&mut wide, one.opcode == WIDE_CONSTANT) {
            wide = false;
            continue;
        }
        let class = one.opcode & 7;
        let (is_load, is_store) = (class == 1, class == 2 || class == 3);
        if is_load && one.source == FRAME_POINTER || is_store && one.destination == FRAME_POINTER {
            deepest = deepest.max(-i64::from(one.offset));
        }
        match one.opcode {
            MOVE if one.source == FRAME_POINTER => {
                copies.insert(one.destination);
            }
            ADD_CONSTANT if copies.contains(&one.destination) => {
                deepest = deepest.max(-i64::from(one.constant));
            }
            _ => {}
        }
    }
    deepest
}

/// Check that no uprobe program can get a private stack, which a program that preempts it would overwrite.
#[test]
fn every_uprobe_program_holds_a_tail_call() {
    let programs = uprobe_programs();
    assert!(programs.len() >= 10, "all of them in both ways of attaching: {}", programs.len());
    for (name, program) in &programs {
        let is_tail_call =
            |one: &Instruction| one.opcode == CALL && one.source == 0 && one.constant == TAIL_CALL;
        assert!(program.iter().any(is_tail_call), "{name} has no tail call");
    }
}

/// Check that what runs at every call stays below the size of a private stack; what it calls for samples need not.
#[test]
fn programs_of_every_call_use_little_stack() {
    for (name, program) in uprobe_programs() {
        if EVERY_CALL.iter().any(|of_every_call| name.starts_with(of_every_call)) {
            let bytes = stack_bytes(&program);
            assert!(bytes > 0 && bytes < PRIVATE_STACK_BYTES, "{name} uses {bytes} bytes of stack");
        }
    }
}
