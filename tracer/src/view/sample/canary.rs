//! Comparisons for the tests of the views: of every verdict, with every way to match.

use std::sync::Arc;

use crate::canary::{
    Change, Comparison, Cost, Decision, Evidence, MatchKind, MeanSize, Per, Quantity, Release, Row, SCHEMA,
    SiteChange, Verdict,
};
use crate::frame::Frame;

/// A release that allocates more at one call site, with all that is beside it.
pub(crate) fn worse() -> Comparison {
    let sites = vec![
        site("parse_order", MatchKind::Moved, [100_000.0, 150_000.0], true),
        site("cache_insert", MatchKind::New, [0.0, 30_000.0], true),
        site("old_path|x`<y>", MatchKind::Gone, [12_000.0, 0.0], true),
        site("render", MatchKind::Same, [400_000.0, 404_000.0], false),
        site("reply", MatchKind::Inlined, [50_000.0, 50_100.0], false),
        site("lambda", MatchKind::Split, [9.5, 9.25], false),
    ];
    Comparison {
        schema: SCHEMA.to_owned(),
        base: release("runs/v1", 5),
        canary: release("runs/v2", 4),
        per: Per::Process,
        evidence: Evidence {
            confidence: 0.99,
            max_increase: 0.05,
            sampling_error_only: false,
            sampling_error_suffices: false,
            tests: 14,
            min_share: 0.001,
            unit_variation: Some(0.02),
            prior_degrees_of_freedom: Some(7.5),
        },
        decision: Decision {
            verdict: Verdict::Worse,
            is_beyond: true,
            reasons: vec![
                "parse_order (shop/src/parse_order.cpp:42) has increased by 50% <and> more.".to_owned(),
            ],
        },
        totals: vec![
            row(Quantity::AllocBytes, [562_000.0, 634_100.0], true),
            row(Quantity::AllocObjects, [5620.0, 6341.0], true),
            row(Quantity::InuseBytes, [9_000_000.0, 9_100_000.0], false),
        ],
        mean_size: MeanSize {
            bytes: [Some(100.0), Some(104.0)],
            ratio: Some(0.04),
            interval_95: Some([0.031, 0.049]),
        },
        sites,
        rest: Some(SiteChange {
            frames: Arc::default(),
            ..site("rest", MatchKind::Same, [800.0, 820.0], false)
        }),
        notes: vec!["the base was sampled every 64 KiB, the canary every 2 MiB".to_owned()],
    }
}

/// Two of the same, with one process a side.
pub(crate) fn undecided() -> Comparison {
    let mut comparison = worse();
    comparison.decision = Decision {
        verdict: Verdict::NotEnoughData,
        is_beyond: false,
        reasons: vec!["there are fewer than three processes or runs on a side.".to_owned()],
    };
    (comparison.evidence.sampling_error_only, comparison.evidence.unit_variation) = (true, None);
    (comparison.base.units, comparison.canary.units) = (1, 1);
    comparison.mean_size.interval_95 = None;
    (comparison.sites, comparison.rest) = (Vec::new(), None);
    comparison.totals.truncate(2);
    for row in &mut comparison.totals {
        row.change = None;
    }
    comparison
}

fn release(name: &str, units: u32) -> Release {
    Release {
        name: name.to_owned(),
        units,
        exposure: f64::from(units) * 60.0,
        sample_bytes: vec![64 << 10; units as usize],
        unit_seconds: f64::from(units) * 60.0,
    }
}

fn row(quantity: Quantity, [base, canary]: [f64; 2], is_significant: bool) -> Row {
    let ratio = (base > 0.0).then(|| canary / base - 1.0);
    let cost = |amount: f64| Cost { amount, standard_error: amount * 0.012, sampling_error: amount * 0.01 };
    Row {
        quantity,
        base: cost(base),
        canary: cost(canary),
        change: Some(Change {
            ratio,
            lower: ratio.map_or(3.0, |ratio| (ratio - 0.034).max(-1.0)),
            upper: ratio.map(|ratio| ratio + 0.034),
            p_value: if is_significant { 1e-9 } else { 0.4 },
            adjusted_p_value: if is_significant { 1.4e-8 } else { 1.0 },
            is_significant,
            detectable: Some(0.081),
        }),
    }
}

fn site(name: &str, matched: MatchKind, bytes: [f64; 2], explains: bool) -> SiteChange {
    let frame = |function: &str, line: u32| {
        Arc::new(Frame {
            address: "0x55d0c0de1234".to_owned(),
            function: Some(function.to_owned()),
            module: Some("/srv/shop/shop".to_owned()),
            file: Some(format!("/build/shop/src/{name}.cpp")),
            line: Some(line),
            ..Frame::default()
        })
    };
    let [base, canary] = bytes;
    SiteChange {
        name: format!("{name} (src/{name}.cpp:42)"),
        matched,
        rows: vec![
            row(Quantity::AllocBytes, bytes, explains),
            row(Quantity::AllocObjects, bytes.map(|bytes| bytes / 100.0), explains),
            row(Quantity::InuseBytes, bytes.map(|bytes| bytes * 4.0), false),
        ],
        mean_size: MeanSize {
            bytes: bytes.map(|bytes| (bytes > 0.0).then_some(100.0)),
            ratio: bytes.iter().all(|&bytes| bytes > 0.0).then_some(0.0),
            interval_95: bytes.iter().all(|&bytes| bytes > 0.0).then_some([-0.004, 0.006]),
        },
        share: Some(base / 562_000.0),
        weight: (canary - base) / 562_000.0,
        samples: bytes.map(|bytes| bytes as u64 / 500),
        explains,
        frames: [frame(name, 42), frame("serve", 7), frame("main", 11)].into_iter().collect(),
    }
}
