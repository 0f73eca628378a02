//! A program's own tally against the counting shim in it: two counts that know nothing of each other.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::harness::{Target, code_of};
use crate::shim::{Counts, FUNCTIONS, NUMBERS, Shim};
use crate::tally::Tally;

/// Asserts that between "ready" and the tally the shim counted what the program counted, function by function.
pub(super) fn assert_agreed(program: &Path) {
    let folder = tempfile::tempdir().expect("a directory");
    let shim = Shim::of(program, &folder.path().join("counts"));
    let mut target = Target::spawn(shim.preload(&mut Command::new(program)));
    target.wait_ready();
    let before = shim.counts();
    target.go();
    let tally: Tally = target.next_json();
    let counts = shim.counts().since(&before);
    target.go();
    assert_eq!(code_of(target.wait()), 0, "{}: it ends well", program.display());
    let expected = numbers_of(&tally);
    for (name, numbers) in FUNCTIONS.iter().zip(&counts.functions) {
        let (mut own, mut got) = (expected.get(name).copied().unwrap_or_default(), *numbers);
        if *name == "malloc" {
            // The blocks of exceptions have a size that only the C++ runtime knows.
            (own[0], own[3]) = (own[0] + tally.exceptions, own[3] + tally.exceptions);
            if let Some(each) = (got[1] - own[1]).checked_div(tally.exceptions) {
                assert!((64..512).contains(&each), "{}: an exception has {each} bytes", program.display());
                (own[1], own[4]) = (got[1], got[4]);
            }
        }
        if *name == "free" {
            own[0] += tally.exceptions;
            got = [got[0], 0, 0, 0, 0];
        }
        assert_eq!(got, own, "{}: {name}: calls, bytes, failed, attempts and theirs", program.display());
    }
    let freed = tally.sum(|site| site.free_objects) + tally.exceptions;
    let Counts { freed: seen, own_blocks, .. } = counts;
    assert_eq!((seen, own_blocks), (freed, 0), "{}: blocks that went", program.display());
}

fn numbers_of(tally: &Tally) -> BTreeMap<&str, [u64; NUMBERS]> {
    let mut numbers: BTreeMap<&str, [u64; NUMBERS]> = BTreeMap::new();
    for site in &tally.sites {
        let own = [site.alloc_objects, site.alloc_bytes, site.failed, site.attempts, site.attempt_bytes];
        let sums = numbers.entry(&site.function).or_default();
        *sums = std::array::from_fn(|at| sums[at] + own[at]);
    }
    for frees in &tally.frees {
        numbers.entry(&frees.function).or_default()[0] += frees.calls;
    }
    numbers
}
