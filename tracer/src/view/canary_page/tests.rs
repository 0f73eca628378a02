//! The page and the JSON: everything in them, and nothing that a target could slip in.

use std::sync::Arc;

use super::*;
use crate::view::canaries::{self, ServiceName};
use crate::view::sample::canaries::{undecided, worse};

const HOSTILE: &str = "<script>alert('&\"')</script>\u{1b}[2J";

fn canaries(text: &str) -> Canaries {
    let one = |service: &str, comparison| ServiceCanary {
        labels: ServiceName { namespace: text.into(), service: service.into(), workload: text.into() },
        at: "2026-03-04T03:00:10.5Z".parse().unwrap(),
        comparison: Arc::new(comparison),
    };
    Canaries {
        services: vec![one(text, worse(text)), one("till", undecided(text))],
        notes: vec![text.to_owned()],
    }
}

fn page(canaries: &Canaries, service: Option<&str>) -> String {
    let mut out = Vec::new();
    write(canaries, service, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn texts_of_targets_are_harmless() {
    let page = page(&canaries(HOSTILE), None);
    assert!(!page.contains("<script"), "{page}");
    assert!(!page.contains('\u{1b}'), "{page}");
    let shown = "&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;\u{fffd}[2J";
    // Three labels of the one and two of the other, a note, a reason of each, a call site.
    assert_eq!(page.matches(shown).count(), 3 + 2 + 1 + 2 + 1);
}

#[test]
fn a_verdict_has_its_numbers_and_its_sites() {
    let page = page(&canaries("shop"), None);
    for expect in [
        "<b>worse</b>, by more than 5%: stop",
        "<b>not enough data</b>",
        "stable: 3 processes, 900 s together",
        "per CPU second",
        "as of 2026-03-04T03:00:10Z",
        "<td>10.0 KiB</td><td>12.0 KiB</td><td class=\"bad\">+20.0%</td><td>+15.0% … +25.0%</td><td>+4.0%</td>",
        "<td>100</td><td>100</td><td>+0.0%</td><td>-1.0% … +1.0%</td><td>-</td>",
        "shop</td><td>+18.0%</td><td class=\"bad\">-</td><td>+900.0% … any</td><td>-</td>",
    ] {
        assert!(page.contains(expect), "{expect} in {page}");
    }
}

#[test]
fn one_service_can_be_asked_for() {
    let all = canaries("shop");
    let till = page(&all, Some("till"));
    assert!(till.contains("not enough data") && !till.contains("worse"), "{till}");
    let mut out = Vec::new();
    canaries::write(&all, Some("till"), &mut out).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let [only] = &document["services"].as_array().unwrap()[..] else { panic!("{document}") };
    assert_eq!(only["labels"]["service"], "till");
    assert_eq!(only["comparison"]["decision"]["verdict"], "not_enough_data");
    assert!(page(&all, Some("nobody")).contains("none was compared yet"));
}
