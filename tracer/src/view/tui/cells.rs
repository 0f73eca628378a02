//! Text in a place of the screen: nothing is ever written beside it, and wide characters are never cut.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::theme::Theme;
use crate::units::Count;
use crate::view::frame;

/// Columns of a unit of bytes: `KiB`.
const UNIT_COLUMNS: u16 = 3;

/// A text and how it looks.
pub(super) type Piece = (String, Style);

/// How a cell stands in its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
    /// Numbers with a unit, which stand in columns of their own.
    Unit,
}

/// A column in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// From the left of the screen.
    pub(super) x: u16,
    pub(super) width: u16,
    pub(super) align: Align,
}

/// Writes a text that begins at a point of `area`, as far as it has room; says where it ends.
pub(super) fn put(buffer: &mut Buffer, area: Rect, x: u16, y: u16, text: &str, style: Style) -> u16 {
    let area = area.intersection(buffer.area);
    if x < area.left() || x >= area.right() || y < area.top() || y >= area.bottom() {
        return x;
    }
    buffer.set_stringn(x, y, text, usize::from(area.right() - x), style).0
}

/// Writes pieces one after the other.
pub(super) fn put_all(buffer: &mut Buffer, area: Rect, x: u16, y: u16, pieces: &[Piece]) -> u16 {
    pieces.iter().fold(x, |x, (text, style)| put(buffer, area, x, y, text, *style))
}

/// Writes a text that ends where `area` ends.
pub(super) fn put_right(buffer: &mut Buffer, area: Rect, y: u16, text: &str, style: Style) {
    let width = u16::try_from(frame::columns(text)).unwrap_or(u16::MAX);
    put(buffer, area, area.right().saturating_sub(width).max(area.x), y, text, style);
}

/// Writes a cell: a number's unit is faint.
pub(super) fn put_cell(buffer: &mut Buffer, place: Place, y: u16, text: &str, style: Style, theme: Theme) {
    let area = Rect::new(place.x, y, place.width, 1);
    match place.align {
        Align::Left => {
            put(buffer, area, place.x, y, text, style);
        }
        Align::Right => put_right(buffer, area, y, text, style),
        Align::Unit => {
            let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
            let numbers = Rect { width: place.width.saturating_sub(UNIT_COLUMNS + 1), ..area };
            put_right(buffer, numbers, y, number, style);
            put(buffer, area, numbers.right() + 1, y, unit, style.patch(theme.faint()));
        }
    }
}

/// A count in at most seven columns: `999,999`, `1.23M`.
pub(super) fn short_count(count: u64) -> String {
    const UNITS: [&str; 4] = ["M", "G", "T", "P"];
    if count < 1_000_000 {
        return Count(count).to_string();
    }
    let mut value = count as f64 / 1e6;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1e3;
        unit += 1;
    }
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$}{}", UNITS[unit])
}

/// The same of a change, with its sign.
pub(super) fn change_count(change: i64) -> String {
    let short = short_count(change.unsigned_abs());
    match change {
        0 => short,
        1.. => format!("+{short}"),
        _ => format!("-{short}"),
    }
}

/// Per second: what is rare has a digit after the point.
pub(super) fn rate(per_second: f64) -> String {
    if per_second > 0.0 && per_second < 9.95 {
        format!("{per_second:.1}")
    } else {
        short_count(per_second.round() as u64)
    }
}

/// `text` in lines of at most `width` columns: at blanks, and within words that are longer.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(2);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        let columns = frame::columns(word.trim_end());
        if used > 0 && used + columns > width {
            lines.push(String::new());
            used = 0;
        }
        for c in word.chars() {
            let columns = frame::columns(c.encode_utf8(&mut [0; 4]));
            if used + columns > width {
                if c == ' ' {
                    continue;
                }
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                line.push(c);
                used += columns;
            }
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// Words of at most `width` columns, the end left out.
pub(super) fn cut(text: &str, width: usize) -> String {
    if frame::columns(text) <= width {
        return text.to_owned();
    }
    if width == 0 { String::new() } else { format!("{}…", frame::start(text, width - 1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_blanks_else_within_words() {
        let check = |text: &str, width, expect: &[&str]| assert_eq!(wrap(text, width), expect, "{text}");
        for (text, width, expect) in [
            ("one two three", 20, &["one two three"][..]),
            ("one two three", 8, &["one two", "three"]),
            ("abcdefghij kl", 4, &["abcd", "efgh", "ij", "kl"]),
            ("挿入挿入", 5, &["挿入", "挿入"]),
            ("", 5, &[""]),
        ] {
            check(text, width, expect);
        }
    }

    #[test]
    fn counts_have_at_most_eight_columns() {
        let check = |count: i64, expect: &str| assert_eq!(change_count(count), expect);
        for (count, expect) in [
            (0, "0"),
            (999_999, "+999,999"),
            (-1_234_567, "-1.23M"),
            (99_960_000, "+100M"),
            (1_000_000_000, "+1.00G"),
            (i64::MAX, "+9223P"),
        ] {
            check(count, expect);
        }
        assert_eq!([0.0, 0.25, 9.96, 1234.6].map(rate), ["0", "0.2", "10", "1,235"]);
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        let check = |text: &str, width, expect: &str| assert_eq!(cut(text, width), expect);
        for (text, width, expect) in [
            ("worker", 6, "worker"),
            ("worker", 4, "wor…"),
            ("挿入挿入", 6, "挿入…"),
            ("挿入", 1, "…"),
            ("ab", 0, ""),
        ] {
            check(text, width, expect);
        }
    }

    #[test]
    fn nothing_is_written_outside() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 4, 1));
        for (x, y) in [(0, 0), (3, 0), (4, 0), (0, 1), (u16::MAX, u16::MAX)] {
            put(&mut buffer, Rect::new(0, 0, 9, 9), x, y, "挿入", Style::new());
        }
        put_right(&mut buffer, Rect::new(2, 0, 2, 1), 0, "a long text", Style::new());
    }
}
