//! Requests per second with tracer and without, in turns.

use std::{path::Path, thread, time::Duration};

use anyhow::{Result, bail};

use super::{
    document::{Span, Tracing, is_probed},
    load::{now_ns, saturate},
    service::Service,
};
use crate::process::say;

/// tracer is given this long to attach before a run, and stays this long after it. Both are in runs without it, too.
const MARGIN: Duration = Duration::from_secs(2);

/// What was measured with tracer, and without it right before or after.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pairs {
    /// Requests per second.
    pub(super) rates: Vec<(f64, f64)>,
    /// CPU time of the service per request, which whoever else is on the machine changes less.
    pub(super) cpu_seconds: Vec<(f64, f64)>,
}

/// One run of wrk.
#[derive(Clone, Copy, Debug)]
struct Run {
    rate: f64,
    cpu_seconds: f64,
}

/// tracer as it is.
pub(super) const BY_RUNTIME: &[&str] = &[];
/// With probes on Go's allocator, as for a program that takes no samples.
pub(super) const BY_PROBES: &[&str] = &["--go", "probes", "--sample-bytes", "512KiB"];

/// Runs in pairs: with tracer, and without. Which of the two comes first alternates, so that what drifts, drifts for both.
pub(super) fn pairs(
    service: &Service,
    count: usize,
    run: Duration,
    options: &[&str],
    folder: &Path,
) -> Result<Pairs> {
    let mut pairs = Pairs::default();
    for number in 0..count {
        let (with, without) = if number % 2 == 0 {
            let with = traced(service, run, options, folder)?;
            (with, untraced(service, run)?)
        } else {
            let without = untraced(service, run)?;
            (traced(service, run, options, folder)?, without)
        };
        say(&format!(
            "pair {} of {count}: {:.0} requests/s with tracer, {:.0} without",
            number + 1,
            with.rate,
            without.rate
        ));
        pairs.rates.push((with.rate, without.rate));
        pairs.cpu_seconds.push((with.cpu_seconds, without.cpu_seconds));
    }
    Ok(pairs)
}

fn loaded(service: &Service, run: Duration) -> Result<Run> {
    let before = (service.cpu_seconds()?, service.requests()?);
    let rate = saturate(&service.url(), run)?;
    let after = (service.cpu_seconds()?, service.requests()?);
    let requests = after.1.saturating_sub(before.1).max(1);
    Ok(Run { rate, cpu_seconds: (after.0 - before.0) / requests as f64 })
}

fn untraced(service: &Service, run: Duration) -> Result<Run> {
    thread::sleep(MARGIN);
    let run = loaded(service, run)?;
    thread::sleep(MARGIN);
    Ok(run)
}

fn traced(service: &Service, run: Duration, options: &[&str], folder: &Path) -> Result<Run> {
    let tracing = Tracing::start(service.pid(), MARGIN + run + MARGIN, options, folder)?;
    thread::sleep(MARGIN);
    let from_ns = now_ns();
    let run = loaded(service, run)?;
    let to_ns = now_ns();
    let text = tracing.end()?;
    if options == BY_PROBES && !is_probed(&text)? {
        bail!("tracer has placed no probes on Go's allocator; its messages stand above");
    }
    let document = Span::parse(&text)?;
    if document.from_ns > from_ns || document.to_ns < to_ns {
        bail!(
            "tracer was not attached during the whole run: it began {:.1} s before and ended {:.1} s after; is the machine \
             too busy?",
            (from_ns - document.from_ns) as f64 / 1e9,
            (document.to_ns - to_ns) as f64 / 1e9
        );
    }
    Ok(run)
}
