//! The tables, in the syntax of `docs/performance.md`.

use std::time::Duration;

use crate::ours::Ends;
use crate::rows::{Row, Rows, median, sorted};

const MIB: f64 = (1 << 20) as f64;

/// What a pair costs.
pub(crate) fn costs(rows: &Rows) -> String {
    let mut table = vec![
        ["what", "ns per pair", "lowest – highest", "over untraced", "× floor"].map(str::to_owned).to_vec(),
    ];
    let untraced = rows.median_of(Row::Untraced);
    for (row, values) in rows.costs() {
        let middle = median(&values);
        let ratio = row.floor().map(|set| {
            let floor = rows.median_of(Row::Floor(set));
            format!("{:.2} × {set:?}", middle / floor)
        });
        table.push(vec![
            row.name().to_owned(),
            format!("{middle:.1}"),
            format!("{:.1} – {:.1}", values.first().unwrap_or(&0.0), values.last().unwrap_or(&0.0)),
            if row == Row::Untraced { String::new() } else { format!("{:.1}", middle - untraced) },
            ratio.unwrap_or_default(),
        ]);
    }
    format(&table)
}

/// What comes before and after the counting, and what tracer itself needs: medians.
pub(crate) fn ends(rows: &Rows) -> String {
    let mut table = vec![vec!["median of the rounds".to_owned()]];
    let names = [
        "start to `counting`, loading included, ms",
        "SIGINT to exit, report included, ms",
        "tracer's CPU: start to `counting`, ms",
        "tracer's CPU: while counting, ms",
        "… of a time counting of, ms",
        "tracer's CPU: SIGINT to exit, ms",
        "tracer's peak RSS, MiB",
        "its maps in the kernel, MiB",
    ];
    table.extend(names.map(|name| vec![name.to_owned()]));
    for (mode, rounds) in rows.ours() {
        let middle = |value: &dyn Fn(&Ends) -> f64| median(&sorted(rounds.iter().map(value)));
        let cells = [
            middle(&|ends| milliseconds(ends.attach)),
            middle(&|ends| milliseconds(ends.detach)),
            middle(&|ends| milliseconds(ends.cpu_attaching)),
            middle(&|ends| milliseconds(ends.cpu_counting)),
            middle(&|ends| milliseconds(ends.counted)),
            middle(&|ends| milliseconds(ends.cpu_reporting)),
            middle(&|ends| ends.peak_resident_bytes as f64 / MIB),
            middle(&|ends| ends.map_bytes as f64 / MIB),
        ];
        table[0].push(format!("mode {mode}"));
        for (line, cell) in table[1..].iter_mut().zip(cells) {
            line.push(format!("{cell:.1}"));
        }
    }
    let mut text = format(&table);
    for (set, rounds) in rows.floors() {
        let attach = median(&sorted(rounds.iter().map(|(attach, _)| milliseconds(*attach))));
        let detach = median(&sorted(rounds.iter().map(|(_, detach)| milliseconds(*detach))));
        text.push_str(&format!(
            "floor {set:?} alone: attached in {attach:.1} ms, detached in {detach:.1} ms\n"
        ));
    }
    text
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The first line is the head; numbers stand right.
fn format(table: &[Vec<String>]) -> String {
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
