//! Views of a comparison of two releases: pure functions of the document, one file per format.

use std::io::{self, Write};
use std::path::Path;

use crate::canary::{Comparison, Quantity};

pub mod flamegraph;
pub mod json;
pub mod markdown;
pub mod table;
pub mod words;

#[cfg(test)]
mod tests;

/// What a comparison can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people: [`table`].
    Table,
    /// The document, every site: [`json`].
    Json,
    /// For a pull request: [`markdown`].
    Markdown,
    /// A differential flame graph: [`flamegraph`].
    Svg,
}

impl Format {
    /// The format that a file name asks for, `None` if its suffix is of no format.
    #[must_use]
    pub fn from_suffix(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "txt" => Some(Self::Table),
            "json" => Some(Self::Json),
            "md" => Some(Self::Markdown),
            "svg" => Some(Self::Svg),
            _ => None,
        }
    }
}

/// How to show a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Call sites of the table; the other formats have their own number.
    pub top: usize,
    /// What weighs the stacks of the flame graph.
    pub quantity: Quantity,
    /// Colour in the table. It is never the only signal.
    pub colour: bool,
    /// Columns of the terminal; `None` is not a terminal.
    pub width: Option<u16>,
}

/// Writes the comparison in a format.
///
/// # Errors
/// Only those of the writer.
pub fn write(
    format: Format,
    comparison: &Comparison,
    options: &Options,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        Format::Table => table::write(comparison, options, out),
        Format::Json => json::write(comparison, out),
        Format::Markdown => markdown::write(comparison, out),
        Format::Svg => flamegraph::write(comparison, options.quantity, out),
    }
}
