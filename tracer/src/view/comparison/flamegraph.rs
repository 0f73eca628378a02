//! The differential flame graph: how wide a box is says what the canary allocates, its colour by how much that is more
//! (red) or less (blue) than the base allocates: <https://www.brendangregg.com/blog/2014-11-09/differential-flame-graphs.html>.
//! Both sides are divided by their exposure first, so that the sizes of the groups mean nothing.

use std::collections::BTreeMap;
use std::io::{self, Write};

use inferno::flamegraph::{self, color};

use super::{table, words};
use crate::canary::{Comparison, MatchKind, Per, Quantity, SiteChange};
use crate::units::Count;
use crate::view::flamegraph::{folded_name, write_empty};

/// Amounts smaller than this are shown per more than one unit: counts are whole.
const TOTAL_MIN: f64 = 1e6;
/// The most units that amounts are shown per.
const SCALE_MAX: u64 = 1_000_000_000;

/// Between boxes.
const BORDER: color::Color = color::Color::new(0xb0, 0xb0, 0xb0);

/// Writes the flame graph, a document that needs nothing from the network and is the same for the same comparison.
///
/// # Errors
/// Only those of the writer.
pub fn write(comparison: &Comparison, quantity: Quantity, out: &mut dyn Write) -> io::Result<()> {
    let scale = scale(comparison, quantity);
    let stacks = stacks(comparison, quantity, scale);
    let unit = unit(comparison.per, quantity, scale);
    let title = format!("{}, canary against base: {unit}", capital(words::quantity(quantity)));
    let subtitle = subtitle(comparison, quantity);
    if stacks.values().all(|&(_, canary)| canary == 0) {
        let sentence = format!("The canary has no {} in this comparison.", words::quantity(quantity));
        return write_empty(&title, &subtitle, &sentence, out);
    }
    let lines: Vec<String> =
        stacks.into_iter().map(|(stack, (base, canary))| format!("{stack} {base} {canary}")).collect();
    let mut options = flamegraph::Options::default();
    options.title = title;
    options.subtitle = Some(subtitle);
    options.notes = comparison.decision.reasons.join("; ");
    options.colors = color::Palette::Basic(color::BasicPalette::Orange);
    // What has not changed is white on white.
    options.stroke_color = color::StrokeColor::Color(BORDER);
    options.deterministic = true;
    options.count_name = unit;
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), out)
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn subtitle(comparison: &Comparison, quantity: Quantity) -> String {
    let mut text = format!(
        "verdict: {}; wide: what the canary has; red: more than the base, blue: less",
        words::verdict(comparison)
    );
    let gone = comparison.sites.iter().filter(|site| {
        site.matched == MatchKind::Gone && words::row(site, quantity).is_some_and(|row| row.base.amount > 0.0)
    });
    match gone.count() {
        0 => {}
        1 => text.push_str("; 1 call site is gone and not drawn"),
        count => text.push_str(&format!("; {} call sites are gone and not drawn", Count(count as u64))),
    }
    text
}

/// Units that the whole numbers of the picture are per: 1, or a thousand, a million …
fn scale(comparison: &Comparison, quantity: Quantity) -> u64 {
    let rows = comparison.sites.iter().chain(&comparison.rest).filter_map(|site| words::row(site, quantity));
    let total: f64 = rows.map(|row| row.canary.amount.max(row.base.amount)).sum();
    let mut scale = 1;
    while total > 0.0 && total * (scale as f64) < TOTAL_MIN && scale < SCALE_MAX {
        scale *= 1000;
    }
    scale
}

fn unit(per: Per, quantity: Quantity, scale: u64) -> String {
    let what = if quantity == Quantity::AllocObjects { "objects" } else { "bytes" };
    let per = words::per(quantity, per);
    if scale == 1 { format!("{what} per {per}") } else { format!("{what} per {} × {per}", Count(scale)) }
}

fn stacks(comparison: &Comparison, quantity: Quantity, scale: u64) -> BTreeMap<String, (u64, u64)> {
    let whole = |amount: f64| (amount * scale as f64).round().max(0.0) as u64;
    let rest = comparison.rest.iter().map(|rest| (rest, folded_name(&table::rest_name(comparison))));
    let named = comparison.sites.iter().map(|site| (site, stack(site))).chain(rest);
    let mut stacks = BTreeMap::new();
    for (site, name) in named {
        let Some(row) = words::row(site, quantity) else { continue };
        let (base, canary) = (whole(row.base.amount), whole(row.canary.amount));
        if base > 0 || canary > 0 {
            let sum: &mut (u64, u64) = stacks.entry(name).or_default();
            (sum.0, sum.1) = (sum.0.saturating_add(base), sum.1.saturating_add(canary));
        }
    }
    stacks
}

fn stack(site: &SiteChange) -> String {
    if site.frames.is_empty() {
        return folded_name(&site.name);
    }
    let frames = site.frames.iter().rev().map(|frame| folded_name(&crate::view::frame::name(frame)));
    frames.collect::<Vec<_>>().join(";")
}
