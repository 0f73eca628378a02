//! What the amounts of a unit are divided by, and windows of one process as one unit.

use std::collections::HashMap;

use super::amount::{Amount, Cell};
use super::{CannotCompare, Options, Per, Side, Unit};

/// A process or a run, all windows of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    /// What allocated amounts are divided by.
    pub(super) exposure: f64,
    /// What amounts in use are divided by.
    pub(super) processes: f64,
    pub(super) seconds: Option<f64>,
    pub(super) cpu_seconds: Option<f64>,
    /// Mean bytes between samples, the most of all windows.
    pub(super) sample_bytes: u64,
    /// Bytes, objects.
    pub(super) exact: Option<[f64; 2]>,
    pub(super) inuse: Option<Amount>,
    /// For how long that was counted, the most of all windows.
    pub(super) inuse_seconds: Option<f64>,
    /// Of all its CPU time, the part that tracing added: the most of all windows.
    pub(super) tracing_share: f64,
    windows: u32,
    /// By the number of the chain.
    pub(super) cells: HashMap<usize, Cell>,
}

/// What to divide by.
///
/// # Errors
/// What was asked for is not known of every unit.
pub(super) fn choose(base: &Side, canary: &Side, options: &Options) -> Result<Per, CannotCompare> {
    let missing = |per: Per| {
        [base, canary].into_iter().find_map(|side| {
            let unit = side.units.iter().find(|unit| !is_known(unit, per))?;
            Some((side, unit))
        })
    };
    if let Some(per) = options.per {
        return match missing(per) {
            None => Ok(per),
            Some((side, unit)) => Err(CannotCompare(format!(
                "`{}` cannot be divided by {}: {} does not say it; {}",
                side.name,
                noun(per),
                unit.name,
                advice(per)
            ))),
        };
    }
    let known = [Per::CpuSecond, Per::Process].into_iter().find(|&per| missing(per).is_none());
    Ok(known.unwrap_or(Per::Run))
}

const fn noun(per: Per) -> &'static str {
    match per {
        Per::Process => "processes and time",
        Per::CpuSecond => "CPU time",
        Per::Request => "requests",
        Per::Run => "runs",
    }
}

const fn advice(per: Per) -> &'static str {
    match per {
        Per::Request => "give the number of requests of each side",
        Per::Process | Per::CpuSecond | Per::Run => "divide by what both sides know, requests or runs",
    }
}

fn is_known(unit: &Unit, per: Per) -> bool {
    of(unit, per).is_some_and(|exposure| exposure.is_finite() && exposure > 0.0)
}

fn of(unit: &Unit, per: Per) -> Option<f64> {
    match per {
        Per::Process => unit.seconds.map(|seconds| seconds * f64::from(unit.processes.max(1))),
        Per::CpuSecond => unit.cpu_seconds,
        Per::Request => unit.requests,
        Per::Run => Some(1.0),
    }
}

/// The units of a side, windows of one process added up; `number` gives each call site the number of its chain.
pub(super) fn observe(side: &Side, per: Per, chains: &[Vec<usize>]) -> Vec<Observed> {
    let mut places: HashMap<&(String, u32, u64), usize> = HashMap::new();
    let mut all: Vec<Observed> = Vec::new();
    for (unit, chains) in side.units.iter().zip(chains) {
        let new = all.len();
        let at = unit.process.as_ref().map_or(new, |process| *places.entry(process).or_insert(new));
        if at == new {
            all.push(Observed { exact: Some([0.0; 2]), inuse: Some(Amount::default()), ..first(unit) });
        }
        if let Some(observed) = all.get_mut(at) {
            add(observed, unit, per, chains);
        }
    }
    all.iter_mut().for_each(average_inuse);
    all
}

fn first(unit: &Unit) -> Observed {
    Observed {
        seconds: Some(0.0),
        cpu_seconds: Some(0.0),
        processes: f64::from(unit.processes.max(1)),
        ..Observed::default()
    }
}

fn add(observed: &mut Observed, unit: &Unit, per: Per, chains: &[usize]) {
    let sum = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a + b);
    // A run is one, however many windows it was cut into.
    observed.exposure = match per {
        Per::Run => 1.0,
        Per::Process | Per::CpuSecond | Per::Request => observed.exposure + of(unit, per).unwrap_or(0.0),
    };
    observed.processes = observed.processes.max(f64::from(unit.processes));
    observed.seconds = sum(observed.seconds, unit.seconds);
    observed.cpu_seconds = sum(observed.cpu_seconds, unit.cpu_seconds);
    observed.sample_bytes = observed.sample_bytes.max(unit.sample_bytes);
    observed.tracing_share = observed.tracing_share.max(unit.tracing_share);
    observed.inuse_seconds =
        [observed.inuse_seconds, unit.inuse_seconds].into_iter().flatten().reduce(f64::max);
    observed.windows += 1;
    let exact = unit.exact.map(|(bytes, objects)| [bytes as f64, objects as f64]);
    observed.exact = observed.exact.zip(exact).map(|(a, b)| [a[0] + b[0], a[1] + b[1]]);
    let inuse =
        unit.inuse_bytes.map(|(bytes, error)| Amount { value: bytes as f64, variance: error * error });
    observed.inuse = observed.inuse.zip(inuse).map(|(mut a, b)| {
        a += b;
        a
    });
    for (site, &chain) in unit.sites.iter().zip(chains) {
        *observed.cells.entry(chain).or_default() += Cell::of(site);
    }
}

/// What is in use does not add up over windows: its mean is kept, with the mean variance, because windows of one process
/// see the same samples.
fn average_inuse(observed: &mut Observed) {
    let windows = f64::from(observed.windows.max(1));
    let mean = |amount: &mut Amount| {
        amount.value /= windows;
        amount.variance /= windows;
    };
    observed.inuse.as_mut().map(mean);
    observed.cells.values_mut().for_each(|cell| mean(&mut cell.inuse));
}
