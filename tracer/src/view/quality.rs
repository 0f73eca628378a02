//! The quality block in words: the verdict, what is missing and what to do about it, and the price. For the table
//! and the live view.

use std::collections::BTreeMap;

use crate::model::FEW_SAMPLES;
use crate::model::snapshot::{Comparison, Mode, Overhead, Quality, Snapshot, Verdict};
use crate::units::{Bytes, Count};
use crate::view::frame::age;
use crate::view::text::Ink;
use crate::view::{runtime, words};

/// Standard errors that chance does not explain: beyond them lies one run in 16,000.
const DEVIATION_MAX: f64 = 4.0;

/// A sentence of the block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    /// What it is about: a word or two.
    pub(crate) label: &'static str,
    /// The sentence.
    pub(crate) text: String,
    /// Where it is good or bad.
    pub(crate) ink: Option<Ink>,
    /// Of the stacks or events that it is about, if it counts one kind of them.
    pub(crate) count: Option<u64>,
}

/// The block; the verdict first.
pub(crate) fn facts(snapshot: &Snapshot) -> Vec<Fact> {
    let quality = &snapshot.quality;
    let mut block = Block { facts: Vec::new() };
    let verdict = words::verdict(quality.verdict).to_uppercase();
    block.add(
        "QUALITY",
        &format!("{verdict}: {}", words::verdict_sentence(snapshot)),
        Some(verdict_ink(quality.verdict)),
    );
    losses(quality, &mut block);
    // What another program has counted is not known: only our own profiles have a self-check.
    match snapshot.mode {
        _ if !runtime::has_probes(snapshot) => {}
        Mode::Alloc => {
            block.add("counted", "calls at their entry, also those that fail; frees are not seen", None);
        }
        Mode::Live if quality.self_check.is_some() => {
            block.add("counted", "calls at their entry, also those that fail", None);
        }
        Mode::Live => {}
    }
    for (label, text) in runtime::quality(snapshot) {
        block.add(label, &text, None);
    }
    if snapshot.is_sampled() {
        sampled(snapshot, &mut block);
    }
    gaps(snapshot, &mut block);
    let overhead = match runtime::has_probes(snapshot) {
        true => overhead(&snapshot.overhead),
        false => "no probes: the runtime's numbers are read from the process's memory".to_owned(),
    };
    block.add("overhead", &overhead, None);
    if let Some(bytes) = snapshot.overhead.map_bytes {
        block.add("kernel memory", &format!("{} in BPF maps", Bytes(bytes)), None);
    }
    block.facts
}

/// How a verdict looks.
pub(crate) const fn verdict_ink(verdict: Verdict) -> Ink {
    match verdict {
        Verdict::Exact => Ink::Good,
        Verdict::Sampled => Ink::Warning,
        Verdict::Lossy => Ink::Bad,
    }
}

struct Block {
    facts: Vec<Fact>,
}

impl Block {
    fn add(&mut self, label: &'static str, text: &str, ink: Option<Ink>) {
        self.facts.push(Fact { label, text: text.to_owned(), ink, count: None });
    }
}

fn losses(quality: &Quality, block: &mut Block) {
    for (key, count) in counted(&quality.lost) {
        let text = words::lost(key).map_or_else(|| key.to_owned(), |meaning| format!("{key}: {meaning}"));
        block.add("lost", &format!("{} × {text}", Count(count)), Some(Ink::Warning));
    }
    for (reason, count) in counted(&quality.attach_failures) {
        block.add("not probed", &format!("{} × {reason}", Count(count)), Some(Ink::Warning));
    }
}

/// What sampling means for the numbers above, and how it can be seen that it works.
fn sampled(snapshot: &Snapshot, block: &mut Block) {
    let samples = match snapshot.quality.sampled {
        0 => String::new(),
        samples => format!(", {} in all", Count(samples)),
    };
    block.add("sampled", &format!("{} on average{samples}", words::sampling(snapshot)), None);
    let precision = format!(
        "± is one standard error; below {FEW_SAMPLES} samples the 95% interval, or * where it has no room (--format \
         json has it)"
    );
    if snapshot.sites.iter().any(|site| site.interval_95.is_some()) {
        block.add("precision", &precision, None);
    }
    let Some(check) = &snapshot.quality.self_check else { return };
    let objects = &check.alloc_objects;
    let mut text = format!(
        "{} allocations estimated, {} counted ({})",
        Count(objects.estimated),
        Count(objects.exact),
        deviation(objects, " standard errors")
    );
    if let Some(bytes) = &check.alloc_bytes {
        let (estimated, exact) = (Bytes(bytes.estimated), Bytes(bytes.exact));
        text.push_str(&format!("; {estimated} estimated, {exact} counted ({})", deviation(bytes, "")));
    }
    let worst = [Some(objects), check.alloc_bytes.as_ref()].into_iter().flatten();
    let worst = worst.filter_map(|one| one.deviation).fold(0.0, |worst: f64, one| worst.max(one.abs()));
    if worst > DEVIATION_MAX {
        block.add("self-check", &format!("{text}: more than chance explains, report it"), Some(Ink::Warning));
    } else {
        block.add("self-check", &text, None);
    }
}

fn deviation(comparison: &Comparison, unit: &str) -> String {
    comparison
        .deviation
        .map_or_else(|| "no error known".to_owned(), |deviation| format!("{deviation:+.1}{unit}"))
}

fn gaps(snapshot: &Snapshot, block: &mut Block) {
    let quality = &snapshot.quality;
    let (events, sampled) = (Count(quality.events), number(quality.sampled, "stack", "stacks"));
    let walked = match runtime::has_probes(snapshot) {
        true => format!(", {sampled} walked"),
        false => " by the runtime".to_owned(),
    };
    block.add("events", &format!("{events} counted{walked}"), None);
    for (key, count) in counted(&quality.truncated) {
        let text =
            format!("{}, callers not known: {}", number(count, "stack", "stacks"), words::truncated(key));
        block.facts.push(Fact { label: "cut short", text, ink: None, count: Some(count) });
    }
    if quality.unsymbolized_frames > 0 {
        let frames = number(quality.unsymbolized_frames, "frame", "frames");
        block.add("no symbol", &format!("{frames} without a symbol, shown by address"), None);
    }
    if let Some(frees) = quality.frees_unmatched.filter(|&frees| frees > 0) {
        let text = format!(
            "{} of blocks older than the attach: nothing is counted for them",
            number(frees, "free", "frees")
        );
        block.add("unmatched", &text, None);
    }
    if quality.pending_unreturned > 0 {
        let calls = number(quality.pending_unreturned, "call", "calls");
        block.add("pending", &format!("{calls} had not returned at the end, not counted as in use"), None);
    }
    if let Some(returns) = quality.returns_without_entry.filter(|&returns| returns > 0) {
        let text = format!(
            "{} when counting began, not counted",
            number(returns, "call was under way", "calls were under way")
        );
        block.add("early", &text, None);
    }
    for note in &quality.notes {
        block.add("note", note, None);
    }
}

fn overhead(overhead: &Overhead) -> String {
    let hits = number(overhead.hits, "probe hit", "probe hits");
    if overhead.hits == 0 || overhead.ns_per_hit <= 0.0 {
        return format!("{hits}, cost not measured");
    }
    let cost = age(overhead.hits as f64 * overhead.ns_per_hit / 1e9);
    let share = overhead.target_cpu_ratio.map_or_else(
        || "share of the target's CPU time not known".to_owned(),
        |ratio| format!("{:.1}% of the target's CPU time", ratio * 100.0),
    );
    format!("{hits} at {:.0} ns = {cost}, {share}", overhead.ns_per_hit)
}

fn counted(counts: &BTreeMap<String, u64>) -> impl Iterator<Item = (&str, u64)> {
    counts.iter().filter(|&(_, &count)| count > 0).map(|(key, &count)| (key.as_str(), count))
}

fn number(count: u64, one: &str, several: &str) -> String {
    format!("{} {}", Count(count), if count == 1 { one } else { several })
}
