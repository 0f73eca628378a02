//! Width, emphasis and colour. Colour is never the only signal: what it marks is also said in words.

use crate::view::text::Ink;

/// Narrower than this the numbers do not fit side by side.
const COLUMNS_MIN: usize = 72;
/// Where there is no terminal, for example in a file.
const COLUMNS_DEFAULT: usize = 120;

/// How to print.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) width: usize,
    colour: bool,
}

impl Style {
    pub(super) fn new(width: Option<u16>, colour: bool) -> Self {
        Self { width: width.map_or(COLUMNS_DEFAULT, usize::from).max(COLUMNS_MIN), colour }
    }

    /// The text, with the ink's escape sequences if there is colour.
    pub(super) fn paint(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Strong => "1",
            Ink::Faint => "2",
            Ink::Good => "32",
            Ink::Warning => "33",
            Ink::Bad => "1;31",
        };
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
