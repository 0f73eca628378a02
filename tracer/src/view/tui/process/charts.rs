//! How it went over time.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::symbols::Marker;
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Widget};

use super::sum::Sum;
use crate::model::snapshot::TimelinePoint;
use crate::units::{Bytes, BytesChange, Count};
use crate::view::frame;
use crate::view::tui::picture::Picture;

/// A resident set this many times as large would press the other line to the ground.
const RESIDENT_TIMES_MAX: u64 = 4;

/// A line of a chart.
struct Curve {
    marker: Marker,
    style: Style,
    points: Vec<(f64, f64)>,
}

/// Whether the resident set is drawn as what it has grown by: blocks are counted since the attach, too.
fn by_growth(sum: &Sum<'_>) -> bool {
    let most = |value: fn(&TimelinePoint) -> u64| sum.points.iter().map(value).max().unwrap_or(0);
    most(|point| point.resident_bytes) > RESIDENT_TIMES_MAX * most(|point| point.inuse_bytes.unwrap_or(0))
}

/// What the lines of [`memory`] are.
pub(super) fn memory_legend(sum: &Sum<'_>) -> String {
    let (Some(first), Some(last)) = (sum.points.first(), sum.points.last()) else {
        return "IN USE".to_owned();
    };
    let inuse = Bytes(last.inuse_bytes.unwrap_or(0));
    if by_growth(sum) {
        let growth = last.resident_bytes as i64 - first.resident_bytes as i64;
        format!("⠒ IN USE {inuse}  • RSS GROWTH {}", BytesChange(growth))
    } else {
        format!("⠒ IN USE {inuse}  • RSS {}", Bytes(last.resident_bytes))
    }
}

/// How fast at last.
pub(super) fn rate_legend(sum: &Sum<'_>) -> String {
    sum.points.last().map_or_else(
        || "ALLOCATED".to_owned(),
        |last| {
            let (bytes, objects) = (last.alloc_bytes_per_second, last.alloc_objects_per_second);
            format!("ALLOCATED {}/s, {}/s", Bytes(bytes as u64), Count(objects as u64))
        },
    )
}

/// In use, and the resident set beside it.
pub(super) fn memory(sum: &Sum<'_>, picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
    let floor = if by_growth(sum) { sum.points.first().map_or(0, |first| first.resident_bytes) } else { 0 };
    let resident = |point: &TimelinePoint| (point.seconds, point.resident_bytes as f64 - floor as f64);
    let inuse = |point: &TimelinePoint| point.inuse_bytes.map(|bytes| (point.seconds, bytes as f64));
    let curves = [
        Curve {
            marker: Marker::Dot,
            style: picture.theme.faint(),
            points: sum.points.iter().map(resident).collect(),
        },
        Curve {
            marker: Marker::Braille,
            style: picture.theme.accent(),
            points: sum.points.iter().filter_map(inuse).collect(),
        },
    ];
    draw(&curves, "", picture, area, buffer);
}

/// Allocated bytes per second.
pub(super) fn rate(sum: &Sum<'_>, picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
    // The first look has nothing before it.
    let skip = usize::from(sum.points.len() > 1);
    let points = sum.points.iter().skip(skip).map(|point| (point.seconds, point.alloc_bytes_per_second));
    let curve = Curve { marker: Marker::Braille, style: picture.theme.accent(), points: points.collect() };
    draw(&[curve], "/s", picture, area, buffer);
}

fn draw(curves: &[Curve], unit: &str, picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(*buffer.area());
    if area.width < 16 || area.height < 4 {
        return;
    }
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let most = points().map(|point| point.1).fold(0.0, f64::max).max(1.0);
    let least = points().map(|point| point.1).fold(0.0, f64::min);
    let (start, end) =
        points().fold((f64::MAX, 0.0_f64), |(start, end), point| (start.min(point.0), end.max(point.0)));
    let start = start.min(end);
    let label = |value: f64| {
        let sign = if value < 0.0 { "-" } else { "" };
        // As wide as the widest, so that the axis stays where it is.
        format!("{:>width$}", format!("{sign}{}{unit}", Bytes(value.abs() as u64)), width = 8 + unit.len())
    };
    let top = most + (most - least) * 0.05;
    let faint = picture.theme.faint();
    let datasets = curves.iter().map(|curve| {
        Dataset::default()
            .marker(curve.marker)
            .graph_type(GraphType::Line)
            .style(curve.style)
            .data(&curve.points)
    });
    Chart::new(datasets.collect())
        .legend_position(None)
        .x_axis(
            Axis::default()
                .bounds([start, end.max(start + 1.0)])
                .labels([time(start), time(start + (end - start) / 2.0), time(end)])
                .style(faint),
        )
        .y_axis(
            Axis::default()
                .bounds([least, top])
                .labels([label(least), label(least + (top - least) / 2.0), label(top)])
                .style(faint),
        )
        .render(area, buffer);
}

fn time(seconds: f64) -> String {
    if seconds < 0.1 { "0s".to_owned() } else { frame::age(seconds) }
}
