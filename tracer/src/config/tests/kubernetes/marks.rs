//! What a pod may say of how it wants to be traced.

use super::*;
use crate::mode::{GoSource, Tracing};
use crate::target::kubernetes::{ENABLED, MODE, Marks, Pod, SAMPLE_BYTES};

fn pod(annotations: &[(&str, &str)], labels: &[(&str, &str)]) -> Pod {
    let map = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    Pod {
        namespace: "shop".to_owned(),
        name: "api-0".to_owned(),
        annotations: map(annotations),
        labels: map(labels),
        ..Pod::default()
    }
}

#[test]
fn a_pod_says_by_annotations_or_labels_whether_and_how_it_is_traced() {
    let check = |pod: &Pod, is_enabled, mode, sample_bytes| {
        assert_eq!(marks(pod), Marks { is_enabled, mode, sample_bytes, wrong: Vec::new() }, "{pod:?}");
    };
    check(&pod(&[], &[]), None, None, None);
    check(&pod(&[(ENABLED, "true")], &[]), Some(true), None, None);
    check(&pod(&[], &[(ENABLED, "true")]), Some(true), None, None);
    check(&pod(&[], &[(ENABLED, "false")]), Some(false), None, None);
    // As a block of YAML has it.
    check(&pod(&[(ENABLED, "true\n"), (MODE, "live\n")], &[]), Some(true), Some(Mode::Live), None);
    check(&pod(&[(ENABLED, "false")], &[(ENABLED, "true")]), Some(false), None, None);
    check(&pod(&[(MODE, "live"), (SAMPLE_BYTES, "64KiB")], &[]), None, Some(Mode::Live), Some(64 << 10));
    check(&pod(&[], &[(MODE, "alloc"), (SAMPLE_BYTES, "0")]), None, Some(Mode::Alloc), Some(0));
    check(&pod(&[(SAMPLE_BYTES, "512 KiB")], &[]), None, None, Some(512 << 10));
}

#[test]
fn what_a_mark_cannot_mean_is_said_and_asks_for_nothing() {
    let check = |key: &str, text: &str, is_enabled, expect: &str| {
        let marks = marks(&pod(&[(key, text)], &[]));
        assert_eq!((marks.is_enabled, marks.mode, marks.sample_bytes), (is_enabled, None, None), "{text}");
        assert_eq!(marks.wrong.len(), 1, "{marks:?}");
        assert!(marks.wrong[0].starts_with(&format!("pod shop/api-0: {key} {expect}")), "{marks:?}");
    };
    for text in ["True", "yes", "1", "False"] {
        check(ENABLED, text, Some(false), &format!("{text}: it is neither \"true\" nor \"false\""));
    }
    check(ENABLED, "", Some(false), ": it is neither");
    check(MODE, "heap", None, "heap is unknown: it is alloc or live");
    check(MODE, "Live", None, "Live is unknown");
    check(SAMPLE_BYTES, "1GiB", None, "1GiB: it must be at most 512 MiB");
    check(SAMPLE_BYTES, "-1", None, "-1: ");
    check(SAMPLE_BYTES, "auto", None, "auto is not there yet");
    check(MODE, "a\u{1b}[31m\nb", None, "a\u{fffd}[31m\u{fffd}b is unknown");
    let long = marks(&pod(&[(MODE, &"x".repeat(100_000))], &[]));
    assert!(long.wrong[0].len() < 300, "{} bytes", long.wrong[0].len());
}

#[test]
fn what_a_pod_does_not_say_is_as_the_rule_has_it() {
    let rule = Tracing { mode: Mode::Alloc, sample_bytes: 1, go: GoSource::Probes };
    assert_eq!(Marks::default().of(rule), rule);
    let mode = Marks { mode: Some(Mode::Live), ..Marks::default() };
    assert_eq!(mode.of(rule), Tracing { mode: Mode::Live, ..rule });
    let bytes = Marks { sample_bytes: Some(0), ..Marks::default() };
    assert_eq!(bytes.of(rule), Tracing { sample_bytes: 0, ..rule });
}
