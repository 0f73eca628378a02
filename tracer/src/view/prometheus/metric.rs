//! What a metric is: its name, its kind, how right it is, and where its numbers come from.

use super::canary::CanaryPoint;
use super::page::Page;
use crate::model::node::Series;
use crate::target::labels;
use crate::view::canaries::{ServiceCanary, ServiceName};

/// A metric family.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name; it tells the kind and the unit, as <https://prometheus.io/docs/practices/naming/> wants it.
    pub name: &'static str,
    /// Meaning and unit.
    pub help: &'static str,
    /// How right it is.
    pub truth: Truth,
    /// Where its numbers come from.
    pub(super) source: Source,
}

/// What kind of numbers a family has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the daemon starts again.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Observations by size.
    Histogram,
}

/// How right a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// Counted or read.
    Exact,
    /// Exact where every allocation is followed; else an estimate, and `tracer_estimate_relative_error` says how good.
    ExactUnlessSampled,
    /// Worked out: costs from what a probe takes on this machine, errors from how sampling works.
    Calculated,
}

/// Where the numbers of a family come from, and with it which labels they have.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// One of each label set.
    Series(fn(&Series) -> Option<Value>),
    /// Several of each label set, told apart by a further label.
    SeriesBy(&'static str, fn(&Series) -> Points<'_>),
    /// The histogram of each label set.
    Sizes,
    /// The histogram of pauses of each label set whose runtime tells of them.
    Pauses,
    /// The histograms of stops of the world of each label set whose runtime is probed, told apart by a label.
    Stops(&'static str),
    /// Those of each rollout, with the names of the labels that tell them apart.
    Canary(&'static [&'static str], fn(&ServiceCanary) -> Vec<CanaryPoint>),
    /// One of the daemon.
    Own(fn(&Page) -> Option<Value>),
    /// Several of the daemon, told apart by a label.
    OwnBy(&'static str, fn(&Page) -> Points<'_>),
}

/// Numbers with the value of the label that tells them apart.
pub(super) type Points<'a> = Vec<(&'a str, Value)>;

/// A number as it is written: an integer has all its digits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    Integer(u64),
    Real(f64),
}

impl Metric {
    /// What kind of numbers it has.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.source {
            Source::Sizes | Source::Pauses | Source::Stops(_) => Kind::Histogram,
            _ if self.name.ends_with("_total") => Kind::Counter,
            _ => Kind::Gauge,
        }
    }

    /// Names of its labels.
    #[must_use]
    pub fn labels(&self) -> Vec<&'static str> {
        if let Source::Canary(further, _) = self.source {
            let service = ServiceName::default();
            return service
                .pairs()
                .into_iter()
                .map(|(name, _)| name)
                .chain(further.iter().copied())
                .collect();
        }
        let (target, own) = match self.source {
            Source::Series(_) | Source::Sizes | Source::Pauses => (true, None),
            Source::SeriesBy(label, _) | Source::Stops(label) => (true, Some(label)),
            Source::Own(_) | Source::Canary(..) => (false, None),
            Source::OwnBy(label, _) => (false, Some(label)),
        };
        let target = labels::NAMES.into_iter().filter(|_| target);
        target.chain(own).collect()
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Series(_) => "Series",
            Self::SeriesBy(..) => "SeriesBy",
            Self::Sizes => "Sizes",
            Self::Pauses => "Pauses",
            Self::Stops(_) => "Stops",
            Self::Canary(..) => "Canary",
            Self::Own(_) => "Own",
            Self::OwnBy(..) => "OwnBy",
        })
    }
}

pub(super) const fn metric(name: &'static str, truth: Truth, source: Source, help: &'static str) -> Metric {
    Metric { name, help, truth, source }
}
