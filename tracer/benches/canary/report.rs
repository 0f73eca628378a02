//! The tables of the docs.

use std::fmt::Write as _;

use tracer::units::Bytes;

use crate::experiment::Cell;
use crate::recording::{PLANTED, Recording};

/// What was recorded: how many sites there are, and where the planted ones stand among them.
pub(crate) fn recorded(name: &str, recording: &Recording) -> String {
    let shares = recording.shares();
    let above = shares.iter().filter(|(_, share)| *share > 0.001).count();
    let mut text =
        format!("### {name}\n\n{} call sites, {above} of them above 0.1 % of the bytes.", shares.len());
    for ((_, percent), planted) in PLANTED.iter().zip(recording.planted) {
        let rank = shares.iter().position(|(site, _)| *site == planted).unwrap_or_default();
        let share = shares[rank].1 * 100.0;
        // Writing to a String cannot fail.
        let _written = write!(text, " {percent} % is planted in number {} ({share:.2} %).", rank + 1);
    }
    text + "\n\n"
}

/// Found, and false alarms, by interval, minutes and change.
pub(crate) fn found(cells: &[Cell]) -> String {
    let mut text = String::from(
        "| sampling interval | minutes | unchanged: alarms | 1 %: found, false | 2 % | 5 % | 20 % | verdict of the unchanged: \
         same, not enough |\n|---|---|---|---|---|---|---|---|\n",
    );
    for row in cells.chunks(1 + PLANTED.len()) {
        let [unchanged, planted @ ..] = row else { continue };
        let interval = match unchanged.sample_bytes {
            0 => "every allocation".to_owned(),
            bytes => Bytes(bytes).to_string(),
        };
        let share = |count: u32, cell: &Cell| {
            format!("{:.1} %", 100.0 * f64::from(count) / f64::from(cell.comparisons))
        };
        let mut columns =
            vec![interval, unchanged.minutes.to_string(), share(unchanged.false_alarms, unchanged)];
        for cell in planted {
            columns.push(format!("{}, {}", share(cell.found, cell), share(cell.false_alarms, cell)));
        }
        let [_, same, _, unsure] = unchanged.verdicts;
        columns.push(format!("{}, {}", share(same, unchanged), share(unsure, unchanged)));
        let _written = writeln!(text, "| {} |", columns.join(" | "));
    }
    let (seconds, comparisons) =
        cells.iter().fold((0.0, 0), |(seconds, all), cell| (seconds + cell.seconds, all + cell.comparisons));
    let each = 1e3 * seconds / f64::from(comparisons.max(1));
    let _written = writeln!(text, "\nOne comparison took {each:.1} ms in the mean.");
    text + "\n"
}
