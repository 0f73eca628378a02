//! Screen 2: the call tree, from the start of the threads down or from the allocations up.

use std::collections::HashMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::action::Action;
use super::calltree::{CallTree, Direction, Node, Step, Weigh};
use super::marks::{self, put};
use super::matches;
use super::picture::Picture;
use super::screen::{Hint, Screen};
use crate::view::{known, words};
use columns::Columns;

mod columns;

/// What the user has chosen.
#[derive(Debug, Default)]
pub(super) struct Tree {
    direction: Direction,
    /// `None` until something is chosen: then it is the end of the heaviest path.
    selected: Option<Vec<Step>>,
    /// `None` until something is opened: then it is the heaviest path.
    opened: Option<Opened>,
    /// The first line that was seen.
    top: usize,
}

/// The nodes that are open, each with those that are open below it.
#[derive(Debug, Default)]
struct Opened(HashMap<Step, Opened>);

/// A line.
struct Row {
    node: Node,
    step: Step,
    /// Its place among the rows.
    parent: Option<usize>,
    parent_weight: u64,
    is_open: bool,
    /// The heaviest child of the heaviest child, and so on, as far as each has half of its parent.
    is_heavy: bool,
}

/// What there is to show.
struct Rows {
    tree: CallTree,
    rows: Vec<Row>,
    selected: usize,
}

impl Screen for Tree {
    fn act(&mut self, action: Action, picture: &Picture<'_>, area: Rect) -> bool {
        if action == Action::Turn {
            let direction = match self.direction {
                Direction::TopDown => Direction::BottomUp,
                Direction::BottomUp => Direction::TopDown,
            };
            *self = Self { direction, ..Self::default() };
            return true;
        }
        let height = list_height(area);
        let mut rows = self.rows(picture);
        let at = rows.selected;
        let last = rows.rows.len().saturating_sub(1);
        let page = height.saturating_sub(1).max(1);
        match action {
            Action::Up => self.select(&rows, at.saturating_sub(1)),
            Action::Down => self.select(&rows, at + 1),
            Action::PageUp => self.select(&rows, at.saturating_sub(page)),
            Action::PageDown => self.select(&rows, at + page),
            Action::ScrollUp => self.select(&rows, at.saturating_sub(3)),
            Action::ScrollDown => self.select(&rows, at + 3),
            Action::Top => self.select(&rows, 0),
            Action::Bottom => self.select(&rows, last),
            Action::Right | Action::Open => self.open(&mut rows),
            Action::Left => self.close(&rows),
            Action::NextMatch | Action::PreviousMatch => {
                let here = rows.path(at);
                let forward = action == Action::NextMatch;
                let Some(found) = matches::find(&mut rows.tree, picture, &here, forward) else { return true };
                self.keep(&rows);
                self.open_path(&found[..found.len() - 1]);
                self.selected = Some(found);
            }
            Action::Click { column, row } => return self.click(&rows, column, row, picture, area),
            _ => return false,
        }
        let rows = self.rows(picture);
        self.top = self.first(&rows, height);
        true
    }

    fn draw(&self, picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
        let rows = self.rows(picture);
        let columns = Columns::new(area.width, self.direction, picture);
        columns.header(picture, area, buffer);
        if rows.rows.is_empty() {
            let dimension = words::dimension(known(picture.snapshot.mode, picture.dimension));
            let text = match (picture.filter.is_some(), picture.baseline.is_some()) {
                (true, _) => format!("no call site that the filter finds has {dimension}"),
                (false, true) => format!("{dimension}: nothing has changed since the baseline"),
                (false, false) => format!("no call site has {dimension}"),
            };
            put(buffer, area, 2, 2, &text, picture.theme.faint());
            return;
        }
        let height = list_height(area);
        let first = self.first(&rows, height);
        let shift = columns.shift(rows.rows[rows.selected].node.depth());
        for (line, (at, row)) in rows.rows.iter().enumerate().skip(first).take(height).enumerate() {
            let line = Rect { y: area.y + 1 + line as u16, height: 1, ..area };
            columns.row(row, &rows, shift, picture, line, buffer);
            if at == rows.selected {
                buffer.set_style(line.intersection(*buffer.area()), picture.theme.selected());
            }
        }
        let below = rows.rows.len().saturating_sub(first + height);
        detail(&rows, below, picture, area, buffer);
    }

    fn hints(&self) -> &'static [Hint] {
        &[
            ("←→", "close, open"),
            ("t", "turn"),
            ("v", "bytes, objects"),
            ("/", "find"),
            ("n", "next match"),
            ("?", "help"),
            ("q", "quit"),
        ]
    }
}

impl Tree {
    /// Every line that is open, also those that the area does not show.
    fn rows(&self, picture: &Picture<'_>) -> Rows {
        let mut tree = CallTree::new(picture, self.direction, Weigh::Change);
        let root = tree.root();
        let mut rows: Vec<Row> = Vec::new();
        let mut stack = Vec::new();
        let push = |tree: &mut CallTree, stack: &mut Vec<_>, node: &Node, parent, opened, is_heavy| {
            for (at, child) in tree.children(node).into_iter().enumerate().rev() {
                let is_heavy = is_heavy && at == 0 && child.total.weight >= node.total.weight.div_ceil(2);
                stack.push((child, parent, node.total.weight, opened, is_heavy));
            }
        };
        push(&mut tree, &mut stack, &root, None, self.opened.as_ref(), true);
        while let Some((node, parent, parent_weight, opened, is_heavy)) = stack.pop() {
            let Some(step) = node.key.map(|key| tree.step(key)) else { continue };
            let below = opened.and_then(|opened: &Opened| opened.0.get(&step));
            let is_open = node.has_children() && (below.is_some() || (self.opened.is_none() && is_heavy));
            if is_open {
                push(&mut tree, &mut stack, &node, Some(rows.len()), below, is_heavy);
            }
            rows.push(Row { node, step, parent, parent_weight, is_open, is_heavy });
        }
        let selected = match &self.selected {
            Some(path) => place(&rows, path),
            // Bottom-up, what allocates most is what matters; top-down, where the heaviest path leads to.
            None if self.direction == Direction::BottomUp => 0,
            None => rows.iter().rposition(|row| row.is_heavy).unwrap_or(0),
        };
        Rows { tree, rows, selected }
    }

    /// The first line that is shown, so that the selected one is.
    fn first(&self, rows: &Rows, height: usize) -> usize {
        let height = height.max(1);
        if self.selected.is_none() {
            let room = rows.rows.len().saturating_sub(height);
            return rows.selected.saturating_sub(height * 2 / 3).min(room);
        }
        let last = rows.rows.len().saturating_sub(height);
        self.top.min(last).clamp((rows.selected + 1).saturating_sub(height), rows.selected)
    }

    fn select(&mut self, rows: &Rows, at: usize) {
        self.keep(rows);
        self.selected = Some(rows.path(at.min(rows.rows.len().saturating_sub(1))));
    }

    /// From now on nothing opens by itself.
    fn keep(&mut self, rows: &Rows) {
        if self.opened.is_none() {
            self.opened = Some(Opened::default());
            for (at, _) in rows.rows.iter().enumerate().filter(|(_, row)| row.is_open) {
                self.open_path(&rows.path(at));
            }
        }
    }

    fn open_path(&mut self, path: &[Step]) {
        let mut opened = self.opened.get_or_insert_default();
        for step in path {
            opened = opened.0.entry(step.clone()).or_default();
        }
    }

    /// Opens the selected node, and the nodes below as long as there is but one way to go.
    fn open(&mut self, rows: &mut Rows) {
        self.select(rows, rows.selected);
        let Some(row) = rows.rows.get(rows.selected) else { return };
        if row.is_open {
            return self.select(rows, rows.selected + 1);
        }
        let mut node = row.node.clone();
        let mut path = rows.path(rows.selected);
        while node.has_children() {
            self.open_path(&path);
            let mut children = rows.tree.children(&node);
            if children.len() != 1 || node.own.sites > 0 {
                break;
            }
            node = children.remove(0);
            path.extend(node.key.map(|key| rows.tree.step(key)));
        }
    }

    /// Closes the selected node, or goes to the one that leads to it.
    fn close(&mut self, rows: &Rows) {
        self.select(rows, rows.selected);
        let Some(row) = rows.rows.get(rows.selected) else { return };
        if !row.is_open {
            return self.select(rows, row.parent.unwrap_or(rows.selected));
        }
        let path = rows.path(rows.selected);
        let Some((step, parents)) = path.split_last() else { return };
        let mut opened = self.opened.as_mut();
        for parent in parents {
            opened = opened.and_then(|opened| opened.0.get_mut(parent));
        }
        if let Some(opened) = opened {
            opened.0.remove(step);
        }
    }

    fn click(&mut self, rows: &Rows, column: u16, row: u16, picture: &Picture<'_>, area: Rect) -> bool {
        let height = list_height(area);
        let Some(line) = row.checked_sub(area.y + 1).filter(|&line| usize::from(line) < height) else {
            return false;
        };
        let at = self.first(rows, height) + usize::from(line);
        let Some(clicked) = rows.rows.get(at) else { return false };
        self.top = self.first(rows, height);
        let columns = Columns::new(area.width, self.direction, picture);
        let marker = columns.marker(clicked, columns.shift(rows.rows[rows.selected].node.depth()));
        let is_marker = column.checked_sub(area.x).is_some_and(|column| column.abs_diff(marker) <= 1);
        self.select(rows, at);
        if is_marker && clicked.is_open {
            let rows = self.rows(picture);
            self.close(&rows);
        } else if is_marker {
            let mut rows = self.rows(picture);
            self.open(&mut rows);
        }
        true
    }
}

impl Rows {
    fn path(&self, at: usize) -> Vec<Step> {
        let mut path = Vec::new();
        let mut next = self.rows.get(at);
        while let Some(row) = next {
            path.push(row.step.clone());
            next = row.parent.and_then(|parent| self.rows.get(parent));
        }
        path.reverse();
        path
    }
}

/// The row of a path, or of what is left of it.
fn place(rows: &[Row], path: &[Step]) -> usize {
    let (mut found, mut parent) = (0, None);
    let mut steps = path.iter().enumerate();
    let mut next = steps.next();
    for (at, row) in rows.iter().enumerate() {
        let Some((depth, step)) = next else { break };
        if row.node.depth() == depth + 1 && row.parent == parent && row.step == *step {
            (found, parent) = (at, Some(at));
            next = steps.next();
        }
    }
    found
}

/// Lines between the header and the detail.
fn list_height(area: Rect) -> usize {
    usize::from(area.height.saturating_sub(1 + detail_height(area)))
}

const fn detail_height(area: Rect) -> u16 {
    match area.height {
        0..6 => 0,
        6..12 => 2,
        _ => 3,
    }
}

/// The selected function's whole name and its numbers.
fn detail(rows: &Rows, below: usize, picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
    let height = detail_height(area);
    let Some(row) = rows.rows.get(rows.selected).filter(|_| height > 0) else { return };
    if height > 2 {
        let more = if below > 0 { format!(" ▾ {below} more ") } else { String::new() };
        let rule = "─".repeat(usize::from(area.width).saturating_sub(more.chars().count() + 1));
        put(buffer, area, 0, area.height - 3, &format!("{rule}{more}─"), picture.theme.faint());
    }
    let width = usize::from(area.width).saturating_sub(1);
    let whole = rows.tree.root().total;
    let lines = marks::detail(&row.step, &row.node, (row.parent_weight, whole.weight), None, width, picture);
    let styles = [picture.theme.strong(), Style::new()];
    for ((line, text), style) in (area.height - 2..).zip(lines).zip(styles) {
        put(buffer, area, 1, line, &text, style);
    }
}

#[cfg(test)]
mod tests;
