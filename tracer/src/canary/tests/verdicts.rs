//! What is said of two releases.

use super::super::testing::{Random, Service, frame, site, stack};
use super::super::{Comparison, MatchKind, Options, Quantity, Side, Verdict, compare};

fn options() -> Options {
    Options::default()
}

fn of(base: &Service, canary: &Service, units: u32, options: &Options) -> Comparison {
    let mut random = Random(11);
    compare(base.side(units, &mut random), canary.side(units, &mut random), options).unwrap()
}

fn steady(sites: usize) -> Service {
    Service { variation: 0.002, ..Service::of(sites) }
}

/// With one site that allocates so many times as much.
fn with(service: &Service, rank: usize, factor: f64) -> Service {
    let mut service = service.clone();
    service.rates[rank - 1] *= factor;
    service
}

#[test]
fn every_verdict_has_its_data() {
    let service = steady(50);
    let noisy = Service { common: 0.2, ..service.clone() };
    let check = |base: &Service, canary: &Service, units, suffices, verdict, is_beyond, says: &str| {
        let options = Options { sampling_error_suffices: suffices, ..options() };
        let decision = of(base, canary, units, &options).decision;
        assert_eq!((decision.verdict, decision.is_beyond), (verdict, is_beyond), "{decision:?}");
        assert!(decision.reasons.iter().any(|reason| reason.contains(says)), "{says}: {decision:?}");
    };
    check(&service, &service, 4, false, Verdict::Same, false, "no change is significant among");
    check(
        &service,
        &with(&service, 5, 1.2),
        4,
        false,
        Verdict::Worse,
        true,
        "make_4 (app.c:6), bytes allocated: +",
    );
    check(&service, &with(&service, 2, 1.03), 4, false, Verdict::Worse, false, "make_1 (app.c:3)");
    check(
        &service,
        &with(&service, 5, 0.5),
        4,
        false,
        Verdict::Better,
        false,
        "make_4 (app.c:6), bytes allocated: -",
    );
    check(&noisy, &noisy, 4, false, Verdict::NotEnoughData, false, "cannot exclude a change of 5%");
    check(
        &service,
        &with(&service, 5, 4.0),
        2,
        false,
        Verdict::NotEnoughData,
        false,
        "fewer than three a side",
    );
    check(&service, &service, 1, false, Verdict::NotEnoughData, false, "1 unit");
    let few = of(&service, &with(&service, 5, 4.0), 2, &options()).decision;
    assert!(!few.reasons.iter().any(|reason| reason.contains("as was asked for")), "nobody did: {few:?}");
    check(&service, &with(&service, 5, 4.0), 2, true, Verdict::Worse, true, "the sampling error alone");
}

#[test]
fn a_pipeline_goes_on_with_better_same_and_a_little_worse() {
    let service = steady(50);
    let go = |canary: &Service, units| of(&service, canary, units, &options()).decision.is_go();
    assert!(go(&service, 4));
    assert!(go(&with(&service, 5, 0.5), 4));
    assert!(go(&with(&service, 2, 1.03), 4));
    assert!(!go(&with(&service, 5, 1.2), 4));
    assert!(!go(&service, 2));
}

#[test]
fn a_small_increase_is_no_go_where_the_total_may_have_grown_by_more() {
    let service = steady(50);
    let mut random = Random(7);
    let mut sides = [service.side(4, &mut random), with(&service, 2, 1.03).side(4, &mut random)];
    for unit in sides.iter_mut().flat_map(|side| &mut side.units) {
        let noise = 1.0 + 0.1 * random.normal();
        unit.exact = unit.exact.map(|(bytes, objects)| ((bytes as f64 * noise) as u64, objects));
    }
    let [base, canary] = sides;
    let decision = compare(base, canary, &options()).unwrap().decision;
    assert_eq!((decision.verdict, decision.is_go()), (Verdict::NotEnoughData, false), "{decision:?}");
    assert!(decision.reasons[0].contains("cannot exclude a change of 5%"), "{decision:?}");
    assert!(decision.reasons.iter().any(|reason| reason.contains("make_1 (app.c:3)")), "{decision:?}");
}

#[test]
fn a_new_site_and_one_that_is_gone_are_said_to_be() {
    let service = steady(50);
    let less = with(&service, 5, 0.0);
    let new = of(&less, &service, 4, &options());
    assert!(new.decision.verdict == Verdict::Worse && new.decision.is_beyond, "{:?}", new.decision);
    let change = new.sites[0].rows[0].change.unwrap();
    assert_eq!((new.sites[0].matched, change.ratio, change.upper), (MatchKind::New, None, None));
    assert!(change.lower > 0.0 && change.lower.is_finite(), "{change:?}");
    let gone = of(&service, &less, 4, &options());
    let change = gone.sites[0].rows[0].change.unwrap();
    assert_eq!((gone.decision.verdict, gone.sites[0].matched), (Verdict::Better, MatchKind::Gone));
    assert_eq!((change.ratio, change.lower), (Some(-1.0), -1.0));
    assert!(change.upper.is_some_and(|upper| upper < -0.5), "{change:?}");
}

#[test]
fn exact_counts_that_do_not_vary_are_the_same_or_are_not() {
    let service = Service { sample_bytes: 0, ..Service::of(50) };
    let same = of(&service, &service, 3, &options());
    assert_eq!(same.decision.verdict, Verdict::Same, "{:?}", same.decision);
    assert!(same.totals[0].change.unwrap().p_value > 0.5);
    assert_eq!(same.evidence.unit_variation, Some(0.0));
    let more = of(&service, &with(&service, 7, 1.01), 3, &options());
    assert_eq!(
        (more.decision.verdict, more.decision.is_beyond),
        (Verdict::Worse, false),
        "{:?}",
        more.decision
    );
    assert_eq!(more.sites[0].name, "make_6 (app.c:8)");
    assert_eq!(more.sites.iter().filter(|site| site.explains).count(), 1);
}

#[test]
fn what_cannot_be_compared_is_refused_with_a_reason() {
    let service = Service::of(5);
    let side = |change: &dyn Fn(&mut Side)| {
        let mut side = service.side(3, &mut Random(1));
        side.name = "v2".to_owned();
        change(&mut side);
        side
    };
    let check = |canary: Side, options: &Options, says: &str| {
        let refused = compare(side(&|_| ()), canary, options).unwrap_err().to_string();
        assert!(refused.contains(says), "{says}: {refused}");
    };
    check(side(&|side| side.units.clear()), &options(), "no process and no run");
    let empty = side(&|side| {
        for unit in &mut side.units {
            unit.sites.clear();
            unit.exact = Some((0, 0));
        }
    });
    check(empty, &options(), "`v2` has no allocation at all");
    let live = side(&|side| side.units[1].mode = Some(crate::mode::Mode::Live));
    check(live, &options(), "mode alloc");
    check(side(&|side| side.units[2].mode = None), &options(), "written by another program");
    let strange = side(&|side| {
        for unit in &mut side.units {
            for site in &mut unit.sites {
                site.frames = [frame("other", "z.c:1")].into();
            }
        }
    });
    check(strange, &options(), "no call site in common");
    let per = |per| Options { per: Some(per), ..options() };
    check(side(&|_| ()), &per(super::super::Per::CpuSecond), "cannot be divided by CPU time");
    check(side(&|_| ()), &per(super::super::Per::Request), "give the number of requests");
    check(side(&|_| ()), &Options { confidence: 1.0, ..options() }, "confidence of 1");
    check(side(&|_| ()), &Options { max_increase: f64::NAN, ..options() }, "NaN");
}

#[test]
fn sites_too_small_to_be_tested_are_compared_as_one() {
    let service = steady(50);
    let options = Options { min_share: 0.01, ..options() };
    let comparison = of(&service, &service, 4, &options);
    let rest = comparison.rest.unwrap();
    assert!(
        comparison.sites.len() < 30 && rest.share.unwrap() > 0.1,
        "{} {:?}",
        comparison.sites.len(),
        rest.share
    );
    let shares: f64 = comparison.sites.iter().chain([&rest]).map(|site| site.share.unwrap()).sum();
    assert!((shares - 1.0).abs() < 0.01, "{shares}");
    assert_eq!(comparison.evidence.tests, 2 + 2 * (comparison.sites.len() as u32 + 1));
}

/// A few allocations of a runtime come in some processes and not in others: as all that is small, they stop no release.
#[test]
fn a_rest_below_the_smallest_share_is_shown_and_not_tested() {
    let service = steady(50);
    let few = |side: Side, objects: f64| {
        let mut side = side;
        for unit in &mut side.units {
            unit.sites.push(site(objects, 0.0, 100, &stack("start runtime.c:1, main app.c:1")));
        }
        side
    };
    let mut random = Random(11);
    let base = few(service.side(4, &mut random), 1.0);
    let canary = few(service.side(4, &mut random), 40.0);
    let comparison = compare(base, canary, &options()).unwrap();
    let rest = comparison.rest.expect("what is small");
    assert!(rest.share.is_some_and(|share| share < 0.001) && !rest.explains, "{rest:?}");
    assert_eq!(comparison.evidence.tests, 2 + 2 * comparison.sites.len() as u32);
    assert_eq!(comparison.decision.verdict, Verdict::Same, "{:?}", comparison.decision);
}

#[test]
fn what_is_in_use_is_compared_by_process_where_both_were_observed_equally_long() {
    let observed = |canary: f64, seconds: f64, noise: f64, youngest: Option<f64>| {
        let mut random = Random(5);
        let service = steady(30);
        let [base, other] = [(1.0, 60.0), (canary, seconds)].map(|(factor, seconds)| {
            let mut side = Service { seconds, ..service.clone() }.side(4, &mut random);
            for unit in &mut side.units {
                let bytes = (1e8 * factor * (1.0 + noise * random.normal())) as u64;
                unit.inuse_bytes = Some((bytes, 0.0));
                let mut kept = site(0.0, 0.0, 0, &stack("make_3 app.c:5, main app.c:1"));
                kept.inuse_bytes = Some(bytes);
                unit.sites.push(kept);
            }
            side
        });
        let mut base = base;
        base.units[0].inuse_seconds = youngest.or(base.units[0].inuse_seconds);
        compare(base, other, &options()).unwrap()
    };
    let leaking = |canary: f64, seconds: f64, noise: f64| observed(canary, seconds, noise, None);
    let worse = leaking(2.0, 60.0, 0.01);
    assert!(worse.decision.is_beyond, "{:?}", worse.decision);
    assert!(
        worse.decision.reasons.iter().any(|reason| reason.contains("bytes in use")),
        "{:?}",
        worse.decision
    );
    assert_eq!(worse.totals[2].quantity, Quantity::InuseBytes);
    assert!((worse.totals[2].base.amount / 1e8 - 1.0).abs() < 0.02, "{:?}", worse.totals[2]);
    let vague = leaking(1.6, 60.0, 0.3).decision;
    assert_eq!(vague.verdict, Verdict::NotEnoughData, "it may hold more: {vague:?}");
    assert!(vague.reasons[0].contains("bytes in use +"), "{vague:?}");
    assert_eq!(leaking(0.99, 60.0, 0.01).decision.verdict, Verdict::Same);
    for (uneven, expect) in [
        (
            leaking(2.0, 90.0, 0.01),
            "for 60.0 s in the processes of the base and for 90.0 s in those of the canary",
        ),
        // One that was started anew among three that were not.
        (
            observed(2.0, 60.0, 0.01, Some(20.0)),
            "for 20.0 to 60.0 s in the processes of the base and for 60.0 s",
        ),
    ] {
        assert_eq!(
            (uneven.totals.len(), uneven.decision.verdict),
            (2, Verdict::Same),
            "{:?}",
            uneven.decision
        );
        let note = uneven.notes.iter().find(|note| note.contains("what is in use is not compared"));
        assert!(note.is_some_and(|note| note.contains(expect)), "{:?}", uneven.notes);
    }
}
