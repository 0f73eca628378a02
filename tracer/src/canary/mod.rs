//! Did one release allocate more than the other, and where? Two sides of units, each a process or a run, in; one
//! [`Comparison`] out.
//!
//! A unit's numbers are divided by its exposure (processes and time, CPU time, requests) before anything is compared.

mod amount;
mod compare;
mod comparison;
mod decision;
mod document;
mod exposure;
mod family;
mod identity;
mod inlining;
mod matching;
mod mean_size;
mod naming;
mod notes;
mod pairs;
mod rate;
mod refusal;
mod row;
mod shrink;
mod unit;
mod variation;

pub use compare::compare;
pub use comparison::{
    Change, Comparison, Cost, Decision, Evidence, MatchKind, MeanSize, Per, Quantity, Release, Row, SCHEMA,
    SiteChange, Verdict,
};
pub use document::own_cpu_seconds;
pub use unit::{CannotCompare, Options, Side, Unit};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
