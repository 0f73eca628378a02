//! Comparisons of two releases, for the tests of views.

use crate::canary::{
    Change, Comparison, Cost, Decision, Evidence, MatchKind, MeanSize, Options, Per, Quantity, Release, Row,
    SiteChange, Verdict,
};

/// A canary that allocates a fifth more bytes, most of it in a call site that is new.
pub(crate) fn worse(text: &str) -> Comparison {
    let totals = vec![
        row(Quantity::AllocBytes, [10_240.0, 12_288.0], Some(change([0.2, 0.15, 0.25], Some(0.04)))),
        row(Quantity::AllocObjects, [100.0, 100.0], Some(change([0.0, -0.01, 0.01], None))),
    ];
    let fresh = Change { ratio: None, upper: None, lower: 9.0, ..change([0.0, 0.0, 0.0], None) };
    let site = SiteChange {
        name: text.to_owned(),
        matched: MatchKind::New,
        rows: vec![row(Quantity::AllocBytes, [0.0, 1843.0], Some(Change { is_significant: true, ..fresh }))],
        mean_size: MeanSize { bytes: [None, Some(64.0)], ..MeanSize::default() },
        share: None,
        weight: 0.18,
        samples: [0, 400],
        explains: true,
        frames: Default::default(),
    };
    let decision = Decision { verdict: Verdict::Worse, is_beyond: true, reasons: vec![text.to_owned()] };
    Comparison { totals, sites: vec![site], ..comparison(3, decision) }
}

/// One of which nothing can be said.
pub(crate) fn undecided(text: &str) -> Comparison {
    let reasons = vec![text.to_owned()];
    comparison(0, Decision { verdict: Verdict::NotEnoughData, is_beyond: false, reasons })
}

fn comparison(units: u32, decision: Decision) -> Comparison {
    let release = |name: &str| Release {
        name: name.to_owned(),
        units,
        exposure: 12.5,
        sample_bytes: vec![65_536],
        unit_seconds: 300.0 * f64::from(units),
    };
    let options = Options { per: Some(Per::CpuSecond), ..Options::default() };
    let nothing = Comparison::undecided(["stable", "canary"].map(release), &options, String::new());
    let evidence = Evidence { tests: 3, unit_variation: Some(0.02), ..nothing.evidence };
    Comparison { evidence, decision, ..nothing }
}

fn row(quantity: Quantity, [base, canary]: [f64; 2], change: Option<Change>) -> Row {
    let cost = |amount| Cost { amount, ..Cost::default() };
    Row { quantity, base: cost(base), canary: cost(canary), change }
}

fn change([ratio, lower, upper]: [f64; 3], detectable: Option<f64>) -> Change {
    Change {
        ratio: Some(ratio),
        lower,
        upper: Some(upper),
        p_value: 0.001,
        adjusted_p_value: 0.003,
        is_significant: lower > 0.0,
        detectable,
    }
}
