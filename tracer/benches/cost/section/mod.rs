//! The sections of the benchmark: one question each, one file each, measured and printed by itself.

mod cost;
mod daemon;
mod depth;
mod jemalloc;
mod live;
mod many;
mod own;
mod peers;
mod programs;
mod stacks;
mod threads;
mod unwind;

use anyhow::Result;

use crate::arguments::Arguments;
use crate::machine;
use crate::rows::{self, Rows};

/// One question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// What a pair costs, by mode and sampling.
    Cost,
    /// The same on jemalloc.
    Jemalloc,
    /// What a second thread costs each.
    Threads,
    /// What many call stacks cost.
    Stacks,
    /// What deep call stacks cost.
    Depth,
    /// What walking by unwind tables costs.
    Unwind,
    /// What other tools cost.
    Peers,
    /// What tracer itself needs.
    Own,
    /// The same for many processes.
    Many,
    /// What the daemon needs.
    Daemon,
    /// What the live view needs.
    Live,
    /// Whether its predicted cost is right, on real programs too.
    Programs,
}

impl Section {
    /// All of them, in this order.
    pub(crate) const ALL: [Self; 12] = [
        Self::Cost,
        Self::Jemalloc,
        Self::Threads,
        Self::Stacks,
        Self::Depth,
        Self::Unwind,
        Self::Peers,
        Self::Own,
        Self::Many,
        Self::Daemon,
        Self::Live,
        Self::Programs,
    ];

    /// As it is typed.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Jemalloc => "jemalloc",
            Self::Threads => "threads",
            Self::Stacks => "stacks",
            Self::Depth => "depth",
            Self::Unwind => "unwind",
            Self::Peers => "peers",
            Self::Own => "own",
            Self::Many => "many",
            Self::Daemon => "daemon",
            Self::Live => "live",
            Self::Programs => "programs",
        }
    }

    /// The one of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.name() == name)
    }

    /// As it is printed.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Cost => "cost: what a pair of malloc and free costs",
            Self::Jemalloc => "jemalloc: what a pair costs on another allocator",
            Self::Threads => "threads: what each thread loses when there are several",
            Self::Stacks => "stacks: few against many distinct call stacks",
            Self::Depth => "depth: calls below the loop",
            Self::Unwind => "unwind: stacks by unwind tables and by frame pointers",
            Self::Peers => "peers: other tools on the same process",
            Self::Own => "own: what tracer itself needs",
            Self::Many => "many: what tracer itself needs for many processes",
            Self::Daemon => "daemon: what the daemon needs for a node's processes, and how soon it answers",
            Self::Live => "live: what the live view needs, and how soon it answers",
            Self::Programs => "programs: predicted against measured cost",
        }
    }

    /// Measures and prints it.
    pub(crate) fn run(self, arguments: &Arguments) -> Result<()> {
        match self {
            Self::Cost => cost::run(arguments),
            Self::Jemalloc => jemalloc::run(arguments),
            Self::Threads => threads::run(arguments),
            Self::Stacks => stacks::run(arguments),
            Self::Depth => depth::run(arguments),
            Self::Unwind => unwind::run(arguments),
            Self::Peers => peers::run(arguments),
            Self::Own => own::run(arguments),
            Self::Many => many::run(arguments),
            Self::Daemon => daemon::run(arguments),
            Self::Live => live::run(arguments),
            Self::Programs => programs::run(arguments),
        }
    }
}

/// Prints what stands below a table.
fn say(all: &[(String, &Rows)]) {
    for note in rows::notes(all) {
        println!("{note}");
    }
}

/// The rounds of a section, each said on stderr when it begins.
fn rounds(section: Section, arguments: &Arguments) -> impl Iterator<Item = u32> {
    let rounds = arguments.rounds;
    (1..=rounds).inspect(move |round| {
        eprintln!("{}: round {round} of {rounds}, {}", section.name(), machine::load());
    })
}
