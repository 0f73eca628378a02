//! Counters that this process holds in its own memory, laid out as Go 1.27 does.

use super::*;
use crate::go::runtime::layout::Layout;

/// `memstats`, `gcController` and `allp`, in words.
struct Held {
    memstats: Vec<u64>,
    controller: Vec<u64>,
    allp: Box<[u64; 3]>,
    layout: Layout,
}

impl Held {
    fn new() -> Self {
        let layout = Layout::from_table(27).expect("the table has it");
        Self { memstats: vec![0; 1400], controller: vec![0; 64], allp: Box::new([0, 4, 4]), layout }
    }

    /// Puts a number into one of the sets of counters.
    fn count(&mut self, set: u64, offset: u64, value: u64) {
        let delta = self.delta();
        self.memstats[((set * delta.bytes + offset) / 8) as usize] = value;
    }

    fn delta(&self) -> DeltaLayout {
        self.layout.delta.expect("the table has it")
    }

    /// What `gcController` says of allocated and freed bytes.
    fn confirm(&mut self, allocated: u64, freed: u64) {
        let at = [self.layout.controller.total_alloc, self.layout.controller.total_free];
        for (offset, value) in at.iter().flatten().zip([allocated, freed]) {
            self.controller[(offset / 8) as usize] = value;
        }
    }

    fn totals(&self, has_controller: bool) -> Totals {
        let address = self.controller.as_ptr() as u64;
        let controller = Controller { address, layout: self.layout.controller, minor: Some(27) };
        Totals {
            memstats: self.memstats.as_ptr() as u64,
            mstats: self.layout.mstats.expect("the table has it"),
            delta: self.delta(),
            processors: Some(self.allp.as_ptr() as u64),
            controller: has_controller.then_some(controller),
        }
    }

    fn read(&self, has_controller: bool) -> Result<HeapTotals, Unread> {
        self.totals(has_controller)
            .read(&Memory::open(std::process::id()).expect("this process reads itself"))
    }
}

#[test]
fn the_three_sets_are_added_up_and_tiny_objects_count_twice() {
    let mut held = Held::new();
    let delta = held.delta();
    // Class 5 has 48 bytes.
    for (set, offset, value) in [
        (0, delta.small_alloc_count + 40, 10),
        (1, delta.small_alloc_count + 40, 5),
        (2, delta.small_free_count + 40, 4),
        (0, delta.large_alloc, 100_000),
        (0, delta.large_alloc_count, 2),
        (1, delta.tiny_alloc_count, 7),
    ] {
        held.count(set, offset, value);
    }
    held.confirm(15 * 48 + 100_000, 4 * 48);
    let with = held.read(true).expect("nobody changes it");
    let numbers =
        (with.alloc_objects, with.alloc_bytes, with.free_objects, with.free_bytes, with.tiny_objects);
    assert_eq!(numbers, (24, 100_720, 11, 192, 7));
    assert_eq!(with.sizes[4], SizeClass { bytes: Some(48), objects: 15 });
    assert_eq!(with.sizes.last(), Some(&SizeClass { bytes: None, objects: 2 }));
    assert_eq!(with.lag_bytes, Some(4 * 2 * 1_376_256));
    assert_eq!(held.read(false), Ok(with));
}

#[test]
fn counts_that_the_second_count_does_not_confirm_are_torn() {
    let check = |allocated: u64, freed: u64, expect: bool| {
        let mut held = Held::new();
        let delta = held.delta();
        held.count(0, delta.large_alloc, 1000);
        held.count(0, delta.large_free, 500);
        held.confirm(allocated, freed);
        assert_eq!(held.read(true).err(), expect.then_some(Unread::Torn), "{allocated}, {freed}");
    };
    check(1000, 500, false);
    check(999, 500, true);
    check(1001, 500, true);
    check(1000, 250, true);
}

#[test]
fn what_is_no_counter_is_damage() {
    let mut held = Held::new();
    let turn = held.layout.mstats.map(|mstats| mstats.r#gen / 8).expect("the table has it");
    held.memstats[turn as usize] = 3;
    assert!(matches!(held.read(false), Err(Unread::Damaged(_))));
    let mut held = Held::new();
    held.allp[1] = 1 << 40;
    assert!(matches!(held.read(false), Err(Unread::Damaged(_))));
}

#[test]
fn the_lag_is_unknown_where_the_number_of_processors_is() {
    let held = Held::new();
    let totals = Totals { processors: None, ..held.totals(false) };
    let memory = Memory::open(std::process::id()).expect("this process reads itself");
    assert_eq!(totals.read(&memory).map(|totals| totals.lag_bytes), Ok(None));
}
