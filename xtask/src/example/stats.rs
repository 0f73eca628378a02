//! What Go itself counts, as the service tells: readings, and what lies between two moments.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// One answer of `/stats`. Counters are sums since the service began.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reading {
    /// Since 1970.
    pub(super) at_ns: i64,
    pub(super) processors: u64,
    pub(super) requests: u64,
    /// With those that share a tiny block, which `/gc/heap/allocs:objects` leaves out.
    pub(super) alloc_objects: u64,
    pub(super) alloc_bytes: u64,
    pub(super) gc_cycles: u64,
    /// `None` before Go 1.20.
    pub(super) gc_cpu_seconds: Option<f64>,
    /// Cycle, length, end since 1970.
    pauses: Vec<(u64, u64, i64)>,
    pauses_overwritten: u64,
}

impl Reading {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).context("/stats is no JSON")?;
        let whole = |of: &Value, name: &str| {
            of[name].as_u64().with_context(|| format!("/stats has no number {name}"))
        };
        let time =
            |of: &Value, name: &str| of[name].as_i64().with_context(|| format!("/stats has no time {name}"));
        let mut pauses = Vec::new();
        for pause in value["pauses"].as_array().context("/stats has no pauses")? {
            pauses.push((whole(pause, "cycle")?, whole(pause, "ns")?, time(pause, "end_unix_ns")?));
        }
        Ok(Self {
            at_ns: time(&value, "at_unix_ns")?,
            processors: whole(&value, "processors")?,
            requests: whole(&value, "requests")?,
            alloc_objects: whole(&value, "alloc_objects")?,
            alloc_bytes: whole(&value, "alloc_bytes")?,
            gc_cycles: whole(&value, "gc_cycles")?,
            gc_cpu_seconds: value["gc_cpu_seconds"].as_f64(),
            pauses_overwritten: whole(&value, "pauses_overwritten")?,
            pauses,
        })
    }
}

/// Readings, the first one first.
#[derive(Debug)]
pub(super) struct Series {
    readings: Vec<Reading>,
    pauses: BTreeMap<u64, (u64, i64)>,
}

/// What Go counted between two moments. Fractions, because a moment lies between two readings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) seconds: f64,
    pub(super) requests: f64,
    pub(super) alloc_objects: f64,
    pub(super) alloc_bytes: f64,
    /// Cycles that have ended.
    pub(super) gc_cycles: u64,
    pub(super) pause_seconds: f64,
    /// `None` without a cycle.
    pub(super) longest_pause_seconds: Option<f64>,
    /// Share of what its processors could do; `None` before Go 1.20.
    pub(super) gc_cpu_ratio: Option<f64>,
}

impl Series {
    pub(super) fn new(readings: Vec<Reading>) -> Self {
        let pauses = readings.iter().flat_map(|reading| &reading.pauses);
        let pauses = pauses.map(|&(cycle, ns, end_ns)| (cycle, (ns, end_ns))).collect();
        Self { readings, pauses }
    }

    /// What lies between two moments; between two readings, which are a tenth of a second apart, all grows evenly.
    pub(super) fn window(&self, from_ns: i64, to_ns: i64) -> Result<Window> {
        if from_ns >= to_ns {
            bail!("a window that ends before it begins");
        }
        let grown =
            |number: &dyn Fn(&Reading) -> f64| Some(self.at(to_ns, number)? - self.at(from_ns, number)?);
        let counted = |number: &dyn Fn(&Reading) -> f64| {
            grown(number).context("the service was not read before and after the window: was it too slow?")
        };
        let inside = |end_ns: i64| (from_ns..to_ns).contains(&end_ns);
        if self.readings.iter().any(|reading| inside(reading.at_ns) && reading.pauses_overwritten > 0) {
            bail!(
                "more than 256 collections between two readings: their pauses are unknown; take a lower --rate"
            );
        }
        let pauses: Vec<u64> =
            self.pauses.values().filter(|(_, end_ns)| inside(*end_ns)).map(|&(ns, _)| ns).collect();
        let seconds = (to_ns - from_ns) as f64 / 1e9;
        let processors = self.readings.last().map_or(0, |reading| reading.processors) as f64;
        let has_cpu = self.readings.iter().all(|reading| reading.gc_cpu_seconds.is_some());
        let cpu = has_cpu.then(|| grown(&|reading| reading.gc_cpu_seconds.unwrap_or_default())).flatten();
        Ok(Window {
            seconds,
            requests: counted(&|reading| reading.requests as f64)?,
            alloc_objects: counted(&|reading| reading.alloc_objects as f64)?,
            alloc_bytes: counted(&|reading| reading.alloc_bytes as f64)?,
            gc_cycles: pauses.len() as u64,
            pause_seconds: pauses.iter().sum::<u64>() as f64 / 1e9,
            longest_pause_seconds: pauses.iter().max().map(|&ns| ns as f64 / 1e9),
            gc_cpu_ratio: cpu.map(|cpu| cpu / seconds / processors),
        })
    }

    /// A counter at a moment, on the line between the readings before and after it.
    fn at(&self, at_ns: i64, number: &dyn Fn(&Reading) -> f64) -> Option<f64> {
        let next = self.readings.partition_point(|reading| reading.at_ns < at_ns);
        let after = self.readings.get(next)?;
        if after.at_ns == at_ns {
            return Some(number(after));
        }
        let before = self.readings.get(next.checked_sub(1)?)?;
        let share = (at_ns - before.at_ns) as f64 / (after.at_ns - before.at_ns) as f64;
        Some(number(before) + share * (number(after) - number(before)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"{"at_unix_ns":1795419329194491645,"go":"go1.19.8","processors":2,"requests":86496,
        "alloc_objects":10330565,"alloc_bytes":640996304,"free_objects":10183985,"free_bytes":631995080,"gc_cycles":93,
        "gc_pause_total_ns":37849520,"gc_cpu_seconds":null,
        "pauses":[{"cycle":93,"ns":60250,"end_unix_ns":1795419328954597913}],
        "memstats":null,"mem_profile_rate":524288,"pauses_overwritten":0}"#;

    #[test]
    fn a_page_of_the_service_is_read() {
        let reading = Reading::parse(PAGE).unwrap();
        assert_eq!((reading.requests, reading.gc_cycles, reading.gc_cpu_seconds), (86_496, 93, None));
        assert_eq!(reading.pauses, [(93, 60_250, 1_795_419_328_954_597_913)]);
        let newer = PAGE.replace("\"gc_cpu_seconds\":null", "\"gc_cpu_seconds\":1.5");
        assert_eq!(Reading::parse(&newer).unwrap().gc_cpu_seconds, Some(1.5));
    }

    #[test]
    fn a_number_that_is_missing_is_not_taken_for_nothing() {
        for (with, without) in
            [("\"alloc_bytes\":640996304", "\"alloc_bytes\":null"), ("\"requests\"", "\"r\"")]
        {
            assert!(Reading::parse(&PAGE.replace(with, without)).is_err(), "{without}");
        }
        assert!(Reading::parse("").is_err());
    }

    fn reading(at_ns: i64, count: u64, pauses: &[(u64, u64, i64)]) -> Reading {
        Reading {
            at_ns,
            processors: 2,
            requests: count,
            alloc_objects: 10 * count,
            alloc_bytes: 100 * count,
            gc_cycles: count,
            gc_cpu_seconds: Some(count as f64 / 1e9),
            pauses: pauses.to_vec(),
            pauses_overwritten: 0,
        }
    }

    #[test]
    fn a_window_lies_between_readings_and_knows_the_cycles_that_ended_in_it() {
        let readings = vec![
            reading(0, 0, &[]),
            reading(100, 50, &[(1, 7, 10)]),
            reading(200, 150, &[(3, 5, 160), (2, 9, 60)]),
        ];
        let window = Series::new(readings).window(50, 150).unwrap();
        assert!((window.requests - 75.0).abs() < 1e-9 && (window.alloc_bytes - 7500.0).abs() < 1e-6);
        assert_eq!((window.gc_cycles, window.longest_pause_seconds), (1, Some(9e-9)));
        assert!((window.gc_cpu_ratio.unwrap() - 0.375).abs() < 1e-9, "{window:?}");
    }

    #[test]
    fn a_window_that_was_not_read_to_its_end_is_refused() {
        let series = Series::new(vec![reading(10, 1, &[]), reading(20, 2, &[])]);
        for (from, to) in [(5, 15), (15, 25), (15, 15), (18, 12)] {
            assert!(series.window(from, to).is_err(), "{from} to {to}");
        }
        assert_eq!(series.window(10, 20).unwrap().longest_pause_seconds, None);
        let mut forgetful = reading(15, 1, &[]);
        forgetful.pauses_overwritten = 1;
        assert!(
            Series::new(vec![reading(10, 1, &[]), forgetful, reading(20, 2, &[])]).window(10, 20).is_err()
        );
    }
}
