//! Each stack at which the debugger found the process stopped must be one that was reported.

use std::collections::HashSet;
use std::fmt::Write as _;

use rustix::process::Signal;
use tracer::model::snapshot::Snapshot;

use super::debugger::{Debugger, Seen};
use super::is_all;
use super::program::Program;
use crate::harness::{Tracer, send};

/// Stops in the test run, and for [`super::ALL`].
const STOPS: usize = 40;
const ALL_STOPS: usize = 200;
/// Frames of a stack at most: what a debugger sees beyond is not compared.
const DEEPEST: usize = 128;
const AGREED_PERCENT: usize = 99;

/// Compares in mode `live`, and if there is time also in mode `alloc`.
pub(super) fn check(program: &dyn Program) {
    compare(program, "live", 0);
    if is_all() {
        // At the entry of the allocator: its own frame is no caller.
        compare(program, "alloc", 1);
    }
}

fn compare(program: &dyn Program, mode: &str, own_frames: usize) {
    let stops = if is_all() { ALL_STOPS } else { STOPS };
    let mut running = program.start();
    let debugger = Debugger::attach(running.pid, stops);
    let one_in = program.stop_one_in().to_string();
    let mut tracer = Tracer::attach(running.pid, &["--mode", mode, "--stop-one-in", &one_in]);
    tracer.wait_counting();
    running.begin();
    let seen = debugger.stacks();
    // The debugger is gone, and the process stands at the next stop.
    let snapshot = tracer.stop().success();
    send(running.pid, Signal::CONT);
    let judged = Judged::of(&seen, own_frames, &snapshot);
    let line = format!("{}, mode {mode}: {}", program.name(), judged.text());
    println!("{line}");
    assert_eq!(judged.count(), stops, "{line}: it ran long enough");
    assert!(judged.same * 100 >= judged.count() * AGREED_PERCENT, "{line}\n{}", judged.differences);
}

/// How the two saw the same stacks.
#[derive(Default)]
struct Judged {
    same: usize,
    ours_shorter: usize,
    ours_longer: usize,
    different: usize,
    distinct: usize,
    differences: String,
}

impl Judged {
    fn of(seen: &[Seen], own_frames: usize, snapshot: &Snapshot) -> Self {
        let ours = stacks(snapshot);
        let exact: HashSet<&[u64]> = ours.iter().map(|(stack, _)| stack.as_slice()).collect();
        let mut judged = Self::default();
        let mut distinct = HashSet::new();
        for Seen { addresses, note } in seen {
            let theirs = &addresses[own_frames.min(addresses.len())..];
            let theirs = &theirs[..theirs.len().min(DEEPEST)];
            distinct.insert(theirs);
            if exact.contains(theirs) {
                judged.same += 1;
            } else {
                judged.differ(theirs, note, &ours);
            }
        }
        judged.distinct = distinct.len();
        judged
    }

    /// Told from the reported stack that goes the same way longest.
    fn differ(&mut self, theirs: &[u64], note: &str, ours: &[(Vec<u64>, String)]) {
        let common = |stack: &[u64]| stack.iter().zip(theirs).take_while(|(a, b)| a == b).count();
        let nearest = ours.iter().max_by_key(|(stack, _)| common(stack));
        let (nearest, end) = nearest.map_or((&[][..], ""), |(stack, end)| (stack.as_slice(), end.as_str()));
        let shared = common(nearest);
        if shared == nearest.len() {
            self.ours_shorter += 1;
        } else if shared == theirs.len() {
            self.ours_longer += 1;
        } else {
            self.different += 1;
        }
        writeln!(
            self.differences,
            "gdb    {theirs:x?} {note}\ntracer {nearest:x?} {end}\n{shared} in common\n"
        )
        .expect("a string grows");
    }

    fn count(&self) -> usize {
        self.same + self.ours_shorter + self.ours_longer + self.different
    }

    fn text(&self) -> String {
        let Self { same, ours_shorter, ours_longer, different, distinct, .. } = self;
        format!(
            "gdb agrees with {same} of {} stacks ({distinct} distinct); ours shorter {ours_shorter}, longer \
             {ours_longer}, different {different}",
            self.count()
        )
    }
}

/// The reported stacks, leaf first, and how each ends.
fn stacks(snapshot: &Snapshot) -> Vec<(Vec<u64>, String)> {
    let address = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("an address");
    let sites = snapshot.sites.iter().map(|site| {
        let frames = site.frames.iter().filter(|frame| !frame.inlined);
        let last = site.frames.last().and_then(|frame| frame.function.clone());
        let end = format!("{:?} after {last:?}", site.truncated);
        (frames.map(|frame| address(&frame.address)).collect(), end)
    });
    sites.collect()
}
