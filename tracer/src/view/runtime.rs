//! A heap that a runtime counts by itself, in words: no probes, exact totals, call sites from the runtime's own samples. For
//! every view.

use crate::model::node::RuntimeHeap;
use crate::model::snapshot::{Allocator, CallSite, Snapshot, Target};
use crate::units::Bytes;
use crate::view::frame::{age, printable};

/// Of all processes.
pub(crate) fn heaps(snapshot: &Snapshot) -> Vec<RuntimeHeap> {
    snapshot.targets.iter().flat_map(|target| &target.allocators).filter_map(RuntimeHeap::of).collect()
}

/// Whether probes count anything. What nobody says anything of, as a profile of another program, is taken for that.
pub(crate) fn has_probes(snapshot: &Snapshot) -> bool {
    has_probed(snapshot.targets.iter().flat_map(|target| &target.allocators))
}

/// The same of one process.
pub(crate) fn is_probed(target: &Target) -> bool {
    has_probed(target.allocators.iter())
}

fn has_probed<'a>(allocators: impl Iterator<Item = &'a Allocator>) -> bool {
    let mut allocators = allocators.peekable();
    allocators.peek().is_none() || allocators.any(|allocator| RuntimeHeap::of(allocator).is_none())
}

/// Mean bytes between samples: the greatest of the probes and of the runtimes; 0 is every allocation.
pub(crate) fn interval_bytes(snapshot: &Snapshot) -> u64 {
    let of_runtimes = heaps(snapshot).iter().filter_map(|heap| heap.sample_bytes).max().unwrap_or(0);
    if has_probes(snapshot) { of_runtimes.max(snapshot.sample_bytes) } else { of_runtimes }
}

/// `go 1.27.3`.
pub(crate) fn name(heap: &RuntimeHeap) -> String {
    let Some(version) = heap.version.as_deref() else { return printable(&heap.name) };
    let number = version.strip_prefix(heap.name.as_str()).unwrap_or(version).trim_start();
    printable(format!("{} {number}", heap.name).trim_end())
}

/// `go 1.27.3 heap (runtime: no probes) · one sample per 512 KiB · profile as of 400ms ago`.
pub(crate) fn line(heap: &RuntimeHeap) -> String {
    parts(heap).join(" · ")
}

/// The same in its parts.
pub(crate) fn parts(heap: &RuntimeHeap) -> Vec<String> {
    let mut parts = vec![format!("{} heap (runtime: no probes)", name(heap)), sampling(heap)];
    if let (Some(_), Some(seconds)) = (heap.sample_bytes, heap.profile_age_seconds) {
        parts.push(format!("profile as of {} ago", age(seconds)));
    }
    parts
}

/// How many allocations the runtime looks at.
pub(crate) fn sampling(heap: &RuntimeHeap) -> String {
    match heap.sample_bytes {
        None => "no profile, so no call sites".to_owned(),
        Some(1) => "every allocation".to_owned(),
        Some(bytes) => format!("one sample per {}", Bytes(bytes)),
    }
}

/// Where the numbers of a call site come from, if that is a runtime.
pub(crate) fn of_site(snapshot: &Snapshot, site: &CallSite) -> Option<String> {
    let target = snapshot.targets.iter().find(|target| target.pid == site.pid)?;
    let mut heaps = target.allocators.iter().filter_map(RuntimeHeap::of);
    let heap = heaps.find(|heap| site.allocator.as_deref() == Some(heap.name.as_str()))?;
    let at = heap.profile_age_seconds.map_or_else(String::new, |seconds| format!(", {} ago", age(seconds)));
    Some(format!(
        "{}'s own profile, {}; in use as of a finished garbage collection{at}",
        name(&heap),
        sampling(&heap)
    ))
}

/// Sentences about how good the numbers are, each with what it is about. Several processes with the same runtime are one.
pub(crate) fn quality(snapshot: &Snapshot) -> Vec<(&'static str, String)> {
    let heaps = heaps(snapshot);
    let mut names: Vec<&str> = heaps.iter().map(|heap| heap.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let of = |name: &str| heaps.iter().filter(|heap| heap.name == name).collect::<Vec<_>>();
    names.into_iter().flat_map(|name| sentences(name, &of(name))).collect()
}

fn sentences(name: &str, heaps: &[&RuntimeHeap]) -> Vec<(&'static str, String)> {
    let name = printable(name);
    let each = if heaps.len() > 1 { " per process" } else { "" };
    let lag = heaps.iter().filter_map(|heap| heap.lag_bytes).max().map_or_else(String::new, |bytes| {
        format!("; allocated and not counted yet are at most {}{each}", Bytes(bytes))
    });
    let mut said = vec![(
        "runtime",
        format!(
            "{name} counts its heap by itself, without probes: totals are exact, in use is all that the process holds, \
             also what is older than the attach{lag}"
        ),
    )];
    let Some(interval) = heaps.iter().filter_map(|heap| heap.sample_bytes).max() else {
        said.push((
            "profile",
            format!("{name} takes no heap profile here, so its allocations have no call sites"),
        ));
        return said;
    };
    let samples = match interval {
        1 => "of every allocation".to_owned(),
        bytes => format!("estimates, from one sample per {} on average", Bytes(bytes)),
    };
    let ages = heaps.iter().filter_map(|heap| heap.profile_age_seconds);
    let at = ages.reduce(f64::max).map_or_else(String::new, |seconds| {
        let most = if heaps.len() > 1 { "at most " } else { "" };
        format!(", {most}{} ago", age(seconds))
    });
    said.push((
        "profile",
        format!(
            "call sites of {name} are {samples}; what they have in use is as of a finished garbage collection{at}"
        ),
    ));
    if heaps.iter().any(|heap| heap.sample_bytes.is_none()) {
        said.push((
            "profile",
            format!("some processes take no heap profile: {name} has no call sites there"),
        ));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    fn heap(version: Option<&str>, sample_bytes: Option<u64>, age: Option<f64>) -> RuntimeHeap {
        RuntimeHeap {
            name: "go".to_owned(),
            version: version.map(str::to_owned),
            sample_bytes,
            profile_age_seconds: age,
            lag_bytes: None,
        }
    }

    #[test]
    fn a_heap_says_its_version_once_and_how_it_is_sampled() {
        let check = |heap: RuntimeHeap, expect: &str| assert_eq!(line(&heap), expect);
        check(
            heap(Some("go1.27.3"), Some(512 << 10), Some(0.4)),
            "go 1.27.3 heap (runtime: no probes) · one sample per 512 KiB · profile as of 400ms ago",
        );
        check(heap(Some("1.19.8"), Some(1), None), "go 1.19.8 heap (runtime: no probes) · every allocation");
        check(
            heap(Some("devel go1.28-abc"), None, Some(3.0)),
            "go devel go1.28-abc heap (runtime: no probes) · no profile, so no call sites",
        );
        check(heap(None, None, None), "go heap (runtime: no probes) · no profile, so no call sites");
        check(
            heap(Some("1\u{1b}[2J"), Some(1), None),
            "go 1\u{fffd}[2J heap (runtime: no probes) · every allocation",
        );
    }

    #[test]
    fn the_interval_is_that_of_whoever_samples_least() {
        let check = |snapshot: &Snapshot, expect: (bool, u64)| {
            assert_eq!((has_probes(snapshot), interval_bytes(snapshot)), expect);
        };
        let mut go = sample::go();
        check(&go, (false, 512 << 10));
        go.sample_bytes = 1 << 20;
        check(&go, (false, 512 << 10));
        let mut cgo = sample::cgo();
        check(&cgo, (true, 512 << 10));
        cgo.sample_bytes = 1 << 20;
        check(&cgo, (true, 1 << 20));
        check(&sample::sampled(), (true, 512 << 10));
        let mut foreign = sample::sampled();
        foreign.targets[0].allocators.clear();
        check(&foreign, (true, 512 << 10));
    }

    #[test]
    fn a_site_of_the_runtime_says_how_old_it_is_and_one_of_c_does_not() {
        let snapshot = sample::cgo();
        let said: Vec<Option<String>> = snapshot.sites.iter().map(|site| of_site(&snapshot, site)).collect();
        let go = "go 1.27.3's own profile, one sample per 512 KiB; in use as of a finished garbage collection, \
                  400ms ago";
        assert_eq!(said, [Some(go.to_owned()), Some(go.to_owned()), None]);
    }

    #[test]
    fn several_processes_are_one_sentence() {
        let mut snapshot = sample::go();
        let mut other = snapshot.targets[0].clone();
        let heap = &mut other.allocators[0];
        (heap.lag_bytes, heap.profile_age_seconds, heap.sample_bytes) = (Some(5 << 20), Some(90.0), None);
        snapshot.targets.push(other);
        let said: Vec<String> = quality(&snapshot).into_iter().map(|(_, text)| text).collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].ends_with("are at most 5.00 MiB per process"), "{said:?}");
        assert!(said[1].ends_with("garbage collection, at most 1m 30s ago"), "{said:?}");
        assert!(said[2].starts_with("some processes take no heap profile"), "{said:?}");
    }
}
