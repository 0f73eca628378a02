//! The verdict, and why.

use super::comparison::{Change, Decision, Evidence, MatchKind, Quantity, Row, SiteChange, Verdict};
use super::row::Tested;

/// Reasons that name a call site.
const MOST_NAMED: usize = 5;

/// Between which relative changes a total lies, with the confidence of the verdict.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    lower: f64,
    upper: Option<f64>,
}

impl Bounds {
    pub(super) fn of(total: &Tested, error: f64) -> Option<Self> {
        let (lower, upper) = total.contrast?.interval(error);
        Some(Self { lower, upper })
    }

    /// No larger increase.
    fn is_below(self, limit: f64) -> bool {
        self.upper.is_some_and(|upper| upper <= limit)
    }

    /// No larger change in either direction: equivalence by two one-sided tests (Schuirmann, "A comparison of the two
    /// one-sided tests procedure …", Journal of Pharmacokinetics and Biopharmaceutics 15, 1987).
    fn is_within(self, limit: f64) -> bool {
        self.is_below(limit) && self.lower >= -limit
    }
}

/// What a verdict is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Findings<'a> {
    pub(super) totals: &'a [Row],
    /// Of `totals`.
    pub(super) bounds: &'a [Option<Bounds>],
    pub(super) sites: &'a [SiteChange],
    pub(super) rest: Option<&'a SiteChange>,
    pub(super) evidence: &'a Evidence,
    pub(super) units: [usize; 2],
}

/// Something that has changed: a total or a call site.
#[derive(Clone, Copy)]
struct Finding<'a> {
    site: Option<&'a SiteChange>,
    row: &'a Row,
    change: Change,
}

pub(super) fn decide(findings: &Findings<'_>) -> Decision {
    let evidence = findings.evidence;
    let all = findings.significant();
    let (up, down): (Vec<Finding<'_>>, Vec<Finding<'_>>) = all.into_iter().partition(Finding::is_increase);
    if evidence.sampling_error_only && !evidence.sampling_error_suffices {
        return too_few_units(findings, &up);
    }
    if !up.is_empty() {
        let beyond = |one: &Finding<'_>| one.is_beyond(evidence);
        let mut ordered = up.clone();
        ordered.sort_by_key(|one| !beyond(one));
        let reasons = sentences(&ordered, evidence);
        let is_beyond = up.iter().any(beyond);
        // A gate goes on where an increase is within the limit: only if the totals surely are, too.
        if is_beyond || findings.holds(Bounds::is_below) {
            return Decision { verdict: Verdict::Worse, is_beyond, reasons };
        }
        let reasons = [findings.cannot_exclude()].into_iter().chain(reasons).collect();
        return Decision { verdict: Verdict::NotEnoughData, is_beyond: false, reasons };
    }
    let holds = |test| findings.holds(test);
    if !down.is_empty() && holds(Bounds::is_below) {
        let reasons = sentences(&down, evidence);
        return Decision { verdict: Verdict::Better, is_beyond: false, reasons };
    }
    if down.is_empty() && holds(Bounds::is_within) {
        let reasons = vec![format!(
            "no change is significant among {} tests, and what is allocated has changed by less than {} with a \
             confidence of {}: {}",
            evidence.tests,
            percent(evidence.max_increase),
            percent(evidence.confidence),
            totals(findings),
        )];
        return Decision { verdict: Verdict::Same, is_beyond: false, reasons };
    }
    let mut reasons = vec![findings.cannot_exclude()];
    reasons.extend(sentences(&down, evidence));
    Decision { verdict: Verdict::NotEnoughData, is_beyond: false, reasons }
}

fn too_few_units(findings: &Findings<'_>, up: &[Finding<'_>]) -> Decision {
    let [base, canary] = findings.units;
    let mut reasons = vec![format!(
        "the base has {} and the canary {}: with fewer than three a side nothing says how much units differ by \
         themselves; observe three a side, or accept the sampling error alone (--sampling-error-only; for a daemon sampling_error_only)",
        units(base),
        units(canary)
    )];
    reasons.extend(sentences(up, findings.evidence));
    Decision { verdict: Verdict::NotEnoughData, is_beyond: false, reasons }
}

fn units(count: usize) -> String {
    if count == 1 { "1 unit".to_owned() } else { format!("{count} units") }
}

impl<'a> Findings<'a> {
    /// Whether what is allocated surely lies within the limit, and what is in use does as far as it is seen: it differs
    /// between processes by more than what is allocated does, so that its interval would hardly ever be as narrow.
    fn holds(&self, test: fn(Bounds, f64) -> bool) -> bool {
        let limit = self.evidence.max_increase;
        let mut is_known = false;
        let all = self.totals.iter().zip(self.bounds).all(|(row, bounds)| match (row.quantity, bounds) {
            (_, None) => true,
            (Quantity::InuseBytes, Some(_)) => {
                row.change.and_then(|change| change.ratio).is_some_and(|ratio| ratio <= limit)
            }
            (Quantity::AllocBytes | Quantity::AllocObjects, Some(bounds)) => {
                is_known = true;
                test(*bounds, limit)
            }
        });
        all && is_known
    }

    fn cannot_exclude(&self) -> String {
        format!(
            "the data cannot exclude a change of {}: {}; observe more processes, or for longer",
            percent(self.evidence.max_increase),
            totals(self),
        )
    }

    /// What has changed significantly: totals, then sites, then the rest.
    fn significant(&self) -> Vec<Finding<'a>> {
        let totals = self.totals.iter().map(|row| (None, row));
        let sites = self.sites.iter().chain(self.rest);
        let sites = sites.flat_map(|site| site.rows.iter().map(move |row| (Some(site), row)));
        totals
            .chain(sites)
            .filter_map(|(site, row)| Some(Finding { site, row, change: row.change? }))
            .filter(|finding| finding.change.is_significant)
            .collect()
    }
}

impl Finding<'_> {
    fn is_increase(&self) -> bool {
        self.row.canary.amount > self.row.base.amount
    }

    /// A site that the base does not have is beyond any limit: it is there only if it is large enough to be tested.
    fn is_beyond(&self, evidence: &Evidence) -> bool {
        self.change.ratio.is_none_or(|ratio| ratio > evidence.max_increase)
    }

    fn sentence(&self) -> String {
        let quantity = noun(self.row.quantity);
        let change = change(&self.change);
        let Some(site) = self.site else { return format!("in total {quantity}: {change}") };
        let weight = match self.row.quantity {
            Quantity::AllocBytes => format!(", {} of all bytes of the base", signed(site.weight)),
            Quantity::AllocObjects | Quantity::InuseBytes => String::new(),
        };
        let kind = match site.matched {
            MatchKind::New => " (new)",
            MatchKind::Gone => " (gone)",
            MatchKind::Moved => " (moved)",
            MatchKind::Split | MatchKind::Inlined | MatchKind::Same => "",
        };
        format!("{}{kind}, {quantity}: {change}{weight}", site.name)
    }
}

const fn noun(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::AllocBytes => "bytes allocated",
        Quantity::AllocObjects => "objects allocated",
        Quantity::InuseBytes => "bytes in use",
    }
}

/// One sentence per total and per site, the first ones.
fn sentences(findings: &[Finding<'_>], evidence: &Evidence) -> Vec<String> {
    let mut named: Vec<&SiteChange> = Vec::new();
    let mut all = Vec::new();
    let mut unnamed = 0_usize;
    for finding in findings {
        let Some(site) = finding.site else {
            all.push(finding.sentence());
            continue;
        };
        if named.iter().any(|&seen| std::ptr::eq(seen, site)) {
            continue;
        }
        named.push(site);
        if named.len() <= MOST_NAMED { all.push(finding.sentence()) } else { unnamed += 1 }
    }
    if unnamed > 0 {
        all.push(format!("{unnamed} more call sites have changed"));
    }
    if evidence.sampling_error_only && evidence.sampling_error_suffices && !all.is_empty() {
        all.push("the intervals hold the sampling error alone, as was asked for".to_owned());
    }
    all
}

/// The intervals of the totals at the confidence of the verdict.
fn totals(findings: &Findings<'_>) -> String {
    let rows = findings.totals.iter().zip(findings.bounds);
    let words: Vec<String> = rows
        .filter_map(|(row, bounds)| {
            let (bounds, ratio) = ((*bounds)?, row.change?.ratio);
            let upper = bounds.upper.map_or_else(|| "any".to_owned(), signed);
            let ratio = ratio.map_or_else(|| "new".to_owned(), signed);
            Some(format!("{} {ratio} ({} to {upper})", noun(row.quantity), signed(bounds.lower)))
        })
        .collect();
    words.join(", ")
}

fn change(change: &Change) -> String {
    let upper = change.upper.map_or_else(|| "any".to_owned(), signed);
    match change.ratio {
        Some(ratio) => format!("{} (95% interval {} to {upper})", signed(ratio), signed(change.lower)),
        None => format!("none in the base (95% interval from {} on)", signed(change.lower)),
    }
}

fn signed(ratio: f64) -> String {
    let sign = if ratio < 0.0 { "-" } else { "+" };
    format!("{sign}{}", percent(ratio.abs()))
}

fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    let digits = if percent >= 99.95 || (percent - percent.round()).abs() < 1e-9 {
        0
    } else if percent >= 1.0 {
        1
    } else {
        2
    };
    format!("{percent:.digits$}%")
}
