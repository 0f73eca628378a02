//! Every format of a comparison, and the words and numbers in them.

use super::{Format, Options, flamegraph, json, markdown, words, write};
use crate::canary::{Change, Comparison, Cost, Per, Quantity, Row};
use crate::view::sample::canary::{undecided, worse};

fn text(format: Format, comparison: &Comparison, width: Option<u16>) -> String {
    let options = Options { top: 3, quantity: Quantity::AllocBytes, colour: false, width };
    let mut out = Vec::new();
    write(format, comparison, &options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_document_reads_back_as_the_same_comparison() {
    for comparison in [worse(), undecided()] {
        let document = text(Format::Json, &comparison, None);
        assert!(json::is_one(document.as_bytes()));
        let read = json::read(document.as_bytes()).unwrap();
        // JSON's numbers are decimal: the last bit of one may differ.
        assert_eq!(format!("{read:.9?}"), format!("{comparison:.9?}"));
    }
    let other = text(Format::Json, &worse(), None).replace("tracer-compare/1", "tracer-compare/9");
    assert!(json::is_one(other.as_bytes()));
    assert!(json::read(other.as_bytes()).unwrap_err().to_string().contains("\"tracer-compare/9\""));
    assert!(!json::is_one(b"{\"schema\": \"tracer/1\"}"));
    assert!(!json::is_one(b"\x1f\x8b"));
}

#[test]
fn the_table_says_the_verdict_first_and_lists_what_moved_most() {
    let table = text(Format::Table, &worse(), None);
    assert!(table.starts_with("WORSE, BY MORE THAN 5% (stop)\n"), "{table}");
    let at = |part: &str| table.find(part).unwrap_or_else(|| panic!("{part} is missing in\n{table}"));
    let order = [
        "parse_order (shop/src/parse_order.cpp:42) has increased",
        "runs/v1: 5 processes or runs",
        "bytes allocated",
        "CALL SITES by how far they moved all bytes: 3 of 6, 3 changed significantly",
        " parse_order (src/parse_order.cpp:42)\n",
        "cache_insert",
        "old_path|x`<y>",
        "all call sites below 0.1%",
        "3 more: --top N lists more",
        "Confidence 99% over all 14 tests together (Holm)",
        "varies by 2% from one process or run to the next",
        "would have found an increase of +8.1% of all bytes",
        "the canary every 2 MiB",
    ];
    let places: Vec<usize> = order.iter().map(|part| at(part)).collect();
    assert!(places.is_sorted(), "{places:?}\n{table}");
    let wide = text(Format::Table, &worse(), Some(180));
    for line in
        [" moved  parse_order (src/parse_order.cpp:42)", "  new  cache_insert", " gone  old_path|x`<y>"]
    {
        assert!(wide.contains(line), "{line} is missing in\n{wide}");
    }
}

#[test]
fn the_table_fits_the_terminal() {
    for width in [80, 100, 120, 200] {
        for comparison in [worse(), undecided()] {
            let table = text(Format::Table, &comparison, Some(width));
            let widest = table.lines().map(crate::view::frame::columns).max().unwrap();
            assert!(widest <= usize::from(width).max(112), "{width}: {widest}\n{table}");
        }
    }
}

#[test]
fn fewer_than_three_units_are_said() {
    for format in [Format::Table, Format::Markdown] {
        let shown = text(format, &undecided(), None);
        assert!(shown.to_lowercase().contains("not enough data (stop)"), "{shown}");
        let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains("have the sampling error only"), "{shown}");
    }
}

#[test]
fn markdown_keeps_names_in_their_cells() {
    let mut out = Vec::new();
    markdown::write(&worse(), &mut out).unwrap();
    let shown = String::from_utf8(out).unwrap();
    assert!(shown.starts_with("### 🛑 Allocations: worse, by more than 5% (stop)\n"), "{shown}");
    assert!(shown.contains("`old_path\\|x'<y> (src/old_path\\|x'<y>.cpp:42)`"), "{shown}");
    assert!(shown.contains("by 50% &lt;and&gt; more"), "{shown}");
    // Every line of a table has as many cells as its header: bars that are no escaped ones.
    let bars = |line: &str| line.matches('|').count() - line.matches("\\|").count();
    let mut columns = None;
    for line in shown.lines() {
        if !line.starts_with('|') {
            columns = None;
            continue;
        }
        assert_eq!(*columns.get_or_insert(bars(line)), bars(line), "{line}");
    }
    assert_eq!(shown.matches("<details>").count(), shown.matches("</details>").count());
}

#[test]
fn the_flame_graph_is_wide_by_the_canary_and_coloured_by_the_difference() {
    let mut out = Vec::new();
    flamegraph::write(&worse(), Quantity::AllocBytes, &mut out).unwrap();
    let svg = String::from_utf8(out).unwrap();
    assert!(
        svg.contains("Bytes allocated, canary against base: bytes per 1,000 × process and second"),
        "{svg}"
    );
    assert!(svg.contains("1 call site is gone and not drawn"), "{svg}");
    assert!(
        svg.contains("<title>parse_order (150,000,000 bytes per 1,000 × process and second, 23.62%; +"),
        "{svg}"
    );
    assert!(!svg.contains("old_path"), "the canary has none of it");
    let mut empty = worse();
    empty.sites.clear();
    empty.rest = None;
    let mut out = Vec::new();
    flamegraph::write(&empty, Quantity::AllocBytes, &mut out).unwrap();
    assert!(
        String::from_utf8(out).unwrap().contains("The canary has no bytes allocated in this comparison.")
    );
}

#[test]
fn changes_have_three_digits_and_their_sign() {
    let check = |ratio, expect: &str| assert_eq!(words::change(ratio), expect);
    for (ratio, expect) in [
        (0.0, "0%"),
        (0.000_01, "0%"),
        (0.0031, "+0.31%"),
        (-0.052, "-5.2%"),
        (0.5, "+50%"),
        (-1.0, "-100%"),
        (99.0, "+9900%"),
        (239.0, "×240"),
        (1e9, ">×1,000,000"),
        (f64::NAN, "?"),
    ] {
        check(ratio, expect);
    }
    assert_eq!([0.05, 0.001, 0.99, 1.0, 0.999_95].map(words::percent), ["5%", "0.1%", "99%", "100%", "100%"]);
}

#[test]
fn amounts_have_the_unit_of_their_quantity() {
    let check = |quantity, amount, expect: &str| assert_eq!(words::amount(quantity, amount), expect);
    check(Quantity::AllocBytes, 0.0, "0 B");
    check(Quantity::AllocBytes, 0.125, "0.12 B");
    check(Quantity::InuseBytes, 20_480.0, "20.0 KiB");
    check(Quantity::AllocObjects, 3.456, "3.46");
    check(Quantity::AllocObjects, 1_234_567.0, "1,234,567");
}

#[test]
fn a_change_without_a_bound_or_without_an_estimate_says_so() {
    let row = |change| Row {
        quantity: Quantity::AllocBytes,
        base: Cost::default(),
        canary: Cost::default(),
        change,
    };
    let change = Change {
        ratio: None,
        lower: 0.5,
        upper: None,
        p_value: 0.0,
        adjusted_p_value: 0.0,
        is_significant: true,
        detectable: None,
    };
    let new = row(Some(change));
    let said =
        [words::estimate(&new), words::interval(&new), words::detectable(&new), words::mark(&new).to_owned()];
    assert_eq!(said, ["new", "+50% or more", "-", "more"]);
    let exact = row(Some(Change { ratio: Some(-0.1), lower: -0.1, upper: Some(-0.1), ..change }));
    assert_eq!(
        [words::estimate(&exact), words::interval(&exact), words::mark(&exact).to_owned()],
        ["-10%", "exact", "less"]
    );
    assert_eq!([words::estimate(&row(None)), words::interval(&row(None))], ["-", "-"]);
    assert_eq!(words::per(Quantity::InuseBytes, Per::Request), "process");
}
