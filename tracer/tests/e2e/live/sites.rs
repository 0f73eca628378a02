//! What call sites are told apart by beside their stacks: the name of the thread, and the allocator.

use std::collections::BTreeMap;

use tracer::model::snapshot::{CallSite, Snapshot, Verdict};

use crate::allocators::system_library;
use crate::fixtures::{compile, fixture, source};
use crate::harness::{Target, Tracer, kernel_or_skip, skip};

/// Bytes of each block of `named_threads.c`.
const BLOCK: u64 = 48;

fn traced(mut target: Target, options: &[&str]) -> Snapshot {
    let mut tracer = Tracer::attach(target.pid(), options);
    tracer.wait_counting();
    target.go();
    assert_eq!(target.next_line(), "done", "it has made its blocks");
    let snapshot = tracer.stop().success();
    assert_eq!(snapshot.quality.verdict, Verdict::Exact, "{:?}", snapshot.quality);
    snapshot
}

fn of<'a>(snapshot: &'a Snapshot, function: &str) -> Vec<&'a CallSite> {
    snapshot.sites.iter().filter(|site| site.frames[0].function.as_deref() == Some(function)).collect()
}

/// Check three threads at one place: three sites with their own counts, or one with the sum.
#[test]
fn threads_of_other_names_are_other_call_sites_if_that_is_asked_for() {
    if !kernel_or_skip("threads_of_other_names_are_other_call_sites_if_that_is_asked_for") {
        return;
    }
    let program = fixture("named_threads");
    let apart = traced(Target::start(&program, &[]), &["--by-thread"]);
    let numbers = |site: &&CallSite| {
        let name = site.thread.as_deref().expect("the name of a thread").to_owned();
        (name, (site.alloc_objects, site.alloc_bytes, site.inuse_objects))
    };
    let found = of(&apart, "shared_site");
    let expected = [("index", 200), ("ingest", 100), ("serve", 300)]
        .map(|(name, objects)| (name.to_owned(), (objects, objects * BLOCK, Some(objects))));
    assert_eq!(found.len(), expected.len(), "{found:?}");
    assert_eq!(found.iter().map(numbers).collect::<BTreeMap<_, _>>(), BTreeMap::from(expected));
    let together = traced(Target::start(&program, &[]), &[]);
    let found = of(&together, "shared_site");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].alloc_objects, found[0].inuse_bytes), (600, Some(600 * BLOCK)));
    assert_eq!(found[0].thread, None, "nobody asked");
}

/// Check jemalloc beside libc's malloc.
#[test]
fn call_site_has_the_allocator_that_it_calls() {
    let name = "call_site_has_the_allocator_that_it_calls";
    if !kernel_or_skip(name) {
        return;
    }
    let library = match system_library("libjemalloc.so.2", "libjemalloc2") {
        Ok(library) => library,
        Err(reason) => return skip(name, &reason),
    };
    let arguments = ["-std=gnu11", "-Wall", "-Wextra", "-O1", "-g", "-fno-omit-frame-pointer", &library];
    let arguments = arguments.map(str::to_owned);
    let program = compile("two_heaps", "gcc", &source("two_heaps.c"), &arguments).expect("it compiles");
    let snapshot = traced(Target::start(&program, &[]), &[]);
    for (function, allocator, objects, bytes) in
        [("own_heap", "jemalloc", 10, 1000), ("libc_heap", "glibc", 20, 4000)]
    {
        let found = of(&snapshot, function);
        assert_eq!(found.len(), 1, "{function}: {found:?}");
        let site = found[0];
        assert_eq!(site.allocator.as_deref(), Some(allocator), "{function}");
        assert_eq!((site.alloc_objects, site.alloc_bytes), (objects, bytes), "{function}");
    }
}
