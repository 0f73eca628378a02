//! One call site, with everything that is known of it: all numbers and how exact they are, and the whole stack.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::action::Action;
use super::cells::{self, Piece};
use super::columns::process;
use super::picture::{Numbers, Picture};
use super::screen::Hint;
use super::{spark, theme};
use crate::model::snapshot::{CallSite, Dimension, Frame, TREND_STEP_SECONDS};
use crate::units::{Bytes, BytesChange, Count, CountChange};
use crate::view::table::precision;
use crate::view::{frame, runtime, words};

/// Before each value.
const NAME_COLUMNS: usize = 17;
/// Of the trend.
const TREND_LINES: usize = 3;
/// The same where there is room.
const TREND_LINES_TALL: usize = 6;
/// Columns of one point of the trend, at most.
const POINT_COLUMNS: usize = 4;
/// Lines of a tall terminal.
const TALL: u16 = 40;

/// Which site, and how far down.
#[derive(Debug)]
pub(super) struct Detail {
    /// [`CallSite::id`].
    id: u32,
    top: usize,
}

impl Detail {
    pub(super) const HINTS: &'static [Hint] = &[
        ("Esc", "back"),
        ("↑↓", "scroll"),
        ("g G", "top, bottom"),
        ("w", "write"),
        ("?", "help"),
        ("q", "quit"),
    ];

    pub(super) const fn new(id: u32) -> Self {
        Self { id, top: 0 }
    }

    /// Scrolls; false for what is no movement.
    pub(super) fn act(&mut self, action: Action, picture: &Picture<'_>, area: Rect) -> bool {
        let height = usize::from(area.height);
        let last = self.lines(picture, area).len().saturating_sub(height);
        let top = self.top.min(last);
        self.top = match action {
            Action::Up => top.saturating_sub(1),
            Action::Down => top + 1,
            Action::ScrollUp => top.saturating_sub(3),
            Action::ScrollDown => top + 3,
            Action::PageUp => top.saturating_sub(height),
            Action::PageDown => top + height,
            Action::Top => 0,
            Action::Bottom => last,
            _ => return false,
        }
        .min(last);
        true
    }

    pub(super) fn draw(&self, picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
        let lines = self.lines(picture, area);
        let height = usize::from(area.height);
        let top = self.top.min(lines.len().saturating_sub(height));
        for (y, line) in (area.top()..area.bottom()).zip(&lines[top..]) {
            cells::put_all(buffer, area, area.x, y, line);
        }
        let below = lines.len().saturating_sub(top + height);
        if below > 0 && area.height > 0 {
            let text = format!(" {} more ↓", Count(below as u64));
            cells::put_right(buffer, area, area.bottom() - 1, &text, picture.theme.accent());
        }
    }

    fn lines(&self, picture: &Picture<'_>, area: Rect) -> Vec<Vec<Piece>> {
        let width = usize::from(area.width);
        let here = picture.snapshot.sites.iter().find(|site| site.id == self.id);
        let Some(site) = here.or_else(|| picture.baseline?.sites().find(|site| site.id == self.id)) else {
            return vec![vec![("This call site is no longer in the picture.".to_owned(), Style::new())]];
        };
        let trend_lines = if area.height < TALL { TREND_LINES } else { TREND_LINES_TALL };
        let mut page = Page { picture, site, width, trend_lines, lines: Vec::new() };
        page.title();
        page.numbers();
        page.recent();
        page.stack();
        page.lines
    }
}

struct Page<'a> {
    picture: &'a Picture<'a>,
    site: &'a CallSite,
    width: usize,
    trend_lines: usize,
    lines: Vec<Vec<Piece>>,
}

impl Page<'_> {
    fn theme(&self) -> theme::Theme {
        self.picture.theme
    }

    fn blank(&mut self) {
        self.lines.push(Vec::new());
    }

    fn wrapped(&mut self, indent: usize, text: &str, style: Style) {
        for line in cells::wrap(text, self.width.saturating_sub(indent)) {
            self.lines.push(vec![(" ".repeat(indent), Style::new()), (line, style)]);
        }
    }

    fn pair(&mut self, name: &str, text: &str) {
        let faint = self.theme().faint();
        let lines = cells::wrap(text, self.width.saturating_sub(NAME_COLUMNS));
        for (at, line) in lines.into_iter().enumerate() {
            let name = if at == 0 { name } else { "" };
            self.lines.push(vec![(format!("{name:NAME_COLUMNS$}"), faint), (line, Style::new())]);
        }
    }

    fn title(&mut self) {
        let telling = frame::telling(&self.site.frames).and_then(|at| self.site.frames.get(at));
        let name = telling.map_or_else(|| "[no stack]".to_owned(), |telling| frame::name(telling));
        self.wrapped(0, &frame::printable(&name), self.theme().strong());
        let mut words = vec![format!("process {}", process(self.picture, self.site))];
        words.extend(self.site.allocator.iter().map(|allocator| format!("allocator {allocator}")));
        words.extend(self.site.thread.iter().map(|thread| format!("thread {thread}")));
        self.wrapped(0, &frame::printable(&words.join(" · ")), self.theme().faint());
        self.blank();
    }

    fn numbers(&mut self) {
        let (site, is_live) = (self.site, self.picture.is_live());
        for dimension in
            [Dimension::InuseSpace, Dimension::InuseObjects, Dimension::AllocSpace, Dimension::AllocObjects]
        {
            if is_live || matches!(dimension, Dimension::AllocSpace | Dimension::AllocObjects) {
                self.pair(words::dimension(dimension), &self.number(dimension));
            }
        }
        if let Some(freed) = site.free_objects {
            self.pair("freed", &objects(freed));
        }
        let average = |bytes: u64, objects: u64| Bytes((bytes as f64 / objects as f64).round() as u64);
        let mut averages = Vec::new();
        if let (Some(bytes), Some(objects @ 1..)) = (site.inuse_bytes, site.inuse_objects) {
            averages.push(format!("{} in use", average(bytes, objects)));
        }
        if site.alloc_objects > 0 {
            averages.push(format!("{} allocated", average(site.alloc_bytes, site.alloc_objects)));
        }
        self.pair("average size", &averages.join(", "));
        if let Some(oldest) = site.oldest_seconds {
            self.pair("oldest block", &frame::age(oldest));
        }
        if self.picture.snapshot.is_sampled() {
            let in_use =
                site.inuse_samples.map_or_else(String::new, |samples| format!(", {} in use", Count(samples)));
            self.pair("samples", &format!("{}{in_use}", Count(site.samples)));
        }
        if let Some(source) = runtime::of_site(self.picture.snapshot, site) {
            self.pair("source", &source);
        }
        self.blank();
    }

    /// The number, exact to the last digit, its error, its interval, and what it changed by.
    fn number(&self, dimension: Dimension) -> String {
        let site = self.site;
        let value = site.value(dimension);
        let is_bytes = matches!(dimension, Dimension::InuseSpace | Dimension::AllocSpace);
        let amount = |value: u64| {
            if is_bytes { Bytes(value).to_string() } else { Count(value).to_string() }
        };
        let mut text = amount(value);
        let error = precision::error(site, dimension);
        if error > 0.0 {
            let share =
                if value > 0 { format!(" ({:.0}%)", error / value as f64 * 100.0) } else { String::new() };
            text.push_str(&format!(" ± {}{share}", amount(error.round() as u64)));
            if let Some(interval) = precision::interval(site, dimension) {
                text.push_str(&format!(", 95% within {}", precision::range(interval, dimension)));
            }
        } else if is_bytes && value >= 1024 {
            text.push_str(&format!(" ({} bytes)", Count(value)));
        }
        if let Some(baseline) = self.picture.baseline {
            let before = baseline.numbers(site).unwrap_or_default();
            let change = (Numbers::of(site) - before).value(dimension);
            let change =
                if is_bytes { BytesChange(change).to_string() } else { CountChange(change).to_string() };
            text.push_str(&format!(", {change} since the baseline"));
        }
        text
    }

    fn recent(&mut self) {
        let Some(recent) = &self.site.recent else { return };
        let bytes = Bytes(recent.alloc_bytes_per_second.round() as u64);
        let objects = cells::rate(recent.alloc_objects_per_second);
        self.pair("allocates now", &format!("{bytes}/s, {objects} objects/s"));
        if let Some(growth) = recent.growth_bytes {
            self.pair("growth", &format!("{} in use within the last minute", BytesChange(growth)));
        }
        if recent.trend.len() > 1 {
            self.trend(&recent.trend);
        }
        self.blank();
    }

    fn trend(&mut self, trend: &[u64]) {
        let (faint, accent) = (self.theme().faint(), self.theme().accent());
        let unit = if self.picture.is_live() { "" } else { "/s" };
        let highest = trend.iter().max().copied().unwrap_or(0);
        let lowest = trend.iter().min().copied().unwrap_or(0);
        let attached = self.picture.snapshot.attached_seconds.round() as u64;
        let seconds = (trend.len() as u64 * TREND_STEP_SECONDS).min(attached.max(1));
        let room = self.width.saturating_sub(NAME_COLUMNS + 16).max(1);
        let columns = (room / trend.len().max(1)).clamp(1, POINT_COLUMNS);
        let points: Vec<u64> = trend.iter().flat_map(|&point| std::iter::repeat_n(point, columns)).collect();
        let lines = spark::lines(&points, points.len().min(room), self.trend_lines);
        let last = lines.len().saturating_sub(1);
        for (at, line) in lines.into_iter().enumerate() {
            let name = if at == 0 { format!("last {seconds} s") } else { String::new() };
            let right = match at {
                0 => format!(" {}{unit}", Bytes(highest)),
                _ if at == last => format!(" {}{unit}", Bytes(lowest)),
                _ => String::new(),
            };
            self.lines.push(vec![(format!("{name:NAME_COLUMNS$}"), faint), (line, accent), (right, faint)]);
        }
    }

    fn stack(&mut self) {
        let count = self.site.frames.len();
        let title =
            format!("STACK of {count} {}, the allocation first", if count == 1 { "frame" } else { "frames" });
        self.lines.push(vec![(title, self.theme().strong())]);
        let telling = frame::telling(&self.site.frames);
        for (at, one) in self.site.frames.iter().enumerate() {
            self.frame(at, one, telling == Some(at));
        }
        let (warning, faint) = (self.theme().warning(), self.theme().faint());
        if let Some(why) = self.site.truncated.as_deref() {
            self.wrapped(4, &format!("[cut here: {}]", words::truncated(why)), warning);
        }
        if self.site.by_frame_pointers {
            let why =
                "[some of these callers were found by frame pointers: between them some may be missing]";
            self.wrapped(4, why, faint);
        }
    }

    fn frame(&mut self, at: usize, one: &Frame, is_telling: bool) {
        let (strong, faint) = (self.theme().strong(), self.theme().faint());
        let style = if is_telling { strong } else { Style::new() };
        let name = cells::wrap(&frame::printable(&frame::name(one)), self.width.saturating_sub(4));
        for (line, text) in name.into_iter().enumerate() {
            let number = if line == 0 { format!("{at:>3} ") } else { "    ".to_owned() };
            self.lines.push(vec![(number, faint), (text, style)]);
        }
        let mut place = Vec::new();
        if let Some(file) = &one.file {
            place.push(one.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")));
        }
        place.extend(one.module.clone());
        if one.function.is_none() {
            place.push(one.reason.clone().unwrap_or_else(|| "no symbol".to_owned()));
        }
        if one.inlined {
            place.push("inlined".to_owned());
        }
        if !place.is_empty() {
            self.wrapped(6, &frame::printable(&place.join(" · ")), faint);
        }
    }
}

fn objects(count: u64) -> String {
    format!("{} {}", Count(count), if count == 1 { "object" } else { "objects" })
}
