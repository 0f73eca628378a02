//! What surrounds every screen: the state of the run above, tabs, and the keys or a message below.

use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::cells::{self, Piece};
use super::picture::Picture;
use super::screen::Hint;
use super::theme::Theme;
use crate::model::snapshot::{Snapshot, Verdict};
use crate::units::{Bytes, Count};
use crate::view::{frame, runtime, words};

/// In the order of their keys.
pub(super) const SCREENS: [&str; 6] = ["Sites", "Tree", "Flame", "Process", "Compare", "Quality"];

/// Below this there is no room for anything that helps.
const COLUMNS_MIN: u16 = 40;
const LINES_MIN: u16 = 10;

/// Where everything is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) status: Rect,
    pub(super) tabs: Rect,
    pub(super) content: Rect,
    pub(super) bottom: Rect,
}

/// What the status line says beside what is in the picture.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    /// Held still, and for how many seconds by now.
    pub(super) paused_seconds: Option<f64>,
    /// The time in seconds that differences are of.
    pub(super) change_seconds: Option<f64>,
    /// False for a saved document.
    pub(super) is_live: bool,
}

/// A part of the status line. Where there is no room, what has the highest rank goes first.
struct Part {
    rank: u8,
    text: String,
    /// What can stand for it, and the rank of what that saves.
    short: Option<(u8, String)>,
    style: Style,
}

impl Layout {
    /// `None` where the terminal is too small.
    pub(super) fn of(area: Rect) -> Option<Self> {
        if area.width < COLUMNS_MIN || area.height < LINES_MIN {
            return None;
        }
        let line = |y: u16| Rect { y, height: 1, ..area };
        Some(Self {
            status: line(area.y),
            tabs: line(area.y + 1),
            content: Rect { y: area.y + 2, height: area.height - 3, ..area },
            bottom: line(area.bottom() - 1),
        })
    }
}

/// Says so, as far as it fits.
pub(super) fn too_small(area: Rect, buffer: &mut Buffer) {
    let lines = cells::wrap("terminal too small: needs 80x24", usize::from(area.width));
    for (y, line) in (area.top()..area.bottom()).zip(lines) {
        cells::put(buffer, area, area.x, y, &line, Style::new());
    }
}

/// What is traced, how, at what price, and how good it is.
pub(super) fn status(picture: &Picture<'_>, state: State, area: Rect, buffer: &mut Buffer) {
    let mut parts = parts(picture, state);
    let columns = |parts: &[Part]| parts.iter().map(|part| frame::columns(&part.text) + 3).sum::<usize>();
    while columns(&parts) > usize::from(area.width) + 3 && parts.len() > 1 {
        let rank = |part: &Part| part.short.as_ref().map_or(part.rank, |(rank, _)| *rank);
        let last = (0..parts.len()).max_by_key(|&at| rank(&parts[at])).unwrap_or(0);
        match parts[last].short.take() {
            Some((_, short)) => parts[last].text = short,
            None => drop(parts.remove(last)),
        }
    }
    let mut pieces: Vec<Piece> = Vec::new();
    for part in parts {
        if !pieces.is_empty() {
            pieces.push((" · ".to_owned(), picture.theme.faint()));
        }
        pieces.push((part.text, part.style));
    }
    cells::put_all(buffer, area, area.x, area.y, &pieces);
}

fn parts(picture: &Picture<'_>, state: State) -> Vec<Part> {
    let (snapshot, theme) = (picture.snapshot, picture.theme);
    let part = |rank: u8, text: String, style: Style| Part { rank, text, short: None, style };
    let mut parts = vec![part(0, target(picture), theme.strong())];
    if let Some((text, short)) = ended(picture) {
        parts.push(Part { rank: 1, text, short: short.map(|short| (7, short)), style: theme.bad() });
    }
    if !state.is_live {
        parts.push(part(8, "saved".to_owned(), Style::new()));
    }
    let marks =
        [("PAUSED", state.paused_seconds, "PAUSED for"), ("CHANGES", state.change_seconds, "CHANGES in")];
    for (word, seconds, words) in marks {
        let Some(seconds) = seconds else { continue };
        let text = if seconds > 0.0 { format!("{words} {}", frame::age(seconds)) } else { word.to_owned() };
        parts.push(Part { rank: 2, text, short: Some((8, word.to_owned())), style: theme.selected() });
    }
    parts.push(part(5, snapshot.mode.to_string(), Style::new()));
    let bytes = match runtime::has_probes(snapshot) {
        true => snapshot.sample_bytes,
        false => runtime::interval_bytes(snapshot),
    };
    let interval = (bytes > 0).then(|| (11, format!("1 in {}", Bytes(bytes))));
    parts.push(Part { rank: 4, text: words::sampling(snapshot), short: interval, style: Style::new() });
    // Where nothing is probed no instruction of the process is ours.
    let cost = match (snapshot.overhead.target_cpu_ratio, runtime::has_probes(snapshot)) {
        (Some(ratio), _) => format!("cost {}", percent(ratio)),
        (None, true) => "cost ?".to_owned(),
        (None, false) => "no probes".to_owned(),
    };
    parts.push(part(3, cost, Style::new()));
    parts.push(loss(snapshot, theme));
    let verdict = words::verdict(snapshot.quality.verdict);
    match snapshot.quality.verdict {
        Verdict::Lossy => {}
        Verdict::Sampled => parts.push(part(9, verdict.to_owned(), theme.warning())),
        Verdict::Exact => parts.push(part(9, verdict.to_owned(), theme.good())),
    }
    if snapshot.quality.pending_symbols > 0 {
        let names = Count(snapshot.quality.pending_symbols);
        let short = Some((12, format!("{names} names")));
        parts.push(Part { rank: 8, text: format!("reading {names} names"), short, style: theme.accent() });
    }
    parts.push(part(10, frame::age(snapshot.attached_seconds), theme.faint()));
    parts
}

fn target(picture: &Picture<'_>) -> String {
    let targets = &picture.snapshot.targets;
    let one = match picture.pid {
        Some(pid) => targets.iter().find(|target| target.pid == pid),
        None if targets.len() == 1 => targets.first(),
        None => None,
    };
    let text = match one {
        Some(target) if target.pid == 0 => target.comm.clone(),
        Some(target) => format!("{} {}", target.comm, target.pid),
        None => picture
            .pid
            .map_or_else(|| format!("{} processes", Count(targets.len() as u64)), |pid| format!("pid {pid}")),
    };
    frame::printable(&text)
}

fn ended(picture: &Picture<'_>) -> Option<(String, Option<String>)> {
    let all = picture.targets().count();
    let ended: Vec<&str> = picture.targets().filter_map(|target| target.ended.as_deref()).collect();
    let short = Some("ENDED".to_owned());
    match ended.as_slice() {
        [] => None,
        ["ended"] if all == 1 => Some(("ENDED".to_owned(), None)),
        [why] if all == 1 => Some((frame::printable(&format!("ENDED: {why}")), short)),
        several if several.len() == all => Some(("ALL ENDED".to_owned(), None)),
        several => Some((format!("{} ENDED", Count(several.len() as u64)), None)),
    }
}

/// A share of the target's CPU time. It is predicted, by a third at worst: near all of it, more digits would say nothing, and
/// above all of it they would be wrong.
fn percent(ratio: f64) -> String {
    match ratio * 100.0 {
        percent if percent > 90.0 => ">90%".to_owned(),
        percent if percent > 0.0 && percent < 0.05 => "<0.1%".to_owned(),
        percent if percent < 9.95 => format!("{percent:.1}%"),
        percent => format!("{percent:.0}%"),
    }
}

fn loss(snapshot: &Snapshot, theme: Theme) -> Part {
    let quality = &snapshot.quality;
    let sum = |counts: &BTreeMap<String, u64>| {
        counts.values().fold(0, |sum: u64, &count| sum.saturating_add(count))
    };
    let (lost, failed) = (sum(&quality.lost), sum(&quality.attach_failures));
    let texts: Vec<String> = [(lost, "lost"), (failed, "not probed")]
        .into_iter()
        .filter(|&(count, _)| count > 0)
        .map(|(count, word)| format!("{} {word}", Count(count)))
        .collect();
    if texts.is_empty() {
        return Part { rank: 3, text: "loss 0".to_owned(), short: None, style: Style::new() };
    }
    let short = Some((6, format!("LOSSY {}", cells::short_count(lost.saturating_add(failed)))));
    Part { rank: 1, text: format!("LOSSY {}", texts.join(", ")), short, style: theme.bad() }
}

/// The screens; the number of the current one counts from 0.
pub(super) fn tabs(current: usize, filter: Option<&str>, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let places = tab_places(current, area);
    let used = places.last().map_or(area.x, |(place, _)| place.right());
    for (place, at) in places {
        let is_current = at == current;
        let text = tab_text(at, is_current, area);
        let style = if is_current { theme.selected() } else { Style::new() };
        cells::put(buffer, place, place.x, place.y, &text, style);
        if !is_current {
            let key = Rect { x: place.x + 1, width: 1, ..place };
            buffer.set_style(key.intersection(buffer.area), theme.accent());
        }
    }
    filtered(filter, used, theme, area, buffer);
}

/// One word where the screens would be.
pub(super) fn title(title: &str, filter: Option<&str>, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let used = cells::put(buffer, area, area.x, area.y, &format!(" {title} "), theme.selected());
    filtered(filter, used, theme, area, buffer);
}

fn filtered(filter: Option<&str>, used: u16, theme: Theme, area: Rect, buffer: &mut Buffer) {
    if let Some(filter) = filter {
        let room = area.right().saturating_sub(used + 1);
        let text = cells::cut(&format!("filter /{}/", frame::printable(filter)), usize::from(room));
        cells::put_right(buffer, area, area.y, &text, theme.accent());
    }
}

/// The screen whose tab is there.
pub(super) fn tab_at(column: u16, current: usize, area: Rect) -> Option<usize> {
    tab_places(current, area)
        .into_iter()
        .find(|(place, _)| place.contains((column, area.y).into()))
        .map(|(_, at)| at)
}

fn tab_text(at: usize, is_current: bool, area: Rect) -> String {
    if is_current || area.width >= 70 {
        format!(" {} {} ", at + 1, SCREENS[at])
    } else {
        format!(" {} ", at + 1)
    }
}

fn tab_places(current: usize, area: Rect) -> Vec<(Rect, usize)> {
    let mut x = area.x;
    (0..SCREENS.len())
        .map(|at| {
            let width = frame::columns(&tab_text(at, at == current, area)) as u16;
            let place = Rect { x, width, ..area };
            x += width;
            (place.intersection(area), at)
        })
        .collect()
}

/// The keys that matter most, as many as there is room for; help and quit always.
pub(super) fn hints(hints: &[Hint], theme: Theme, area: Rect, buffer: &mut Buffer) {
    let columns = |(key, what): &Hint| frame::columns(key) + frame::columns(what) + 3;
    let always = |(key, _): &&Hint| matches!(*key, "?" | "q");
    let mut room = usize::from(area.width).saturating_sub(hints.iter().filter(always).map(columns).sum());
    let mut x = area.x;
    for hint in hints {
        if !always(&hint) {
            let Some(left) = room.checked_sub(columns(hint)) else { continue };
            room = left;
        }
        let (key, what) = hint;
        x = cells::put(buffer, area, x, area.y, key, theme.accent());
        x = cells::put(buffer, area, x + 1, area.y, what, theme.faint()) + 2;
    }
}
