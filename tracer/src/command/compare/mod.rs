//! `tracer compare`: whether a release allocates more than another one, and where.

mod daemon;
mod documents;
mod files;
mod http;
mod labels;
mod outputs;
mod prometheus;
mod requests;
mod screen;
mod settings;
mod source;
mod window;

pub(super) use screen::show;

use super::Failure;
use super::messages::Messages;
use crate::canary::{self, Comparison, Verdict};
use crate::cli::CompareArgs;
use crate::options::UsageError;
use crate::view::comparison::words;
use outputs::Outputs;
use settings::Settings;

/// Compares, says what was found, and ends as the verdict does.
///
/// # Errors
///
/// A side cannot be read or traced, nothing can be compared, something cannot be written, or the verdict stops the release.
pub fn run(args: &CompareArgs, messages: &Messages) -> Result<(), Failure> {
    let outputs = Outputs::of(args)?;
    let settings = Settings::of(args)?;
    let [base, canary] = documents::sides(&settings, messages)?;
    let compared = canary::compare(base, canary, &settings.options);
    let comparison = compared.map_err(|error| UsageError(format!("cannot compare: {error}")))?;
    outputs.write(&comparison, messages)?;
    gate(&comparison)
}

/// A verdict that stops a release is a failure of the gate.
fn gate(comparison: &Comparison) -> Result<(), Failure> {
    let decision = &comparison.decision;
    if decision.is_go() {
        return Ok(());
    }
    let why = decision.reasons.first().map_or_else(String::new, |reason| format!(": {reason}"));
    let beyond = if decision.verdict == Verdict::Worse {
        format!(" beyond {}", words::percent(comparison.evidence.max_increase))
    } else {
        String::new()
    };
    Err(Failure::Gate(format!("{}{beyond}{why}", decision.verdict)))
}
