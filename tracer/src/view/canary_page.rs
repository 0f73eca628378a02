//! The verdicts on canaries as a page: what is said, why, and which call sites explain it. No scripts, nothing from the
//! network; every text of a target goes through [`Escaped`].

use std::io::{self, Write};

use super::canaries::{Canaries, ServiceCanary};
use super::comparison::words;
use super::page::{Escaped, STYLE};
use crate::canary::{Change, Comparison, Quantity, Release, SiteChange, Verdict};
use crate::units::{Bytes, Count};

/// Call sites of a service that are shown: those of most weight. The JSON has all.
const SITES: usize = 20;

/// Writes the page: of one service, or of all.
///
/// # Errors
/// Only those of the writer.
pub fn write(canaries: &Canaries, service: Option<&str>, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>tracer: canaries</title><style>{STYLE}</style></head><body>\n<h1>Canaries of this node</h1>\n"
    )?;
    for note in &canaries.notes {
        writeln!(out, "<p>{}</p>", Escaped(note))?;
    }
    let mut is_empty = true;
    for one in canaries.of_service(service) {
        is_empty = false;
        of_service(one, out)?;
    }
    if is_empty {
        writeln!(
            out,
            "<p>No process has <code>canary_group</code> <code>canary</code> or <code>stable</code>, or none was compared \
             yet.</p>"
        )?;
    }
    writeln!(out, "<p class=\"faint\"><a href=\".\">the daemon</a></p>\n</body></html>")
}

fn of_service(one: &ServiceCanary, out: &mut dyn Write) -> io::Result<()> {
    let comparison = &*one.comparison;
    let names = one.labels.pairs().into_iter().filter(|(_, value)| !value.is_empty());
    let names: Vec<String> = names.map(|(name, value)| format!("{name} {}", Escaped(value))).collect();
    let name = if names.is_empty() { "without a name".to_owned() } else { names.join(" · ") };
    writeln!(out, "<h2>{name}</h2>")?;
    let class = if is_bad(comparison) { " class=\"bad\"" } else { "" };
    writeln!(out, "<p{class}><b>{}</b>{}</p>", comparison.decision.verdict, beyond(comparison))?;
    for sentence in comparison.decision.reasons.iter().chain(&comparison.notes) {
        writeln!(out, "<p>{}</p>", Escaped(sentence))?;
    }
    writeln!(
        out,
        "<p class=\"faint\">stable: {} · canary: {} · per {} · as of {:.0}</p>",
        release(&comparison.base),
        release(&comparison.canary),
        comparison.per,
        one.at
    )?;
    totals(comparison, out)?;
    sites(&comparison.sites, out)
}

fn is_bad(comparison: &Comparison) -> bool {
    comparison.decision.verdict == Verdict::Worse
}

fn beyond(comparison: &Comparison) -> String {
    let most = words::percent(comparison.evidence.max_increase);
    match comparison.decision.verdict {
        Verdict::Worse if comparison.decision.is_beyond => format!(", by more than {most}: stop"),
        Verdict::Worse => format!(", within {most}"),
        _ => String::new(),
    }
}

fn release(release: &Release) -> String {
    format!("{} processes, {:.0} s together", release.units, release.unit_seconds)
}

fn totals(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    let rows = &comparison.totals;
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<div class=\"wide\"><table><tr><th class=\"t\">all call sites</th><th>stable</th><th>canary</th><th>change</th>\
         <th>95% interval</th><th>would be seen</th></tr>"
    )?;
    for row in rows {
        writeln!(
            out,
            "<tr><td class=\"t\">{}</td><td>{}</td><td>{}</td><td{}>{}</td><td>{}</td><td>{}</td></tr>",
            title(row.quantity),
            amount(row.quantity, row.base.amount),
            amount(row.quantity, row.canary.amount),
            class(row.change.as_ref()),
            row.change.map_or_else(dash, |change| percent(change.ratio)),
            row.change.map_or_else(dash, |change| interval(&change)),
            row.change.map_or_else(dash, |change| percent(change.detectable)),
        )?;
    }
    let size = &comparison.mean_size;
    let [base, canary] = size.bytes.map(words::mean_size_of);
    let (change, interval) = words::mean_size_change(size);
    writeln!(
        out,
        "<tr><td class=\"t\">mean size</td><td>{base}</td><td>{canary}</td><td>{change}</td><td>{interval}</td>\
         <td></td></tr></table></div>"
    )
}

fn sites(sites: &[SiteChange], out: &mut dyn Write) -> io::Result<()> {
    if sites.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<div class=\"wide\"><table><tr><th class=\"t\">call site</th><th>weight</th><th>change of bytes</th>\
         <th>95% interval</th><th>share of stable</th></tr>"
    )?;
    for site in sites.iter().take(SITES) {
        let row = site.rows.iter().find(|row| row.quantity == Quantity::AllocBytes);
        let change = row.and_then(|row| row.change);
        writeln!(
            out,
            "<tr><td class=\"l\">{}</td><td>{}</td><td{}>{}</td><td>{}</td><td>{}</td></tr>",
            Escaped(&site.name),
            percent(Some(site.weight)),
            if site.explains { class(change.as_ref()) } else { "" },
            change.map_or_else(dash, |change| percent(change.ratio)),
            change.map_or_else(dash, |change| interval(&change)),
            site.share.map_or_else(dash, |share| format!("{:.1}%", share * 100.0)),
        )?;
    }
    writeln!(out, "</table></div>")?;
    let more = sites.len().saturating_sub(SITES);
    if more > 0 {
        writeln!(out, "<p class=\"faint\">{} more in the JSON</p>", Count(more as u64))?;
    }
    Ok(())
}

fn class(change: Option<&Change>) -> &'static str {
    let has_increased = |change: &Change| change.is_significant && change.lower > 0.0;
    if change.is_some_and(has_increased) { " class=\"bad\"" } else { "" }
}

const fn title(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::AllocBytes => "bytes allocated",
        Quantity::AllocObjects => "objects allocated",
        Quantity::InuseBytes => "bytes in use, per process",
    }
}

/// Rates are positive; a float to an integer saturates.
fn amount(quantity: Quantity, amount: f64) -> String {
    let rounded = amount.max(0.0).round() as u64;
    match quantity {
        Quantity::AllocObjects => Count(rounded).to_string(),
        Quantity::AllocBytes | Quantity::InuseBytes => Bytes(rounded).to_string(),
    }
}

fn interval(change: &Change) -> String {
    let upper = change.upper.map_or_else(|| "any".to_owned(), |upper| percent(Some(upper)));
    format!("{} … {upper}", percent(Some(change.lower)))
}

fn percent(ratio: Option<f64>) -> String {
    ratio.filter(|ratio| ratio.is_finite()).map_or_else(dash, |ratio| format!("{:+.1}%", ratio * 100.0))
}

fn dash() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests;
