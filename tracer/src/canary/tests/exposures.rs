//! What amounts are divided by, and what is one unit.

use super::super::testing::{Random, Service};
use super::super::{Options, Per, Side, Verdict, compare};

/// Each unit cut into so many windows of the same length, whose amounts are what the unit had.
fn cut(side: &Side, windows: u32) -> Side {
    let parts = u64::from(windows);
    let mut cut = Side { name: side.name.clone(), units: Vec::new() };
    for unit in &side.units {
        for _ in 0..windows {
            let mut window = unit.clone();
            window.seconds = unit.seconds.map(|seconds| seconds / f64::from(windows));
            window.exact = unit.exact.map(|(bytes, objects)| (bytes / parts, objects / parts));
            for site in &mut window.sites {
                site.alloc_bytes /= parts;
                site.alloc_objects /= parts;
                site.samples /= parts;
                site.standard_error.alloc_bytes /= f64::from(windows).sqrt();
                site.standard_error.alloc_objects /= f64::from(windows).sqrt();
            }
            cut.units.push(window);
        }
    }
    cut
}

#[test]
fn an_interval_does_not_shrink_when_a_process_is_cut_into_windows() {
    let service = Service { variation: 0.03, ..Service::of(40) };
    let mut random = Random(3);
    let (base, canary) = (service.side(4, &mut random), service.side(4, &mut random));
    let whole = compare(base.clone(), canary.clone(), &Options::default()).unwrap();
    let windows = compare(cut(&base, 5), cut(&canary, 5), &Options::default()).unwrap();
    assert_eq!((windows.base.units, windows.canary.units), (4, 4));
    assert!(windows.notes.iter().any(|note| note.contains("20 profiles of the base are of 4 processes")));
    let widths = |comparison: &super::super::Comparison| -> Vec<f64> {
        let rows = comparison.totals.iter().chain(comparison.sites.iter().flat_map(|site| &site.rows));
        rows.map(|row| row.change.unwrap()).map(|change| change.upper.unwrap() - change.lower).collect()
    };
    let (of_whole, of_windows) = (widths(&whole), widths(&windows));
    assert_eq!(of_whole.len(), of_windows.len());
    let sum = |widths: &[f64]| widths.iter().sum::<f64>();
    assert!(
        (sum(&of_whole) / sum(&of_windows) - 1.0).abs() < 0.01,
        "{} {}",
        sum(&of_whole),
        sum(&of_windows)
    );
    // Two processes in many windows are two units.
    let mut few = cut(&base, 5);
    few.units.truncate(10);
    let few = compare(few, canary, &Options::default()).unwrap();
    assert_eq!((few.base.units, few.decision.verdict), (2, Verdict::NotEnoughData), "{:?}", few.decision);
}

#[test]
fn a_canary_with_less_load_is_not_better_for_that() {
    let base = Service { variation: 0.01, ..Service::of(60) };
    let mut canary = Service { seconds: 12.0, ..base.clone() };
    let mut random = Random(9);
    let sides = (base.side(6, &mut random), canary.side(3, &mut random));
    let by_time = compare(sides.0, sides.1, &Options::default()).unwrap();
    assert_eq!(
        (by_time.per, by_time.decision.verdict),
        (Per::Process, Verdict::Same),
        "{:?}",
        by_time.decision
    );
    // A tenth of the requests in the same time: the time says less, the requests say the same.
    canary = Service { rates: base.rates.iter().map(|rate| rate / 10.0).collect(), ..base.clone() };
    let (mut base, mut canary) = (base.side(5, &mut random), canary.side(5, &mut random));
    let options = |per| Options { per: Some(per), ..Options::default() };
    let by_time = compare(base.clone(), canary.clone(), &options(Per::Process)).unwrap();
    assert_eq!(by_time.decision.verdict, Verdict::Better);
    let both = [(&mut base, 60_000.0), (&mut canary, 6_000.0)];
    for (side, requests) in both {
        side.units.iter_mut().for_each(|unit| unit.requests = Some(requests));
    }
    let by_request = compare(base, canary, &options(Per::Request)).unwrap();
    assert_eq!(by_request.decision.verdict, Verdict::Same, "{:?}", by_request.decision);
}

#[test]
fn what_all_units_know_is_divided_by() {
    let service = Service::of(5);
    let check = |cpu: Option<f64>, of_last: Option<f64>, seconds: Option<f64>, expect: Per| {
        let mut sides = [service.side(3, &mut Random(1)), service.side(3, &mut Random(2))];
        for unit in sides.iter_mut().flat_map(|side| &mut side.units) {
            unit.cpu_seconds = cpu;
            unit.seconds = seconds;
        }
        sides[1].units[2].cpu_seconds = of_last;
        let [base, canary] = sides;
        assert_eq!(compare(base, canary, &Options::default()).unwrap().per, expect);
    };
    check(Some(2.0), Some(2.0), Some(60.0), Per::CpuSecond);
    check(Some(2.0), None, Some(60.0), Per::Process);
    check(Some(2.0), Some(0.0), Some(60.0), Per::Process);
    check(None, None, Some(60.0), Per::Process);
    check(None, None, None, Per::Run);
}

#[test]
fn another_need_of_cpu_time_is_said() {
    let service = Service::of(5);
    let notes = |cpu: f64| {
        let [mut base, mut canary] = [service.side(3, &mut Random(1)), service.side(3, &mut Random(2))];
        base.units.iter_mut().for_each(|unit| unit.cpu_seconds = Some(10.0));
        canary.units.iter_mut().for_each(|unit| unit.cpu_seconds = Some(cpu));
        compare(base, canary, &Options::default()).unwrap().notes.join("\n")
    };
    assert!(notes(5.0).contains("took 0.50 times the CPU time"), "{}", notes(5.0));
    assert_eq!(notes(10.5), "");
}
