//! The document that says what has changed from one release to the other: every view of a comparison reads it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Options;
use crate::frame::Frames;

/// The name of the document's format.
pub const SCHEMA: &str = "tracer-compare/1";

/// Two releases, compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: String,
    /// The release that is there.
    pub base: Release,
    /// The release that is to replace it.
    pub canary: Release,
    /// What amounts are divided by.
    pub per: Per,
    /// What the intervals and the verdict rest on.
    pub evidence: Evidence,
    /// The verdict, and why.
    pub decision: Decision,
    /// One row per quantity, over all call sites: bytes, objects, in use. What either side does not know is left out.
    pub totals: Vec<Row>,
    /// Mean size of all objects.
    pub mean_size: MeanSize,
    /// Call sites, those that explain the verdict first: by the weight of their change in the total, largest first.
    pub sites: Vec<SiteChange>,
    /// Call sites that were too small, or of too few samples, to be tested one by one, as one.
    pub rest: Option<SiteChange>,
    /// Sentences the reader should know.
    pub notes: Vec<String>,
}

impl Comparison {
    /// Of two sides of which nothing can be said, and why.
    #[must_use]
    pub fn undecided([base, canary]: [Release; 2], options: &Options, reason: String) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            base,
            canary,
            per: options.per.unwrap_or(Per::Process),
            evidence: Evidence {
                confidence: options.confidence,
                max_increase: options.max_increase,
                sampling_error_only: false,
                sampling_error_suffices: options.sampling_error_suffices,
                tests: 0,
                min_share: options.min_share,
                unit_variation: None,
                prior_degrees_of_freedom: None,
            },
            decision: Decision { verdict: Verdict::NotEnoughData, is_beyond: false, reasons: vec![reason] },
            totals: Vec::new(),
            mean_size: MeanSize::default(),
            sites: Vec::new(),
            rest: None,
            notes: Vec::new(),
        }
    }
}

/// One side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// What it is called: files, pids or labels, as given.
    pub name: String,
    /// Independent units: processes or runs.
    pub units: u32,
    /// Sum of the units' exposures, in [`Per`]'s unit.
    pub exposure: f64,
    /// Mean bytes between samples, each that a unit had; 0 is every allocation.
    pub sample_bytes: Vec<u64>,
    /// Seconds of all units together.
    pub unit_seconds: f64,
}

/// What amounts are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// One process for one second; what is in use: one process.
    Process,
    /// One second of CPU time.
    CpuSecond,
    /// One request.
    Request,
    /// One run, whatever it took: for profiles that say neither time nor CPU time.
    Run,
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Process => "process and second",
            Self::CpuSecond => "CPU second",
            Self::Request => "request",
            Self::Run => "run",
        })
    }
}

/// What the intervals rest on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// 1 - the probability that an unchanged pair is called changed, all tests together.
    pub confidence: f64,
    /// Increases up to this ratio (0.05 is 5 %) are tolerated by the gate, and changes within it are `same`.
    pub max_increase: f64,
    /// The intervals have the sampling error only: a side has fewer than three units.
    pub sampling_error_only: bool,
    /// The user has said that this is enough for a verdict.
    pub sampling_error_suffices: bool,
    /// Quantities and call sites that were tested.
    pub tests: u32,
    /// Sites with a smaller share of either side's bytes and objects were not tested one by one.
    pub min_share: f64,
    /// Standard deviation between units that neither sampling nor the load explains, as a ratio of a site's amount;
    /// `None` where units cannot tell.
    pub unit_variation: Option<f64>,
    /// Degrees of freedom that each site's variance has borrowed from the others; `None`: none, or without bound.
    pub prior_degrees_of_freedom: Option<f64>,
}

/// The verdict, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// It is `worse`, and what makes it so is beyond `max_increase`.
    pub is_beyond: bool,
    /// Why, in sentences: first what decides.
    pub reasons: Vec<String>,
}

impl Decision {
    /// Whether a pipeline may go on.
    #[must_use]
    pub const fn is_go(&self) -> bool {
        match self.verdict {
            Verdict::Better | Verdict::Same => true,
            Verdict::Worse => !self.is_beyond,
            Verdict::NotEnoughData => false,
        }
    }
}

/// What is to be said of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Something has decreased, nothing has increased.
    Better,
    /// What there is of change is within `max_increase`, and the data is enough to say so.
    Same,
    /// Something has increased.
    Worse,
    /// The data cannot tell.
    NotEnoughData,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Better => "better",
            Self::Same => "same",
            Self::Worse => "worse",
            Self::NotEnoughData => "not enough data",
        })
    }
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Bytes allocated.
    AllocBytes,
    /// Objects allocated.
    AllocObjects,
    /// Bytes in use, always per process.
    InuseBytes,
}

/// One quantity on both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What is compared.
    pub quantity: Quantity,
    /// Of the base, divided by its exposure.
    pub base: Cost,
    /// Of the canary, likewise.
    pub canary: Cost,
    /// From base to canary; `None` where neither side has any.
    pub change: Option<Change>,
}

/// An amount per unit of exposure, with its error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The amount.
    pub amount: f64,
    /// Its standard error: sampling and, from three units on, the differences between units.
    pub standard_error: f64,
    /// The part of it that is sampling.
    pub sampling_error: f64,
}

/// A relative change: 0.05 is 5 % more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The estimate; `None`: the base has none.
    pub ratio: Option<f64>,
    /// Lower bound of the 95 % interval of this change alone.
    pub lower: f64,
    /// Upper bound; `None`: without bound.
    pub upper: Option<f64>,
    /// Probability of such a change or a larger one, either way, where nothing has changed; of this test alone.
    pub p_value: f64,
    /// The same, all tests of the comparison taken together (Holm).
    pub adjusted_p_value: f64,
    /// All tests taken together, this one has increased or decreased.
    pub is_significant: bool,
    /// The smallest increase that four of five comparisons like this one would have called significant; `None`: none.
    pub detectable: Option<f64>,
}

/// Mean size of an object on both sides. It follows from bytes and objects, which are tested; it is not tested itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeanSize {
    /// Base and canary, in bytes; `None` without objects.
    pub bytes: [Option<f64>; 2],
    /// The relative change; `None` where a side has no objects.
    pub ratio: Option<f64>,
    /// Contains that change with 95 %; `None` where a side has fewer than three units or ten samples.
    pub interval_95: Option<[f64; 2]>,
}

/// A call site on both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteChange {
    /// `function (file:line)` of the first frame worth naming.
    pub name: String,
    /// How the sides were matched.
    pub matched: MatchKind,
    /// Its quantities, in the order of [`Quantity`].
    pub rows: Vec<Row>,
    /// Mean size of its objects.
    pub mean_size: MeanSize,
    /// Its part of the base's bytes; `None` where the base has none at all.
    pub share: Option<f64>,
    /// How much its change in bytes has moved the total of the base: 0.01 is 1 % of the total.
    pub weight: f64,
    /// Its samples: base, canary.
    pub samples: [u64; 2],
    /// It was tested by itself, and the change is significant.
    pub explains: bool,
    /// Frames, leaf first: of the canary, where it has the site.
    pub frames: Frames,
}

/// How call sites of two builds were found to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchKind {
    /// The same functions and lines.
    Same,
    /// The same functions, other lines.
    Moved,
    /// The same functions, but for some that one build has inlined.
    Inlined,
    /// Several sites of one function on one side or both, which cannot be told apart: they are compared as one.
    Split,
    /// Only the canary has it.
    New,
    /// Only the base has it.
    Gone,
}
