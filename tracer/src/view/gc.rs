//! What garbage collections did, in words. For every view.

use std::sync::Arc;

use crate::frame::Frame;
use crate::model::snapshot::{Gc, WorldStops};
use crate::units::{Bytes, Count};
use crate::view::frame::age;

/// `gc: 83 cycles (8.3/s), 2 forced · pauses 1.2ms in all, longest 84us · 4.1% of CPU · goal 120 MiB, live 61.0 MiB · GOGC
/// 100`, in its parts. What is not known is left out.
pub(crate) fn parts(gc: &Gc, cycles_per_second: Option<f64>) -> Vec<String> {
    let mut parts = vec![cycles(gc, cycles_per_second)];
    if gc.cycles > 0 {
        parts.push(pauses(gc));
    }
    if let Some(ratio) = gc.cpu_ratio {
        parts.push(format!("{:.1}% of CPU", ratio * 100.0));
    }
    parts.extend(gc.stops.as_ref().and_then(long_stops));
    let heap = [("goal", gc.heap_goal_bytes), ("live", gc.heap_live_bytes)];
    let heap = heap.into_iter().filter_map(|(name, bytes)| Some(format!("{name} {}", Bytes(bytes?))));
    let heap: Vec<String> = heap.collect();
    if !heap.is_empty() {
        parts.push(heap.join(", "));
    }
    match gc.gc_percent {
        Some(percent) if percent < 0 => parts.push("GOGC off".to_owned()),
        Some(percent) => parts.push(format!("GOGC {percent}")),
        None => {}
    }
    parts
}

/// Mean cycles per second of a time; `None` if it has none.
pub(crate) fn rate(gc: &Gc, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| gc.cycles as f64 / seconds)
}

fn cycles(gc: &Gc, per_second: Option<f64>) -> String {
    let name = if gc.cycles == 1 { "cycle" } else { "cycles" };
    let rate = per_second.filter(|_| gc.cycles > 0);
    let rate = rate.map_or_else(String::new, |rate| format!(" ({rate:.1}/s)"));
    let forced = match gc.forced_cycles {
        0 => String::new(),
        forced => format!(", {} forced", Count(forced)),
    };
    let last = match gc.last_cycle_age_seconds {
        Some(seconds) if gc.cycles == 0 => format!(", the last {} ago", age(seconds)),
        _ => String::new(),
    };
    format!("{} {name}{rate}{forced}{last}", Count(gc.cycles))
}

fn pauses(gc: &Gc) -> String {
    let mut text = format!("pauses {} in all", pause(gc.pause_seconds));
    if let Some(longest) = gc.longest_pause_seconds {
        text.push_str(&format!(", longest {}", pause(longest)));
    }
    if gc.pauses_missed > 0 {
        text.push_str(&format!(", {} not seen", Count(gc.pauses_missed)));
    }
    text
}

/// `3 stops of 5ms and more, the longest 48ms: GC mark termination, forced by main.handle`; nothing if there was none.
fn long_stops(stops: &WorldStops) -> Option<String> {
    let longest = stops.long.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds))?;
    let count = (stops.long.len() as u64).saturating_add(stops.long_dropped);
    let cause = longest.cause.as_ref().map_or_else(String::new, |cause| format!(" ({cause})"));
    // The runtime's own functions come first.
    let name = |frame: &Arc<Frame>| frame.function.clone().filter(|name| !name.starts_with("runtime"));
    let by = longest.frames.iter().find_map(name).map_or_else(String::new, |name| format!(" by {name}"));
    let noun = if count == 1 { "stop" } else { "stops" };
    Some(format!(
        "{} {noun} of {} or more, the longest {}: {}{cause}{by}",
        Count(count),
        pause(stops.threshold_seconds),
        pause(longest.seconds),
        longest.reason
    ))
}

/// A pause, to a tenth of a millisecond: `84us`, `2.5ms`, `30ms`.
pub(crate) fn pause(seconds: f64) -> String {
    // From 99.95 on, a tenth is no digit of three.
    if !(0.0009995..0.09995).contains(&seconds) {
        return age(seconds);
    }
    let text = format!("{:.1}", seconds * 1e3);
    format!("{}ms", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    #[test]
    fn collections_are_a_line() {
        let check = |gc: &Gc, seconds: f64, expect: &str| {
            assert_eq!(parts(gc, rate(gc, seconds)).join(" · "), expect);
        };
        let gc = sample::collections();
        check(
            &gc,
            10.0,
            "83 cycles (8.3/s), 2 forced · pauses 6.9ms in all, longest 1.2ms · 4.1% of CPU · goal 120 MiB, live 61.0 MiB \
             · GOGC 100",
        );
        check(
            &Gc { pauses_missed: 7, gc_percent: Some(-1), cpu_ratio: None, ..gc.clone() },
            0.0,
            "83 cycles, 2 forced · pauses 6.9ms in all, longest 1.2ms, 7 not seen · goal 120 MiB, live 61.0 MiB · GOGC off",
        );
        check(&Gc::default(), 10.0, "0 cycles");
        let idle = Gc { last_cycle_age_seconds: Some(75.0), heap_live_bytes: Some(4096), ..Gc::default() };
        check(&idle, 10.0, "0 cycles, the last 1m 15s ago · live 4.00 KiB");
    }

    #[test]
    fn pauses_have_their_digits() {
        let check = |seconds, expect: &str| assert_eq!(pause(seconds), expect);
        for (seconds, expect) in [
            (0.0, "0us"),
            (10e-6, "10us"),
            (500e-6, "500us"),
            (1e-3, "1ms"),
            (2.5e-3, "2.5ms"),
            (25e-3, "25ms"),
            (99.96e-3, "100ms"),
            (250e-3, "250ms"),
            (1.0, "1.0s"),
            (f64::NAN, "?"),
        ] {
            check(seconds, expect);
        }
    }
}
