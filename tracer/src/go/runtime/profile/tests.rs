//! Profiles that this process holds in its own memory, laid out as Go 1.27 does.

use super::*;
use crate::go::runtime::layout::Layout;

/// A header of 6 words, a stack of 2, counts of 4 cycles by 2.
const WORDS: usize = 16;

/// Buckets, and the variables that lead to them.
struct Held {
    buckets: Vec<[u64; WORDS]>,
    /// `mbuckets`, `MemProfileRate`, `mProfCycle`.
    variables: Box<[u64; 3]>,
}

impl Held {
    /// So many buckets, the last one first in the list.
    fn new(count: usize) -> Self {
        let mut held = Self { buckets: vec![[0; WORDS]; count], variables: Box::new([0, 512, 0]) };
        for index in 0..count {
            let next = index.checked_sub(1).map_or(0, |next| held.address(next));
            held.buckets[index][..8].copy_from_slice(&[0, next, 1, 0, 32, 2, 0x1000 + index as u64, 0x2000]);
        }
        held.variables[0] = count.checked_sub(1).map_or(0, |last| held.address(last));
        held
    }

    fn address(&self, index: usize) -> u64 {
        self.buckets[index].as_ptr() as u64
    }

    fn count(&mut self, index: usize, cycle: usize, allocs: u64, frees: u64) {
        self.buckets[index][8 + cycle * 2..][..2].copy_from_slice(&[allocs, frees]);
    }

    fn profile(&self) -> Profile {
        let at = |index: usize| &raw const self.variables[index] as u64;
        let layout = Layout::from_table(27).and_then(|layout| layout.bucket).expect("the table has it");
        Profile::new(Addresses { list: at(0), rate: at(1), cycle: Some(at(2)) }, layout)
    }
}

fn memory() -> Memory {
    Memory::open(std::process::id()).expect("this process reads itself")
}

#[test]
fn counts_of_all_cycles_are_allocations_and_published_ones_are_live_or_freed() {
    let mut held = Held::new(3000);
    held.count(7, 0, 10, 4);
    held.count(7, 1, 3, 0);
    held.count(7, 3, 2, 1);
    let read = held.profile().read(&memory()).expect("nobody changes it");
    assert_eq!((read.interval_bytes, read.buckets.len(), read.retries), (512, 3000, 0));
    let bucket = read.buckets.iter().find(|bucket| bucket.address == held.address(7)).expect("it is there");
    let numbers = (bucket.allocated, bucket.freed, bucket.live, bucket.size_bytes);
    assert_eq!((numbers, &*bucket.stack), ((15, 4, 6, 32), &[0x1007, 0x2000][..]));
}

#[test]
fn a_process_that_has_sampled_nothing_has_an_empty_profile() {
    assert_eq!(Held::new(0).profile().read(&memory()).map(|read| read.buckets), Ok(Vec::new()));
}

#[test]
fn a_rate_that_is_not_positive_takes_no_samples() {
    for rate in [0, u64::MAX, 1 << 63] {
        let mut held = Held::new(1);
        held.variables[1] = rate;
        let mut profile = held.profile();
        assert_eq!(profile.interval(&memory()), Ok(None), "{rate:#x}");
        assert_eq!(profile.read(&memory()), Err(Unread::Missing(crate::go::runtime::RATE_IS_0.to_owned())));
    }
}

#[test]
fn only_the_counts_of_known_buckets_are_read_again() {
    let mut held = Held::new(3);
    let mut profile = held.profile();
    held.variables[0] = held.address(1);
    assert_eq!(profile.read(&memory()).map(|read| read.buckets.len()), Ok(2));
    // What stands in the header of a known bucket is not looked at again.
    held.buckets[0][2] = 99;
    held.count(0, 0, 1, 0);
    held.variables[0] = held.address(2);
    let read = profile.read(&memory()).expect("the new one leads to a known one");
    assert_eq!(read.buckets.iter().map(|bucket| bucket.live).sum::<u64>(), 1);
    assert_eq!(read.buckets.len(), 3);
}

#[test]
fn a_list_that_is_damaged_ends() {
    let check = |damage: &dyn Fn(&mut Held), expect: &str| {
        let mut held = Held::new(10);
        damage(&mut held);
        match held.profile().read(&memory()) {
            Err(Unread::Damaged(why)) => assert!(why.contains(expect), "{why}"),
            other => panic!("{expect}: {other:?}"),
        }
    };
    check(&|held| held.buckets[0][1] = held.address(5), "in a circle");
    check(&|held| held.buckets[4][1] = held.address(4), "in a circle");
    check(&|held| held.buckets[4][1] = 8, "cannot be read");
    check(&|held| held.buckets[4][1] = u64::MAX - 3, "not there");
    check(&|held| held.buckets[4][2] = 2, "its kind is 2");
    check(&|held| held.buckets[4][5] = 1 << 50, "its stack has");
    check(&|held| held.variables[0] = 1 << 63, "cannot be read");
}

#[test]
fn a_flush_that_is_not_over_is_torn() {
    let check = |cycle: u64, flushed: u64, left: usize, expect: bool| {
        let mut held = Held::new(4);
        held.variables[2] = cycle << 1 | flushed;
        held.count(2, 1 + left, 5, 0);
        let is_torn = held.profile().read(&memory()) == Err(Unread::Torn);
        assert_eq!(is_torn, expect, "cycle {cycle}, flushed {flushed}, counts left in {left}");
    };
    check(4, 1, 1, true);
    check(4, 0, 1, false);
    check(4, 1, 0, false);
    check(4, 1, 2, false);
}

#[test]
fn more_frees_than_allocations_are_torn() {
    let mut held = Held::new(4);
    held.count(3, 0, 5, 6);
    assert_eq!(held.profile().read(&memory()), Err(Unread::Torn));
}

#[test]
fn records_that_lie_far_apart_are_read_one_by_one() {
    let held = Held::new(20);
    let mut profile = held.profile();
    profile.walk(&memory()).expect("it is whole");
    let all = profile.known.buckets.clone();
    let first = all[0].record;
    assert_eq!(profile.run(&all, first), (20, 19 * 128 + 64));
    let sparse = [all[0].clone(), Found { record: first + (1 << 30), ..all[1].clone() }];
    assert_eq!(profile.run(&sparse, first), (1, 64));
}

/// Check that stacks that lie over one another, which cost a process next to nothing, do not cost the tracer memory without end.
#[test]
fn buckets_that_say_they_are_large_are_too_many_before_they_are_a_million() {
    let mut held = Held::new(40_100);
    for bucket in &mut held.buckets {
        bucket[5] = 1000;
    }
    // Below the last ones: a stack ends within those.
    held.variables[0] = held.address(40_000);
    let error = held.profile().read(&memory()).unwrap_err().to_string();
    assert!(error.contains("too many"), "{error}");
}
