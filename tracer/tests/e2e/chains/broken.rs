//! Stacks that are none, and unwind tables that are damaged: bounded work, a reason, and no frame that is no code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use tracer::elf::Image;
use tracer::model::snapshot::Snapshot;

use super::build::{PIE, library, program};
use super::chain::{assert_beginnings, chains_of, sites_of, text_of};
use super::{attached, lines_and_snapshot};
use crate::harness::kernel_or_skip;

const ROUNDS: &str = "20000";
const REASONS: [&str; 6] = ["depth", "no_frame_pointer", "read_fault", "no_table", "bad_cfa", "no_mapping"];

fn assert_bounded(what: &str, snapshot: &Snapshot, lines: &str) {
    let calls =
        lines.lines().find_map(|line| line.strip_prefix("calls ")).expect("it says how often it called");
    let calls: u64 = calls.parse().expect("a number");
    let own = |leaf: &str| sites_of(snapshot, leaf).map(|site| site.alloc_objects).sum::<u64>();
    assert_eq!(
        own("leaf_forged") + own("leaf_coroutine"),
        calls,
        "{what}: every call is in a stack of its caller"
    );
    // Starting the second thread is one more.
    assert_eq!(snapshot.targets[0].totals.alloc_objects, calls + 1, "{what}: totals");
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for site in &snapshot.sites {
        let reason = site.truncated.as_deref().unwrap_or("whole");
        *reasons.entry(reason).or_default() += site.alloc_objects;
        assert!(reason == "whole" || REASONS.contains(&reason), "{what}: {}", text_of(site));
        assert!(site.frames.len() <= 128, "{what}: {} frames", site.frames.len());
        let is_code =
            |module: &str| ["chains_broken", "libc.so", "ld-linux"].iter().any(|code| module.contains(code));
        let strange = site.frames.iter().find(|frame| !frame.module.as_deref().is_some_and(is_code));
        assert!(strange.is_none(), "{what}: {strange:?} is no code, in {}", text_of(site));
    }
    let seen: BTreeSet<_> = reasons.keys().copied().collect();
    let expected = ["depth", "no_frame_pointer", "read_fault", "bad_cfa", "no_mapping"];
    assert!(
        expected.iter().all(|reason| seen.contains(reason)),
        "{what}: all of these were met: {reasons:?}"
    );
    println!("{what}: {reasons:?}");
}

#[test]
fn forged_and_rewritten_stacks_end_with_a_reason_and_every_call_counts() {
    if kernel_or_skip("forged_and_rewritten_stacks_end_with_a_reason_and_every_call_counts") {
        let program = program(&["broken.c"], PIE, &[]).expect("a C program compiles");
        for mode in ["alloc", "live"] {
            for unwind in ["tables", "frame-pointers"] {
                let options = ["--mode", mode, "--unwind", unwind];
                let (snapshot, lines) = lines_and_snapshot(&program, &[ROUNDS], &options);
                if unwind == "tables" {
                    assert_bounded(mode, &snapshot, &lines);
                    assert_beginnings(mode, &snapshot, &chains_of(&lines));
                }
            }
        }
    }
}

/// Puts something wrong into a section.
type Damage = fn(&mut [u8]);

const DAMAGES: [(&str, Damage); 6] = [
    ("zeros", |bytes| bytes.fill(0)),
    ("ones", |bytes| bytes.fill(0xff)),
    ("lengths_beyond_the_end", |bytes| {
        descriptions(bytes, |head| head[..4].copy_from_slice(&0x7fff_0000_u32.to_le_bytes()));
    }),
    ("descriptions_that_are_their_own_parents", |bytes| {
        descriptions(bytes, |head| head[4..8].copy_from_slice(&4_u32.to_le_bytes()));
    }),
    ("lengths_of_zero", |bytes| descriptions(bytes, |head| head[..4].fill(0))),
    ("instructions_that_are_none", |bytes| descriptions(bytes, |head| head[17..].fill(0x3f))),
];

/// Each function's description, from its length to its end; what they share is left out.
fn descriptions(bytes: &mut [u8], change: impl Fn(&mut [u8])) {
    let mut at = 0;
    while let Some(length) = bytes.get(at..at + 4) {
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize + 4;
        let end = at + length;
        if length < 8 || end > bytes.len() {
            break;
        }
        let is_function = bytes[at + 4..at + 8] != [0; 4];
        if is_function && length > 20 {
            change(&mut bytes[at..end]);
        }
        at = end;
    }
}

fn damaged(whole: &Path, name: &str, section: &str, damage: Damage) -> PathBuf {
    let mut bytes = fs::read(whole).expect("it was compiled");
    let image = Image::open(fs::File::open(whole).expect("it was compiled")).expect("an ELF file");
    let range = image.section_range(section).expect("it has the section");
    damage(&mut bytes[range.start.0 as usize..range.end.0 as usize]);
    let path = whole.with_extension(format!("{name}.so"));
    fs::write(&path, bytes).expect("the target directory is writable");
    path
}

#[test]
fn damaged_unwind_tables_cut_stacks_and_harm_nothing() {
    if kernel_or_skip("damaged_unwind_tables_cut_stacks_and_harm_nothing") {
        let program = program(&["through.c"], PIE, &[]).expect("a C program compiles");
        let whole = library("in_between.c", "damaged_library", &["-DNAME=first_library", "-DFRAME=488"]);
        for (name, damage) in DAMAGES {
            for section in [".eh_frame", ".eh_frame_hdr"] {
                let path = damaged(&whole, &format!("{name}{section}"), section, damage);
                let path = path.to_str().expect("a plain path");
                let (snapshot, chains) = attached(&program, &[path, "first_library"], &[]);
                let what = format!("{section}: {name}");
                assert_beginnings(&what, &snapshot, &chains);
                let count: u64 = sites_of(&snapshot, "leaf_through").map(|site| site.alloc_objects).sum();
                assert_eq!(count, 100, "{what}");
                // The index alone is no more than a shortcut; other damage need not reach this function.
                let stacks: Vec<_> = sites_of(&snapshot, "leaf_through").map(text_of).collect();
                println!("{what}: {stacks:?}");
            }
        }
    }
}
