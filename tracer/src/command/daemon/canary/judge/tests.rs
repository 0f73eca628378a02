//! The thread: what it is given comes out as a verdict, whatever it is.

use std::time::{Duration, Instant};

use super::*;
use crate::canary::{Unit, Verdict};
use crate::mode::Mode;
use crate::view::sample;

/// A side of processes with these CPU seconds, each of which allocates so much of the same.
fn side(name: &str, first_pid: u32, times: u64, cpu_seconds: &[f64]) -> Side {
    let unit = |(at, &cpu_seconds): (u32, &f64)| {
        let mut site = sample::sample().sites.remove(0);
        (site.alloc_objects, site.alloc_bytes, site.samples) = (1000 * times, 64_000 * times, 1000 * times);
        site.standard_error = Default::default();
        (site.inuse_objects, site.inuse_bytes) = (None, None);
        Unit {
            name: format!("{name}-{at}"),
            process: Some((String::new(), first_pid + at, 1)),
            processes: 1,
            seconds: Some(60.0),
            times: None,
            cpu_seconds: Some(cpu_seconds),
            tracing_share: 0.0,
            requests: None,
            mode: Some(Mode::Live),
            sample_bytes: 0,
            exact: Some((64_000 * times, 1000 * times)),
            inuse_bytes: None,
            inuse_seconds: None,
            is_lossy: false,
            sites: vec![site],
        }
    };
    Side { name: name.to_owned(), units: (0..).zip(cpu_seconds).map(unit).collect() }
}

fn job(service: &str, sides: [Side; 2], reason: Option<&str>) -> Job {
    let service = ServiceName { service: service.into(), ..ServiceName::default() };
    let reason = reason.map(str::to_owned);
    Job { service, sides, reason, awaits_names: false, notes: vec!["a note".to_owned()] }
}

/// The verdicts of a real thread on these.
fn judged(jobs: Vec<Job>) -> Vec<ServiceCanary> {
    let shared = Arc::new(Shared::new(|_| false));
    let judge = Judge::start(Arc::clone(&shared)).unwrap();
    assert!(!judge.is_busy());
    judge.send(jobs, &CanaryConfig::default(), vec!["of all".to_owned()]);
    let until = Instant::now() + Duration::from_secs(10);
    while judge.is_busy() {
        assert!(Instant::now() < until, "it never ends");
        thread::sleep(Duration::from_millis(1));
    }
    let canaries = shared.canaries();
    assert_eq!(canaries.notes, ["of all"]);
    judge.stop();
    canaries.services.clone()
}

#[test]
fn each_service_gets_its_verdict() {
    let alike = [1.0, 1.0, 1.0];
    let services = judged(vec![
        job("more", [side("stable", 1, 10, &alike), side("canary", 10, 20, &alike)], None),
        job("alike", [side("stable", 1, 10, &alike), side("canary", 10, 10, &alike)], None),
        job("few", [side("stable", 1, 10, &alike), side("canary", 10, 20, &alike[..2])], None),
        job("idle", [side("stable", 1, 10, &alike), side("canary", 10, 20, &[1.0, 0.0, 1.0])], None),
        job("early", [Side::default(), side("canary", 10, 20, &alike)], Some("no stable yet")),
    ]);
    let seen: Vec<_> = services
        .iter()
        .map(|one| {
            let decision = &one.comparison.decision;
            (&*one.labels.service, decision.verdict, decision.is_go())
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("more", Verdict::Worse, false),
            ("alike", Verdict::Same, true),
            ("few", Verdict::NotEnoughData, false),
            ("idle", Verdict::NotEnoughData, false),
            ("early", Verdict::NotEnoughData, false),
        ]
    );
    let [.., idle, early] = &services[..] else { panic!("five") };
    assert!(idle.comparison.decision.reasons[0].contains("process canary-1 took no CPU time"), "{idle:?}");
    assert_eq!(early.comparison.decision.reasons, ["no stable yet"]);
    assert_eq!((early.comparison.base.units, early.comparison.canary.units), (0, 3));
    assert_eq!(early.comparison.canary.exposure, 3.0);
    assert!(services.iter().all(|one| one.comparison.notes.contains(&"a note".to_owned())));
}
