//! The table: what somebody reads at three in the morning. What is traced, what it did, which sites hold the
//! memory, and how far the numbers can be trusted, which comes last because that is where the eye is.

use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets};

use crate::model::snapshot::Snapshot;
use crate::view::{Options, known, text};
use style::Style;

pub(super) use header::totals;

mod header;
pub(super) mod precision;
mod quality;
mod sites;
mod style;

/// Writes the table.
///
/// # Errors
/// Only those of the writer.
pub fn write(snapshot: &Snapshot, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let style = Style::new(options.width, options.colour);
    let dimension = known(snapshot.mode, options.dimension);
    let mut lines = header::lines(snapshot, style);
    lines.push(String::new());
    if dimension != options.dimension {
        let sentence = "Mode alloc does not see frees: sorted by allocations, not by what is in use.";
        lines.extend(text::wrap(sentence, style.width));
    }
    lines.extend(sites::lines(snapshot, dimension, options.top, style));
    lines.push(String::new());
    lines.extend(quality::lines(snapshot, style));
    for line in lines {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Rows in columns, one line each, the header first; all cells to the right but those of the first column
/// where `first_left`.
pub(crate) fn grid(header: &[String], rows: &[Vec<String>], first_left: bool) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    table.set_header(header.to_vec());
    table.add_rows(rows.iter().cloned());
    for (at, column) in table.column_iter_mut().enumerate() {
        let left = first_left && at == 0;
        column.set_cell_alignment(if left { CellAlignment::Left } else { CellAlignment::Right });
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests;
