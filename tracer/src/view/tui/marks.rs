//! Small pieces that screens are made of: amounts, shares, bars, and text that stays where it belongs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::calltree::{Node, Step};

use super::picture::Picture;
use crate::model::snapshot::Dimension;
use crate::units::{Bytes, BytesChange, Count, CountChange};
use crate::view::text::Ink;
use crate::view::{frame, known};

/// Writes text into a line of `area`, from a column of it on; what does not fit is left away.
pub(super) fn put(buffer: &mut Buffer, area: Rect, column: u16, row: u16, text: &str, style: Style) {
    let area = area.intersection(*buffer.area());
    if column < area.width && row < area.height {
        let room = usize::from(area.width - column);
        buffer.set_stringn(area.x + column, area.y + row, text, room, style);
    }
}

/// An amount in the picture's dimension, with its sign where differences are shown.
pub(super) fn amount(value: i64, picture: &Picture<'_>) -> String {
    let is_size = matches!(picture.dimension, Dimension::InuseSpace | Dimension::AllocSpace);
    match (is_size, picture.baseline.is_some()) {
        (true, false) => Bytes(value.unsigned_abs()).to_string(),
        (true, true) => BytesChange(value).to_string(),
        (false, _) => count(value, picture),
    }
}

/// An amount in the picture's dimension that is no change.
pub(super) fn size(value: u64, picture: &Picture<'_>) -> String {
    match picture.dimension {
        Dimension::InuseSpace | Dimension::AllocSpace => Bytes(value).to_string(),
        Dimension::InuseObjects | Dimension::AllocObjects => Count(value).to_string(),
    }
}

/// A number of objects, with its sign where differences are shown.
pub(super) fn count(value: i64, picture: &Picture<'_>) -> String {
    if picture.baseline.is_some() {
        CountChange(value).to_string()
    } else {
        Count(value.unsigned_abs()).to_string()
    }
}

/// How a change looks; numbers are plain.
pub(super) fn change(value: i64, picture: &Picture<'_>) -> Style {
    match (picture.baseline.is_some(), value) {
        (false, _) | (true, 0) => Style::new(),
        (true, 1..) => picture.theme.bad(),
        (true, ..0) => picture.theme.good(),
    }
}

/// What objects of the picture's dimension are called.
pub(super) fn objects(picture: &Picture<'_>) -> &'static str {
    match known(picture.snapshot.mode, picture.dimension) {
        Dimension::InuseSpace | Dimension::InuseObjects => "objects",
        Dimension::AllocSpace | Dimension::AllocObjects => "allocations",
    }
}

/// `33.9%`; nothing of nothing is `-`.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let percent = share(part, whole) * 100.0;
    match whole {
        0 => "-".to_owned(),
        _ if part > 0 && percent < 0.1 => "<0.1%".to_owned(),
        _ if percent > 99.94 => "100%".to_owned(),
        _ => format!("{percent:.1}%"),
    }
}

/// From 0 to 1.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64).min(1.0) }
}

/// A bar of at most `width` columns; what is more than nothing is at least seen.
pub(super) fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let eighths = if share > 0.0 { eighths.max(1).min(width * 8) } else { 0 };
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// How an ink of the other views looks here.
pub(super) fn ink(ink: Option<Ink>, picture: &Picture<'_>) -> Style {
    match ink {
        None => Style::new(),
        Some(Ink::Strong) => picture.theme.strong(),
        Some(Ink::Faint) => picture.theme.faint(),
        Some(Ink::Good) => picture.theme.good(),
        Some(Ink::Warning) => picture.theme.warning(),
        Some(Ink::Bad) => picture.theme.bad(),
    }
}

/// A step's name and where it is from in at most `width` columns; the name goes first.
pub(super) fn label(
    step: &Step,
    is_recursive: bool,
    width: usize,
    picture: &Picture<'_>,
) -> (String, String) {
    let (name, place) = step.names(picture);
    let sign = if is_recursive { " ↻" } else { "" };
    let place = if place.is_empty() { place } else { format!(" ({place})") };
    let room = width.saturating_sub(frame::columns(sign));
    let beside = room.saturating_sub(frame::columns(&place));
    // A name in less than this says nothing: then the place has to go.
    if frame::columns(&name) <= beside || beside >= 24 {
        (format!("{}{sign}", frame::fold(&name, beside)), place)
    } else {
        (format!("{}{sign}", frame::fold(&name, room)), String::new())
    }
}

/// What there is to say of a node in two lines, as far as it fits; `weights` are its parent's and that of all.
pub(super) fn detail(
    step: &Step,
    node: &Node,
    weights: (u64, u64),
    before: Option<String>,
    width: usize,
    picture: &Picture<'_>,
) -> [String; 2] {
    let (name, place) = label(step, node.is_recursive, width, picture);
    let mut parts: Vec<String> = before.into_iter().chain([amount(node.total.value, picture)]).collect();
    let (parent, whole) = (percent(node.total.weight, weights.0), percent(node.total.weight, weights.1));
    parts.push(if parent == whole {
        format!("{whole} of all")
    } else {
        format!("{parent} of its parent, {whole} of all")
    });
    if node.own.sites > 0 && node.has_children() {
        parts.push(format!("{} by itself", amount(node.own.value, picture)));
    }
    if matches!(picture.dimension, Dimension::InuseSpace | Dimension::AllocSpace) {
        parts.push(format!("{} {}", count(node.total.objects, picture), objects(picture)));
    }
    let stacks = if node.total.sites == 1 { "call stack" } else { "call stacks" };
    parts.push(format!("{} {stacks}", Count(u64::from(node.total.sites))));
    if picture.snapshot.is_sampled() {
        parts.push("estimated".to_owned());
    }
    if node.is_recursive {
        parts.push("↻ calls itself".to_owned());
    }
    while parts.len() > 1 && frame::columns(&parts.join(" · ")) > width {
        parts.pop();
    }
    [format!("{name}{place}"), parts.join(" · ")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_short() {
        let check = |part, whole, expect: &str| assert_eq!(percent(part, whole), expect);
        for (part, whole, expect) in [
            (0, 0, "-"),
            (0, 5, "0.0%"),
            (1, 10_000, "<0.1%"),
            (1, 3, "33.3%"),
            (9_999, 10_000, "100%"),
            (5, 5, "100%"),
        ] {
            check(part, whole, expect);
        }
    }

    #[test]
    fn bars_have_eighths_and_are_never_empty_for_something() {
        let check = |share, width, expect: &str| assert_eq!(bar(share, width), expect);
        for (share, width, expect) in [
            (0.0, 4, ""),
            (0.001, 4, "▏"),
            (0.5, 4, "██"),
            (0.6, 4, "██▍"),
            (1.0, 4, "████"),
            (7.0, 2, "██"),
            (0.5, 0, ""),
        ] {
            check(share, width, expect);
        }
    }
}
