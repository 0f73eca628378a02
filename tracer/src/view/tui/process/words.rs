//! What is said in lines: which process, its totals, its functions and allocators.

use std::collections::BTreeMap;

use super::sum::{Sum, both};
use crate::model::node::RuntimeHeap;
use crate::model::snapshot::{AllocatorTotals, Target};
use crate::units::{Bytes, BytesChange, Count, CountChange};
use crate::view::text::{Ink, cut_middle, wrap};
use crate::view::tui::marks;
use crate::view::tui::picture::{Numbers, Picture};
use crate::view::{frame, gc, runtime, table};

/// A line and how it looks.
pub(super) type Line = (String, Option<Ink>);

/// From this width on, sentences stand beside the totals.
const WIDE_COLUMNS: usize = 130;

/// A machine has a few; images that bring their own are many.
const ALLOCATORS_MAX: usize = 20;

/// Which process, and its totals.
pub(super) fn header(sum: &Sum<'_>, picture: &Picture<'_>, width: usize) -> Vec<Line> {
    let room = width.saturating_sub(2).max(1);
    let mut lines = title(sum, room);
    let totals = table::totals(&sum.totals, picture.snapshot.attached_seconds);
    let said = said(sum, picture);
    if width >= WIDE_COLUMNS {
        let left = totals.iter().map(|line| frame::columns(line)).max().unwrap_or(0) + 4;
        let texts: Vec<String> = said.iter().flat_map(|text| wrap(text, (room - left).min(100))).collect();
        for at in 0..totals.len().max(texts.len()) {
            let (total, text) =
                (totals.get(at).map_or("", String::as_str), texts.get(at).map_or("", String::as_str));
            lines.push((format!("{total:left$}{text}"), (at == 0 && text.is_empty()).then_some(Ink::Faint)));
        }
    } else {
        let ink = |at: usize| (at == 0).then_some(Ink::Faint);
        lines.extend(totals.into_iter().enumerate().map(|(at, line)| (line, ink(at))));
        lines.extend(said.iter().flat_map(|text| wrap(text, room)).map(|text| (text, None)));
    }
    lines
}

fn title(sum: &Sum<'_>, room: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    match sum.targets.as_slice() {
        [target] => {
            lines.push((cut_middle(&format!("{}  {}", name(target), target.exe), room), Some(Ink::Strong)));
            if let Some(ended) = &target.ended {
                lines.push((cut_middle(&format!("ended: {ended}"), room), Some(Ink::Warning)));
            }
            if !target.labels.is_empty() {
                let pairs: Vec<String> =
                    target.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
                lines.push((cut_middle(&format!("labels {}", pairs.join(" ")), room), Some(Ink::Faint)));
            }
        }
        targets => {
            let names: Vec<String> = targets.iter().map(|target| name(target)).collect();
            let ended = targets.iter().filter(|target| target.ended.is_some()).count();
            let ended = if ended > 0 { format!(", {ended} of them ended") } else { String::new() };
            let text = format!("{} processes as one{ended}: {}", targets.len(), names.join(", "));
            lines.push((cut_middle(&text, room), Some(Ink::Strong)));
        }
    }
    lines
}

fn name(target: &Target) -> String {
    match target.pid {
        0 => format!("{} (pid not known)", target.comm),
        pid => format!("{} (pid {pid})", target.comm),
    }
}

/// The kernel's view of the same memory, and how it goes with ours.
fn said(sum: &Sum<'_>, picture: &Picture<'_>) -> Vec<String> {
    let collected = sum.gc.as_ref().map(|collections| {
        let rate = gc::rate(collections, picture.snapshot.attached_seconds);
        format!("gc: {}", gc::parts(collections, rate).join(" · "))
    });
    let mut said: Vec<String> = collected.into_iter().collect();
    let resident = sum.resident_bytes;
    // A document of another program knows nothing of the process.
    if resident == 0 && sum.cpu_seconds <= 0.0 {
        return said;
    }
    let processes: u32 = sum.targets.iter().map(|target| target.processes).sum();
    let processes = if processes > 1 { format!("{processes} processes · ") } else { String::new() };
    let cpu = frame::age(sum.cpu_seconds);
    said.push(format!("{processes}RSS {} by the kernel · CPU time {cpu} since the attach", Bytes(resident)));
    match sum.totals.inuse_bytes {
        Some(inuse) if inuse > resident => said.push(format!(
            "In use is {} more than RSS: memory that was asked for and never touched, or swapped out.",
            Bytes(inuse - resident)
        )),
        Some(inuse) if picture.is_live() => said.push(format!(
            "In use is {} of RSS. The other {} are {}code and stacks, and what the allocator keeps or wastes.",
            marks::percent(inuse, resident),
            Bytes(resident - inuse),
            older(sum)
        )),
        _ => said.push("Mode alloc does not see frees: what is in use is not known.".to_owned()),
    }
    said.extend(changed(picture));
    said
}

/// A runtime counts what is older than the attach too.
fn older(sum: &Sum<'_>) -> &'static str {
    let runtimes =
        sum.targets.iter().any(|target| target.allocators.iter().any(|one| one.source == "runtime"));
    match sum.targets.iter().any(|target| runtime::is_probed(target)) {
        true if runtimes => "blocks outside the runtime's heap that are older than the attach, ",
        true => "blocks older than the attach, ",
        false => "",
    }
}

/// What the call sites have changed by since the baseline.
fn changed(picture: &Picture<'_>) -> Option<String> {
    let baseline = picture.baseline?;
    let whole = Picture { filter: None, ..*picture };
    let sum = whole.sites().map(|site| whole.numbers(site)).fold(Numbers::default(), |sum, one| sum + one);
    let ago = frame::age((picture.snapshot.attached_seconds - baseline.seconds).max(0.0));
    let amounts =
        |bytes: i64, objects: i64| format!("{} in {} objects", BytesChange(bytes), CountChange(objects));
    let inuse = match picture.is_live() {
        true => format!("in use {}, ", amounts(sum.inuse_bytes, sum.inuse_objects)),
        false => String::new(),
    };
    Some(format!(
        "In {ago} since the baseline: {inuse}allocated {}.",
        amounts(sum.alloc_bytes, sum.alloc_objects)
    ))
}

/// A line per function that was called.
pub(super) fn functions(sum: &Sum<'_>) -> Vec<Line> {
    if sum.functions.is_empty() {
        return Vec::new();
    }
    let header = ["", "CALLS", "BYTES", "FAILED"].map(str::to_owned);
    let rows: Vec<Vec<String>> = sum
        .functions
        .iter()
        .map(|(name, function)| {
            let bytes = if function.bytes > 0 { Bytes(function.bytes).to_string() } else { "-".to_owned() };
            let failed = function.failed.map_or_else(|| "-".to_owned(), |failed| Count(failed).to_string());
            vec![frame::printable(name), Count(function.calls).to_string(), bytes, failed]
        })
        .collect();
    let has_failed = |at: usize| {
        let function = at.checked_sub(1).and_then(|at| sum.functions.get(at));
        function.is_some_and(|(_, function)| function.failed.is_some_and(|failed| failed > 0))
    };
    let ink = |at: usize| match at {
        0 => Some(Ink::Faint),
        _ => has_failed(at).then_some(Ink::Warning),
    };
    table::grid(&header, &rows, true).into_iter().enumerate().map(|(at, line)| (line, ink(at))).collect()
}

/// Each allocator, and what went through it. Processes with the same one are one.
pub(super) fn allocators(sum: &Sum<'_>, width: usize) -> Vec<Line> {
    let mut groups: BTreeMap<(String, &str), (u64, Option<AllocatorTotals>)> = BTreeMap::new();
    for allocator in sum.targets.iter().flat_map(|target| &target.allocators) {
        let version = allocator.version.as_deref().map_or_else(String::new, |version| format!(" {version}"));
        let name = match RuntimeHeap::of(allocator) {
            Some(heap) => format!("{} (runtime)", runtime::name(&heap)),
            None => format!("{}{version}", allocator.name),
        };
        let key = (name, allocator.object.as_str());
        let (processes, totals) = groups.entry(key).or_default();
        *processes += 1;
        if let Some(more) = &allocator.totals {
            let totals = totals.get_or_insert_default();
            totals.alloc_objects += more.alloc_objects;
            totals.alloc_bytes = totals.alloc_bytes.saturating_add(more.alloc_bytes);
            totals.free_objects = both(totals.free_objects, more.free_objects);
            totals.free_bytes = both(totals.free_bytes, more.free_bytes);
        }
    }
    let hidden = groups.len().saturating_sub(ALLOCATORS_MAX);
    let mut lines = Vec::new();
    for ((name, object), (processes, totals)) in groups.into_iter().take(ALLOCATORS_MAX) {
        let whose = if processes > 1 { format!(" in {} processes", Count(processes)) } else { String::new() };
        lines.push((cut_middle(&format!("{name}{whose}"), width), None));
        lines.push((cut_middle(&format!("  {object}"), width), Some(Ink::Faint)));
        let Some(totals) = totals else { continue };
        let (bytes, objects) = (Bytes(totals.alloc_bytes), Count(totals.alloc_objects));
        lines.push((format!("  allocated {bytes} in {objects}"), None));
        if let Some(objects) = totals.free_objects {
            let bytes = totals.free_bytes.map_or_else(String::new, |bytes| format!("{} in ", Bytes(bytes)));
            lines.push((format!("  freed     {bytes}{}", Count(objects)), None));
        }
    }
    if hidden > 0 {
        lines.push((format!("… {hidden} more"), Some(Ink::Faint)));
    }
    lines
}
