//! The columns of the call tree: which there are in a width, and what stands in them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{Row, Rows};
use crate::model::snapshot::Dimension;
use crate::view::tui::calltree::{Direction, Sums};
use crate::view::tui::marks::{self, put};
use crate::view::tui::picture::Picture;
use crate::view::{frame, known};

/// In a width.
pub(super) struct Columns {
    direction: Direction,
    shown: Vec<(Column, usize)>,
    /// Where names begin.
    names: usize,
    /// Columns per level.
    indent: usize,
    width: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Total,
    Parent,
    All,
    Bar,
    Own,
    Objects,
}

/// Column, its width, and the width of the screen from which it is there.
const COLUMNS: [(Column, usize, usize); 6] = [
    (Column::Total, 11, 24),
    (Column::Parent, 6, 48),
    (Column::All, 6, 36),
    (Column::Bar, 6, 64),
    (Column::Own, 10, 72),
    (Column::Objects, 11, 100),
];

impl Columns {
    pub(super) fn new(width: u16, direction: Direction, picture: &Picture<'_>) -> Self {
        let width = usize::from(width);
        let is_size = matches!(picture.dimension, Dimension::InuseSpace | Dimension::AllocSpace);
        let shown: Vec<(Column, usize)> = COLUMNS
            .iter()
            .filter(|&&(column, _, from)| match column {
                // Bottom-up, all that a function allocates itself is at its root.
                Column::Own => width >= from && direction == Direction::TopDown,
                Column::Objects => width >= from && is_size,
                _ => width >= from,
            })
            .map(|&(column, columns, _)| {
                (column, if column == Column::Bar { (width / 12).clamp(6, 24) } else { columns })
            })
            .collect();
        let names = shown.iter().map(|(_, columns)| columns + 1).sum::<usize>() + 1;
        Self { direction, shown, names, indent: if width >= 120 { 2 } else { 1 }, width }
    }

    pub(super) fn header(&self, picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
        let mut text = String::new();
        for &(column, width) in &self.shown {
            // Changes are no sizes: the sign says so also where nothing has grown.
            let sign = if column == Column::Total && picture.baseline.is_some() { "Δ " } else { "" };
            let title = match column {
                Column::Total => match known(picture.snapshot.mode, picture.dimension) {
                    Dimension::InuseSpace => "IN USE",
                    Dimension::InuseObjects => "OBJECTS",
                    Dimension::AllocSpace => "ALLOCATED",
                    Dimension::AllocObjects => "ALLOCS",
                },
                Column::Parent => "PARENT",
                Column::All => "ALL",
                Column::Bar => "",
                Column::Own => "SELF",
                Column::Objects if marks::objects(picture) == "objects" => "OBJECTS",
                Column::Objects => "ALLOCS",
            };
            text.push_str(&format!("{:>width$} ", format!("{sign}{title}")));
        }
        let names = match self.direction {
            Direction::TopDown => "FUNCTION, thread's start first",
            Direction::BottomUp => "FUNCTION, allocation first",
        };
        text.push_str(&format!(" {names}"));
        put(buffer, area, 0, 0, &text, picture.theme.faint());
    }

    /// Levels that are cut off at the left, so that the names of this depth have room.
    pub(super) fn shift(&self, depth: usize) -> usize {
        let levels = (self.width.saturating_sub(self.names) / 2) / self.indent;
        (depth - 1).saturating_sub(levels)
    }

    /// Where the marker of a row stands.
    pub(super) fn marker(&self, row: &Row, shift: usize) -> u16 {
        (self.names + (row.node.depth() - 1).saturating_sub(shift) * self.indent) as u16
    }

    pub(super) fn row(
        &self,
        row: &Row,
        rows: &Rows,
        shift: usize,
        picture: &Picture<'_>,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let mut at = 0;
        for &(column, width) in &self.shown {
            let (text, style) = cell(column, width, row, rows, picture);
            put(buffer, area, at as u16, 0, &text, style);
            at += width + 1;
        }
        let marker = match (row.node.has_children(), row.is_open) {
            (true, true) => "▾ ",
            (true, false) => "▸ ",
            (false, _) => "  ",
        };
        let found = row.step.is_found(picture);
        let start = usize::from(self.marker(row, shift));
        let sign = if found { "» " } else { "" };
        let room = self.width.saturating_sub(start + 2 + frame::columns(sign));
        let (name, place) = marks::label(&row.step, row.node.is_recursive, room, picture);
        put(buffer, area, start as u16, 0, marker, picture.theme.faint());
        let style = match found {
            true => picture.theme.accent().patch(picture.theme.strong()),
            false if row.is_heavy => picture.theme.strong(),
            false => Style::new(),
        };
        let name = format!("{sign}{name}");
        put(buffer, area, start as u16 + 2, 0, &name, style);
        let after = start + 2 + frame::columns(&name);
        put(buffer, area, after as u16, 0, &place, picture.theme.faint());
        if row.node.depth() - 1 < shift {
            put(buffer, area, self.names as u16 - 1, 0, "‹", picture.theme.faint());
        }
    }
}

fn cell(column: Column, width: usize, row: &Row, rows: &Rows, picture: &Picture<'_>) -> (String, Style) {
    let (total, own) = (row.node.total, row.node.own);
    let whole = rows.tree.root().total.weight;
    let changed = |sums: Sums| marks::change(sums.value, picture);
    let dash = |sums: Sums, text: String| if sums.sites == 0 { "-".to_owned() } else { text };
    let (text, style) = match column {
        Column::Total => (marks::amount(total.value, picture), changed(total)),
        Column::Parent => (marks::percent(total.weight, row.parent_weight), Style::new()),
        Column::All => (marks::percent(total.weight, whole), Style::new()),
        Column::Bar => {
            let bar = marks::bar(marks::share(total.weight, whole), width);
            return (format!("{bar:width$}"), picture.theme.accent());
        }
        Column::Own => (dash(own, marks::amount(own.value, picture)), changed(own)),
        Column::Objects => (marks::count(total.objects, picture), Style::new()),
    };
    (format!("{text:>width$}"), style)
}
