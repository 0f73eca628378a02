//! The comparison for a pull request: short, in tables of GitHub's Markdown, details folded:
//! <https://github.github.com/gfm/#tables-extension->.

use std::io::{self, Write};

use super::{table, words};
use crate::canary::{Comparison, Quantity, Row, SiteChange};
use crate::units::Count;
use crate::view::frame;

/// Call sites that explain the verdict, before what is folded.
const EXPLAINING: usize = 10;
/// Call sites among the details.
const OTHERS: usize = 20;
/// Of a call site's name: a table of a pull request is narrow.
const NAME_COLUMNS: usize = 100;

/// Writes the Markdown.
///
/// # Errors
/// Only those of the writer.
pub fn write(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    let sign = if comparison.decision.is_go() { "✅" } else { "🛑" };
    writeln!(out, "### {sign} Allocations: {} ({})\n", words::verdict(comparison), words::gate(comparison))?;
    for reason in &comparison.decision.reasons {
        writeln!(out, "- {}", text(reason))?;
    }
    writeln!(out)?;
    totals(comparison, out)?;
    let (explaining, others): (Vec<&SiteChange>, Vec<&SiteChange>) =
        comparison.sites.iter().partition(|site| site.explains);
    if !explaining.is_empty() {
        writeln!(out, "**Call sites that changed, those that moved all bytes most first**\n")?;
        sites(&explaining, EXPLAINING, None, out)?;
    }
    details(comparison, &others, out)
}

fn totals(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "| | base | canary | change | 95% interval | detectable |")?;
    writeln!(out, "|---|---:|---:|---:|---:|---:|")?;
    for row in &comparison.totals {
        writeln!(
            out,
            "| {} per {} | {} | {} | {} | {} | {} |",
            words::quantity(row.quantity),
            words::per(row.quantity, comparison.per),
            words::amount(row.quantity, row.base.amount),
            words::amount(row.quantity, row.canary.amount),
            estimate(row),
            words::interval(row),
            words::detectable(row)
        )?;
    }
    let size = &comparison.mean_size;
    let [base, canary] = size.bytes.map(words::mean_size_of);
    let (change, interval) = words::mean_size_change(size);
    writeln!(out, "| mean size | {base} | {canary} | {change} | {interval} | |\n")
}

/// What is significant is bold, and says which way.
fn estimate(row: &Row) -> String {
    match words::mark(row) {
        "" => words::estimate(row),
        _ if row.change.as_ref().is_some_and(|change| change.ratio.is_none()) => {
            format!("**{}**", words::estimate(row))
        }
        mark => format!("**{}** {mark}", words::estimate(row)),
    }
}

fn sites(
    listed: &[&SiteChange],
    most: usize,
    rest: Option<(&SiteChange, String)>,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(
        out,
        "| call site | change of bytes | 95% interval | of all bytes | objects | in use | mean size | matched |"
    )?;
    writeln!(out, "|---|---:|---:|---:|---:|---:|---:|---|")?;
    let named = listed.iter().take(most).map(|site| (*site, code(&site.name)));
    for (site, name) in named.chain(rest) {
        let cell = |quantity, cell: fn(&Row) -> String| {
            words::row(site, quantity).map_or_else(|| "-".to_owned(), cell)
        };
        writeln!(
            out,
            "| {name} | {} | {} | {} | {} | {} | {} | {} |",
            cell(Quantity::AllocBytes, estimate),
            cell(Quantity::AllocBytes, words::interval),
            words::weight(site),
            cell(Quantity::AllocObjects, estimate),
            cell(Quantity::InuseBytes, estimate),
            words::mean_size(&site.mean_size),
            words::matched(site.matched)
        )?;
    }
    writeln!(out)?;
    if listed.len() > most {
        writeln!(out, "{} more are in the JSON document.\n", Count((listed.len() - most) as u64))?;
    }
    Ok(())
}

fn details(comparison: &Comparison, others: &[&SiteChange], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<details><summary>What this rests on, and the other call sites</summary>\n")?;
    for (word, release) in [("base", &comparison.base), ("canary", &comparison.canary)] {
        writeln!(out, "- {word}: {}: {}", code(&release.name), words::release(release, comparison.per))?;
    }
    for sentence in words::evidence(comparison).iter().chain(&comparison.notes) {
        writeln!(out, "- {}", text(sentence))?;
    }
    writeln!(out)?;
    if !others.is_empty() || comparison.rest.is_some() {
        let rest = comparison.rest.as_ref().map(|rest| (rest, text(&table::rest_name(comparison))));
        sites(others, OTHERS, rest, out)?;
    }
    writeln!(out, "</details>")
}

/// A name as code, in a cell: neither a bar nor a backtick of it ends that.
fn code(name: &str) -> String {
    let name = frame::printable(&frame::fold(name, NAME_COLUMNS)).replace('`', "'").replace('|', "\\|");
    format!("`{name}`")
}

/// A sentence without what Markdown and HTML would take for their own.
fn text(sentence: &str) -> String {
    let mut text = String::new();
    for c in frame::printable(sentence).chars() {
        match c {
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '#' | '\\' => {
                text.push('\\');
                text.push(c);
            }
            '@' => text.push_str("&#64;"),
            c => text.push(c),
        }
    }
    text
}
