//! `--fail-above`: a rate that no advice may be about.

use std::fmt::{self, Display, Formatter};

use crate::advise::{Advice, Certainty, Report};
use crate::command::Failure;
use crate::options::UsageError;
use crate::units::{Bytes, Count};

/// Advices that are named when the gate fails.
const NAMED: usize = 3;

/// Most of what an advice may be about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Gate {
    /// Allocations a second.
    Objects(f64),
    /// Bytes a second.
    Bytes(u64),
}

impl Gate {
    /// Of `10000`, `10000/s`, `64MiB/s`: a unit of bytes makes it bytes.
    pub(super) fn of(text: &str) -> Result<Self, UsageError> {
        let wrong = |why: &str| {
            Err(UsageError(format!(
                "--fail-above {text}: {why}. Use allocations a second such as 10000/s, or bytes such as 64MiB/s"
            )))
        };
        let amount = text.trim().strip_suffix("/s").unwrap_or(text.trim()).trim();
        if amount.ends_with(['b', 'B']) {
            return match parse_size::parse_size(amount) {
                Ok(bytes) => Ok(Self::Bytes(bytes)),
                Err(error) => wrong(&error.to_string()),
            };
        }
        match amount.replace('_', "").parse::<f64>() {
            Ok(rate) if rate.is_finite() && rate >= 0.0 => Ok(Self::Objects(rate)),
            Ok(_) => wrong("it must be 0 or more"),
            Err(_) => wrong("it is no rate"),
        }
    }

    pub(super) fn without_time(self) -> UsageError {
        UsageError(format!(
            "--fail-above {self} needs to know how long the profile was recorded, and this one does not say it: use one of \
             `tracer attach --duration 10s -o FILE.json`, or of /debug/pprof/heap?seconds=10"
        ))
    }

    /// The lower end of the rate counts, of what is at least likely.
    fn is_above(self, advice: &Advice) -> bool {
        let seen = &advice.seen;
        let is_above = match self {
            Self::Objects(most) => seen.least_objects_per_second.is_some_and(|rate| rate > most),
            Self::Bytes(most) => seen.least_bytes_per_second.is_some_and(|rate| rate > most as f64),
        };
        is_above && advice.certainty >= Certainty::Likely
    }

    /// Fails if an advice is about more.
    pub(super) fn check(self, report: &Report) -> Result<(), Failure> {
        let above: Vec<&Advice> = report.advice.iter().filter(|advice| self.is_above(advice)).collect();
        if above.is_empty() {
            return Ok(());
        }
        let name = |advice: &&Advice| {
            let line = advice.line.map_or_else(String::new, |line| format!(":{line}"));
            format!("{} in {}{line}", advice.rule, advice.function)
        };
        let mut names: Vec<String> = above.iter().take(NAMED).map(name).collect();
        if above.len() > NAMED {
            names.push(format!("{} more", above.len() - NAMED));
        }
        let advices = if above.len() == 1 { "advice is" } else { "advices are" };
        Err(Failure::Gate(format!("{} {advices} about more than {self}: {}", above.len(), names.join(", "))))
    }
}

impl Display for Gate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Objects(rate) if *rate < 1.0 => write!(f, "{rate} allocations/s"),
            Self::Objects(rate) => write!(f, "{} allocations/s", Count(*rate as u64)),
            Self::Bytes(bytes) => write!(f, "{}/s", Bytes(*bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_allocations_unless_it_has_a_unit_of_bytes() {
        let check = |text: &str, expect| assert_eq!(Gate::of(text).ok(), expect, "{text}");
        check("10000", Some(Gate::Objects(10_000.0)));
        check("10_000/s", Some(Gate::Objects(10_000.0)));
        check("0", Some(Gate::Objects(0.0)));
        check("64MiB/s", Some(Gate::Bytes(64 << 20)));
        check("100 kB/s", Some(Gate::Bytes(100_000)));
        check("many", None);
        check("-1", None);
        check("inf", None);
        check("1MiB/m", None);
        check("", None);
    }
}
