//! A row of numbers as a row of blocks.

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The least difference between lowest and highest block, as a share of the highest number: less is flat, so that
/// small changes of a large number do not look like large ones.
const SPAN_MIN: f64 = 0.1;

/// The same as an amount in bytes: a block that is in use at one look and not at the next is no news.
pub(super) const BYTES_MIN: u64 = 4096;

/// Of a level: what is flat but for noise lies within one block, not between two.
const BIAS: f64 = 0.2;

/// The newest number is the last character; where there are more numbers than columns, each column is a mean.
///
/// A difference of less than `least` is flat.
pub(super) fn line(numbers: &[u64], width: usize, least: u64) -> String {
    let levels = levels(numbers, width, BLOCKS.len(), least);
    let text: String = levels.iter().map(|&level| BLOCKS[level]).collect();
    format!("{text:>width$}")
}

/// The same, `height` lines high, the top first.
pub(super) fn lines(numbers: &[u64], width: usize, height: usize) -> Vec<String> {
    let levels = levels(numbers, width, BLOCKS.len() * height, 0);
    let at = |line: usize| {
        let below = (height - 1 - line) * BLOCKS.len();
        let block = |&level: &usize| match level.checked_sub(below) {
            None => ' ',
            Some(level) => BLOCKS[level.min(BLOCKS.len() - 1)],
        };
        let text: String = levels.iter().map(block).collect();
        format!("{text:>width$}")
    };
    (0..height).map(at).collect()
}

/// Of each column, below `count`.
fn levels(numbers: &[u64], width: usize, count: usize, least: u64) -> Vec<usize> {
    let per_column = numbers.len().div_ceil(width.max(1)).max(1);
    // Full columns at the end, where the eye is.
    let first = numbers.len() % per_column;
    let (head, rest) = numbers.split_at(first);
    let head = if head.is_empty() { None } else { Some(head) };
    let means: Vec<f64> = head
        .into_iter()
        .chain(rest.chunks(per_column))
        .map(|chunk| chunk.iter().map(|&number| number as f64).sum::<f64>() / chunk.len() as f64)
        .collect();
    let highest = means.iter().fold(0.0, |highest: f64, &mean| highest.max(mean));
    let lowest = means.iter().fold(highest, |lowest: f64, &mean| lowest.min(mean));
    let is_flat = highest - lowest < least as f64;
    let span = (highest - lowest).max(highest * SPAN_MIN);
    let bottom = (f64::midpoint(highest, lowest) - span / 2.0).max(0.0);
    let top = count.saturating_sub(1);
    let share = |mean: &f64| match span > 0.0 {
        _ if is_flat && lowest <= 0.0 => 0.0,
        _ if is_flat => 0.5,
        true => (mean - bottom) / span,
        false => 0.0,
    };
    let level = |mean: &f64| (share(mean) * top as f64 - BIAS).round() as usize;
    means.iter().map(|mean| level(mean).min(top)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_seen_and_noise_is_flat() {
        let check =
            |numbers: &[u64], width, expect: &str| assert_eq!(line(numbers, width, 0), expect, "{numbers:?}");
        for (numbers, width, expect) in [
            (&[][..], 4, "    "),
            (&[0, 0, 0], 4, " ▁▁▁"),
            (&[7, 7, 7], 3, "▄▄▄"),
            (&[0, 1, 2, 3, 4, 5, 6, 7], 8, "▁▂▃▄▅▆▇█"),
            (&[1000, 1001, 1000, 1002], 4, "▄▄▄▄"),
            (&[0, 0, 8, 8, 0, 0], 3, "▁█▁"),
            (&[8, 0, 0, 8, 8], 3, "█▁█"),
            (&[u64::MAX, 0], 2, "█▁"),
        ] {
            check(numbers, width, expect);
        }
        assert_eq!(line(&[0, 64, 0, 256], 4, BYTES_MIN), "▁▁▁▁");
        assert_eq!(line(&[8000, 8064, 9000], 3, BYTES_MIN), "▄▄▄");
        assert_eq!(line(&[0, 4096, 8192], 3, BYTES_MIN), "▁▄█");
        assert_eq!(lines(&[0, 8, 15], 3, 2), [" ▁█", "▁██"]);
    }
}
