//! Screen 3: a flame graph, the root above. What a box stands for is said below it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::action::Action;
use super::calltree::{CallTree, Direction, Step, Weigh};
use super::marks::{self, put};
use super::matches;
use super::picture::Picture;
use super::screen::{Hint, Screen};
use crate::view::{known, words};
use layout::{Graph, Kind};

mod layout;
mod paint;

/// What the user has chosen.
#[derive(Debug, Default)]
pub(super) struct Flame {
    direction: Direction,
    /// From the root; what is drawn over the whole width.
    zoom: Vec<Step>,
    /// From the root too.
    selected: Vec<Step>,
}

/// Rows that a page key passes.
const PAGE: usize = 8;

impl Screen for Flame {
    fn act(&mut self, action: Action, picture: &Picture<'_>, area: Rect) -> bool {
        match action {
            Action::Turn => {
                let direction = match self.direction {
                    Direction::TopDown => Direction::BottomUp,
                    Direction::BottomUp => Direction::TopDown,
                };
                *self = Self { direction, ..Self::default() };
                return true;
            }
            Action::Back if self.zoom.is_empty() => return false,
            Action::Back => {
                self.selected.clone_from(&self.zoom);
                self.zoom.pop();
                return true;
            }
            Action::NextMatch | Action::PreviousMatch => {
                self.find(action == Action::NextMatch, picture, area);
                return true;
            }
            _ => {}
        }
        let graph = self.graph(picture, area);
        let at = graph.selected;
        let to = match action {
            Action::Up | Action::ScrollUp => graph.parent(at),
            Action::Down | Action::ScrollDown => graph.child(at),
            Action::Left => graph.beside(at, false),
            Action::Right => graph.beside(at, true),
            Action::PageUp => graph.times(PAGE, at, Graph::parent),
            Action::PageDown => graph.times(PAGE, at, Graph::child),
            Action::Top => Some(0),
            Action::Bottom => graph.times(usize::MAX, at, Graph::child),
            Action::Open => {
                if let Some(path) = graph.path(at) {
                    self.zoom.clone_from(&path);
                    self.selected = path;
                }
                return true;
            }
            Action::Click { column, row } => return self.click(&graph, column, row, area),
            _ => return false,
        };
        self.selected = to.and_then(|to| graph.path(to)).or_else(|| graph.path(at)).unwrap_or_default();
        true
    }

    fn draw(&self, picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
        let graph = self.graph(picture, area);
        self.header(&graph, picture, area, buffer);
        if graph.boxes.is_empty() {
            let dimension = words::dimension(known(picture.snapshot.mode, picture.dimension));
            let which = if picture.filter.is_some() { " that the filter finds" } else { "" };
            put(buffer, area, 2, 2, &format!("no call site{which} has {dimension}"), picture.theme.faint());
            return;
        }
        let canvas = canvas(area);
        let first = graph.first(usize::from(canvas.height));
        let shown = first..first + usize::from(canvas.height);
        for (at, one) in graph.boxes.iter().enumerate().filter(|(_, one)| shown.contains(&one.row)) {
            let line = Rect { y: canvas.y + (one.row - first) as u16, height: 1, ..canvas };
            paint::one(&graph, at, picture, line, buffer);
        }
        let below = graph.rows.saturating_sub(shown.end);
        detail(&graph, below, picture, area, buffer);
    }

    fn hints(&self) -> &'static [Hint] {
        &[
            ("Enter", "zoom in"),
            ("Esc", "zoom out"),
            ("t", "turn"),
            ("v", "bytes, objects"),
            ("/", "find"),
            ("n", "next match"),
            ("?", "help"),
            ("q", "quit"),
        ]
    }
}

impl Flame {
    fn graph(&self, picture: &Picture<'_>, area: Rect) -> Graph {
        let tree = CallTree::new(picture, self.direction, Weigh::Present);
        Graph::new(tree, &self.zoom, &self.selected, area.width)
    }

    fn header(&self, graph: &Graph, picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
        let dimension = words::dimension(known(picture.snapshot.mode, picture.dimension));
        let direction = match self.direction {
            Direction::TopDown => "thread's start above",
            Direction::BottomUp => "allocation above",
        };
        let mut text = match picture.baseline.is_some() {
            true => format!("{dimension} now; + grown, - shrunk since the baseline"),
            false => format!("{dimension}, {direction}"),
        };
        let names: Vec<String> = graph.zoomed.iter().map(|step| step.names(picture).0).collect();
        if !names.is_empty() {
            text = format!("{dimension} · all › {}", names.join(" › "));
        }
        let width = usize::from(area.width).saturating_sub(1);
        put(buffer, area, 1, 0, &crate::view::text::cut_middle(&text, width), picture.theme.faint());
    }

    fn click(&mut self, graph: &Graph, column: u16, row: u16, area: Rect) -> bool {
        let canvas = canvas(area);
        let Some(line) = row.checked_sub(canvas.y).filter(|&line| line < canvas.height) else { return false };
        let row = graph.first(usize::from(canvas.height)) + usize::from(line);
        let Some(column) = column.checked_sub(area.x) else { return false };
        let Some(at) = graph.at(column, row) else { return false };
        let Some(path) = graph.path(at) else { return false };
        if at == graph.selected {
            self.zoom.clone_from(&path);
        }
        self.selected = path;
        true
    }

    /// Selects the next match, and zooms as far as it takes to see it.
    fn find(&mut self, forward: bool, picture: &Picture<'_>, area: Rect) {
        let mut tree = CallTree::new(picture, self.direction, Weigh::Present);
        let Some(found) = matches::find(&mut tree, picture, &self.selected, forward) else { return };
        self.selected.clone_from(&found);
        if !found.starts_with(&self.zoom) {
            self.zoom.clear();
        }
        for length in [self.zoom.len(), found.len() - 1, found.len()] {
            self.zoom = found[..length].to_vec();
            let graph = self.graph(picture, area);
            if graph.path(graph.selected).as_ref() == Some(&found) {
                return;
            }
        }
    }
}

/// Between the header and the detail.
fn canvas(area: Rect) -> Rect {
    let header = u16::from(area.height > 2);
    let height = area.height.saturating_sub(header + detail_height(area));
    Rect { y: area.y + header, height, ..area }
}

const fn detail_height(area: Rect) -> u16 {
    match area.height {
        0..6 => 0,
        6..12 => 2,
        _ => 3,
    }
}

/// The selected box's whole name and its numbers.
fn detail(graph: &Graph, below: usize, picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
    let height = detail_height(area);
    let Some(one) = graph.boxes.get(graph.selected).filter(|_| height > 0) else { return };
    let faint = picture.theme.faint();
    let rows = if below == 1 { "row" } else { "rows" };
    let more = if below > 0 { format!(" ▾ {below} more {rows} ") } else { String::new() };
    if height > 2 {
        let rule = "─".repeat(usize::from(area.width).saturating_sub(more.chars().count() + 1));
        put(buffer, area, 0, area.height - 3, &format!("{rule}{more}─"), faint);
    }
    let width = usize::from(area.width).saturating_sub(1);
    let whole = graph.tree.root().total;
    let lines = match &one.kind {
        Kind::Node(node, step) => {
            let parent = one.parent.map_or(whole.weight, |parent| graph.weight(parent));
            let now = marks::size(node.total.weight, picture);
            let now = picture.baseline.is_some().then(|| format!("{now} now"));
            marks::detail(step, node, (parent, whole.weight), now, width, picture)
        }
        Kind::All | Kind::Rest(_) => {
            let stacks = crate::units::Count(u64::from(whole.sites));
            let change = match picture.baseline {
                Some(_) => format!(", {} since the baseline", marks::amount(whole.value, picture)),
                None => String::new(),
            };
            let size = marks::size(whole.weight, picture);
            ["all".to_owned(), format!("{size} in {stacks} call stacks{change}")]
        }
    };
    for ((line, text), style) in (area.height - 2..).zip(lines).zip([picture.theme.strong(), Style::new()]) {
        put(buffer, area, 1, line, &text, style);
    }
}

#[cfg(test)]
mod tests;
