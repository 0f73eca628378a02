//! What the tests of screens are made of: pictures, keys, and the text of what is drawn.

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use regex::Regex;

use super::names::Names;
use super::picture::{Baseline, Picture};
use super::screen::Screen;
use super::theme::Theme;
use crate::model::snapshot::{
    AllocatorTotals, CallSite, Dimension, Frame, FunctionTotals, HitCosts, LifetimeBucket, Mode, SizeBucket,
    Snapshot, Timeline, TimelinePoint,
};
use crate::view::sample;

/// All that a picture borrows.
pub(super) struct Shown {
    pub(super) snapshot: Snapshot,
    pub(super) baseline: Option<Baseline>,
    pub(super) names: Names,
    pub(super) pid: Option<u32>,
    pub(super) dimension: Dimension,
    pub(super) filter: Option<Regex>,
    pub(super) colour: bool,
}

impl Shown {
    pub(super) fn new(snapshot: Snapshot) -> Self {
        let mut names = Names::default();
        names.update(&snapshot.sites);
        let dimension = crate::view::known(snapshot.mode, Dimension::InuseSpace);
        Self { snapshot, baseline: None, names, pid: None, dimension, filter: None, colour: true }
    }

    /// Sites of their stacks, leaf first and blank between functions, with their in-use bytes.
    pub(super) fn of(sites: &[(&str, u64)]) -> Self {
        let mut snapshot = sample::sample();
        snapshot.sites = sites.iter().zip(1..).map(|(&(stack, bytes), id)| site(id, stack, bytes)).collect();
        Self::new(snapshot)
    }

    pub(super) fn filtered(mut self, filter: &str) -> Self {
        self.filter = Some(Regex::new(filter).expect("a pattern"));
        self
    }

    /// Since the same sites had these bytes.
    pub(super) fn since(mut self, bytes: &[u64]) -> Self {
        let mut before = self.snapshot.clone();
        for (site, &bytes) in before.sites.iter_mut().zip(bytes) {
            (site.inuse_bytes, site.inuse_objects) = (Some(bytes), Some(bytes / 10));
        }
        self.baseline = Some(Baseline::of(&before));
        self
    }

    pub(super) fn picture(&self) -> Picture<'_> {
        Picture {
            snapshot: &self.snapshot,
            baseline: self.baseline.as_ref(),
            names: &self.names,
            pid: self.pid,
            dimension: self.dimension,
            filter: self.filter.as_ref(),
            theme: Theme { colour: self.colour },
        }
    }
}

/// A site of a stack, leaf first, blank between functions; `[reason]` at the end says why it is cut.
pub(super) fn site(id: u32, stack: &str, bytes: u64) -> CallSite {
    let mut site = sample::sample().sites.remove(1);
    let (stack, reason) =
        stack.split_once(" [").map_or((stack, None), |(stack, reason)| (stack, Some(reason)));
    let model = Frame::clone(&site.frames[0]);
    let frame = |name: &str| Arc::new(Frame { function: Some(name.to_owned()), ..model.clone() });
    site.id = id;
    site.frames = stack.split_whitespace().map(frame).collect();
    site.truncated = reason.map(|reason| reason.trim_end_matches(']').to_owned());
    (site.inuse_bytes, site.inuse_objects) = (Some(bytes), Some(bytes / 10));
    (site.alloc_bytes, site.alloc_objects) = (bytes * 2, bytes / 5);
    site
}

/// What a screen draws, without colours.
pub(super) fn text(screen: &dyn Screen, shown: &Shown, width: u16, height: u16) -> String {
    let buffer = draw(screen, shown, width, height);
    let lines = buffer.content.chunks(usize::from(width).max(1)).map(|cells| {
        let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Presses keys.
pub(super) fn press(screen: &mut dyn Screen, shown: &Shown, keys: &[super::action::Action]) {
    for &key in keys {
        screen.act(key, &shown.picture(), Rect::new(0, 0, 80, 24));
    }
}

/// Draws it.
pub(super) fn draw(screen: &dyn Screen, shown: &Shown, width: u16, height: u16) -> Buffer {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    screen.draw(&shown.picture(), area, &mut buffer);
    buffer
}

/// Check that a screen draws itself at every size, also where less is offered than asked for, and that keys do no harm.
pub(super) fn fits_everywhere(make: &dyn Fn() -> Box<dyn Screen>) {
    use super::action::Action::{
        Back, Bottom, Click, Down, Left, NextMatch, Open, PageDown, PageUp, PreviousMatch, Right, ScrollDown,
        Top, Turn, Up,
    };
    let snapshots = [
        rich(),
        sample::sample(),
        sample::two_targets(),
        sample::alloc_mode(),
        sample::sampled(),
        sample::cgo(),
        sample::empty(),
    ];
    let keys = [
        Down,
        Right,
        Right,
        Open,
        NextMatch,
        Down,
        Left,
        PreviousMatch,
        Bottom,
        ScrollDown,
        Turn,
        PageDown,
        Open,
        Up,
        Click { column: 12, row: 3 },
        Click { column: 12, row: 3 },
        Back,
        Left,
        PageUp,
        Top,
    ];
    for snapshot in snapshots {
        let shown = Shown::new(snapshot).filtered("e");
        for (width, height) in [(1, 1), (2, 3), (5, 40), (10, 2), (20, 6), (40, 12), (80, 21), (200, 60)] {
            let mut screen = make();
            let area = Rect::new(0, 0, width, height);
            draw(&*screen, &shown, width, height);
            for key in keys {
                screen.act(key, &shown.picture(), area);
                draw(&*screen, &shown, width, height);
            }
            let mut small = Buffer::empty(Rect::new(0, 0, width.div_ceil(2), height.div_ceil(2)));
            screen.draw(&shown.picture(), area, &mut small);
        }
    }
}

/// A server that leaks, with everything that the live view can know of a process.
pub(super) fn rich() -> Snapshot {
    const SITES: [(&str, u64); 12] = [
        (
            "std::string::_M_create Cache::insert Session::store handle_request worker_loop start_thread clone3",
            9_400_000,
        ),
        (
            "Cache::grow Cache::insert Session::store handle_request worker_loop start_thread clone3",
            2_100_000,
        ),
        ("json::parse json::parse json::parse handle_request worker_loop start_thread clone3", 1_600_000),
        ("json::parse json::parse handle_request worker_loop start_thread clone3", 300_000),
        ("Buffer::reserve read_body handle_request worker_loop start_thread clone3", 820_000),
        ("Logger::format Logger::write handle_request worker_loop start_thread clone3", 96_000),
        ("tls_new_session accept_loop start_thread clone3", 540_000),
        ("std::vector<Route>::push_back Router::load main __libc_start_call_main _start", 410_000),
        ("Config::parse main __libc_start_call_main _start", 61_440),
        ("compress_block [no_frame_pointer]", 730_000),
        ("metrics_flush timer_thread start_thread clone3", 4_096),
        ("g_strdup setup_locale main __libc_start_call_main _start", 640),
    ];
    let mut snapshot = Shown::of(&SITES).snapshot;
    snapshot.attached_seconds = 600.0;
    snapshot.duration_seconds = 601.0;
    snapshot.overhead.hit_costs = Some(HitCosts {
        entry_ns: 480.0,
        return_ns: 620.0,
        free_ns: 510.0,
        sample_ns: 2_900.0,
        sample_free_ns: 340.0,
    });
    let total: u64 = snapshot.sites.iter().filter_map(|site| site.inuse_bytes).sum();
    let target = &mut snapshot.targets[0];
    target.labels.insert("service".to_owned(), "checkout".to_owned());
    (target.resident_bytes, target.cpu_seconds) = (48 << 20, 312.4);
    let totals = &mut target.totals;
    (totals.inuse_bytes, totals.inuse_objects) = (Some(total), Some(total / 10));
    (totals.alloc_bytes, totals.alloc_objects) = (9_663_676_416, 61_200_000);
    (totals.free_bytes, totals.free_objects) = (Some(9_663_676_416 - total), Some(61_200_000 - total / 10));
    totals.by_function = [
        ("malloc", 58_100_000, 8_900_000_000, 3),
        ("calloc", 2_000_000, 600_000_000, 0),
        ("realloc", 1_100_000, 163_676_416, 0),
        ("free", 59_594_000, 0, 0),
    ]
    .map(|(name, calls, bytes, failed)| {
        (name.to_owned(), FunctionTotals { calls, bytes, failed: Some(failed) })
    })
    .into();
    let sizes = [120, 8_200, 21_000, 14_400, 6_300, 2_100, 900, 350, 120, 40, 12, 3, 0, 1];
    let bucket = |(at, &count): (usize, &u64)| SizeBucket { le: Some(16 << at), count: count * 1000 };
    totals.size_histogram = sizes.iter().enumerate().map(bucket).collect();
    totals.size_histogram.push(SizeBucket { le: None, count: 0 });
    let lifetimes = [0, 400, 5_200, 19_000, 16_000, 7_100, 3_300, 1_200, 650, 220, 90, 41, 30, 18, 7, 2];
    let bucket = |(at, &count): (usize, &u64)| LifetimeBucket {
        le_seconds: Some(f64::from(1_u32 << (2 * at)) * 1.024e-6),
        count: count * 1000,
    };
    totals.lifetime_histogram = Some(lifetimes.iter().enumerate().map(bucket).collect());
    target.allocators[0].totals = Some(AllocatorTotals {
        alloc_objects: totals.alloc_objects,
        alloc_bytes: totals.alloc_bytes,
        free_objects: totals.free_objects,
        free_bytes: totals.free_bytes,
        by_function: totals.by_function.clone(),
    });
    target.timeline =
        Some(Timeline { step_seconds: 5.0, points: (0..=120).map(|at| point(at, total)).collect() });
    snapshot
}

/// Grows with a wave, as a cache does that leaks.
fn point(at: u32, total: u64) -> TimelinePoint {
    let along = f64::from(at) / 120.0;
    let wave = (f64::from(at) / 6.0).sin();
    let inuse = (total as f64 * (along * 0.9 + 0.05 * wave + 0.1).clamp(0.0, 1.0)) as u64;
    TimelinePoint {
        seconds: f64::from(at) * 5.0,
        alloc_bytes_per_second: 16_000_000.0 * (1.0 + 0.4 * wave),
        alloc_objects_per_second: 102_000.0 * (1.0 + 0.4 * wave),
        free_objects_per_second: Some(99_000.0 * (1.0 + 0.4 * wave)),
        inuse_bytes: Some(inuse),
        inuse_objects: Some(inuse / 10),
        resident_bytes: (34 << 20) + inuse * 9 / 10,
    }
}

/// [`rich`] in mode `alloc`.
pub(super) fn rich_alloc() -> Snapshot {
    let mut snapshot = rich();
    snapshot.mode = Mode::Alloc;
    for site in &mut snapshot.sites {
        (site.free_objects, site.inuse_objects, site.inuse_bytes) = (None, None, None);
    }
    let target = &mut snapshot.targets[0];
    let totals = &mut target.totals;
    (totals.free_objects, totals.free_bytes, totals.inuse_objects, totals.inuse_bytes) =
        (None, None, None, None);
    totals.lifetime_histogram = None;
    for point in target.timeline.iter_mut().flat_map(|timeline| &mut timeline.points) {
        (point.free_objects_per_second, point.inuse_bytes, point.inuse_objects) = (None, None, None);
    }
    snapshot
}
