//! The list of processes, where there are several: which of them to look into.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::action::Action;
use super::cells::{self, Align, Place};
use super::list::List;
use super::picture::Picture;
use super::screen::Hint;
use super::spark;
use crate::model::snapshot::{Target, TimelinePoint};
use crate::units::{Bytes, BytesChange, Count};
use crate::view::frame;

/// Seconds that growth and rates are looked at over.
const RECENT_SECONDS: f64 = 60.0;

const COLUMNS: [(&str, u16, Align); 6] = [
    ("PID", 8, Align::Right),
    ("IN USE", 8, Align::Unit),
    ("GROWTH", 9, Align::Unit),
    ("ALLOC/s", 8, Align::Unit),
    ("RESIDENT", 8, Align::Unit),
    ("TREND", 10, Align::Left),
];

/// Which line is selected; `None` is all processes together.
#[derive(Debug, Default)]
pub(super) struct Targets {
    list: List<Option<u32>>,
}

/// What a line says.
#[derive(Default)]
struct Line {
    pid: String,
    inuse_bytes: Option<u64>,
    growth_bytes: Option<i64>,
    bytes_per_second: f64,
    resident_bytes: u64,
    trend: Vec<u64>,
    name: String,
    ended: Option<String>,
}

impl Targets {
    pub(super) const HINTS: &'static [Hint] = &[
        ("↑↓", "move"),
        ("Enter", "look into"),
        ("/", "filter"),
        ("Space", "pause"),
        ("w", "write"),
        ("?", "help"),
        ("q", "quit"),
    ];

    /// The line that keys act on.
    pub(super) fn selected(&self, picture: &Picture<'_>) -> Option<u32> {
        let keys = keys(picture);
        keys.get(self.list.index(&keys)).copied().flatten()
    }

    pub(super) fn act(&mut self, action: Action, picture: &Picture<'_>, area: Rect) -> bool {
        self.list.act(action, &keys(picture), body(area))
    }

    pub(super) fn draw(&self, picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = picture.theme;
        let placed = places(area);
        for ((title, _, align), place) in COLUMNS.iter().zip(&placed) {
            let cell = Rect::new(place.x, area.y, place.width, 1);
            if *align == Align::Left {
                cells::put(buffer, cell, place.x, area.y, title, theme.faint());
            } else {
                cells::put_right(buffer, cell, area.y, title, theme.faint());
            }
        }
        cells::put(buffer, area, name_x(&placed, area), area.y, "PROCESS", theme.faint());
        let (body, keys) = (body(area), keys(picture));
        let (selected, top) = (self.list.index(&keys), self.list.top(&keys, usize::from(body.height)));
        let targets: Vec<&Target> = found(picture).collect();
        for (y, at) in (body.top()..body.bottom()).zip(top..keys.len()) {
            let line = match at.checked_sub(1).and_then(|at| targets.get(at)) {
                None => all(picture),
                Some(target) => of(target, picture),
            };
            draw_line(&line, picture, &placed, area, y, buffer);
            if at == selected {
                buffer.set_style(Rect { y, height: 1, ..area }.intersection(buffer.area), theme.selected());
            }
        }
    }
}

fn found<'a>(picture: &Picture<'a>) -> impl Iterator<Item = &'a Target> {
    let filter = picture.filter;
    picture.snapshot.targets.iter().filter(move |target| {
        filter.is_none_or(|filter| filter.is_match(&format!("{} {}", target.pid, target.comm)))
    })
}

fn keys(picture: &Picture<'_>) -> Vec<Option<u32>> {
    [None].into_iter().chain(found(picture).map(|target| Some(target.pid))).collect()
}

fn body(area: Rect) -> Rect {
    Rect { y: area.y.saturating_add(1).min(area.bottom()), height: area.height.saturating_sub(1), ..area }
}

fn places(area: Rect) -> Vec<Place> {
    let mut x = area.x;
    COLUMNS
        .iter()
        .map(|&(_, width, align)| {
            let place = Place { x, width, align };
            x += width + gap(area);
            place
        })
        .filter(|place| place.x + place.width <= area.right())
        .collect()
}

/// Columns between columns.
const fn gap(area: Rect) -> u16 {
    if area.width < 110 { 1 } else { 2 }
}

fn name_x(placed: &[Place], area: Rect) -> u16 {
    placed.last().map_or(area.x, |place| place.x + place.width + gap(area))
}

fn of(target: &Target, picture: &Picture<'_>) -> Line {
    let points = target.timeline.as_ref().map_or(&[][..], |timeline| timeline.points.as_slice());
    let mean = || match picture.snapshot.attached_seconds {
        seconds if seconds > 0.0 => target.totals.alloc_bytes as f64 / seconds,
        _ => 0.0,
    };
    let now = points.last();
    // Points of a long run lie further apart than a minute: then the one before.
    let is_before =
        |now: &TimelinePoint, point: &&TimelinePoint| point.seconds <= now.seconds - RECENT_SECONDS;
    let before =
        now.and_then(|now| points.iter().rev().find(|point| is_before(now, point)).or(points.first()));
    let inuse = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let bytes = now.and_then(|now| now.inuse_bytes).zip(before.and_then(|before| before.inuse_bytes));
    Line {
        pid: target.pid.to_string(),
        inuse_bytes: target.totals.inuse_bytes,
        growth_bytes: bytes.map(|(now, before)| inuse(now) - inuse(before)),
        bytes_per_second: now.map_or_else(mean, |now| now.alloc_bytes_per_second),
        resident_bytes: target.resident_bytes,
        trend: points
            .iter()
            .map(|point| point.inuse_bytes.unwrap_or(point.alloc_bytes_per_second as u64))
            .collect(),
        name: target.comm.clone(),
        ended: target.ended.clone(),
    }
}

fn all(picture: &Picture<'_>) -> Line {
    let mut sum = Line::default();
    for target in &picture.snapshot.targets {
        let line = of(target, picture);
        let bytes = line.inuse_bytes.map(|bytes| bytes + sum.inuse_bytes.unwrap_or(0));
        sum.inuse_bytes = bytes.or(sum.inuse_bytes);
        let growth = line.growth_bytes.map(|growth| growth + sum.growth_bytes.unwrap_or(0));
        sum.growth_bytes = growth.or(sum.growth_bytes);
        sum.bytes_per_second += line.bytes_per_second;
        sum.resident_bytes += line.resident_bytes;
    }
    Line {
        pid: "all".to_owned(),
        name: format!("all {} processes", Count(picture.snapshot.targets.len() as u64)),
        ..sum
    }
}

fn draw_line(line: &Line, picture: &Picture<'_>, placed: &[Place], area: Rect, y: u16, buffer: &mut Buffer) {
    let theme = picture.theme;
    let dash = || "-".to_owned();
    let texts = [
        line.pid.clone(),
        line.inuse_bytes.map_or_else(dash, |bytes| Bytes(bytes).to_string()),
        line.growth_bytes.map_or_else(dash, |bytes| BytesChange(bytes).to_string()),
        Bytes(line.bytes_per_second.round() as u64).to_string(),
        Bytes(line.resident_bytes).to_string(),
    ];
    for (text, place) in texts.iter().zip(placed) {
        cells::put_cell(buffer, *place, y, text, Style::new(), theme);
    }
    if let Some(place) = placed.get(texts.len()) {
        let text = spark::line(&line.trend, usize::from(place.width), spark::BYTES_MIN);
        cells::put_cell(buffer, *place, y, &text, theme.accent(), theme);
    }
    let x = name_x(placed, area);
    let x = cells::put(buffer, area, x, y, &frame::printable(&line.name), theme.strong());
    if let Some(ended) = &line.ended {
        let ended = if ended == "ended" { "ENDED".to_owned() } else { format!("ENDED: {ended}") };
        cells::put(buffer, area, x + 2, y, &frame::printable(&ended), theme.bad());
    }
}
