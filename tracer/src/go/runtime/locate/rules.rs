//! The table of what is known of each variable: which functions of the runtime use it, and at which of its fields.
//!
//! The rules hold for Go 1.19 to 1.27; a test compares what they find with the symbols of real programs of these versions.
//! They do not depend on what the compiler inlines: a function that another one was inlined into still uses what that one
//! uses, and a clause names the inlined function beside the one that it is inlined into.

use crate::go::runtime::layout::Layout;

/// How a variable is recognised: it is the only address for which all clauses hold.
pub(super) struct Rule {
    /// Its name in a symbol table.
    pub(super) symbol: &'static str,
    /// What its address is a multiple of.
    pub(super) alignment_bytes: u64,
    /// Those whose functions the program does not have say nothing.
    pub(super) clauses: &'static [Clause],
}

/// One or another of these functions uses each of these fields.
pub(super) struct Clause {
    /// By exact name.
    pub(super) functions: &'static [&'static str],
    /// What they use.
    pub(super) fields: &'static [Field],
}

/// A place in a variable.
#[derive(Clone, Copy)]
pub(super) enum Field {
    /// At an offset that no version has changed, in bytes.
    Fixed(u64),
    /// At one that the layout says.
    Of(fn(&Layout) -> Option<u64>),
}

impl Field {
    /// Bytes from the variable's start; `None` if the layout does not say it.
    pub(super) fn offset_bytes(self, layout: &Layout) -> Option<u64> {
        match self {
            Self::Fixed(offset) => Some(offset),
            Self::Of(offset) => offset(layout),
        }
    }
}

const START: &[Field] = &[Field::Fixed(0)];
/// Pointer and length of a slice.
const SLICE: &[Field] = &[Field::Fixed(0), Field::Fixed(8)];
/// `gcControllerState.lastHeapGoal`, the word after `triggered` in all versions (`runtime/mgcpacer.go`).
const LAST_HEAP_GOAL: Field = Field::Of(|layout| layout.controller.triggered?.checked_add(8));
/// `gcControllerState.heapLive`, the next one.
const HEAP_LIVE: Field = Field::Of(|layout| layout.controller.triggered?.checked_add(16));

/// `runtime/mprof.go`.
pub(super) const MBUCKETS: Rule = Rule {
    symbol: "runtime.mbuckets",
    alignment_bytes: 8,
    clauses: &[
        Clause { functions: &["runtime.mProf_FlushLocked"], fields: START },
        Clause { functions: &["runtime.stkbucket"], fields: START },
    ],
};

/// `runtime/malloc.go`; `mallocgc` reads it up to 1.23, `mallocgcLarge` since. `nextSample` is inlined.
pub(super) const MEM_PROFILE_RATE: Rule = Rule {
    symbol: "runtime.MemProfileRate",
    alignment_bytes: 8,
    clauses: &[
        Clause { functions: &["runtime.allocmcache", "runtime.nextSample"], fields: START },
        Clause { functions: &["runtime.mallocgc", "runtime.mallocgcLarge"], fields: START },
        Clause { functions: &["runtime.profilealloc", "runtime.nextSample"], fields: START },
    ],
};

/// `runtime/mprof.go`; `mProf_NextCycle` and the methods of `mProfCycleHolder` are inlined.
pub(super) const PROFILE_CYCLE: Rule = Rule {
    symbol: "runtime.mProfCycle",
    alignment_bytes: 4,
    clauses: &[
        Clause { functions: &["runtime.mProf_Malloc"], fields: START },
        Clause { functions: &["runtime.mProf_Free"], fields: START },
        Clause { functions: &["runtime.gcMarkTermination", "runtime.mProf_NextCycle"], fields: START },
    ],
};

/// `gcMarkTermination` (`runtime/mgc.go`) writes what a cycle did; `refill` (`runtime/mcache.go`) takes the address of the
/// counters, without which a struct whose fields are all moved by the same distance would look like it.
pub(super) const MEMSTATS: Rule = Rule {
    symbol: "runtime.memstats",
    alignment_bytes: 8,
    clauses: &[
        Clause {
            functions: &["runtime.gcMarkTermination"],
            fields: &[
                Field::Of(|layout| Some(layout.mstats?.last_gc_unix)),
                Field::Of(|layout| Some(layout.mstats?.pause_total_ns)),
                Field::Of(|layout| Some(layout.mstats?.pause_ns)),
                Field::Of(|layout| Some(layout.mstats?.pause_end)),
                Field::Of(|layout| Some(layout.mstats?.numgc)),
                Field::Of(|layout| Some(layout.mstats?.gc_cpu_fraction)),
            ],
        },
        Clause {
            functions: &["runtime.(*mcache).refill"],
            fields: &[Field::Of(|layout| Some(layout.mstats?.stats))],
        },
    ],
};

/// `gcControllerCommit` (`runtime/mgcpacer.go`) reads the goals, `gcMarkTermination` resets them.
pub(super) const GC_CONTROLLER: Rule = Rule {
    symbol: "runtime.gcController",
    alignment_bytes: 8,
    clauses: &[
        Clause {
            functions: &["runtime.gcControllerCommit"],
            fields: &[
                Field::Of(|layout| layout.controller.gc_percent),
                Field::Of(|layout| layout.controller.memory_limit),
                LAST_HEAP_GOAL,
            ],
        },
        Clause { functions: &["runtime.gcMarkTermination"], fields: &[LAST_HEAP_GOAL, HEAP_LIVE] },
    ],
};

/// `main` (`runtime/proc.go`) sets it; `doInit` is `doInit1` since 1.21.
pub(super) const RUNTIME_INIT_TIME: Rule = Rule {
    symbol: "runtime.runtimeInitTime",
    alignment_bytes: 8,
    clauses: &[
        Clause { functions: &["runtime.main"], fields: START },
        Clause { functions: &["runtime.gcMarkTermination"], fields: START },
        Clause { functions: &["runtime.doInit", "runtime.doInit1"], fields: START },
    ],
};

/// `runtime/proc.go`.
pub(super) const ALLP: Rule = Rule {
    symbol: "runtime.allp",
    alignment_bytes: 8,
    clauses: &[
        Clause { functions: &["runtime.preemptall"], fields: SLICE },
        Clause { functions: &["runtime.checkdead"], fields: SLICE },
        Clause { functions: &["runtime.procresize"], fields: SLICE },
    ],
};

/// All of them.
pub(super) const ALL: [&Rule; 7] =
    [&MBUCKETS, &MEM_PROFILE_RATE, &PROFILE_CYCLE, &MEMSTATS, &GC_CONTROLLER, &RUNTIME_INIT_TIME, &ALLP];

/// The functions that any rule names, some of them several times.
pub(super) fn functions() -> impl Iterator<Item = &'static str> {
    ALL.into_iter().flat_map(|rule| rule.clauses).flat_map(|clause| clause.functions).copied()
}
