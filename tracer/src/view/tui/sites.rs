//! The list of call sites: which keep memory, which allocate it.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::action::Action;
use super::cells::{self, Place};
use super::columns::{Column, Facts, process};
use super::detail::Detail;
use super::list::List;
use super::naming::{group_name, name};
use super::picture::Picture;
use super::rows::{self, Grouping, Key, Row};
use super::screen::{Hint, Screen};
use crate::units::Count;
use crate::view::frame;

const HINTS: &[Hint] = &[
    ("↑↓", "move"),
    ("Enter", "detail"),
    ("/", "filter"),
    ("s", "sort"),
    ("r", "reverse"),
    ("m", "group"),
    ("b", "baseline"),
    ("w", "write"),
    ("?", "help"),
    ("q", "quit"),
];

/// What the user chose.
#[derive(Debug, Default)]
pub(super) struct Sites {
    list: List<Key>,
    /// `None` is the picture's dimension.
    sort: Option<Column>,
    is_reversed: bool,
    grouping: Grouping,
    /// The group that is looked into, and where its own list is.
    inside: Option<(Grouping, Key, List<Key>)>,
    detail: Option<Detail>,
}

/// The rows of a picture in the wanted order.
struct Ordered<'a> {
    rows: Vec<Row<'a>>,
    keys: Vec<Key>,
    order: Vec<usize>,
    facts: Facts,
    sort: Column,
}

impl Sites {
    /// Sorts by the picture's number again.
    pub(super) fn follow_dimension(&mut self) {
        self.sort = None;
        self.is_reversed = false;
    }

    fn grouping(&self) -> Grouping {
        if self.inside.is_some() { Grouping::None } else { self.grouping }
    }

    fn ordered<'a>(&self, picture: &Picture<'a>) -> Ordered<'a> {
        let facts = Facts::of(picture, self.grouping(), self.sort);
        let offered = facts.columns();
        let sort = self.sort.filter(|sort| offered.contains(sort)).unwrap_or(Column::of(facts.precise));
        let inside = self.inside.as_ref().map(|(grouping, key, _)| (*grouping, *key));
        let rows = rows::rows(picture, facts.grouping, inside, facts.precise);
        let order = order(&rows, picture, &facts, sort, self.is_reversed);
        let keys = order.iter().map(|&at| rows[at].key).collect();
        Ordered { rows, keys, order, facts, sort }
    }

    fn list(&mut self) -> &mut List<Key> {
        self.inside.as_mut().map_or(&mut self.list, |(_, _, list)| list)
    }

    fn seen_list(&self) -> &List<Key> {
        self.inside.as_ref().map_or(&self.list, |(_, _, list)| list)
    }

    fn sort_by(&mut self, column: Column, now: Column) {
        self.is_reversed = column == now && !self.is_reversed;
        self.sort = Some(column);
    }

    /// To the next or previous column; where it had no room, now it has.
    fn sort_beside(&mut self, picture: &Picture<'_>, forward: bool) {
        let now = self.ordered(picture);
        let sorting: Vec<Column> = now.facts.columns().into_iter().filter(|column| column.sorts()).collect();
        let Some(at) = sorting.iter().position(|column| *column == now.sort) else { return };
        let step = if forward { 1 } else { sorting.len() - 1 };
        self.sort = sorting.get((at + step) % sorting.len()).copied();
        self.is_reversed = false;
    }

    fn open(&mut self, picture: &Picture<'_>) {
        let ordered = self.ordered(picture);
        let Some(row) = ordered.row(self.seen_list().index(&ordered.keys)) else { return };
        let key = row.key;
        self.list().select(key);
        match key {
            Key::Site(id) => self.detail = Some(Detail::new(id)),
            _ => self.inside = Some((self.grouping, key, List::default())),
        }
    }

    fn click(&mut self, picture: &Picture<'_>, area: Rect, column: u16, row: u16) -> bool {
        if row != area.y {
            return false;
        }
        let ordered = self.ordered(picture);
        let placed = ordered.facts.placed(area.x, area.width, ordered.sort);
        let hit = placed.iter().rev().find(|(_, place)| column >= place.x);
        if let Some(&(column, _)) = hit.filter(|(column, _)| column.sorts()) {
            self.sort_by(column, ordered.sort);
        }
        true
    }
}

impl Screen for Sites {
    fn act(&mut self, action: Action, picture: &Picture<'_>, area: Rect) -> bool {
        if let Some(detail) = &mut self.detail {
            if action == Action::Back {
                self.detail = None;
                return true;
            }
            return detail.act(action, picture, area);
        }
        match action {
            Action::Sort | Action::Right => self.sort_beside(picture, true),
            Action::SortBack | Action::Left => self.sort_beside(picture, false),
            Action::Reverse => self.is_reversed = !self.is_reversed,
            Action::Open => self.open(picture),
            Action::Back => return self.inside.take().is_some(),
            Action::Group if self.inside.is_none() => {
                self.grouping = match self.grouping {
                    Grouping::None => Grouping::Function,
                    Grouping::Function => Grouping::Module,
                    Grouping::Module if picture.sites().any(|site| site.thread.is_some()) => Grouping::Thread,
                    Grouping::Module | Grouping::Thread => Grouping::None,
                };
            }
            Action::Click { column, row } if self.click(picture, area, column, row) => {}
            _ => {
                let keys = self.ordered(picture).keys;
                return self.list().act(action, &keys, body(area));
            }
        }
        true
    }

    fn draw(&self, picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
        if let Some(detail) = &self.detail {
            detail.draw(picture, area, buffer);
            return;
        }
        let ordered = self.ordered(picture);
        if ordered.rows.is_empty() {
            empty(picture, area, buffer);
            return;
        }
        let placed = ordered.facts.placed(area.x, area.width, ordered.sort);
        header(picture, &ordered, &placed, self.is_reversed, area, buffer);
        let body = body(area);
        let selected = self.seen_list().index(&ordered.keys);
        let top = self.seen_list().top(&ordered.keys, usize::from(body.height));
        for (y, at) in (body.top()..body.bottom()).zip(top..ordered.keys.len()) {
            let Some(row) = ordered.row(at) else { break };
            line(picture, &ordered.facts, &placed, row, y, buffer);
            if at == selected {
                buffer.set_style(
                    Rect { y, height: 1, ..area }.intersection(buffer.area),
                    picture.theme.selected(),
                );
            }
        }
        self.footer(picture, &ordered, &placed, area, buffer);
    }

    fn hints(&self) -> &'static [Hint] {
        if self.detail.is_some() { Detail::HINTS } else { HINTS }
    }
}

impl<'a> Ordered<'a> {
    fn row(&self, at: usize) -> Option<&Row<'a>> {
        self.order.get(at).and_then(|&at| self.rows.get(at))
    }
}

impl Sites {
    /// The sum of what is listed, and what that is.
    fn footer(
        &self,
        picture: &Picture<'_>,
        ordered: &Ordered<'_>,
        placed: &[(Column, Place)],
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let Some(total) = rows::total(&ordered.rows) else { return };
        if area.height < 3 {
            return;
        }
        let (y, theme) = (area.bottom() - 1, picture.theme);
        for &(column, place) in placed {
            let summed = matches!(
                column,
                Column::InuseBytes
                    | Column::InuseObjects
                    | Column::AllocBytes
                    | Column::AllocObjects
                    | Column::BytesRate
                    | Column::ObjectsRate
                    | Column::Growth
            );
            if summed {
                let (text, style) = ordered.facts.cell(column, &total, picture, place.width);
                cells::put_cell(buffer, place, y, &text, style.patch(theme.strong()), theme);
            } else if column == Column::Name {
                let inside = self.inside.as_ref().map(|_| group_name(picture, self.grouping, &total));
                let text = sum(ordered, inside.as_deref(), usize::from(place.width));
                cells::put(buffer, area, place.x, y, &text, theme.faint());
            }
        }
    }
}

fn sum(ordered: &Ordered<'_>, inside: Option<&str>, width: usize) -> String {
    let (one, several) = match ordered.facts.grouping {
        Grouping::None => ("call site", "call sites"),
        Grouping::Function => ("function", "functions"),
        Grouping::Module => ("module", "modules"),
        Grouping::Thread => ("thread", "threads"),
    };
    let count = ordered.rows.len() as u64;
    let text = format!("{} {}", Count(count), if count == 1 { one } else { several });
    let text = inside.map_or_else(|| text.clone(), |inside| format!("{text} in {inside}, Esc leaves"));
    cells::cut(&text, width)
}

/// The lines between the header and the sum.
fn body(area: Rect) -> Rect {
    Rect { y: area.y.saturating_add(1).min(area.bottom()), height: area.height.saturating_sub(2), ..area }
}

fn order(
    rows: &[Row<'_>],
    picture: &Picture<'_>,
    facts: &Facts,
    sort: Column,
    is_reversed: bool,
) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    // Of equals, such as all that keep nothing, those that allocate most come first.
    let later = |at: usize| {
        let row = &rows[at];
        let numbers = [row.shown.value(picture.dimension), row.shown.alloc_bytes];
        (std::cmp::Reverse(numbers), row.key)
    };
    if sort.is_text() {
        let texts: Vec<Cow<'_, str>> = rows.iter().map(|row| text(picture, facts, sort, row)).collect();
        order.sort_unstable_by(|&one, &other| {
            texts[one].cmp(&texts[other]).then_with(|| later(one).cmp(&later(other)))
        });
    } else {
        let weights: Vec<f64> = rows.iter().map(|row| facts.weight(sort, row)).collect();
        order.sort_unstable_by(|&one, &other| {
            weights[other].total_cmp(&weights[one]).then_with(|| later(one).cmp(&later(other)))
        });
    }
    if is_reversed {
        order.reverse();
    }
    order
}

fn text<'a>(picture: &Picture<'a>, facts: &Facts, column: Column, row: &Row<'a>) -> Cow<'a, str> {
    match column {
        Column::Process => process(picture, row.site).into(),
        Column::Thread => row.site.thread.as_deref().unwrap_or_default().into(),
        Column::Allocator => row.site.allocator.as_deref().unwrap_or_default().into(),
        _ => group_name(picture, facts.grouping, row),
    }
}

fn header(
    picture: &Picture<'_>,
    ordered: &Ordered<'_>,
    placed: &[(Column, Place)],
    is_reversed: bool,
    area: Rect,
    buffer: &mut Buffer,
) {
    let theme = picture.theme;
    for &(column, place) in placed {
        let sorts = column == ordered.sort;
        let arrow = if column.is_text() == is_reversed { '▼' } else { '▲' };
        let title = ordered.facts.title(column);
        let text = if sorts { format!("{arrow}{title}") } else { title.to_owned() };
        let style = if sorts { theme.strong() } else { theme.faint() };
        let cell = Rect::new(place.x, area.y, place.width, 1);
        if place.align == cells::Align::Left {
            cells::put(buffer, cell, place.x, area.y, &text, style);
        } else {
            cells::put_right(buffer, cell, area.y, &text, style);
        }
    }
}

fn line(
    picture: &Picture<'_>,
    facts: &Facts,
    placed: &[(Column, Place)],
    row: &Row<'_>,
    y: u16,
    buffer: &mut Buffer,
) {
    for &(column, place) in placed {
        if column == Column::Name {
            let pieces = name(picture, facts.grouping, row, usize::from(place.width));
            cells::put_all(buffer, Rect::new(place.x, y, place.width, 1), place.x, y, &pieces);
        } else {
            let (text, style) = facts.cell(column, row, picture, place.width);
            cells::put_cell(buffer, place, y, &text, style, picture.theme);
        }
    }
}

/// Why there is nothing to see.
fn empty(picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
    let text = match picture.filter {
        Some(filter) => format!("No call site matches /{filter}/. Esc clears the filter."),
        None if picture.targets().all(|target| target.totals.alloc_objects == 0) => {
            "Nothing was allocated yet.".to_owned()
        }
        None => "Allocations were counted, but none has a call site yet.".to_owned(),
    };
    for (y, line) in
        (area.top() + area.height / 3..area.bottom()).zip(cells::wrap(&text, usize::from(area.width)))
    {
        let width = u16::try_from(frame::columns(&line)).unwrap_or(u16::MAX);
        let x = area.x + area.width.saturating_sub(width) / 2;
        cells::put(buffer, area, x, y, &line, picture.theme.strong());
    }
}
