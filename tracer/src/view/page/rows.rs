//! The page's tables of processes and of series.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::Escaped;
use crate::mode::Mode;
use crate::model::node::{NodeTarget, Series};
use crate::model::snapshot::Dimension;
use crate::target::labels::LabelSet;
use crate::units::{Bytes, Count};
use crate::view::{gc, runtime};

/// The flame graphs that a mode knows.
const fn dimensions(mode: Mode) -> &'static [Dimension] {
    match mode {
        Mode::Live => {
            &[Dimension::InuseSpace, Dimension::InuseObjects, Dimension::AllocSpace, Dimension::AllocObjects]
        }
        Mode::Alloc => &[Dimension::AllocSpace, Dimension::AllocObjects],
    }
}

pub(super) fn targets(targets: &[NodeTarget], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<h2>{} processes</h2>", Count(targets.len() as u64))?;
    if targets.is_empty() {
        return writeln!(out, "<p>No process fits the rules of the configuration.</p>");
    }
    writeln!(
        out,
        "<div class=\"wide\"><table><tr><th>pid</th><th class=\"t\">name</th><th class=\"t\">rule</th>\
         <th class=\"t\">service</th><th class=\"t\">mode</th><th>sample every</th><th>allocates</th><th>in use</th>\
         <th>resident / limit</th><th>overhead</th><th>lost</th></tr>"
    )?;
    for target in targets {
        row(target, out)?;
    }
    writeln!(out, "</table></div>")
}

/// Two lines: the links in a column of their own would push the numbers out of the window.
fn row(target: &NodeTarget, out: &mut dyn Write) -> io::Result<()> {
    let lost: u64 = target.lost.values().sum();
    writeln!(
        out,
        "<tr class=\"p\"><td>{}</td><td class=\"t\" title=\"{}\">{}</td><td class=\"t\">{}</td><td class=\"t\">{}</td>\
         <td class=\"t\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td{}>{}</td></tr>\n\
         <tr><td></td><td class=\"t\" colspan=\"10\">{}{}</td></tr>",
        target.id.pid,
        Escaped(&target.exe),
        Escaped(&target.comm),
        Escaped(&target.rule),
        service(&target.labels),
        target.mode,
        sampling(target.sample_bytes),
        rate(target.alloc_bytes_per_second),
        in_use(target.inuse_bytes, target.inuse_bytes_standard_error),
        resident(Some(target.resident_bytes), target.memory_limit_bytes),
        ratio(target.overhead_ratio),
        if lost > 0 { " class=\"bad\"" } else { "" },
        Count(lost),
        links(target),
        of_runtime(target),
    )
}

fn links(target: &NodeTarget) -> String {
    let id = target.id;
    let mut links = String::new();
    if let Some(pod) = &target.pod {
        let container = pod.container.as_deref().unwrap_or("?");
        // A `String` takes everything.
        let _ =
            write!(links, "pod {}/{} {} · ", Escaped(&pod.namespace), Escaped(&pod.name), Escaped(container));
    }
    links.push_str("flame");
    for dimension in dimensions(target.mode) {
        let name = dimension.name();
        // A `String` takes everything.
        let _ = write!(links, " <a href=\"targets/{id}/flamegraph.svg?view={name}\">{name}</a>");
    }
    let _ = write!(
        links,
        " · pprof <a href=\"targets/{id}/debug/pprof/heap\">heap</a> \
         <a href=\"targets/{id}/debug/pprof/heap?seconds=10\">of 10s</a> · \
         <a href=\"targets/{id}/snapshot\">JSON</a>"
    );
    links
}

/// What its runtime says, in a line of its own.
fn of_runtime(target: &NodeTarget) -> String {
    let heap = target.runtime.as_ref().map(runtime::line);
    let collected = target.gc.as_ref().map(|collections| {
        format!("gc: {}", gc::parts(collections, target.gc_cycles_per_second).join(" · "))
    });
    let said: Vec<String> = heap.into_iter().chain(collected).collect();
    match said.is_empty() {
        true => String::new(),
        false => format!("<br><span class=\"faint\">{}</span>", Escaped(&said.join(" · "))),
    }
}

pub(super) fn series(series: &[Series], out: &mut dyn Write) -> io::Result<()> {
    if series.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<h2>Series</h2><div class=\"wide\"><table><tr><th class=\"t\">service</th><th>processes</th>\
         <th>allocated</th><th>allocations</th><th>freed</th><th>in use</th><th>resident / limit</th>\
         <th>overhead</th></tr>"
    )?;
    for one in series {
        let counts = || one.allocators.values();
        let free = counts().filter_map(|counts| counts.free_bytes).reduce(u64::saturating_add);
        let relative = one.relative_errors.get("inuse_bytes").copied();
        let error = relative.and_then(|error| one.inuse_bytes.map(|bytes| bytes as f64 * error));
        writeln!(
            out,
            "<tr><td class=\"t\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            service(&one.labels),
            Count(one.processes),
            Bytes(counts().map(|counts| counts.alloc_bytes).fold(0, u64::saturating_add)),
            Count(counts().map(|counts| counts.alloc_objects).fold(0, u64::saturating_add)),
            free.map_or_else(dash, |bytes| Bytes(bytes).to_string()),
            in_use(one.inuse_bytes, error),
            resident(one.resident_bytes, one.memory_limit_bytes),
            ratio(one.overhead_ratio),
        )?;
    }
    writeln!(out, "</table></div>")
}

/// `namespace/service version group`, as far as it is known.
fn service(labels: &LabelSet) -> String {
    let slash = if labels.namespace.is_empty() { "" } else { "/" };
    let name = format!("{}{slash}{}", Escaped(&labels.namespace), Escaped(&labels.service));
    let known = [name, Escaped(&labels.version).to_string(), Escaped(&labels.canary_group).to_string()];
    let known: Vec<String> = known.into_iter().filter(|text| !text.is_empty()).collect();
    if known.is_empty() { dash() } else { known.join(" ") }
}

fn sampling(sample_bytes: u64) -> String {
    match sample_bytes {
        0 => "every one".to_owned(),
        bytes => Bytes(bytes).to_string(),
    }
}

fn rate(bytes_per_second: f64) -> String {
    format!("{}/s", Bytes(bytes_per_second.max(0.0).round() as u64))
}

fn in_use(bytes: Option<u64>, standard_error: Option<f64>) -> String {
    match (bytes, standard_error) {
        (Some(bytes), Some(error)) if error > 0.0 && bytes > 0 => {
            format!("{} ±{:.1}%", Bytes(bytes), error / bytes as f64 * 100.0)
        }
        (Some(bytes), _) => Bytes(bytes).to_string(),
        (None, _) => dash(),
    }
}

fn resident(bytes: Option<u64>, limit: Option<u64>) -> String {
    let text = |bytes: Option<u64>| bytes.map_or_else(dash, |bytes| Bytes(bytes).to_string());
    match limit {
        Some(_) => format!("{} / {}", text(bytes), text(limit)),
        None => text(bytes),
    }
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(dash, |ratio| format!("{:.2}%", ratio * 100.0))
}

fn dash() -> String {
    "-".to_owned()
}
