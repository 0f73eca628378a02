//! Reasons and verdicts in words. The keys are those of the JSON document; an unknown key stands for itself.

use crate::model::snapshot::{Dimension, Mode, Snapshot, Totals, Verdict};
use crate::units::{Bytes, Count};
use crate::view::{frame, runtime};

/// A key of `quality.lost` or `quality.truncated`, what it means and what the reader can do.
struct Words {
    key: &'static str,
    meaning: &'static str,
}

const LOST: [Words; 8] = [
    Words {
        key: "map_full",
        meaning: "a map was full, so these blocks are not followed or these stacks have no site of their own: raise \
                  --max-live or --max-stacks",
    },
    Words {
        key: "ring_full",
        meaning: "new stacks came faster than they were read, so these allocations are in the site without a stack: \
                  give the tracer CPU time",
    },
    Words {
        key: "scratch_busy",
        meaning: "probes interrupted each other on one CPU, so these allocations are in the site without a stack: \
                  use --mode alloc, whose probes are fewer",
    },
    Words {
        key: "read_fault",
        meaning: "the target's memory could not be read at the probe: try a longer --duration",
    },
    Words {
        key: "stack_collision",
        meaning: "two stacks had the same key, the later one is in the site without a stack: attach again, the key is \
                  drawn anew",
    },
    Words {
        key: "inflight_full",
        meaning: "more calls were under way at once than fit, so their results are missing: use --mode alloc",
    },
    Words {
        key: "free_not_seen",
        meaning: "an address was handed out again without a free that was seen: the old block no longer counts as in use",
    },
    Words {
        key: "unknown_record",
        meaning: "the BPF programs said what this version does not know: report it with the tracer's version",
    },
];

const TRUNCATED: [Words; 8] = [
    Words { key: "depth", meaning: "deeper than the tracer walks" },
    Words { key: "no_frame_pointer", meaning: "the next function keeps no frame pointer" },
    Words { key: "no_table", meaning: "no unwind table for the next function, or not yet" },
    Words {
        key: "bad_cfa",
        meaning: "the unwind table gave an impossible frame: the stack was being changed",
    },
    Words { key: "no_mapping", meaning: "the next function was mapped a moment ago, or is no code" },
    Words {
        key: "unsupported_rule",
        meaning: "the next function says how to leave it in a way that is not supported",
    },
    Words { key: "read_fault", meaning: "the stack's memory could not be read" },
    Words { key: "foreign_return_probe", meaning: "another tool's return probe hides the caller" },
];

fn find(table: &'static [Words], key: &str) -> Option<&'static str> {
    table.iter().find(|words| words.key == key).map(|words| words.meaning)
}

/// What a key of `quality.lost` means and what to do.
#[must_use]
pub fn lost(key: &str) -> Option<&'static str> {
    find(&LOST, key)
}

/// Why a stack ends early.
#[must_use]
pub fn truncated(key: &str) -> &str {
    find(&TRUNCATED, key).unwrap_or(key)
}

/// A dimension as a reader would say it.
#[must_use]
pub const fn dimension(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::InuseSpace => "in-use bytes",
        Dimension::InuseObjects => "in-use objects",
        Dimension::AllocSpace => "allocated bytes",
        Dimension::AllocObjects => "allocations",
    }
}

/// How much is looked at.
#[must_use]
pub fn sampling(snapshot: &Snapshot) -> String {
    let heaps = runtime::heaps(snapshot);
    let every = |bytes: u64| format!("a sample every {}", Bytes(bytes));
    let of_runtimes = heaps.iter().filter_map(|heap| heap.sample_bytes).max().map(|bytes| match bytes {
        1 => "every allocation".to_owned(),
        bytes => every(bytes),
    });
    if !runtime::has_probes(snapshot) {
        return of_runtimes.unwrap_or_else(|| "no call sites".to_owned());
    }
    let was_sampled =
        if heaps.is_empty() { snapshot.is_sampled() } else { snapshot.quality.self_check.is_some() };
    let of_probes = match snapshot.sample_bytes {
        0 if was_sampled => "every allocation now, samples before".to_owned(),
        0 => "every allocation".to_owned(),
        bytes => every(bytes),
    };
    match (of_runtimes, heaps.first()) {
        (Some(text), Some(heap)) if text != of_probes => {
            format!("{of_probes}, in {} {text}", frame::printable(&heap.name))
        }
        _ => of_probes,
    }
}

/// What a tracing came to, in a line.
#[must_use]
pub fn summary(snapshot: &Snapshot) -> String {
    let who = match snapshot.targets.as_slice() {
        [] => "nothing".to_owned(),
        [target] => format!("{} (pid {})", frame::printable(&target.comm), target.pid),
        targets => format!("{} processes", targets.len()),
    };
    let sum = |value: fn(&Totals) -> u64| snapshot.targets.iter().map(|target| value(&target.totals)).sum();
    let (bytes, objects) = match snapshot.mode {
        Mode::Live => {
            (sum(|totals| totals.inuse_bytes.unwrap_or(0)), sum(|totals| totals.inuse_objects.unwrap_or(0)))
        }
        Mode::Alloc => (sum(|totals| totals.alloc_bytes), sum(|totals| totals.alloc_objects)),
    };
    let what = match snapshot.mode {
        Mode::Live => "in use",
        Mode::Alloc => "allocated",
    };
    format!(
        "traced {who} for {}: {} {what} in {} objects, {}",
        frame::age(snapshot.attached_seconds),
        Bytes(bytes),
        Count(objects),
        verdict(snapshot.quality.verdict)
    )
}

/// The verdict's word.
#[must_use]
pub const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Exact => "exact",
        Verdict::Sampled => "sampled",
        Verdict::Lossy => "lossy",
    }
}

/// What the verdict means for these numbers.
#[must_use]
pub fn verdict_sentence(snapshot: &Snapshot) -> String {
    let quality = &snapshot.quality;
    match quality.verdict {
        Verdict::Exact => "nothing was lost, nothing is estimated".to_owned(),
        Verdict::Sampled if quality.self_check.is_none() && runtime::heaps(snapshot).is_empty() => {
            "all numbers are estimates".to_owned()
        }
        Verdict::Sampled => {
            "nothing was lost; call sites are estimates, totals without ± are exact".to_owned()
        }
        Verdict::Lossy => {
            let mut parts = Vec::new();
            if quality.lost.values().any(|&count| count > 0) {
                parts.push("some events are in no call site, whose numbers are too low");
            }
            if quality.attach_failures.values().any(|&count| count > 0) {
                parts.push("what could not be probed is missing everywhere");
            }
            parts.join("; ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_stand_for_themselves() {
        assert_eq!(truncated("something_new"), "something_new");
        assert_eq!(lost("something_new"), None);
    }

    #[test]
    fn every_loss_says_what_to_do() {
        for words in &LOST {
            assert!(words.meaning.contains(": "), "{}", words.key);
        }
    }
}
