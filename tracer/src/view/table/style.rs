//! Width, emphasis and colour. Colour is never the only signal: what it marks is also said in words.

use crate::view::frame::{columns, printable};

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

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Strong,
    Faint,
    Good,
    Warning,
    Bad,
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

/// `text` in lines of at most `width` columns, broken at blanks; a word that is longer is cut in its middle.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let word = cut_middle(word, width);
        if !line.is_empty() && columns(&line) + 1 + columns(&word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

/// `text` in at most `width` columns, both ends kept.
pub(super) fn cut_middle(text: &str, width: usize) -> String {
    let text = printable(text);
    let length = columns(&text);
    if length <= width {
        return text;
    }
    let kept = width.saturating_sub(1);
    let front = kept / 3;
    let chars: Vec<char> = text.chars().collect();
    let back = length - (kept - front);
    chars[..front].iter().chain(['…'].iter()).chain(&chars[back..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_break_at_blanks() {
        let check = |text, width, expect: &[&str]| assert_eq!(wrap(text, width), expect);
        for (text, width, expect) in [
            ("one two three", 20, &["one two three"][..]),
            ("one two three", 8, &["one two", "three"]),
            ("/a/very/long/path end", 10, &["/a/…g/path", "end"]),
            ("", 10, &[""]),
        ] {
            check(text, width, expect);
        }
    }
}
