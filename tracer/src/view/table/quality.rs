//! The quality block in words: the verdict, what is missing and what to do about it, and the price.

use std::collections::BTreeMap;

use crate::model::FEW_SAMPLES;
use crate::model::snapshot::{Comparison, Mode, Overhead, Quality, Snapshot, Verdict};
use crate::units::{Bytes, Count};
use crate::view::frame::age;
use crate::view::table::style::{Ink, Style, wrap};
use crate::view::words;

/// Columns of the first words of a line.
const NAME_COLUMNS: usize = 14;

/// Standard errors that chance does not explain: beyond them lies one run in 16,000.
const DEVIATION_MAX: f64 = 4.0;

/// The verdict first.
pub(super) fn lines(snapshot: &Snapshot, style: Style) -> Vec<String> {
    let quality = &snapshot.quality;
    let ink = match quality.verdict {
        Verdict::Exact => Ink::Good,
        Verdict::Sampled => Ink::Warning,
        Verdict::Lossy => Ink::Bad,
    };
    let verdict = words::verdict(quality.verdict).to_uppercase();
    let mut block = Block { lines: Vec::new(), style };
    block.add("QUALITY", &format!("{verdict}: {}", words::verdict_sentence(snapshot)), Some(ink));
    losses(quality, &mut block);
    // What another program has counted is not known: only our own profiles have a self-check.
    match snapshot.mode {
        Mode::Alloc => {
            block.add("counted", "calls at their entry, also those that fail; frees are not seen", None);
        }
        Mode::Live if quality.self_check.is_some() => {
            block.add("counted", "calls at their entry, also those that fail", None);
        }
        Mode::Live => {}
    }
    if snapshot.is_sampled() {
        sampled(snapshot, &mut block);
    }
    gaps(quality, &mut block);
    block.add("overhead", &overhead(&snapshot.overhead), None);
    if let Some(bytes) = snapshot.overhead.map_bytes {
        block.add("kernel memory", &format!("{} in BPF maps", Bytes(bytes)), None);
    }
    block.lines
}

struct Block {
    lines: Vec<String>,
    style: Style,
}

impl Block {
    fn add(&mut self, name: &str, text: &str, ink: Option<Ink>) {
        let texts = wrap(text, self.style.width - NAME_COLUMNS - 1);
        for (at, text) in texts.iter().enumerate() {
            let name = if at == 0 { name } else { "" };
            let text = ink.map_or_else(|| text.clone(), |ink| self.style.paint(ink, text));
            self.lines.push(format!("{name:NAME_COLUMNS$} {text}"));
        }
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

fn gaps(quality: &Quality, block: &mut Block) {
    let (events, sampled) = (Count(quality.events), number(quality.sampled, "stack", "stacks"));
    block.add("events", &format!("{events} counted, {sampled} walked"), None);
    for (key, count) in counted(&quality.truncated) {
        let text =
            format!("{}, callers not known: {}", number(count, "stack", "stacks"), words::truncated(key));
        block.add("cut short", &text, None);
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
