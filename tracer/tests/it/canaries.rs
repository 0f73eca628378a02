//! Verdicts on canaries, for the tests of what shows them.

use std::sync::Arc;

use tracer::canary::{
    Change, Comparison, Cost, Decision, Evidence, Options, Per, Quantity, Release, Row, Verdict,
};
use tracer::view::canaries::{Canaries, ServiceCanary, ServiceName};

/// One that is to stop, of a service with that name, and one of which nothing can be said.
pub(crate) fn canaries(service: &str) -> Canaries {
    let of = |service: &str, comparison| ServiceCanary {
        labels: ServiceName { namespace: "prod".into(), service: service.into(), workload: "".into() },
        at: jiff::Timestamp::from_millisecond(1_767_225_600_250).expect("a time"),
        comparison: Arc::new(comparison),
    };
    let unknown = decision(Verdict::NotEnoughData, false, "there is no canary");
    let services = vec![of("api", comparison(0, unknown, Vec::new())), of(service, worse())];
    Canaries { services, notes: Vec::new() }
}

fn worse() -> Comparison {
    let change = |ratio, lower, upper, detectable| Change {
        ratio,
        lower,
        upper,
        p_value: 0.0001,
        adjusted_p_value: 0.0003,
        is_significant: true,
        detectable,
    };
    let row = |quantity, change| Row { quantity, base: Cost::default(), canary: Cost::default(), change };
    let totals = vec![
        row(Quantity::AllocBytes, Some(change(Some(0.25), 0.125, Some(0.375), Some(0.0625)))),
        row(Quantity::AllocObjects, Some(change(None, 9.0, None, Some(f64::INFINITY)))),
        row(Quantity::InuseBytes, None),
    ];
    comparison(3, decision(Verdict::Worse, true, "it allocates more"), totals)
}

fn decision(verdict: Verdict, is_beyond: bool, reason: &str) -> Decision {
    Decision { verdict, is_beyond, reasons: vec![reason.to_owned()] }
}

fn comparison(units: u32, decision: Decision, totals: Vec<Row>) -> Comparison {
    let release = |name: &str| Release { name: name.to_owned(), units, ..Release::default() };
    let options = Options { per: Some(Per::CpuSecond), ..Options::default() };
    let nothing = Comparison::undecided(["stable", "canary"].map(release), &options, String::new());
    let evidence = Evidence { tests: 3, ..nothing.evidence };
    Comparison { evidence, decision, totals, ..nothing }
}
