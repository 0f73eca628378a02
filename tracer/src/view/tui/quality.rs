//! Screen 6: how good the numbers are, and what they cost.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::action::Action;
use super::marks::{self, put};
use super::picture::Picture;
use super::screen::{Hint, Screen};
use super::scroll::Scroll;
use crate::model::node::RuntimeHeap;
use crate::model::snapshot::{Allocator, HitCosts, Snapshot, Target};
use crate::units::Count;
use crate::view::frame;
use crate::view::text::{Ink, wrap};
use crate::view::{gc, quality, runtime};

/// What the user has chosen.
#[derive(Debug, Default)]
pub(super) struct QualityScreen {
    scroll: Scroll,
}

/// A line of two columns.
struct Line {
    label: String,
    text: String,
    ink: Option<Ink>,
}

/// Columns of the labels.
const LABEL_COLUMNS: u16 = 15;
/// A line that is longer is hard to read.
const TEXT_COLUMNS_MAX: u16 = 120;

impl Screen for QualityScreen {
    fn act(&mut self, action: Action, picture: &Picture<'_>, area: Rect) -> bool {
        self.scroll.act(action, lines(picture, area.width).len(), usize::from(area.height))
    }

    fn draw(&self, picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
        let lines = lines(picture, area.width);
        let height = usize::from(area.height);
        let first = self.scroll.first(lines.len(), height);
        let label = label_columns(area.width);
        for (row, line) in (0..area.height).zip(lines.iter().skip(first)) {
            let style = marks::ink(line.ink, picture);
            let label_style =
                if line.text.is_empty() { picture.theme.strong() } else { picture.theme.faint() };
            put(buffer, area, 1, row, &line.label, label_style);
            put(buffer, area, label, row, &line.text, style);
        }
        self.scroll.draw(lines.len(), picture, area, buffer);
    }

    fn hints(&self) -> &'static [Hint] {
        &[("↑↓", "scroll"), ("Tab", "next screen"), ("w", "write"), ("?", "help"), ("q", "quit")]
    }
}

const fn label_columns(width: u16) -> u16 {
    if width < 40 { 1 } else { LABEL_COLUMNS + 1 }
}

fn lines(picture: &Picture<'_>, width: u16) -> Vec<Line> {
    let label = label_columns(width);
    let room = usize::from(width.saturating_sub(label + 1).clamp(1, TEXT_COLUMNS_MAX));
    let narrow = label == 1;
    let mut lines: Vec<Line> = Vec::new();
    let mut add = |label: &str, text: &str, ink: Option<Ink>| {
        if text.is_empty() || narrow {
            lines.push(Line { label: label.to_owned(), text: String::new(), ink });
        }
        if text.is_empty() {
            return;
        }
        for (at, text) in wrap(text, room).into_iter().enumerate() {
            let label = if at == 0 && !narrow { label.to_owned() } else { String::new() };
            lines.push(Line { label, text, ink });
        }
    };
    for (at, fact) in quality::facts(picture.snapshot).into_iter().enumerate() {
        let share = share(&fact, picture.snapshot);
        add(fact.label, &format!("{}{share}", fact.text), fact.ink);
        if at == 0 {
            add("", "", None);
        }
    }
    let costs = picture.snapshot.overhead.hit_costs.as_ref();
    if let Some(costs) = costs.filter(|_| runtime::has_probes(picture.snapshot)) {
        add("", "", None);
        add("COST", "", None);
        for (label, text) in costs_in_words(costs, picture.is_live()) {
            add(label, &text, None);
        }
    }
    for target in picture.targets() {
        add("", "", None);
        add(&title(target), "", None);
        if target.allocators.is_empty() {
            add("", "no allocator is known", Some(Ink::Warning));
        }
        for allocator in &target.allocators {
            probes(allocator, picture.is_live(), &mut add);
        }
        if let Some(collections) = &target.gc {
            let rate = gc::rate(collections, target.seconds_of(picture.snapshot.attached_seconds));
            add("gc", &gc::parts(collections, rate).join(" · "), None);
        }
    }
    lines
}

fn title(target: &Target) -> String {
    let ended = target.ended.as_ref().map_or_else(String::new, |ended| format!(", ended: {ended}"));
    frame::printable(&format!("PROBES of {} (pid {}){ended}", target.comm, target.pid))
}

/// Of cut stacks, which part of all they are.
fn share(fact: &quality::Fact, snapshot: &Snapshot) -> String {
    match fact.count.filter(|_| fact.label == "cut short") {
        Some(count) => format!(" ({} of all stacks)", marks::percent(count, snapshot.quality.sampled)),
        None => String::new(),
    }
}

fn costs_in_words(costs: &HitCosts, is_live: bool) -> Vec<(&'static str, String)> {
    let line = |label, ns: f64, words: &str| {
        let ns = ns.round() as u64;
        let amount = if ns > 0 { format!("{} ns", Count(ns)) } else { "-".to_owned() };
        let unknown = if ns > 0 { "" } else { " (lost in the noise of the measurement)" };
        (label, format!("{amount:<9} {words}{unknown}"))
    };
    let mut lines = vec![line("allocation", costs.entry_ns, "the entry of an allocating function")];
    if is_live {
        lines.push(line("return", costs.return_ns, "its return"));
        lines.push(line("free", costs.free_ns, "a free of a block that is not followed"));
    }
    lines.push(line("sample", costs.sample_ns, "more for a stack of 16 frames that is walked"));
    if is_live {
        lines.push(line(
            "sampled free",
            costs.sample_free_ns,
            "more for the end of a block that is followed",
        ));
    }
    lines
}

fn probes(allocator: &Allocator, is_live: bool, add: &mut dyn FnMut(&str, &str, Option<Ink>)) {
    if let Some(heap) = RuntimeHeap::of(allocator) {
        add("allocator", &frame::printable(&runtime::line(&heap)), Some(Ink::Strong));
        return;
    }
    let version = allocator.version.as_deref().map_or_else(String::new, |version| format!(" {version}"));
    let object = format!("{}{version} in {}", allocator.name, allocator.object);
    add("allocator", &frame::printable(&object), Some(Ink::Strong));
    for probe in &allocator.probes {
        let returns = match probe.returns.as_str() {
            "uretprobe" => ", return probe",
            "ret_sites" => ", probes on its ret instructions",
            _ => "",
        };
        let cost = if probe.emulated { "" } else { ", single-stepped (slower)" };
        let note = probe.note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
        let is_slow = !probe.emulated && is_live;
        let text = format!("{}, {}{returns}{cost}{note}", probe.function, probe.attach);
        add("", &frame::printable(&text), is_slow.then_some(Ink::Warning));
    }
}

#[cfg(test)]
mod tests;
