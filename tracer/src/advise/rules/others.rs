//! Patterns of languages that free by hand.

use crate::advise::rule::{Alternative, Certainty, Family, FixText, Floor, Language, Need, Rule};

/// An allocation and its free take some 20 to 50 ns: less is not worth a change.
const MUCH: Floor =
    Floor { objects_per_second: 10_000.0, bytes_per_second: 67_108_864.0, share: 0.1, objects: 1000.0 };

const fn fix(name: &'static str, language: Option<Language>, text: &'static str) -> FixText {
    FixText { name, language, text }
}

const RESERVE: [FixText; 3] = [
    fix(
        "reserve",
        Some(Language::Rust),
        "Make it with the room that it will need: Vec::with_capacity(n), String::with_capacity(n), or reserve(n) before the loop.",
    ),
    fix(
        "reserve",
        Some(Language::Cpp),
        "Call reserve(n) before the loop, or build the container from a range whose length is known.",
    ),
    fix(
        "reserve",
        None,
        "Allocate the final size at once where it is known; else double the room each time instead of adding a little.",
    ),
];

const REUSE: [FixText; 3] = [
    fix(
        "hoist",
        Some(Language::Rust),
        "Take the buffer out of the loop and clear() it: Vec and String keep their room. Or pass a &mut buffer in.",
    ),
    fix(
        "hoist",
        Some(Language::Cpp),
        "Take the object out of the loop and clear() it, or make it a member; std::pmr::monotonic_buffer_resource frees all \
         objects of one request at once.",
    ),
    fix(
        "hoist",
        None,
        "Allocate once outside of the loop or per thread and use it again; a size with a small bound fits on the stack.",
    ),
];

pub(super) static RULES: [Rule; 4] = [
    Rule {
        name: "realloc-growth",
        title: "blocks that are reallocated again and again",
        families: &[Family::Realloc],
        floor: Floor {
            objects_per_second: 1000.0,
            bytes_per_second: 16_777_216.0,
            share: 0.05,
            objects: 1000.0,
        },
        // Eight calls of realloc for each block that was kept.
        needs: &[Need::KeptAtMost(0.125)],
        certainty: Certainty::Likely,
        unknown: "how many calls each block had: a block that is shrunk once and freed looks the same",
        why: "Each realloc that cannot grow in place allocates anew, copies the block and frees the old one.",
        fixes: &RESERVE,
        alternatives: &[],
    },
    Rule {
        name: "container-growth",
        title: "containers that grow step by step",
        families: &[Family::ContainerGrowth],
        floor: Floor {
            objects_per_second: 5000.0,
            bytes_per_second: 16_777_216.0,
            share: 0.1,
            objects: 1000.0,
        },
        needs: &[Need::KeptAtMost(0.5)],
        certainty: Certainty::Certain,
        unknown: "whether the number of elements is known beforehand",
        why: "A container that is full allocates a larger block, moves every element, and frees the old one.",
        fixes: &RESERVE,
        alternatives: &[],
    },
    Rule {
        name: "tiny-objects",
        title: "many tiny objects, soon freed",
        families: &[Family::Other],
        floor: Floor { share: 0.2, ..MUCH },
        needs: &[Need::MeanAtMost(32.0), Need::KeptAtMost(0.1)],
        certainty: Certainty::Likely,
        unknown: "whether they can live in what holds them",
        why: "The allocator's own bookkeeping takes as much memory and more time than such an object.",
        fixes: &[
            fix(
                "inline",
                Some(Language::Rust),
                "Keep the value in its owner instead of a Box; allocate many in one Vec or in an arena (bumpalo, typed-arena).",
            ),
            fix(
                "inline",
                Some(Language::Cpp),
                "Keep the value in its owner instead of behind a pointer; std::string_view and short strings need no block, and \
                 std::pmr::monotonic_buffer_resource gives many objects out of one.",
            ),
            fix(
                "inline",
                None,
                "Keep the value in the struct that holds it, or take many out of one block that is freed at once (an arena).",
            ),
        ],
        alternatives: &[],
    },
    Rule {
        name: "ping-pong",
        title: "allocated and freed in turns",
        families: &[Family::Other, Family::Realloc, Family::ContainerGrowth],
        floor: MUCH,
        needs: &[Need::KeptAtMost(0.01)],
        certainty: Certainty::Likely,
        unknown: "whether the block is needed by somebody else between two calls",
        why: "As much is freed as is allocated and next to nothing is kept: the same work could be done in one block.",
        fixes: &REUSE,
        alternatives: &[Alternative {
            needs: &[Need::MeanAtMost(256.0)],
            fix: fix("stack", None, "A block of this size fits on the stack, where its size has a bound."),
        }],
    },
];
