//! How often a comparison is wrong, and how much it finds: pairs of services whose truth is known, from seeds.

use super::super::testing::{Random, Service};
use super::super::{Comparison, MatchKind, Options, Verdict, compare};

const SITES: usize = 250;

fn pair(base: &Service, canary: &Service, units: u32, random: &mut Random) -> Comparison {
    compare(base.side(units, random), canary.side(units, random), &Options::default()).unwrap()
}

/// Unchanged pairs that are called changed, among six of each number of units from 3 to 8: with a confidence of 99 %, 5
/// in 100 would be allowed; more than two of 36 have a probability of 1 in 180 where one in a hundred is right.
fn check_unchanged(service: &Service, seed: u64) {
    let mut random = Random(seed);
    let mut alarms = 0;
    for units in 3..=8 {
        for _ in 0..6 {
            let comparison = pair(service, service, units, &mut random);
            let tested = comparison
                .sites
                .iter()
                .filter(|site| site.samples.iter().all(|&samples| samples > 0))
                .count();
            assert!(tested > 200, "{tested}");
            alarms += u32::from(matches!(comparison.decision.verdict, Verdict::Worse | Verdict::Better));
        }
    }
    assert!(alarms <= 2, "{alarms} of 36");
}

#[test]
fn unchanged_pairs_without_variation_hardly_alarm() {
    check_unchanged(&Service::of(SITES), 1);
}

#[test]
fn unchanged_pairs_with_little_variation_hardly_alarm() {
    check_unchanged(&Service { variation: 0.01, ..Service::of(SITES) }, 2);
}

#[test]
fn unchanged_pairs_with_much_variation_hardly_alarm() {
    check_unchanged(&Service { variation: 0.05, ..Service::of(SITES) }, 3);
}

#[test]
fn unchanged_pairs_whose_processes_differ_as_a_whole_hardly_alarm() {
    check_unchanged(&Service { variation: 0.01, common: 0.05, ..Service::of(SITES) }, 4);
}

#[test]
fn unchanged_pairs_of_exact_counts_hardly_alarm() {
    check_unchanged(&Service { variation: 0.03, sample_bytes: 0, ..Service::of(SITES) }, 5);
}

#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    let service = Service { variation: 0.03, ..Service::of(120) };
    let mut canary = service.clone();
    for (rank, rate) in canary.rates.iter_mut().enumerate() {
        *rate *= if rank % 3 == 0 { 1.1 } else { 1.0 };
    }
    let mut random = Random(6);
    let (mut held, mut all) = (0_u32, 0_u32);
    for units in [3, 4, 6, 8, 3, 4, 6, 8, 3, 4, 6, 8] {
        for site in pair(&service, &canary, units, &mut random).sites {
            let line = site.frames[0].line.unwrap() as usize - 2;
            let truth = canary.rates[line] / service.rates[line] - 1.0;
            let change = site.rows[0].change.unwrap();
            all += 1;
            held += u32::from(change.lower <= truth && change.upper.is_none_or(|upper| truth <= upper));
        }
    }
    let part = f64::from(held) / f64::from(all);
    // Four standard errors of a share of 95 % in 1,400.
    assert!(all > 1300 && (0.927..0.985).contains(&part), "{held} of {all}");
}

#[test]
fn a_little_more_at_a_site_outside_the_first_ten_is_found_and_named() {
    let service = Service { variation: 0.005, sample_bytes: 16_384, seconds: 120.0, ..Service::of(SITES) };
    let mut canary = service.clone();
    canary.rates[29] *= 1.05;
    let mut random = Random(7);
    let mut found = 0;
    for _ in 0..12 {
        let comparison = pair(&service, &canary, 6, &mut random);
        let first = &comparison.sites[0];
        let is_it = first.explains && first.name == "make_29 (app.c:31)";
        found += u32::from(is_it && comparison.decision.verdict == Verdict::Worse);
        assert!(first.share.is_some_and(|share| share < 0.02), "{:?}", first.share);
    }
    assert!(found >= 10, "{found} of 12");
}

#[test]
fn another_sampling_interval_is_no_change() {
    let fine = Service { variation: 0.005, seconds: 10.0, ..Service::of(SITES) };
    let coarse = Service { sample_bytes: 2 << 20, ..fine.clone() };
    let mut random = Random(8);
    let (mut more, mut less) = (0_u32, 0_u32);
    for round in 0..8 {
        let (base, canary) = if round % 2 == 0 { (&fine, &coarse) } else { (&coarse, &fine) };
        let comparison = pair(base, canary, 4, &mut random);
        assert_eq!(comparison.decision.verdict, Verdict::Same, "{:?}", comparison.decision);
        let mut samples = comparison.base.sample_bytes.clone();
        samples.extend(&comparison.canary.sample_bytes);
        samples.sort_unstable();
        assert_eq!(samples, [65_536, 2 << 20]);
        // Sites with few samples on the coarse side are neither larger nor smaller there.
        let small = comparison.sites.iter().filter(|site| site.samples.iter().any(|&samples| samples < 30));
        for site in small.filter(|site| site.matched == MatchKind::Same) {
            let is_more = site.rows[0].canary.amount > site.rows[0].base.amount;
            *(if is_more == (round % 2 == 0) { &mut more } else { &mut less }) += 1;
        }
    }
    let (all, part) = (more + less, f64::from(more) / f64::from(more + less));
    assert!(all > 50 && (part - 0.5).abs() < 3.0 * 0.5 / f64::from(all).sqrt(), "{more} of {all}");
}
