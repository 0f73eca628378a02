//! The rules about languages that free by hand.

use tracer::advise::Language;
use tracer::model::snapshot::{CallSite, Mode, Snapshot};

use super::{named, report, site, snapshot};

const LINE: [&str; 2] = ["read_line|input.c|12", "main|main.c|40"];
/// libstdc++ 12, as `e2e/advise.rs` traces it.
const PUSH: [&str; 4] = [
    "std::__new_allocator<int>::allocate(unsigned long, void const*)|/usr/include/c++/12/bits/new_allocator.h|137",
    "void std::vector<int, std::allocator<int> >::_M_realloc_insert<int const&>(int const*, int const&)|/usr/include/c++/12/bits/vector.tcc|440",
    "collect(int)|collect.cpp|7",
    "main|collect.cpp|20",
];
const FINISH_GROW: [&str; 4] = [
    "alloc::raw_vec::finish_grow|library/alloc/src/raw_vec.rs|1",
    "alloc::raw_vec::RawVec<T,A>::grow_one|library/alloc/src/raw_vec.rs|2",
    "shop::collect|src/main.rs|7",
    "shop::main|src/main.rs|20",
];

fn realloc(objects: u64, size: u64, kept: u64) -> CallSite {
    CallSite { called: Some("realloc".into()), ..site(&LINE, objects, size, kept) }
}

/// What each rule fires on.
pub(super) fn firing() -> Vec<(&'static str, Snapshot)> {
    let one = |site| snapshot(vec![site], 1.0);
    vec![
        ("realloc-growth", one(realloc(100_000, 4096, 1000))),
        ("container-growth", one(site(&PUSH, 50_000, 512, 100))),
        ("tiny-objects", one(site(&LINE, 100_000, 24, 5000))),
        ("ping-pong", one(site(&LINE, 100_000, 4096, 3))),
    ]
}

/// Check what lies beside each threshold.
#[test]
fn what_is_nearly_a_pattern_is_none() {
    let check = |site: CallSite, rule: Option<&'static str>, what: &str| {
        let found = named(&snapshot(vec![site], 1.0));
        assert_eq!(found.first().map(|(_, rule)| *rule), rule, "{what}: {found:?}");
    };
    check(realloc(100_000, 4096, 12_500), Some("realloc-growth"), "eight calls for each block that is kept");
    check(realloc(100_000, 4096, 13_000), None, "fewer calls for each block that is kept");
    check(site(&LINE, 100_000, 4096, 12_500), None, "malloc, not realloc");
    check(site(&LINE, 100_000, 32, 10_000), Some("tiny-objects"), "32 bytes, a tenth is kept");
    check(site(&LINE, 100_000, 33, 10_000), None, "33 bytes");
    check(site(&LINE, 100_000, 32, 10_100), None, "a little more is kept");
    check(site(&LINE, 100_000, 33, 1000), Some("ping-pong"), "1 in 100 is kept");
    check(site(&LINE, 100_000, 33, 1100), None, "11 in 1000 are kept");
    check(site(&LINE, 9000, 4096, 0), None, "9,000 a second are too few");
    check(site(&LINE, 9000, 65_536, 0), Some("ping-pong"), "but not if they are 560 MiB");
    check(site(&PUSH, 50_000, 512, 26_000), None, "containers that are kept");
    check(site(&PUSH[2..], 50_000, 512, 300), Some("ping-pong"), "no container");
    check(site(&[], 50_000, 512, 0), None, "no stack");
    check(site(&["|a.c|1"], 50_000, 512, 0), None, "no name");
}

/// Check that the fix is one for the language, that of the function that asked, at its line.
#[test]
fn the_fix_is_for_the_language_of_the_function() {
    let check = |frames: &[&str], function: &str, place: (&str, u32), language, word: &str| {
        let report = report(&snapshot(vec![site(frames, 50_000, 512, 100)], 1.0));
        let advice = report.advice.first().expect("it fires");
        assert_eq!((advice.function.as_str(), advice.language), (function, language));
        assert_eq!((advice.file.as_deref(), advice.line), (Some(place.0), Some(place.1)));
        assert!(advice.fix.text.contains(word), "{function}: {:?}", advice.fix);
    };
    check(&PUSH, "collect(int)", ("collect.cpp", 7), Language::Cpp, "reserve(n)");
    check(&FINISH_GROW, "shop::collect", ("src/main.rs", 7), Language::Rust, "with_capacity");
    check(&LINE, "read_line", ("input.c", 12), Language::C, "outside of the loop");
}

/// Check that a mode without frees makes no claim about how long objects live, and says so.
#[test]
fn mode_alloc_says_nothing_about_what_is_short_lived() {
    for (rule, mut found) in firing() {
        found.mode = Mode::Alloc;
        for site in &mut found.sites {
            (site.free_objects, site.inuse_objects, site.inuse_bytes) = (None, None, None);
        }
        let report = report(&found);
        assert_eq!(report.advice, [], "{rule}");
        assert!(
            report.notes.iter().any(|note| note.contains("Mode alloc does not see frees")),
            "{:?}",
            report.notes
        );
        assert!(report.fine[0].why.contains("not known how long they live"), "{:?}", report.fine);
    }
}
