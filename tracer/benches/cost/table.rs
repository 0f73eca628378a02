//! Tables in the syntax of `docs/performance.md`.

use std::time::Duration;

use crate::ours::Ends;
use crate::rows::{Row, Rows};
use crate::samples::median;

const MIB: f64 = (1 << 20) as f64;

/// What is not known.
const UNKNOWN: &str = "-";

/// What a pair costs, and what is asked of tracer.
pub(crate) fn costs(rows: &Rows) -> String {
    let mut table =
        vec![head(&["what", "ns per pair", "lowest – highest", "over untraced", "× floor", "bound"])];
    let untraced = rows.median(Row::Untraced);
    for &row in rows.costs().keys() {
        let values = rows.costs().sorted(&row);
        let middle = rows.median(row);
        let over =
            middle.zip(untraced).filter(|_| row != Row::Untraced).map(|(middle, untraced)| middle - untraced);
        let ratio = row.floor().zip(rows.over_floor(row)).map(|(set, ratio)| format!("{ratio:.2} × {set:?}"));
        let bound = match row {
            Row::Ours(setting) => format!("{:.2} × {:?}", setting.bound(), setting.floor()),
            _ => String::new(),
        };
        table.push(vec![
            row.name(),
            number(middle, 1),
            format!("{} – {}", number(values.first().copied(), 1), number(values.last().copied(), 1)),
            over.map_or_else(String::new, |over| format!("{over:.1}")),
            ratio.unwrap_or_default(),
            bound,
        ]);
    }
    format(&table)
}

/// What comes before and after the counting, and what tracer itself needs: medians.
pub(crate) fn ends(rows: &Rows) -> String {
    type Value = fn(&Ends) -> f64;
    let lines: [(&str, Value); 9] = [
        ("start to `counting`, loading included, ms", |ends| milliseconds(ends.attach)),
        ("SIGINT to exit, report included, ms", |ends| milliseconds(ends.detach)),
        ("tracer's CPU: start to `counting`, ms", |ends| milliseconds(ends.cpu_attaching)),
        ("tracer's CPU: while counting, ms", |ends| milliseconds(ends.cpu_counting)),
        ("… of a time counting of, ms", |ends| milliseconds(ends.counted)),
        ("tracer's CPU: SIGINT to exit, ms", |ends| milliseconds(ends.cpu_reporting)),
        ("tracer's peak RSS until SIGINT, MiB", |ends| mebibytes(ends.counting_resident_bytes)),
        ("tracer's peak RSS, with its report, MiB", |ends| mebibytes(ends.peak_resident_bytes)),
        ("its maps in the kernel, MiB", |ends| mebibytes(ends.map_bytes)),
    ];
    let mut table = vec![head(&["median of the rounds"])];
    table[0].extend(rows.ours().iter().map(|(setting, _)| setting.name()));
    for (name, value) in lines {
        let mut line = vec![name.to_owned()];
        line.extend(rows.ours().iter().map(|(_, rounds)| number(median(rounds.iter().map(value)), 1)));
        table.push(line);
    }
    let mut text = format(&table);
    for (set, rounds) in rows.floors() {
        let attach = median(rounds.iter().map(|(attach, _)| milliseconds(*attach)));
        let detach = median(rounds.iter().map(|(_, detach)| milliseconds(*detach)));
        text.push_str(&format!(
            "floor {set:?} alone: attached in {} ms, detached in {} ms\n",
            number(attach, 1),
            number(detach, 1)
        ));
    }
    text
}

/// The first line of a table.
pub(crate) fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A number with so many digits behind the point.
pub(crate) fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| format!("{value:.digits$}"))
}

/// A duration as a table says it.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// A size as a table says it.
pub(crate) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

/// The first line is the head; numbers stand right.
pub(crate) fn format(table: &[Vec<String>]) -> String {
    let columns = table.first().map_or(0, Vec::len);
    let width = |column: usize| table.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::from("\n");
    for (index, line) in table.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let cell = if column == 0 { format!("| {cell:<width$} ") } else { format!("| {cell:>width$} ") };
            text.push_str(&cell);
        }
        text.push_str("|\n");
        if index == 0 {
            for (column, width) in widths.iter().enumerate() {
                text.push_str(&format!("|{}{}", "-".repeat(width + 1), if column == 0 { "-" } else { ":" }));
            }
            text.push_str("|\n");
        }
    }
    text.push('\n');
    text
}
