//! Views: pure functions of a snapshot, one file per format. They own no facts, do no I/O but their writer,
//! and every one says how good its numbers are. Only [`json`] and [`pprof`] can also be read back.

use std::io::{self, Write};
use std::path::Path;

use crate::model::snapshot::{Dimension, Mode, Snapshot};

pub mod advice;
pub mod canaries;
pub mod canary_page;
pub mod comparison;
pub mod flamegraph;
pub mod frame;
mod gc;
pub mod json;
pub mod page;
pub mod pprof;
pub mod prometheus;
mod quality;
pub mod read;
mod runtime;
pub mod table;
pub mod targets;
mod text;
mod totals;
pub mod tui;
pub mod words;

#[cfg(test)]
pub(crate) mod sample;

/// What a snapshot can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people: [`table`].
    Table,
    /// The document, every site: [`json`].
    Json,
    /// Gzipped protobuf for `go tool pprof` and others: [`pprof`].
    Pprof,
    /// One line per stack: [`flamegraph::write_folded`].
    Folded,
    /// A flamegraph: [`flamegraph::write_svg`].
    Svg,
}

impl Format {
    /// The format that a file name asks for, `None` if its suffix is of no format.
    #[must_use]
    pub fn from_suffix(path: &Path) -> Option<Self> {
        const SUFFIXES: [(&str, Format); 6] = [
            (".json", Format::Json),
            (".pb.gz", Format::Pprof),
            (".pprof", Format::Pprof),
            (".folded", Format::Folded),
            (".svg", Format::Svg),
            (".txt", Format::Table),
        ];
        let name = path.file_name()?.to_string_lossy();
        SUFFIXES.iter().find(|(suffix, _)| name.ends_with(suffix)).map(|&(_, format)| format)
    }
}

/// How to show a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What sorts the sites and weighs the stacks.
    pub dimension: Dimension,
    /// Rows of the table; the other formats have every site.
    pub top: usize,
    /// Colour in the table. It is never the only signal.
    pub colour: bool,
    /// Columns of the terminal; `None` is not a terminal.
    pub width: Option<u16>,
}

/// Writes the snapshot in a format.
///
/// # Errors
/// Only those of the writer.
pub fn write(format: Format, snapshot: &Snapshot, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Table => table::write(snapshot, options, out),
        Format::Json => json::write(snapshot, out),
        Format::Pprof => pprof::write(snapshot, out),
        Format::Folded => flamegraph::write_folded(snapshot, options.dimension, out),
        Format::Svg => flamegraph::write_svg(snapshot, options.dimension, out),
    }
}

/// The dimension that a mode can answer: `alloc` knows nothing of what is in use, so allocations stand in.
#[must_use]
pub const fn known(mode: Mode, dimension: Dimension) -> Dimension {
    match (mode, dimension) {
        (Mode::Alloc, Dimension::InuseSpace) => Dimension::AllocSpace,
        (Mode::Alloc, Dimension::InuseObjects) => Dimension::AllocObjects,
        _ => dimension,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffix_decides_the_format() {
        let check = |path: &str, expect| assert_eq!(Format::from_suffix(Path::new(path)), expect, "{path}");
        for (path, expect) in [
            ("out/heap.pb.gz", Some(Format::Pprof)),
            ("heap.pprof", Some(Format::Pprof)),
            ("a.b.json", Some(Format::Json)),
            ("stacks.folded", Some(Format::Folded)),
            ("flame.svg", Some(Format::Svg)),
            ("report.txt", Some(Format::Table)),
            ("heap.gz", None),
            ("heap.pb", None),
            ("json", None),
            ("x.json/heap", None),
            ("..", None),
        ] {
            check(path, expect);
        }
    }

    #[test]
    fn mode_alloc_answers_in_use_with_allocations() {
        let check = |mode, asked, expect| assert_eq!(known(mode, asked), expect);
        for (mode, asked, expect) in [
            (Mode::Live, Dimension::InuseSpace, Dimension::InuseSpace),
            (Mode::Alloc, Dimension::InuseSpace, Dimension::AllocSpace),
            (Mode::Alloc, Dimension::InuseObjects, Dimension::AllocObjects),
            (Mode::Alloc, Dimension::AllocObjects, Dimension::AllocObjects),
        ] {
            check(mode, asked, expect);
        }
    }

    #[test]
    fn every_format_writes_every_sample() {
        let options = Options { dimension: Dimension::InuseSpace, top: 20, colour: false, width: Some(80) };
        let samples = [
            sample::sample(),
            sample::two_targets(),
            sample::alloc_mode(),
            sample::go(),
            sample::cgo(),
            sample::empty(),
        ];
        for snapshot in samples {
            for format in [Format::Table, Format::Json, Format::Pprof, Format::Folded, Format::Svg] {
                let mut out = Vec::new();
                write(format, &snapshot, &options, &mut out).unwrap();
                assert_eq!(
                    out.is_empty(),
                    format == Format::Folded && snapshot.sites.is_empty(),
                    "{format:?}"
                );
            }
        }
    }
}
