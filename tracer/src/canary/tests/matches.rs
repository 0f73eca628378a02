//! Which call sites of two builds are one.

use std::sync::Arc;

use super::super::MatchKind::{self, Gone, Inlined, Moved, New, Same, Split};
use super::super::identity::{Chains, Names};
use super::super::matching::groups;
use super::super::testing::{site, stack};
use crate::frame::Frame;
use crate::model::snapshot::CallSite;

fn sites(stacks: &[&str], build: Option<&str>) -> Vec<CallSite> {
    let built =
        |frame: Arc<Frame>| Arc::new(Frame { build_id: build.map(str::to_owned), ..Frame::clone(&frame) });
    let frames = |text: &&str| stack(text).into_iter().map(built).collect::<Vec<_>>();
    stacks.iter().map(|text| site(10.0, 0.0, 10, &frames(text))).collect()
}

/// What became of each stack: kind, numbers of the base, numbers of the canary; in order.
fn matched(base: &[CallSite], canary: &[CallSite]) -> Vec<(MatchKind, Vec<usize>, Vec<usize>)> {
    let mut names = Names::new();
    let (mut ours, mut theirs) = (Chains::default(), Chains::default());
    for site in base {
        ours.number(site, &mut names);
    }
    for site in canary {
        theirs.number(site, &mut names);
    }
    let mut found: Vec<_> = groups(&ours.chains(), &theirs.chains())
        .into_iter()
        .map(|mut group| {
            group.base.sort_unstable();
            group.canary.sort_unstable();
            (group.kind, group.base, group.canary)
        })
        .collect();
    found.sort();
    found
}

fn check(base: &[&str], canary: &[&str], expect: &[(MatchKind, &[usize], &[usize])]) {
    let expect: Vec<_> = expect.iter().map(|&(kind, a, b)| (kind, a.to_vec(), b.to_vec())).collect();
    assert_eq!(matched(&sites(base, None), &sites(canary, None)), expect, "{base:?} {canary:?}");
}

#[test]
fn the_same_functions_and_lines_are_one_site_wherever_the_sources_lie() {
    check(
        &["make /a/x.c:3, main /a/x.c:9", "load /a/y.c:4, main /a/x.c:10"],
        &["load /b/y.c:4, main /b/x.c:10", "make.constprop.0 /b/x.c:3, main /b/x.c:9"],
        &[(Same, &[0], &[1]), (Same, &[1], &[0])],
    );
}

#[test]
fn lines_that_have_moved_keep_their_order() {
    check(&["make x.c:3, main x.c:9"], &["make x.c:5, main x.c:12"], &[(Moved, &[0], &[0])]);
    check(
        &["make x.c:3, main x.c:9", "make x.c:7, main x.c:9"],
        &["make x.c:13, main x.c:19", "make x.c:17, main x.c:19"],
        &[(Moved, &[0], &[0]), (Moved, &[1], &[1])],
    );
    check(
        &["make x.c:3, main x.c:9", "make x.c:7, main x.c:9"],
        &["make x.c:3, main x.c:9", "make x.c:8, main x.c:9"],
        &[(Same, &[0], &[0]), (Moved, &[1], &[1])],
    );
}

#[test]
fn a_line_that_is_another_s_line_now_is_not_taken_for_it() {
    check(
        &["make x.c:3, main x.c:9", "make x.c:5, main x.c:9"],
        &["make x.c:5, main x.c:9", "make x.c:7, main x.c:9"],
        &[(Split, &[0, 1], &[0, 1])],
    );
}

#[test]
fn lines_that_cannot_be_told_apart_are_compared_as_one() {
    check(
        &["make x.c:3, main x.c:9"],
        &["make x.c:4, main x.c:9", "make x.c:6, main x.c:9"],
        &[(Split, &[0], &[0, 1])],
    );
    check(
        &["make x.c:3, main x.c:9", "make x.c:20, main x.c:9"],
        &["make x.c:3, main x.c:9", "make x.c:24, main x.c:9", "make x.c:26, main x.c:9"],
        &[(Same, &[0], &[0]), (Split, &[1], &[1, 2])],
    );
}

#[test]
fn a_line_more_is_new_and_a_line_less_is_gone() {
    let (one, two) = (&["make x.c:3, main x.c:9"], &["make x.c:3, main x.c:9", "make x.c:7, main x.c:9"]);
    check(one, two, &[(Same, &[0], &[0]), (New, &[], &[1])]);
    check(two, one, &[(Same, &[0], &[0]), (Gone, &[1], &[])]);
    check(&["make x.c:3, main x.c:9"], &["load x.c:3, main x.c:9"], &[(New, &[], &[0]), (Gone, &[0], &[])]);
}

#[test]
fn functions_that_one_build_has_inlined_are_left_out() {
    check(&["make, handle, main"], &["handle, main"], &[(Inlined, &[0], &[0])]);
    check(&["make x.c:3, handle x.c:7, main x.c:9"], &["handle x.c:3, main x.c:9"], &[(Inlined, &[0], &[0])]);
    check(&["make, handle, main", "grow, handle, main"], &["handle, main"], &[(Split, &[0, 1], &[0])]);
    // `helper` is a function of its own elsewhere in this build.
    check(
        &["make, helper, handle, run, main", "helper, other, run, main"],
        &["make, handle, run, main", "helper, other, run, main"],
        &[(Same, &[1], &[1]), (Inlined, &[0], &[0])],
    );
}

#[test]
fn frames_without_a_name_are_known_by_their_module_alone() {
    check(&[", main"], &[", main"], &[(Same, &[0], &[0])]);
    let mut base = sites(&["x, main"], None);
    let mut canary = base.clone();
    let unnamed = |address: &str| {
        Arc::new(Frame {
            address: address.to_owned(),
            module: Some("/lib/libz.so".to_owned()),
            ..Frame::default()
        })
    };
    base[0].frames = [unnamed("0x7f10")].into();
    canary[0].frames = [unnamed("0x7e20")].into();
    assert_eq!(matched(&base, &canary), [(Same, vec![0], vec![0])]);
}

#[test]
fn lines_of_one_and_the_same_build_do_not_move() {
    let (base, canary) = (
        ["make x.c:3, main x.c:9", "make x.c:5, main x.c:9"],
        ["make x.c:5, main x.c:9", "make x.c:7, main x.c:9"],
    );
    let expect = [(Same, vec![1], vec![0]), (New, vec![], vec![1]), (Gone, vec![0], vec![])];
    assert_eq!(matched(&sites(&base, Some("ab")), &sites(&canary, Some("ab"))), expect);
    let other = matched(&sites(&base, Some("ab")), &sites(&canary, Some("cd")));
    assert_eq!(other, [(Split, vec![0, 1], vec![0, 1])]);
}

#[test]
fn sixteen_thousand_sites_a_side_take_a_moment() {
    let started = std::time::Instant::now();
    let stacks = |shift: usize| -> Vec<String> {
        (0..16_000)
            .map(|at| {
                let depth =
                    (0..20).map(|level| format!("f{}_{level} x.c:{}", at % 977, level + at / 977 + shift));
                depth.collect::<Vec<_>>().join(", ")
            })
            .collect()
    };
    let (base, canary) = (stacks(0), stacks(5));
    let text = |stacks: &[String]| sites(&stacks.iter().map(String::as_str).collect::<Vec<_>>(), None);
    let found = matched(&text(&base), &text(&canary));
    assert_eq!(found.iter().map(|(_, base, _)| base.len()).sum::<usize>(), 16_000);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
