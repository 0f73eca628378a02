//! Calls that control leaves by another way than their return, and handlers that allocate in the middle of one.

use tracer::model::snapshot::Mode;

use crate::harness::kernel_or_skip;
use crate::tally::{assert_exact, assert_exact_in_both_modes, traced};

/// Check that a call left by siglongjmp is pending, not an allocation, and that a realloc's old block stays.
#[test]
fn calls_left_by_longjmp_are_pending_and_nothing_else() {
    if kernel_or_skip("calls_left_by_longjmp_are_pending_and_nothing_else") {
        assert_exact_in_both_modes("interrupted", "longjmp");
    }
}

/// Check that the free of a block finds it although a realloc of it has begun and was left.
#[test]
fn block_freed_after_its_realloc_was_left_is_gone() {
    if kernel_or_skip("block_freed_after_its_realloc_was_left_is_gone") {
        assert_exact_in_both_modes("interrupted", "freed");
    }
}

/// Check threads that end inside malloc, by pthread_exit and by cancellation in turn.
#[test]
fn threads_that_end_inside_malloc_leave_pending_calls_only() {
    if kernel_or_skip("threads_that_end_inside_malloc_leave_pending_calls_only") {
        let (snapshot, tally) = traced("interrupted", &["exit"], &[]);
        assert!(tally.abandoned > 0, "some did: {tally:?}");
        assert_exact(&snapshot, &tally, Mode::Live);
        println!("{} threads ended inside malloc", tally.abandoned);
    }
}

/// Check that a handler's blocks and those of the call that it interrupts are both counted.
#[test]
fn handler_that_allocates_inside_malloc_is_counted_beside_it() {
    if kernel_or_skip("handler_that_allocates_inside_malloc_is_counted_beside_it") {
        for mode in [Mode::Live, Mode::Alloc] {
            let (snapshot, tally) = traced("interrupted", &["handler"], &["--mode", &mode.to_string()]);
            let (inside, outside) = (tally.more("inside"), tally.more("outside"));
            assert!(inside >= 100, "it was inside often: {inside}, outside {outside}");
            assert_exact(&snapshot, &tally, mode);
            println!("{mode}: the handler allocated {inside} times inside malloc, {outside} times outside");
        }
    }
}
