//! Rates of the last seconds.

use crate::model::tally::Tally;

/// Between two marks: a rate is of one to two times that.
const STEP_SECONDS: f64 = 5.0;

/// Two earlier looks and the last one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recent {
    marks: [Mark; 2],
    last: Mark,
}

/// Sums at a time.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    seconds: f64,
    alloc_objects: u64,
    alloc_bytes: u64,
    cpu_seconds: f64,
    overhead_seconds: f64,
    /// `None` where no runtime tells.
    gc_cycles: Option<u64>,
}

/// What was added between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Added {
    pub(super) cpu_seconds: f64,
    pub(super) overhead_seconds: f64,
}

impl Recent {
    /// Of a process that is first seen now.
    pub(super) fn new(now: f64) -> Self {
        let mark = Mark { seconds: now, ..Mark::default() };
        Self { marks: [mark; 2], last: mark }
    }

    /// Another look.
    pub(super) fn look(&mut self, now: f64, tally: &Tally) {
        self.last = Mark {
            seconds: now,
            alloc_objects: tally.allocators.values().map(|counts| counts.alloc_objects).sum(),
            alloc_bytes: tally.allocators.values().map(|counts| counts.alloc_bytes).sum(),
            cpu_seconds: tally.cpu_seconds,
            overhead_seconds: tally.overhead_seconds,
            gc_cycles: tally.gc.as_ref().map(|gc| gc.cycles),
        };
        if now - self.marks[1].seconds >= STEP_SECONDS {
            self.marks = [self.marks[1], self.last];
        }
    }

    fn per_second(&self, value: fn(&Mark) -> u64) -> f64 {
        let seconds = self.last.seconds - self.marks[0].seconds;
        if seconds > 0.0 {
            value(&self.last).saturating_sub(value(&self.marks[0])) as f64 / seconds
        } else {
            0.0
        }
    }

    pub(super) fn alloc_objects_per_second(&self) -> f64 {
        self.per_second(|mark| mark.alloc_objects)
    }

    pub(super) fn alloc_bytes_per_second(&self) -> f64 {
        self.per_second(|mark| mark.alloc_bytes)
    }

    /// `None` where no runtime tells.
    pub(super) fn gc_cycles_per_second(&self) -> Option<f64> {
        self.last.gc_cycles?;
        Some(self.per_second(|mark| mark.gc_cycles.unwrap_or(0)))
    }

    pub(super) fn added(&self) -> Added {
        let [since, _] = self.marks;
        Added {
            cpu_seconds: (self.last.cpu_seconds - since.cpu_seconds).max(0.0),
            overhead_seconds: (self.last.overhead_seconds - since.overhead_seconds).max(0.0),
        }
    }

    /// The part of its CPU time that tracing has taken; `None` if it has used none.
    pub(super) fn overhead_ratio(&self) -> Option<f64> {
        self.added().overhead_ratio()
    }
}

impl Added {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds + other.cpu_seconds,
            overhead_seconds: self.overhead_seconds + other.overhead_seconds,
        }
    }

    pub(super) fn overhead_ratio(self) -> Option<f64> {
        (self.cpu_seconds > 0.0).then(|| self.overhead_seconds / self.cpu_seconds)
    }
}
