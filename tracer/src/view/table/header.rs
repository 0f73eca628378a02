//! What is traced and what it did: a block per target.

use std::collections::BTreeMap;
use std::iter::repeat;

use crate::model::node::RuntimeHeap;
use crate::model::snapshot::{Allocator, Gc, Snapshot, Target, Totals};
use crate::units::{Bytes, Count};
use crate::view::frame::{age, printable};
use crate::view::table::grid;
use crate::view::table::style::Style;
use crate::view::text::{Ink, cut_middle, wrap};
use crate::view::totals::{functions, relative};
use crate::view::{gc, runtime, words};

/// The tracer's line, then the targets' blocks.
pub(super) fn lines(snapshot: &Snapshot, style: Style) -> Vec<String> {
    let first = format!(
        "tracer {} · mode {} · {} · attached {} · {}",
        snapshot.tool.version,
        snapshot.mode,
        words::sampling(snapshot),
        age(snapshot.attached_seconds),
        words::verdict(snapshot.quality.verdict),
    );
    let mut lines = vec![cut_middle(&first, style.width)];
    if !snapshot.labels.is_empty() {
        lines.push(cut_middle(&format!("labels {}", pairs(&snapshot.labels)), style.width));
    }
    for target in &snapshot.targets {
        lines.push(String::new());
        lines.extend(block(target, snapshot.attached_seconds, style));
    }
    lines
}

fn block(target: &Target, attached_seconds: f64, style: Style) -> Vec<String> {
    let head = match target.pid {
        0 => format!("{} (pid not known)", target.comm),
        pid => format!("{} (pid {pid})", target.comm),
    };
    let head = printable(&head);
    let room = style.width.saturating_sub(head.chars().count() + 2);
    let mut lines = vec![format!("{}  {}", style.paint(Ink::Strong, &head), cut_middle(&target.exe, room))];
    if let Some(ended) = &target.ended {
        lines.push(style.paint(Ink::Warning, &cut_middle(&format!("  ended: {ended}"), style.width)));
    }
    if !target.labels.is_empty() {
        lines.push(cut_middle(&format!("  labels {}", pairs(&target.labels)), style.width));
    }
    for one in &target.allocators {
        lines.extend(allocator(one, &share(one, target), style.width));
    }
    if let Some(collections) = &target.gc {
        lines.extend(collected(collections, target.seconds_of(attached_seconds), style.width));
    }
    // A process without a page is one that a profile of another program knows nothing about.
    if target.resident_bytes > 0 || target.cpu_seconds > 0.0 {
        lines.push(cut_middle(&format!("  {}", process(target)), style.width));
    }
    lines.extend(totals(&target.totals, attached_seconds).iter().map(|line| format!("  {line}")));
    let calls = calls(target);
    if !calls.is_empty() {
        let calls = wrap(&calls, style.width - 9);
        lines.extend(
            calls.iter().zip(["calls:"].into_iter().chain(repeat(""))).map(|(l, n)| format!("  {n:6} {l}")),
        );
    }
    lines
}

fn pairs(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

/// Which, how it is counted, and what went through it.
fn allocator(allocator: &Allocator, share: &str, width: usize) -> Vec<String> {
    if let Some(heap) = RuntimeHeap::of(allocator) {
        let mut parts = runtime::parts(&heap);
        if let Some(first) = parts.first_mut() {
            first.push_str(share);
        }
        let lines = wrap(&parts.join(" · "), width.saturating_sub(4)).into_iter();
        return lines
            .zip(["  "].into_iter().chain(repeat("    ")))
            .map(|(line, gap)| format!("{gap}{line}"))
            .collect();
    }
    let version = allocator.version.as_deref().map_or_else(String::new, |version| format!(" {version}"));
    let prefix = match allocator.prefix.as_str() {
        "" => String::new(),
        prefix => format!(", prefix {prefix}"),
    };
    let probes = match allocator.probes.len() {
        1 => "1 probe".to_owned(),
        probes => format!("{probes} probes"),
    };
    let text = format!("  {}{version}{prefix} in {} ({probes}){share}", allocator.name, allocator.object);
    vec![cut_middle(&text, width)]
}

/// What the garbage collector did, in as many lines as it takes.
fn collected(collections: &Gc, attached_seconds: f64, width: usize) -> Vec<String> {
    let said = gc::parts(collections, gc::rate(collections, attached_seconds)).join(" · ");
    let lines = wrap(&said, width.saturating_sub(6)).into_iter();
    lines
        .zip(["gc:"].into_iter().chain(repeat("")))
        .map(|(line, name)| format!("  {name:3} {line}"))
        .collect()
}

/// What went through one of several allocators.
fn share(allocator: &Allocator, target: &Target) -> String {
    match &allocator.totals {
        Some(totals) if target.allocators.len() > 1 => {
            format!(": {} allocations, {}", Count(totals.alloc_objects), Bytes(totals.alloc_bytes))
        }
        _ => String::new(),
    }
}

fn process(target: &Target) -> String {
    let processes = match target.processes {
        0 | 1 => String::new(),
        several => format!("{several} processes · "),
    };
    let (resident, cpu) = (Bytes(target.resident_bytes), age(target.cpu_seconds));
    format!("{processes}resident {resident} · CPU time {cpu} since the attach")
}

/// A line per number, the header first.
pub(in crate::view) fn totals(totals: &Totals, attached_seconds: f64) -> Vec<String> {
    let row = |name: &str, prefix: &str, objects: Option<u64>, bytes: Option<u64>, rated: bool| {
        let error = |unit: &str| relative(totals, &format!("{prefix}_{unit}"));
        let rates = |value: Option<u64>| if rated { per_second(value, attached_seconds) } else { None };
        vec![
            name.to_owned(),
            format!("{}{}", or_dash(bytes, |bytes| Bytes(bytes).to_string()), error("bytes")),
            rates(bytes).map_or_else(String::new, |rate| format!("{}/s", Bytes(rate))),
            format!("{}{}", or_dash(objects, |objects| Count(objects).to_string()), error("objects")),
            rates(objects).map_or_else(String::new, |rate| format!("{}/s", Count(rate))),
        ]
    };
    let mut rows =
        vec![row("allocated", "alloc", Some(totals.alloc_objects), Some(totals.alloc_bytes), true)];
    if totals.free_objects.is_some() || totals.free_bytes.is_some() {
        rows.push(row("freed", "free", totals.free_objects, totals.free_bytes, true));
    }
    if totals.inuse_objects.is_some() || totals.inuse_bytes.is_some() {
        rows.push(row("in use", "inuse", totals.inuse_objects, totals.inuse_bytes, false));
    }
    let header = ["", "BYTES", "RATE", "OBJECTS", "RATE"].map(str::to_owned);
    grid(&header, &rows, true)
}

fn or_dash(value: Option<u64>, text: impl Fn(u64) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

fn per_second(value: Option<u64>, seconds: f64) -> Option<u64> {
    (seconds > 0.0).then(|| (value.unwrap_or(0) as f64 / seconds).round() as u64)
}

fn calls(target: &Target) -> String {
    let texts = functions(target).into_iter().map(|(name, function)| {
        let failed = match function.failed.unwrap_or(0) {
            0 => String::new(),
            failed => format!(" ({} failed)", Count(failed)),
        };
        format!("{name} {}{failed}", Count(function.calls))
    });
    texts.collect::<Vec<_>>().join(" · ")
}
