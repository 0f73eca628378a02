//! Where probes go in all functions of real Go programs, of every toolchain that is here.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic};
use tracer::elf::Image;
use tracer::go::Lines;
use tracer::probe::go_entry::{self, NoEntry};
use tracer::units::ElfVaddr;

use super::toolchains::{build, toolchains};
use super::{BUILDS, go_program, image};

/// What moves a stack that is too small, and goes back to the entry of who has called it.
const MORE_STACK: [&str; 3] = ["runtime.morestack", "runtime.morestackc", "runtime.morestack_noctxt"];

fn decoded(image: &Image, code: &Range<ElfVaddr>) -> Vec<Instruction> {
    let bytes = image.read_vaddr(code.clone());
    Decoder::with_ip(64, &bytes, code.start.0, DecoderOptions::NONE).into_iter().collect()
}

/// Every function that may grow its stack has its probe behind the branch that decides on that, every other one at its
/// entry; and nothing leads to a probe twice.
fn agrees(program: &Path, name: &str) {
    let image = image(program);
    let lines: &Lines = &go_program(program).lines;
    let more: BTreeSet<u64> = lines
        .functions_where(&|name| MORE_STACK.contains(&name))
        .iter()
        .map(|(_, code)| code.start.0)
        .collect();
    assert!(!more.is_empty(), "{name}");
    let (mut behind, mut refused) = (0, Vec::new());
    let all = lines.functions_where(&|name| !name.starts_with("go:buildid"));
    for (function, code) in &all {
        let place = match go_entry::place(&image, code) {
            Ok(place) => place,
            Err(why) => {
                refused.push((function, why));
                continue;
            }
        };
        let instructions = decoded(&image, code);
        let at = code.start.0 + u64::from(place.placement.offset_from_entry);
        let index = instructions.iter().position(|instruction| instruction.ip() == at);
        let index = index.unwrap_or_else(|| panic!("{name}: no instruction of {function} begins at {at:#x}"));
        let grows = instructions.iter().any(|instruction| {
            instruction.flow_control() == FlowControl::Call
                && more.contains(&instruction.near_branch_target())
        });
        assert_eq!(grows, index > 0, "{name}: {function} {:?}", place.placement);
        if grows {
            behind += 1;
            let branch = &instructions[index - 1];
            assert_eq!(branch.mnemonic(), Mnemonic::Jbe, "{name}: {function}");
            let target = instructions.iter().position(|i| i.ip() == branch.near_branch_target());
            assert!(target.is_some_and(|target| target > index), "{name}: {function}");
        }
        assert_eq!(place.offset.0 - place.entry_offset.0, u64::from(place.placement.offset_from_entry));
    }
    assert!(behind > 500, "{name}: {behind}");
    // Those that a probe is wanted in, of what this program links.
    for wanted in [
        "runtime.mallocgc",
        "runtime.gcStart",
        "runtime.stopTheWorldWithSema",
        "runtime.startTheWorldWithSema",
    ] {
        let code = lines.function(wanted).unwrap_or_else(|| panic!("{name}: {wanted}"));
        let place = go_entry::place(&image, &code).unwrap_or_else(|why| panic!("{name}: {wanted}: {why}"));
        assert!(
            ["push rbp", "sub", "add"].contains(&place.placement.instruction.as_str()),
            "{name}: {place:?}"
        );
    }
    assert!(refused.iter().all(|(_, why)| *why == NoEntry::JumpedTo), "{name}: {refused:?}");
    assert!(refused.len() < 5, "{name}: {refused:?}");
}

#[test]
fn probes_of_all_functions_of_go_lie_behind_the_check_of_the_stack() {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    for (index, go) in
        toolchains("probes_of_all_functions_of_go_lie_behind_the_check_of_the_stack").iter().enumerate()
    {
        for (name, flags) in BUILDS {
            let program = folder.path().join(format!("{index}-{}", name.replace(", ", "-")));
            build(go, "go_calls.go", flags, false, &program);
            agrees(&program, &format!("{} {name}", go.display()));
        }
    }
}
