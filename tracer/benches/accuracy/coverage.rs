//! How often the 95 % interval of a site contains the truth.

use crate::design::Expected;
use crate::quantity::Quantity;
use crate::repetition::Seen;

/// Where the normal distribution is expected to fit.
const MANY: f64 = 30.0;

/// A kind of site, by what is expected of it, not by what was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// At least 30 samples at each of the means, which are worth at least 30 of one weight.
    Many,
    /// At least 30 samples, but of weights so different that they are worth fewer.
    Uneven,
    /// Fewer than 30 samples.
    Few,
}

impl Class {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Many, Self::Uneven, Self::Few];

    /// In words.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Many => "≥ 30",
            Self::Uneven => "≥ 30, uneven",
            Self::Few => "< 30",
        }
    }

    /// Of a number that consists of these parts, each sampled with a mean of its own.
    pub(crate) fn of(quantity: Quantity, parts: &[Expected]) -> Self {
        let worth = |part: &Expected| part.samples.min(quantity.effective_samples(*part));
        if parts.iter().map(|part| part.samples).sum::<f64>() < MANY {
            Self::Few
        } else if parts.iter().any(|part| worth(part) < MANY) {
            Self::Uneven
        } else {
            Self::Many
        }
    }
}

/// Intervals that were held against the truth.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Coverage {
    /// They contain it.
    pub(crate) held: u64,
    /// They lie below it.
    pub(crate) below: u64,
    /// They lie above it.
    pub(crate) above: u64,
    /// There is none: no sample, so the report does not know the site, or knows only what was counted one by one.
    pub(crate) unseen: u64,
}

impl Coverage {
    /// Adds a site; `counted` says that every allocation counted for a part of the time.
    pub(crate) fn add(&mut self, seen: Option<Seen>, truth: u64, counted: bool) {
        // The numbers are shown as whole ones.
        let truth = truth as f64;
        let is_known = |seen: &Seen| {
            let has_no_sample = counted && seen.variance == 0.0 && seen.value + 0.5 < truth;
            seen.value > 0.0 && !has_no_sample
        };
        match seen.filter(is_known).map(|seen| seen.interval) {
            None => self.unseen += 1,
            Some([low, high]) if low - 0.5 <= truth && truth <= high + 0.5 => self.held += 1,
            Some([_, high]) if truth > high => self.below += 1,
            Some(_) => self.above += 1,
        }
    }

    /// Intervals that there are.
    pub(crate) const fn intervals(&self) -> u64 {
        self.held + self.below + self.above
    }
}
