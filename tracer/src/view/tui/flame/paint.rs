//! How a box of a flame graph looks. Neighbours differ without colour too: each begins with a line.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::layout::{Graph, Kind};
use crate::view::frame;
use crate::view::tui::calltree::{Node, Step};
use crate::view::tui::marks::{self, put};
use crate::view::tui::picture::Picture;
use crate::view::tui::theme::Shade;

/// Into its line.
pub(super) fn one(graph: &Graph, at: usize, picture: &Picture<'_>, line: Rect, buffer: &mut Buffer) {
    let one = &graph.boxes[at];
    let (start, end) = one.columns;
    let width = usize::from(end - start);
    let (text, shade, found) = match &one.kind {
        Kind::All => (format!("all · {}", marks::size(graph.weight(at), picture)), Shade::Other, false),
        Kind::Rest(count) => (format!("… {count} more"), Shade::Other, false),
        Kind::Node(node, step) => {
            (name(node, step, width, picture), shade(node, step, picture), step.is_found(picture))
        }
    };
    let text = match &one.kind {
        Kind::Rest(_) if frame::columns(&text) >= width => "…".to_owned(),
        _ => text,
    };
    let is_selected = at == graph.selected;
    let edge = if is_selected { "▌" } else { "▏" };
    let room = width.saturating_sub(1);
    let text: String = text.chars().take(room).collect();
    let style = picture.theme.flame(shade, one.nth + one.row, found, is_selected);
    let text = match one.kind {
        Kind::Rest(_) if room == 0 => "…".to_owned(),
        _ => format!("{edge}{text:room$}"),
    };
    put(buffer, line, start, 0, &text, style);
}

fn name(node: &Node, step: &Step, width: usize, picture: &Picture<'_>) -> String {
    let room = width.saturating_sub(1);
    let sign = match node.total.value {
        _ if picture.baseline.is_none() => "",
        0 => "",
        1.. => "+",
        ..0 => "-",
    };
    let recursive = if node.is_recursive { " ↻" } else { "" };
    let (name, _) = step.names(picture);
    let rest = frame::columns(sign) + frame::columns(recursive);
    // A few letters of a long name mislead: then its sign alone tells more.
    match room.saturating_sub(rest) {
        0..3 => sign.to_owned(),
        room => format!("{sign}{}{recursive}", frame::fold(&name, room)),
    }
}

/// Changes by their direction; numbers by whose code it is.
fn shade(node: &Node, step: &Step, picture: &Picture<'_>) -> Shade {
    if picture.baseline.is_some() {
        return match node.total.value {
            0 => Shade::Other,
            1.. => Shade::Grown,
            ..0 => Shade::Shrunk,
        };
    }
    let Step::Function(id) = step else { return Shade::Other };
    let module = &picture.names.function(*id).module;
    let is_program = picture.targets().any(|target| frame::basename(&target.exe) == module);
    if is_program { Shade::Program } else { Shade::Library }
}
