//! `[canary]`: how the two sides of a rollout are compared.

use std::fmt;
use std::time::Duration;

use super::check;
use super::reader::{Kind, Table};
use crate::canary::Per;
use crate::options::UsageError;

/// The name of the table.
const TABLE: &str = "canary";
/// Least and most of `interval`: who reads a verdict must be able to tell an old one.
const INTERVAL: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(120)];
/// Names of what amounts are divided by.
const PER: [(&str, Per); 2] = [("cpu_second", Per::CpuSecond), ("process", Per::Process)];

/// How a canary is compared with what is stable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryConfig {
    /// Whether anything is compared.
    pub enabled: bool,
    /// What was allocated in so much time is compared.
    pub window: Duration,
    /// Between two comparisons.
    pub interval: Duration,
    /// 1 - the probability that one comparison calls an unchanged release changed.
    pub confidence: Share,
    /// What a release may allocate or hold more.
    pub max_increase: Share,
    /// Call sites with less of the total are tested as one.
    pub min_share: Share,
    /// What amounts are divided by.
    pub per: Per,
    /// Fewer than three processes a side are enough for a verdict.
    pub sampling_error_only: bool,
}

/// A share, exact to a millionth, so that configurations can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    millionths: u32,
}

impl Share {
    /// So many hundredths of a percent.
    const fn basis_points(points: u32) -> Self {
        Self { millionths: points * 100 }
    }

    /// As a ratio: 5 % is 0.05.
    #[must_use]
    pub fn ratio(self) -> f64 {
        f64::from(self.millionths) / 1e6
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.millionths) / 1e4)
    }
}

impl Default for CanaryConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            window: Duration::from_secs(5 * 60),
            interval: Duration::from_secs(15),
            confidence: Share::basis_points(99_00),
            max_increase: Share::basis_points(5_00),
            min_share: Share::basis_points(10),
            per: Per::CpuSecond,
            sampling_error_only: false,
        }
    }
}

/// The text of a setting.
pub(super) fn per_name(per: Per) -> &'static str {
    PER.iter().find(|(_, known)| *known == per).map_or("process", |(name, _)| name)
}

/// Takes the table; what is wrong is noted.
pub(super) fn options(root: &mut Table<'_>) -> CanaryConfig {
    let default = CanaryConfig::default();
    let Some(mut table) = root.take(TABLE).and_then(|entry| entry.table()) else { return default };
    let config = CanaryConfig {
        enabled: table.truth("enabled").unwrap_or(default.enabled),
        window: table.get("window", Kind::Text, check::time).unwrap_or(default.window),
        interval: table.get("interval", Kind::Text, interval).unwrap_or(default.interval),
        confidence: table
            .get("confidence", Kind::Text, share(500_000, 999_999))
            .unwrap_or(default.confidence),
        max_increase: table
            .get("max_increase", Kind::Text, share(1, 10_000_000))
            .unwrap_or(default.max_increase),
        min_share: table.get("min_share", Kind::Text, share(1, 1_000_000)).unwrap_or(default.min_share),
        per: table.get("per", Kind::Text, per).unwrap_or(default.per),
        sampling_error_only: table.truth("sampling_error_only").unwrap_or(default.sampling_error_only),
    };
    if config.window < config.interval {
        table.wrong("window must be at least interval: a comparison is of what came in between");
    }
    table.end();
    config
}

fn interval(text: &str, name: &str) -> Result<Duration, UsageError> {
    let [least, most] = INTERVAL;
    match check::time(text, name)? {
        time if (least..=most).contains(&time) => Ok(time),
        _ => Err(UsageError(format!(
            "{name} {text}: it must be {} to {}",
            humantime::format_duration(least),
            humantime::format_duration(most)
        ))),
    }
}

fn per(text: &str, name: &str) -> Result<Per, UsageError> {
    let found = PER.iter().find(|(known, _)| *known == text);
    let names = PER.map(|(known, _)| known).join(" or ");
    found.map(|&(_, per)| per).ok_or_else(|| UsageError(format!("{name} {text}: it must be {names}")))
}

/// A percentage of a range, which is given in millionths.
fn share(least: u32, most: u32) -> impl Fn(&str, &str) -> Result<Share, UsageError> {
    move |text, name| {
        let percent = text.strip_suffix('%').and_then(|number| number.trim_end().parse::<f64>().ok());
        let millionths = percent.filter(|percent| percent.is_finite()).map(|percent| (percent * 1e4).round());
        match millionths {
            // A float to an integer saturates, and the range is checked before.
            Some(millionths) if (f64::from(least)..=f64::from(most)).contains(&millionths) => {
                Ok(Share { millionths: millionths as u32 })
            }
            _ => Err(UsageError(format!(
                "{name} {text}: it must be a percentage of {} to {}, such as {}",
                Share { millionths: least },
                Share { millionths: most },
                Share { millionths: least.saturating_add(most) / 2 },
            ))),
        }
    }
}
