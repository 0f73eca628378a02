//! Where other tools miscount: every number equals the target's own tally.
//!
//! The cases are those of bcc's memleak issues (#4970, #3085, #5138, #3221, #4913) and of its source: calls
//! that fail, blocks that libc takes on behalf of others, a full map, blocks from before the attach.

use tracer::model::snapshot::{Mode, Verdict};

use crate::harness::{kernel_or_skip, nonzero};
use crate::tally::{TallySite, assert_exact, assert_exact_in_both_modes, traced};

/// Check that what malloc takes from mmap is counted once, and that 200,000 blocks of 4 bytes sum up.
#[test]
fn mappings_that_malloc_makes_are_not_counted_beside_its_blocks() {
    if kernel_or_skip("mappings_that_malloc_makes_are_not_counted_beside_its_blocks") {
        assert_exact_in_both_modes("traps", "large");
    }
}

/// Check every end of realloc: refused, moved, in place, of NULL, to nothing, into a mapping and out of it.
#[test]
fn realloc_is_counted_by_what_came_of_it() {
    if kernel_or_skip("realloc_is_counted_by_what_came_of_it") {
        assert_exact_in_both_modes("traps", "realloc");
        let (_, tally) = traced("traps", &["realloc"], &[]);
        let (moved, stayed) = (tally.more("moved"), tally.more("stayed"));
        assert!(moved > 100 && stayed > 100, "both kinds: {moved} moved, {stayed} stayed");
    }
}

/// Check that a failed call takes no block, nor the one whose address stood where its result would go.
#[test]
fn refused_calls_leave_every_block_alone() {
    if kernel_or_skip("refused_calls_leave_every_block_alone") {
        assert_exact_in_both_modes("traps", "refused");
    }
}

/// Check that an aligned allocation is counted once and under its own name, also when it jumps into malloc.
#[test]
fn aligned_allocations_are_counted_once_under_their_own_name() {
    if kernel_or_skip("aligned_allocations_are_counted_once_under_their_own_name") {
        assert_exact_in_both_modes("traps", "aligned");
    }
}

/// Check strdup, strndup, reallocarray and getline, whose sizes are known to their caller.
#[test]
fn blocks_that_libc_allocates_for_its_caller_are_counted_once() {
    if kernel_or_skip("blocks_that_libc_allocates_for_its_caller_are_counted_once") {
        assert_exact_in_both_modes("traps", "inside_libc");
    }
}

/// Check asprintf by what stays: it may take a larger block first and give it back.
#[test]
fn strings_that_libc_prints_are_in_use_with_their_length() {
    if kernel_or_skip("strings_that_libc_prints_are_in_use_with_their_length") {
        let (snapshot, tally) = traced("traps", &["asprintf"], &[]);
        let totals = &snapshot.targets[0].totals;
        let [strings, _, _, objects, bytes] = tally.sites[0].numbers(Mode::Live);
        assert_eq!((totals.inuse_objects, totals.inuse_bytes), (objects, bytes), "{totals:?}");
        assert_eq!(
            totals.free_objects.zip(objects).map(|(a, b)| a + b),
            Some(totals.alloc_objects),
            "{totals:?}"
        );
        assert!(Some(totals.alloc_objects) >= strings, "at least one each: {totals:?}");
        assert_eq!(snapshot.quality.frees_unmatched, Some(0), "{:?}", snapshot.quality);
        assert_eq!(snapshot.quality.verdict, Verdict::Exact, "{:?}", snapshot.quality);
    }
}

/// Check that blocks of unknown size are counted when they go, and change nothing else.
#[test]
fn blocks_older_than_the_attach_are_unmatched_when_they_go() {
    if kernel_or_skip("blocks_older_than_the_attach_are_unmatched_when_they_go") {
        let (snapshot, tally) = traced("traps", &["old"], &[]);
        assert!(tally.old_freed > 0, "there were some: {tally:?}");
        assert_exact(&snapshot, &tally, Mode::Live);
    }
}

/// Check that two million blocks at once, twice what fits, leave a count of what did not, and no false leak.
#[test]
fn two_million_live_blocks_overflow_the_map_and_leave_no_leak() {
    if !kernel_or_skip("two_million_live_blocks_overflow_the_map_and_leave_no_leak") {
        return;
    }
    let (snapshot, tally) = traced("traps", &["many"], &[]);
    let totals = &snapshot.targets[0].totals;
    let quality = &snapshot.quality;
    let lost = nonzero(&quality.lost);
    let objects = tally.sum(|site: &TallySite| site.alloc_objects);
    assert_eq!(totals.alloc_objects, objects, "allocations are intact: {totals:?}");
    assert_eq!(totals.alloc_bytes, tally.sum(|site| site.alloc_bytes), "and their bytes: {totals:?}");
    assert_eq!(totals.free_objects, Some(tally.sum(|site| site.free_objects)), "and frees: {totals:?}");
    let full = lost.get("map_full").copied().unwrap_or(0);
    assert!(full > 0 && lost.len() == 1, "what did not fit, and nothing else: {lost:?}");
    assert_eq!(quality.frees_unmatched, Some(full), "their frees are those that match nothing: {quality:?}");
    assert_eq!(quality.verdict, Verdict::Lossy, "and it is said: {quality:?}");
    assert_eq!((totals.inuse_objects, totals.inuse_bytes), (Some(0), Some(0)), "all was freed: {totals:?}");
    let leaking: Vec<_> = snapshot.sites.iter().filter(|site| site.inuse_objects != Some(0)).collect();
    assert!(leaking.is_empty(), "at every site: {leaking:?}");
    println!("2,000,000 live blocks: map_full {full}");
}
