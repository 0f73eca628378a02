//! Fresh maps of Go from hot functions.

use crate::advise::rule::{Alternative, Certainty, Family, FixText, Floor, Language, Need, Rule};

/// A service that makes less has no storm.
const STORM: Floor =
    Floor { objects_per_second: 500.0, bytes_per_second: 1_048_576.0, share: 0.03, objects: 1000.0 };

/// So many first fills for each map that is made are none: a few come from maps that stay on a stack.
const HARDLY_ANY: f64 = 0.05;

const RETURN_NIL: FixText = FixText {
    name: "return-nil",
    language: Some(Language::Go),
    text: "Return nil instead of an empty map: it reads as empty (length, lookup, range, delete), and only writing to it \
           panics. Where a caller writes, let the caller make the map.",
};
const PREALLOCATE: FixText = FixText {
    name: "preallocate",
    language: Some(Language::Go),
    text: "Make it with the number of entries that it will hold, make(map[K]V, n): then it does not grow, and the smaller \
           tables are never made.",
};
const POOL: FixText = FixText {
    name: "pool",
    language: Some(Language::Go),
    text: "Keep the maps in a sync.Pool and empty each before it is put back (clear(m), before Go 1.21 a loop of delete): a \
           map that was emptied keeps its room. Only where nobody holds on to the map.",
};
const SHARE: FixText = FixText {
    name: "share",
    language: Some(Language::Go),
    text: "If the content is the same each time, build the map once in a package variable and hand out a read-only view \
           of it (an interface with a Get method, or a function). If only the keys are the same, a struct needs no map.",
};

/// They do not outlive the call for long.
const SHORT_LIVED: Need = Need::KeptAtMost(0.1);

pub(super) static RULES: [Rule; 6] = [
    Rule {
        name: "go-map-empty",
        title: "fresh maps that stay empty",
        families: &[Family::Map],
        floor: STORM,
        needs: &[
            Need::MakesMaps,
            Need::FilledAtMost(HARDLY_ANY),
            Need::GrownAtMost(HARDLY_ANY),
            Need::FilledElsewhereAtMost(HARDLY_ANY),
        ],
        certainty: Certainty::Likely,
        unknown: "whether a caller writes into the map now and then: a write to nil panics",
        why: "Each call allocates a map's header of 48 bytes that nothing is ever put into; the collector has to find and free \
              every one.",
        fixes: &[RETURN_NIL],
        alternatives: &[],
    },
    Rule {
        name: "go-map-growth",
        title: "fresh maps that grow step by step",
        families: &[Family::Map],
        floor: STORM,
        needs: &[Need::MakesManyMaps(100.0), Need::GrownAtLeast(0.25)],
        certainty: Certainty::Certain,
        unknown: "whether the number of entries is known before the map is filled",
        why: "A map that is full is made anew with twice the room, everything in it is moved, and the old room becomes garbage.",
        fixes: &[PREALLOCATE],
        alternatives: &[Alternative { needs: &[SHORT_LIVED, Need::MapBytesAtLeast(1024.0)], fix: POOL }],
    },
    Rule {
        name: "go-map-for-others",
        title: "fresh maps that another function may fill",
        families: &[Family::Map],
        floor: STORM,
        needs: &[
            Need::MakesMaps,
            Need::FilledAtMost(HARDLY_ANY),
            Need::GrownAtMost(HARDLY_ANY),
            Need::FilledElsewhereAtLeast(HARDLY_ANY),
        ],
        certainty: Certainty::Possible,
        unknown: "which function fills which map: here they are made, elsewhere maps are filled that were not made there",
        why: "Each call allocates a map; if it stays empty that is for nothing, and if it is filled later it grows from nothing.",
        fixes: &[FixText {
            name: "make-late",
            language: Some(Language::Go),
            text: "Leave the map nil until something is put into it, and make it there with the number of entries that will come.",
        }],
        alternatives: &[Alternative { needs: &[SHORT_LIVED], fix: POOL }],
    },
    Rule {
        name: "go-map-small",
        title: "fresh small maps, filled and dropped",
        families: &[Family::Map],
        floor: Floor { share: 0.1, ..STORM },
        needs: &[
            Need::MakesMaps,
            Need::FilledAtLeast(0.5),
            Need::SizedAtMost(HARDLY_ANY),
            Need::GrownAtMost(0.1),
            SHORT_LIVED,
        ],
        certainty: Certainty::Possible,
        unknown: "whether the maps hold the same each time: sizes are seen, contents are not",
        why: "Each call allocates a header and a group of eight entries, however few are used, and hashes every key again.",
        fixes: &[SHARE],
        alternatives: &[Alternative { needs: &[], fix: POOL }],
    },
    Rule {
        name: "go-map-large",
        title: "large maps built anew at a high rate",
        families: &[Family::Map],
        floor: Floor {
            objects_per_second: f64::INFINITY,
            bytes_per_second: 16_777_216.0,
            share: 0.3,
            objects: 1000.0,
        },
        needs: &[Need::MakesMaps, SHORT_LIVED, Need::GrownAtMost(0.25), Need::MapBytesAtLeast(65_536.0)],
        certainty: Certainty::Likely,
        unknown: "whether somebody holds on to a map after the call: then it must not be reused",
        why: "Maps of this size are zeroed when they are made and scanned by the collector, which runs the sooner the more of \
              them are made.",
        fixes: &[POOL],
        alternatives: &[Alternative { needs: &[], fix: SHARE }],
    },
    Rule {
        name: "go-map-guess",
        title: "objects as large as a map's header",
        families: &[Family::MaybeMap],
        floor: Floor { share: 0.2, ..STORM },
        needs: &[],
        certainty: Certainty::Possible,
        unknown: "whether these are maps at all: this profile leaves out the runtime's frames, and any struct of 48 bytes looks \
                  the same",
        why: "If the line makes a map, each call allocates its header, and the collector has to find and free every one.",
        fixes: &[FixText {
            name: "look",
            language: Some(Language::Go),
            text: "Look at the line. If it makes a map, `tracer advise --pid` says whether it stays empty (return nil), grows \
                   (make it with a size) or is reused best (sync.Pool).",
        }],
        alternatives: &[],
    },
];
