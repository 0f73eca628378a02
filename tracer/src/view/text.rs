//! Text in a width, and what a piece of text is. Who prints decides how that looks.

use crate::view::frame::{columns, end, printable, start};

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    Strong,
    Faint,
    Good,
    Warning,
    Bad,
}

/// `text` in lines of at most `width` columns, broken at blanks; a word that is longer is cut in its middle.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
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
pub(crate) fn cut_middle(text: &str, width: usize) -> String {
    let text = printable(text);
    if columns(&text) <= width {
        return text;
    }
    let kept = width.saturating_sub(1);
    let front = start(&text, kept / 3);
    format!("{front}…{}", end(&text, kept - columns(front)))
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
            ("/挿入/挿入 end", 6, &["/…挿入", "end"]),
            ("", 10, &[""]),
        ] {
            check(text, width, expect);
        }
    }
}
