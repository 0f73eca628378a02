//! How a piece of advice is set: a word at the left, its text beside it.

use crate::advise::Family;
use crate::view::text::wrap;

/// Columns of the words at the left.
const LEFT: usize = 13;

/// Width and emphasis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) width: usize,
    pub(super) colour: bool,
}

impl Shown {
    pub(super) fn strong(self, text: &str) -> String {
        if self.colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A text of several lines beside its word.
    pub(super) fn block(self, word: &str, text: &str) -> Vec<String> {
        let lines = wrap(text, self.width.saturating_sub(LEFT));
        let left = |at: usize| if at == 0 { word } else { "" };
        lines
            .iter()
            .enumerate()
            .map(|(at, line)| format!("{:LEFT$}{line}", format!("  {}", left(at))))
            .collect()
    }
}

/// What was asked for, in words.
pub(super) const fn family(family: Family) -> &'static str {
    match family {
        Family::Map => "maps",
        Family::LibraryMap => "maps in Go's library",
        Family::MaybeMap => "objects as large as a map's header",
        Family::Pool => "objects for a sync.Pool",
        Family::SliceGrowth => "append",
        Family::BufferGrowth => "buffers that grow",
        Family::Conversion => "conversions of strings",
        Family::Concat => "concatenations",
        Family::Format => "formatting",
        Family::Text => "strings",
        Family::Compiled => "regular expressions and templates",
        Family::Stream => "readers and writers",
        Family::Boxing => "interfaces",
        Family::Slice => "slices",
        Family::Object => "objects",
        Family::Library => "Go's library",
        Family::Realloc => "realloc",
        Family::ContainerGrowth => "containers that grow",
        Family::Other => "other",
    }
}
