//! The table of a comparison: the verdict, what it rests on, the totals, the call sites that moved them most.

use std::io::{self, Write};

use super::{Options, words};
use crate::canary::{Comparison, Decision, Quantity, SiteChange, Verdict};
use crate::units::Count;
use crate::view::frame;
use crate::view::table::grid;
use crate::view::text::{cut_middle, wrap};

/// Narrower than this the numbers do not fit side by side.
const COLUMNS_MIN: usize = 80;
/// Where there is no terminal.
const COLUMNS_DEFAULT: usize = 120;
/// A call site's name beside its numbers needs this much, else it goes below.
const NAME_COLUMNS_MIN: usize = 44;

/// Writes the table.
///
/// # Errors
/// Only those of the writer.
pub fn write(comparison: &Comparison, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let width = options.width.map_or(COLUMNS_DEFAULT, usize::from).max(COLUMNS_MIN);
    let ink = Ink(options.colour);
    let mut lines = head(comparison, width, ink);
    lines.push(String::new());
    lines.extend(totals(comparison, ink));
    lines.push(String::new());
    lines.extend(sites(comparison, options.top, width, ink));
    lines.push(String::new());
    for sentence in words::evidence(comparison).iter().chain(&comparison.notes) {
        lines.extend(block("", sentence, width));
    }
    for line in lines {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Escape sequences, if there is colour.
#[derive(Clone, Copy)]
struct Ink(bool);

impl Ink {
    fn paint(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn verdict(self, decision: &Decision, text: &str) -> String {
        let code = match decision.verdict {
            Verdict::Better | Verdict::Same => "1;32",
            Verdict::Worse if decision.is_beyond => "1;31",
            Verdict::Worse | Verdict::NotEnoughData => "1;33",
        };
        self.paint(code, text)
    }
}

/// A text beside its word, both within the width.
fn block(word: &str, text: &str, width: usize) -> Vec<String> {
    const LEFT: usize = 9;
    let left = |at: usize| if at == 0 { word } else { "" };
    let lines = wrap(text, width.saturating_sub(LEFT)).into_iter().enumerate();
    lines.map(|(at, line)| format!("{:LEFT$}{line}", left(at))).collect()
}

fn head(comparison: &Comparison, width: usize, ink: Ink) -> Vec<String> {
    let verdict = words::verdict(comparison).to_uppercase();
    let mut lines =
        vec![format!("{} ({})", ink.verdict(&comparison.decision, &verdict), words::gate(comparison))];
    for reason in &comparison.decision.reasons {
        lines.extend(block("", reason, width));
    }
    lines.push(String::new());
    for (word, release) in [("base", &comparison.base), ("canary", &comparison.canary)] {
        let text = format!("{}: {}", release.name, words::release(release, comparison.per));
        lines.extend(block(word, &text, width));
    }
    lines.extend(block("per", &words::per(Quantity::AllocBytes, comparison.per), width));
    lines
}

fn totals(comparison: &Comparison, ink: Ink) -> Vec<String> {
    let header = ["TOTAL", "BASE", "CANARY", "CHANGE", "95% INTERVAL", "DETECTABLE", ""].map(str::to_owned);
    let row = |row: &crate::canary::Row| {
        let name = match row.quantity {
            Quantity::InuseBytes => format!("{}, per process", words::quantity(row.quantity)),
            Quantity::AllocBytes | Quantity::AllocObjects => words::quantity(row.quantity).to_owned(),
        };
        vec![
            name,
            words::cost(row.quantity, &row.base),
            words::cost(row.quantity, &row.canary),
            words::estimate(row),
            words::interval(row),
            words::detectable(row),
            words::mark(row).to_owned(),
        ]
    };
    let mut rows: Vec<Vec<String>> = comparison.totals.iter().map(row).collect();
    let size = &comparison.mean_size;
    let [base, canary] = size.bytes.map(words::mean_size_of);
    let (change, interval) = words::mean_size_change(size);
    rows.push(vec![
        "mean size of an object".to_owned(),
        base,
        canary,
        change,
        interval,
        String::new(),
        String::new(),
    ]);
    let mut lines = grid(&header, &rows, true);
    if let Some(first) = lines.first_mut() {
        *first = ink.faint(first);
    }
    lines
}

fn sites(comparison: &Comparison, top: usize, width: usize, ink: Ink) -> Vec<String> {
    let listed: Vec<&SiteChange> = comparison.sites.iter().take(top).collect();
    let explaining = comparison.sites.iter().filter(|site| site.explains).count();
    let many = comparison.sites.len();
    let heading = format!(
        "CALL SITES by how far they moved all bytes: {} of {}, {} changed significantly",
        listed.len(),
        Count(many as u64),
        Count(explaining as u64)
    );
    let mut lines = vec![ink.strong(&heading)];
    let header =
        ["", "CHANGE", "95% INTERVAL", "OF ALL", "BASE", "CANARY", "OBJECTS", "IN USE", "SIZE", "MATCH"]
            .map(str::to_owned);
    let rows: Vec<Vec<String>> = listed.iter().copied().chain(&comparison.rest).map(cells).collect();
    let numbers = grid(&header, &rows, true);
    let widest = numbers.iter().map(|line| frame::columns(line)).max().unwrap_or(0) + 2;
    let is_beside = widest + NAME_COLUMNS_MIN <= width;
    let names = listed.iter().map(|site| site.name.clone());
    let names = names.chain(comparison.rest.iter().map(|_| rest_name(comparison)));
    let names = std::iter::once("CALL SITE".to_owned()).chain(names);
    for (at, (numbers, name)) in numbers.iter().zip(names).enumerate() {
        let line = if is_beside {
            let padding = " ".repeat(widest.saturating_sub(frame::columns(numbers)));
            format!("{numbers}{padding}{}", cut_middle(&name, width - widest))
        } else {
            numbers.clone()
        };
        lines.push(if at == 0 { ink.faint(&line) } else { line });
        if !is_beside && at > 0 {
            lines.push(format!("      {}", cut_middle(&name, width.saturating_sub(6))));
        }
    }
    if many > listed.len() {
        lines.push(format!(
            "{} more: --top N lists more, --format json all",
            Count((many - listed.len()) as u64)
        ));
    }
    lines
}

/// What stands for the sites that were not tested one by one.
pub(super) fn rest_name(comparison: &Comparison) -> String {
    format!(
        "all call sites below {} of the bytes and objects, or of too few samples",
        words::percent(comparison.evidence.min_share)
    )
}

fn cells(site: &SiteChange) -> Vec<String> {
    let bytes = words::row(site, Quantity::AllocBytes);
    let estimate = |quantity| words::row(site, quantity).map_or_else(|| "-".to_owned(), words::estimate);
    let marks = site.rows.iter().map(words::mark).find(|mark| !mark.is_empty());
    let amount = |side: fn(&crate::canary::Row) -> f64| {
        bytes.map_or_else(|| "-".to_owned(), |row| words::amount(row.quantity, side(row)))
    };
    vec![
        marks.unwrap_or("").to_owned(),
        estimate(Quantity::AllocBytes),
        bytes.map_or_else(|| "-".to_owned(), words::interval),
        words::weight(site),
        amount(|row| row.base.amount),
        amount(|row| row.canary.amount),
        estimate(Quantity::AllocObjects),
        estimate(Quantity::InuseBytes),
        words::mean_size(&site.mean_size),
        words::matched(site.matched).to_owned(),
    ]
}
