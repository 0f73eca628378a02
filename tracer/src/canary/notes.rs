//! What the reader of a comparison should know beside its numbers.

use super::Per;
use super::exposure::Observed;
use super::pairs::Sides;
use super::unit::Unit;

/// Where the longest and the shortest time that what is in use was counted for are further apart, it is not compared.
const INUSE_TOLERANCE: f64 = 1.25;
/// CPU time for the same work, beyond which dividing by it hides or makes changes.
const CPU_TOLERANCE: f64 = 1.1;
/// The part of the CPU time that tracing may add before that is said.
const TRACING_TOLERANCE: f64 = 0.05;

/// Why what is in use cannot be compared; `None`: it can, or there is none.
pub(super) fn inuse(sides: &Sides) -> (bool, Option<String>) {
    let is_known = |units: &Vec<Observed>| units.iter().all(|unit| unit.inuse.is_some());
    if !sides.iter().all(is_known) {
        return (false, None);
    }
    match sides.each_ref().map(|units| ages(units)) {
        [Some(base), Some(canary)] if base.1.max(canary.1) > INUSE_TOLERANCE * base.0.min(canary.0) => (
            false,
            Some(format!(
                "what is in use is not compared: it was counted for {} in the processes of the base and for {} in those of the \
                 canary, and grows with that",
                shown(base),
                shown(canary)
            )),
        ),
        [Some(_), None] | [None, Some(_)] => (
            false,
            Some(
                "what is in use is not compared: only one side says for how long it was observed".to_owned(),
            ),
        ),
        _ => (true, None),
    }
}

/// The shortest and the longest time that what is in use was counted for; `None` where a unit does not say.
fn ages(units: &[Observed]) -> Option<(f64, f64)> {
    let seconds: Vec<f64> = units.iter().map(|unit| unit.inuse_seconds).collect::<Option<_>>()?;
    let shortest = seconds.iter().copied().fold(f64::INFINITY, f64::min);
    Some((shortest, seconds.into_iter().fold(0.0, f64::max)))
}

fn shown((shortest, longest): (f64, f64)) -> String {
    if longest - shortest < 0.1 {
        format!("{longest:.1} s")
    } else {
        format!("{shortest:.1} to {longest:.1} s")
    }
}

/// The other notes.
pub(super) fn all(sides: &Sides, per: Per, given: [&[Unit]; 2]) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, (units, given)) in ["base", "canary"].into_iter().zip(sides.iter().zip(given)) {
        let (many, lossy) = (given.len(), given.iter().filter(|unit| unit.is_lossy).count());
        if many > units.len() {
            notes.push(format!(
                "{many} profiles of the {name} are of {} processes: windows of one process are not independent, \
                 and count as one unit",
                units.len()
            ));
        }
        if lossy > 0 {
            notes.push(format!(
                "{lossy} of {many} profiles of the {name} are lossy: events were lost or probes are missing, which each of \
                 them tells, and its numbers may be too low"
            ));
        }
    }
    notes.extend(cpu(sides, per));
    notes.extend(tracing(sides, per));
    if per == Per::Run {
        notes.push(
            "the profiles say neither how long they took nor how much CPU time: each counts as one run, and runs \
             that did not do the same work differ by that"
                .to_owned(),
        );
    }
    notes
}

/// What tracing added is taken out of the CPU time as it is predicted, which is not exact.
fn tracing(sides: &Sides, per: Per) -> Option<String> {
    let most = |units: &[Observed]| units.iter().map(|unit| unit.tracing_share).fold(0.0, f64::max);
    let [base, canary] = sides.each_ref().map(|units| most(units));
    (per == Per::CpuSecond && base.max(canary) > TRACING_TOLERANCE).then(|| {
        format!(
            "of the CPU time, up to {:.0} % in the base and {:.0} % in the canary is what tracing added, by prediction: it \
             is taken out, but no more exactly than it is predicted; divide by requests or by processes and time, or sample \
             less",
            100.0 * base,
            100.0 * canary
        )
    })
}

fn cpu(sides: &Sides, per: Per) -> Option<String> {
    let rate = |units: &[Observed]| {
        let cpu: Option<f64> = units.iter().map(|unit| unit.cpu_seconds).sum();
        let seconds: Option<f64> =
            units.iter().map(|unit| unit.seconds.map(|seconds| seconds * unit.processes)).sum();
        let (cpu, seconds) = (cpu?, seconds?);
        (cpu > 0.0 && seconds > 0.0).then(|| cpu / seconds)
    };
    let [base, canary] = sides;
    let ratio = rate(canary)? / rate(base)?;
    let is_far = !(1.0 / CPU_TOLERANCE..=CPU_TOLERANCE).contains(&ratio);
    (per == Per::CpuSecond && is_far).then(|| {
        format!(
            "a process of the canary took {ratio:.2} times the CPU time of one of the base: if both did the same work, \
             divide by requests or by processes and time"
        )
    })
}
