//! What has changed since the baseline, site by site.

use std::cmp::Reverse;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::action::Action;
use super::cells::{self, Align, Place, change_count};
use super::changes::{Change, What, changes, dimensions, percent};
use super::detail::Detail;
use super::list::List;
use super::naming::site_name;
use super::picture::{Baseline, Numbers, Picture};
use super::screen::{Hint, Screen};
use crate::units::{Bytes, BytesChange, Count};
use crate::view::{frame, words};

const HINTS: &[Hint] = &[
    ("↑↓", "move"),
    ("Enter", "detail"),
    ("b", "new baseline"),
    ("/", "filter"),
    ("s", "sort"),
    ("r", "reverse"),
    ("w", "write"),
    ("?", "help"),
    ("q", "quit"),
];

/// The columns of numbers, in their order; after them comes the name.
const COLUMNS: [(Column, &str, u16, Align); 7] = [
    (Column::Before, "BEFORE", 8, Align::Unit),
    (Column::Now, "NOW", 8, Align::Unit),
    (Column::Change, "CHANGE", 9, Align::Unit),
    (Column::Error, "±", 9, Align::Unit),
    (Column::Percent, "%", 6, Align::Right),
    (Column::Objects, "OBJECTS", 8, Align::Right),
    (Column::What, "WHAT", 6, Align::Left),
];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Column {
    Before,
    Now,
    #[default]
    Change,
    Error,
    Percent,
    Objects,
    What,
}

/// What the user chose.
#[derive(Debug, Default)]
pub(super) struct Compare {
    list: List<u32>,
    sort: Column,
    is_reversed: bool,
    detail: Option<Detail>,
}

/// What has changed, in the wanted order, and the sums of all.
struct Changes<'a> {
    rows: Vec<Change<'a>>,
    before: Numbers,
    now: Numbers,
    counts: Vec<(What, u64)>,
}

impl Compare {
    fn changes<'a>(&self, picture: &Picture<'a>, baseline: &'a Baseline) -> Changes<'a> {
        let mut rows = changes(picture, baseline);
        let sum = |numbers: fn(&Change<'_>) -> Numbers| {
            rows.iter().map(numbers).fold(Numbers::default(), |sum, one| sum + one)
        };
        let (before, now) = (sum(|row| row.before), sum(|row| row.now));
        let count = |what: What| rows.iter().filter(|row| row.what == what).count() as u64;
        let counts = What::ALL.map(|what| (what, count(what))).into_iter().filter(|(_, count)| *count > 0);
        let counts = counts.collect();
        rows.retain(|row| row.what != What::Same);
        rows.sort_by_cached_key(|row| (Reverse(self.weight(picture, row)), row.site.id));
        if self.is_reversed {
            rows.reverse();
        }
        Changes { rows, before, now, counts }
    }

    fn weight(&self, picture: &Picture<'_>, row: &Change<'_>) -> i64 {
        let (bytes, objects) = dimensions(picture);
        let (before, now) = (row.before.value(bytes), row.now.value(bytes));
        match self.sort {
            Column::Before => before,
            Column::Now => now,
            Column::Change => now - before,
            Column::Error => row.error as i64,
            // In thousandths; what was not there has grown the most.
            Column::Percent if before == 0 => i64::MAX,
            Column::Percent => ((now - before) as f64 / before as f64 * 1e5) as i64,
            Column::Objects => (row.now - row.before).value(objects),
            Column::What => -(row.what as i64),
        }
    }

    fn sort_by(&mut self, picture: &Picture<'_>, area: Rect, forward: bool) {
        let placed = places(picture, area);
        let at = placed.iter().position(|(column, ..)| *column == self.sort).unwrap_or(0);
        let step = if forward { 1 } else { placed.len().saturating_sub(1) };
        self.sort = placed.get((at + step) % placed.len().max(1)).map_or(self.sort, |(column, ..)| *column);
        self.is_reversed = false;
    }

    fn click(&mut self, picture: &Picture<'_>, area: Rect, x: u16, y: u16) -> bool {
        let hit = places(picture, area)
            .into_iter()
            .rev()
            .find(|(_, _, place)| x >= place.x && x < place.x + place.width);
        match hit {
            Some((column, ..)) if y == area.y + 1 => {
                self.is_reversed = column == self.sort && !self.is_reversed;
                self.sort = column;
                true
            }
            _ => false,
        }
    }
}

impl Screen for Compare {
    fn act(&mut self, action: Action, picture: &Picture<'_>, area: Rect) -> bool {
        let Some(baseline) = picture.baseline else { return false };
        if let Some(detail) = &mut self.detail {
            if action == Action::Back {
                self.detail = None;
                return true;
            }
            return detail.act(action, picture, area);
        }
        match action {
            Action::Sort | Action::Right => self.sort_by(picture, area, true),
            Action::SortBack | Action::Left => self.sort_by(picture, area, false),
            Action::Reverse => self.is_reversed = !self.is_reversed,
            Action::Click { column, row } if self.click(picture, area, column, row) => {}
            Action::Open => {
                let keys = keys(&self.changes(picture, baseline).rows);
                if let Some(&id) = keys.get(self.list.index(&keys)) {
                    self.list.select(id);
                    self.detail = Some(Detail::new(id));
                }
            }
            _ => {
                let keys = keys(&self.changes(picture, baseline).rows);
                return self.list.act(action, &keys, body(area));
            }
        }
        true
    }

    fn draw(&self, picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
        if let Some(detail) = &self.detail {
            detail.draw(picture, area, buffer);
            return;
        }
        let Some(baseline) = picture.baseline else {
            sentence(picture, area, buffer);
            return;
        };
        let changes = self.changes(picture, baseline);
        let rows = &changes.rows;
        let theme = picture.theme;
        let passed = frame::age((picture.snapshot.attached_seconds - baseline.seconds).max(0.0));
        let (bytes, _) = dimensions(picture);
        let counts = changes.counts.iter().map(|(what, count)| format!("{} {}", Count(*count), what.word()));
        let counts: Vec<String> = counts.collect();
        let pieces = [
            (format!("{} in {passed}: ", words::dimension(bytes)), theme.strong()),
            (counts.join(" · "), Style::new()),
        ];
        cells::put_all(buffer, area, area.x, area.y, &pieces);
        let placed = places(picture, area);
        self.header(picture, &placed, area, buffer);
        let body = body(area);
        let keys = keys(rows);
        let (selected, top) = (self.list.index(&keys), self.list.top(&keys, usize::from(body.height)));
        for ((y, at), row) in (body.top()..body.bottom()).zip(top..).zip(rows.iter().skip(top)) {
            line(picture, &placed, row, area, y, buffer);
            if at == selected {
                buffer.set_style(Rect { y, height: 1, ..area }.intersection(buffer.area), theme.selected());
            }
        }
        if rows.is_empty() && body.height > 1 {
            let text = "No call site has changed since the baseline.";
            cells::put(buffer, area, area.x, body.y + 1, text, theme.strong());
        }
        total(picture, &changes, &placed, area, buffer);
    }

    fn hints(&self) -> &'static [Hint] {
        if self.detail.is_some() { Detail::HINTS } else { HINTS }
    }
}

impl Compare {
    fn header(
        &self,
        picture: &Picture<'_>,
        placed: &[(Column, &str, Place)],
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let theme = picture.theme;
        let y = area.y.saturating_add(1);
        for &(column, title, place) in placed {
            let sorts = column == self.sort;
            let arrow = if self.is_reversed { '▲' } else { '▼' };
            let text = if sorts { format!("{arrow}{title}") } else { title.to_owned() };
            let style = if sorts { theme.strong() } else { theme.faint() };
            let cell = Rect::new(place.x, y, place.width, 1);
            if place.align == Align::Left {
                cells::put(buffer, cell, place.x, y, &text, style);
            } else {
                cells::put_right(buffer, cell, y, &text, style);
            }
        }
        cells::put(buffer, area, name_x(placed, area), y, "CALL SITE", theme.faint());
    }
}

fn keys(rows: &[Change<'_>]) -> Vec<u32> {
    rows.iter().map(|row| row.site.id).collect()
}

/// Between heading and header above, and the total below.
fn body(area: Rect) -> Rect {
    Rect { y: area.y.saturating_add(2).min(area.bottom()), height: area.height.saturating_sub(3), ..area }
}

fn places(picture: &Picture<'_>, area: Rect) -> Vec<(Column, &'static str, Place)> {
    let gap = if area.width < 110 { 1 } else { 2 };
    let is_sampled = picture.snapshot.is_sampled();
    let mut x = area.x;
    COLUMNS
        .iter()
        .filter(|(column, ..)| is_sampled || *column != Column::Error)
        .map(|&(column, title, width, align)| {
            let place = Place { x, width, align };
            x += width + gap;
            (column, title, place)
        })
        .filter(|(_, _, place)| place.x + place.width <= area.right())
        .collect()
}

fn name_x(placed: &[(Column, &str, Place)], area: Rect) -> u16 {
    let gap = if area.width < 110 { 1 } else { 2 };
    placed.last().map_or(area.x, |(_, _, place)| place.x + place.width + gap)
}

fn line(
    picture: &Picture<'_>,
    placed: &[(Column, &str, Place)],
    row: &Change<'_>,
    area: Rect,
    y: u16,
    buffer: &mut Buffer,
) {
    numbers(picture, placed, row, y, buffer);
    let theme = picture.theme;
    let style = match row.what {
        What::New | What::Grown => theme.warning(),
        What::Shrunk | What::Gone => theme.good(),
        What::Same => theme.faint(),
    };
    if let Some((.., place)) = placed.iter().find(|(column, ..)| *column == Column::What) {
        cells::put_cell(buffer, *place, y, row.what.word(), style, theme);
    }
    let x = name_x(placed, area);
    let name = site_name(picture, row.site, usize::from(area.right().saturating_sub(x)));
    cells::put_all(buffer, area, x, y, &name);
}

fn numbers(
    picture: &Picture<'_>,
    placed: &[(Column, &str, Place)],
    row: &Change<'_>,
    y: u16,
    buffer: &mut Buffer,
) {
    let (bytes, objects) = dimensions(picture);
    let (was, is) = (row.before.value(bytes), row.now.value(bytes));
    let theme = picture.theme;
    for &(column, _, place) in placed {
        let text = match column {
            Column::Before => Bytes(was.unsigned_abs()).to_string(),
            Column::Now => Bytes(is.unsigned_abs()).to_string(),
            Column::Change => BytesChange(is - was).to_string(),
            Column::Error => format!("±{}", Bytes(row.error.round() as u64)),
            Column::Percent => percent(was, is),
            Column::Objects => change_count((row.now - row.before).value(objects)),
            Column::What => continue,
        };
        let style = if column == Column::Change { theme.strong() } else { Style::new() };
        cells::put_cell(buffer, place, y, &text, style, theme);
    }
}

fn total(
    picture: &Picture<'_>,
    changes: &Changes<'_>,
    placed: &[(Column, &str, Place)],
    area: Rect,
    buffer: &mut Buffer,
) {
    let y = area.bottom().saturating_sub(1);
    if area.height < 4 {
        return;
    }
    if let Some(row) = changes.rows.first() {
        let variance: f64 = changes.rows.iter().map(|row| row.error.powi(2)).sum();
        let sum = Change { before: changes.before, now: changes.now, error: variance.sqrt(), ..row.clone() };
        numbers(picture, placed, &sum, y, buffer);
    }
    let x = name_x(placed, area);
    cells::put(buffer, area, x, y, "all call sites", picture.theme.faint());
}

/// How to get something to see.
fn sentence(picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
    let text = "Nothing to compare with yet. Press b: this moment becomes the baseline, and this screen shows \
                which call sites have grown or shrunk since, in bytes and in objects. d shows the differences on \
                the other screens, too.";
    let width = usize::from(area.width.saturating_sub(4)).min(72);
    let x = area.x + area.width.saturating_sub(width as u16) / 2;
    for (y, line) in (area.top() + area.height / 3..area.bottom()).zip(cells::wrap(text, width)) {
        cells::put(buffer, area, x, y, &line, picture.theme.strong());
    }
}
