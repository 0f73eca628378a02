//! Histograms: a bar per bucket.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::sum::Sum;
use crate::units::{Bytes, Count};
use crate::view::tui::marks::{self, put};
use crate::view::tui::picture::Picture;
use crate::view::{frame, gc};

/// What falls between the bound before and this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    label: String,
    count: u64,
}

/// More than these are told apart by nobody: neighbours are one bar.
const BARS_MAX: usize = 16;

/// Beyond these a number stands too far from its label.
const BAR_COLUMNS_MAX: usize = 50;

/// Of allocations; from the first bucket that has any to the last.
pub(super) fn sizes(sum: &Sum<'_>) -> Vec<Bar> {
    let bounds = sum.totals.size_histogram.iter().map(|bucket| (bucket.le.map(size), bucket.count));
    bars(bounds.collect())
}

/// Of freed blocks.
pub(super) fn lifetimes(sum: &Sum<'_>) -> Vec<Bar> {
    let buckets = sum.totals.lifetime_histogram.iter().flatten();
    bars(buckets.map(|bucket| (bucket.le_seconds.map(frame::age), bucket.count)).collect())
}

/// Of garbage collections.
pub(super) fn pauses(sum: &Sum<'_>) -> Vec<Bar> {
    let buckets = sum.gc.iter().flat_map(|gc| &gc.pause_histogram);
    bars(buckets.map(|bucket| (bucket.le_seconds.map(gc::pause), bucket.count)).collect())
}

/// Powers of two without a fraction.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (bytes.trailing_zeros() / 10) as usize;
    match UNITS.get(unit) {
        Some(name) if bytes >> (10 * unit) < 1024 => format!("{} {name}", bytes >> (10 * unit)),
        _ => Bytes(bytes).to_string(),
    }
}

fn bars(buckets: Vec<(Option<String>, u64)>) -> Vec<Bar> {
    let has_any = |(_, count): &(Option<String>, u64)| *count > 0;
    let (Some(first), Some(last)) = (buckets.iter().position(has_any), buckets.iter().rposition(has_any))
    else {
        return Vec::new();
    };
    let mut merged = 1;
    while (last - first + 1).div_ceil(merged) > BARS_MAX {
        merged *= 2;
    }
    let mut before = first.checked_sub(1).and_then(|before| buckets[before].0.clone());
    let mut bars = Vec::new();
    for chunk in buckets[first..=last].chunks(merged) {
        let label = match (chunk.last().and_then(|(bound, _)| bound.as_ref()), &before) {
            (Some(bound), _) => format!("≤ {bound}"),
            (None, Some(before)) => format!("> {before}"),
            (None, None) => "any".to_owned(),
        };
        before = chunk.last().and_then(|(bound, _)| bound.clone());
        bars.push(Bar { label, count: chunk.iter().map(|(_, count)| count).sum() });
    }
    bars
}

/// Into lines.
pub(super) fn draw(bars: &[Bar], picture: &Picture<'_>, area: Rect, buffer: &mut Buffer) {
    let widest =
        |text: fn(&Bar) -> String| bars.iter().map(|bar| frame::columns(&text(bar))).max().unwrap_or(0);
    let (labels, counts) = (widest(|bar| bar.label.clone()), widest(|bar| Count(bar.count).to_string()));
    let all: u64 = bars.iter().map(|bar| bar.count).sum();
    let most = bars.iter().map(|bar| bar.count).max().unwrap_or(0);
    let room = usize::from(area.width).saturating_sub(labels + counts + 9).min(BAR_COLUMNS_MAX);
    for (row, bar) in (0..area.height).zip(bars) {
        put(buffer, area, 0, row, &format!("{:>labels$}", bar.label), picture.theme.faint());
        let text = marks::bar(marks::share(bar.count, most), room);
        put(buffer, area, labels as u16 + 1, row, &format!("{text:room$}"), picture.theme.accent());
        let numbers =
            format!("{:>counts$} {:>6}", Count(bar.count).to_string(), marks::percent(bar.count, all));
        put(buffer, area, (labels + room) as u16 + 2, row, &numbers, Style::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_without_anything_at_both_ends_are_left_away() {
        let check = |counts: &[u64], expect: &[(&str, u64)]| {
            let last = counts.len() - 1;
            let buckets = counts
                .iter()
                .enumerate()
                .map(|(at, &count)| ((at < last).then(|| size(16 << at)), count))
                .collect();
            let expect: Vec<Bar> =
                expect.iter().map(|&(label, count)| Bar { label: label.to_owned(), count }).collect();
            assert_eq!(bars(buckets), expect);
        };
        check(&[0, 0], &[]);
        check(&[0, 3, 0, 4, 0], &[("≤ 32 B", 3), ("≤ 64 B", 0), ("≤ 128 B", 4)]);
        check(&[0, 3, 4], &[("≤ 32 B", 3), ("> 32 B", 4)]);
        check(&[7], &[("any", 7)]);
    }

    #[test]
    fn many_buckets_are_merged_and_lose_nothing() {
        let buckets = (0..40).map(|at| (Some(at.to_string()), 1)).collect();
        let bars = bars(buckets);
        assert_eq!((bars.len(), bars.iter().map(|bar| bar.count).sum::<u64>()), (10, 40));
        assert_eq!(bars[0].label, "≤ 3");
    }

    #[test]
    fn bounds_of_sizes_are_short() {
        let check = |bytes, expect: &str| assert_eq!(size(bytes), expect);
        for (bytes, expect) in [
            (16, "16 B"),
            (1024, "1 KiB"),
            (1 << 19, "512 KiB"),
            (1 << 34, "16 GiB"),
            (1000, "1000 B"),
            (0, "0 B"),
        ] {
            check(bytes, expect);
        }
    }
}
