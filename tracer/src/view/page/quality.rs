//! The page's last part: what is missing in the numbers, and why.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::Escaped;
use crate::model::node::Own;
use crate::target::kubernetes::Standing;
use crate::units::{Bytes, Count};
use crate::view::words;

pub(super) fn write(own: &Own, out: &mut dyn Write) -> io::Result<()> {
    let lost: u64 = own.lost.values().sum();
    writeln!(out, "<h2>Quality</h2>")?;
    writeln!(out, "<p>{} events, {} lost in some number</p>", Count(own.events), Count(lost))?;
    counts("Lost", &own.lost, |reason| words::lost(reason).unwrap_or(""), out)?;
    counts("Could not be probed", &own.attach_failures, |_| "", out)?;
    if own.series_suppressed > 0 {
        writeln!(
            out,
            "<p class=\"bad\">{} label sets had no room for series of their own and are added up as one: raise the limit \
             in the configuration, or give fewer labels.</p>",
            Count(own.series_suppressed)
        )?;
    }
    if let Some(pods) = &own.pods {
        of_pods(pods, out)?;
    }
    for note in &own.notes {
        writeln!(out, "<p>{}</p>", Escaped(note))?;
    }
    let maps = own.map_bytes.map_or_else(String::new, |bytes| format!(" · maps of {}", Bytes(bytes)));
    writeln!(out, "<p class=\"faint\">{} probes{maps}</p>", Count(own.probes_attached))?;
    for (name, &(taken, most)) in &own.maps {
        // What is nearly full will soon lose.
        if most > 0 && taken.saturating_mul(10) >= most.saturating_mul(9) {
            writeln!(out, "<p class=\"bad\">map {name}: {} of {} entries</p>", Count(taken), Count(most))?;
        }
    }
    Ok(())
}

/// How well pods are known.
fn of_pods(pods: &Standing, out: &mut dyn Write) -> io::Result<()> {
    let class = if pods.is_synced { "faint" } else { "bad" };
    let unknown = if pods.is_synced { "" } else { "Pods were never listed: their labels are unknown. " };
    writeln!(
        out,
        "<p class=\"{class}\">{unknown}{} pods · {} containers wait for their pod · {} ended without one · {} errors of \
         the Kubernetes API</p>",
        Count(pods.pods),
        Count(pods.waiting),
        Count(pods.unresolved),
        Count(pods.watch_errors)
    )
}

fn counts(
    title: &str,
    counts: &BTreeMap<String, u64>,
    meaning: fn(&str) -> &'static str,
    out: &mut dyn Write,
) -> io::Result<()> {
    if counts.values().all(|&count| count == 0) {
        return Ok(());
    }
    writeln!(out, "<div class=\"wide\"><table><tr><th class=\"t\">{title}</th><th></th><th></th></tr>")?;
    for (reason, &count) in counts.iter().filter(|&(_, &count)| count > 0) {
        writeln!(
            out,
            "<tr><td class=\"t\">{}</td><td class=\"bad\">{}</td><td class=\"l\">{}</td></tr>",
            Escaped(reason),
            Count(count),
            Escaped(meaning(reason))
        )?;
    }
    writeln!(out, "</table></div>")
}
