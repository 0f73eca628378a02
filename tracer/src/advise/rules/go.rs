//! Common patterns of Go where the stack says what was asked for.

use crate::advise::rule::{Alternative, Certainty, Family, FixText, Floor, Language, Need, Rule};

/// These are in every program: only much of it is worth a change.
const MUCH: Floor =
    Floor { objects_per_second: 10_000.0, bytes_per_second: 16_777_216.0, share: 0.15, objects: 1000.0 };

const fn fix(name: &'static str, text: &'static str) -> FixText {
    FixText { name, language: Some(Language::Go), text }
}

const REUSE: FixText = fix(
    "reuse",
    "Keep the object for the next call: a variable outside of the loop, a field of what lives longer, or a sync.Pool.",
);

pub(super) static RULES: [Rule; 9] = [
    Rule {
        name: "go-append-growth",
        title: "slices that grow step by step",
        families: &[Family::SliceGrowth],
        floor: MUCH,
        needs: &[],
        certainty: Certainty::Certain,
        unknown: "whether the number of elements is known before the first append",
        why: "append to a full slice makes a larger one, copies everything, and leaves the old one to the collector.",
        fixes: &[fix(
            "preallocate",
            "Make the slice with the capacity that it will need: make([]T, 0, n), or slices.Grow.",
        )],
        alternatives: &[Alternative { needs: &[Need::KeptAtMost(0.1)], fix: REUSE }],
    },
    Rule {
        name: "go-buffer-growth",
        title: "buffers that grow step by step",
        families: &[Family::BufferGrowth],
        floor: MUCH,
        needs: &[],
        certainty: Certainty::Likely,
        unknown: "whether each buffer grows more than once: a single allocation has the same stack",
        why: "A bytes.Buffer or strings.Builder that is full takes a larger block, copies everything, and drops the old one.",
        fixes: &[fix("preallocate", "Call Grow(n) with the size that it will have before the first write.")],
        alternatives: &[Alternative { needs: &[Need::KeptAtMost(0.1)], fix: REUSE }],
    },
    Rule {
        name: "go-conversion",
        title: "conversions between string and bytes",
        families: &[Family::Conversion],
        floor: MUCH,
        needs: &[],
        certainty: Certainty::Certain,
        unknown: "whether the copy is needed because the bytes change later",
        why: "A conversion between string and []byte or []rune copies the content into a new object.",
        fixes: &[fix(
            "one-type",
            "Stay with one of the two types: bytes has what strings has, io.WriteString and strconv.Append… take either, and a \
             lookup m[string(b)] or a comparison copies nothing.",
        )],
        alternatives: &[],
    },
    Rule {
        name: "go-concat",
        title: "strings put together piece by piece",
        families: &[Family::Concat],
        floor: MUCH,
        needs: &[],
        certainty: Certainty::Certain,
        unknown: "whether it is a loop: a single + allocates only its result",
        why: "Each + of strings makes a new one and copies both sides; in a loop the copies grow with the square of the length.",
        fixes: &[fix("builder", "Use a strings.Builder with Grow(n), or append to a []byte that is reused.")],
        alternatives: &[],
    },
    Rule {
        name: "go-format",
        title: "formatting in a hot function",
        families: &[Family::Format],
        floor: MUCH,
        needs: &[],
        certainty: Certainty::Likely,
        unknown: "whether the text is needed at all: often it is for a log line that is not written, or for a map's key",
        why: "fmt boxes each argument and makes a string for the result; strconv makes a string for each number.",
        fixes: &[fix(
            "append",
            "Append to a buffer that is reused: strconv.AppendInt, fmt.Appendf (Go 1.19 and later); use a struct as a map's key.",
        )],
        alternatives: &[],
    },
    Rule {
        name: "go-boxing",
        title: "values that become interfaces",
        families: &[Family::Boxing],
        floor: MUCH,
        needs: &[],
        certainty: Certainty::Certain,
        unknown: "whether the interface can be avoided: an argument of a logger or of fmt may be the reason",
        why: "A value that is no pointer is copied to the heap when it becomes an interface.",
        fixes: &[fix(
            "concrete",
            "Pass the concrete type, or a pointer that exists already; generics take values as they are.",
        )],
        alternatives: &[],
    },
    Rule {
        name: "go-compile",
        title: "regular expressions or templates compiled again and again",
        families: &[Family::Compiled],
        floor: MUCH,
        needs: &[Need::KeptAtMost(0.1)],
        certainty: Certainty::Likely,
        unknown: "whether the source is the same each time",
        why: "Compiling reads the whole source and allocates every node of it; what comes out can be used by all goroutines at \
              once and for ever.",
        fixes: &[fix(
            "compile-once",
            "Compile it once: a variable of the package, sync.OnceValue (Go 1.21), or a map by source with a bound; \
             template.Clone where functions differ from call to call.",
        )],
        alternatives: &[],
    },
    Rule {
        name: "go-stream",
        title: "readers or writers with large buffers, made for each use",
        families: &[Family::Stream],
        floor: MUCH,
        needs: &[Need::KeptAtMost(0.1)],
        certainty: Certainty::Likely,
        unknown: "whether somebody holds on to the reader or writer",
        why: "bufio takes its buffer at once, 4 KiB or as much as was asked for; a compressor of gzip or zlib takes more than half \
              a MiB before it writes a byte.",
        fixes: &[fix(
            "pool",
            "Keep readers and writers in a sync.Pool and call Reset before each use; a smaller buffer, or none where whole blocks \
             are copied, may do as well.",
        )],
        alternatives: &[],
    },
    Rule {
        name: "go-short-lived",
        title: "objects made and dropped at a high rate",
        families: &[Family::Object, Family::Slice],
        floor: Floor {
            objects_per_second: 20_000.0,
            bytes_per_second: 67_108_864.0,
            share: 0.25,
            objects: 1000.0,
        },
        needs: &[Need::KeptAtMost(0.1)],
        certainty: Certainty::Likely,
        unknown: "whether somebody holds on to the object between two calls",
        why: "The object is garbage soon after the call, and the more of it there is, the sooner the collector runs again.",
        fixes: &[REUSE],
        alternatives: &[Alternative {
            needs: &[Need::MeanAtMost(256.0)],
            fix: fix(
                "stay-on-stack",
                "Return small structs by value and keep pointers to them out of interfaces and closures; go build -gcflags=-m \
                 says why an object escapes.",
            ),
        }],
    },
];
