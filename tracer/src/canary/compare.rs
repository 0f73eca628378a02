//! From two sides to one comparison: which steps there are, and what they pass on.

use super::amount::{Cell, QUANTITIES};
use super::comparison::{Comparison, Evidence, MatchKind, Per, Quantity, Release, Row, SCHEMA, SiteChange};
use super::decision::{self, Bounds};
use super::exposure::{self, Observed};
use super::family::holm;
use super::identity::{Chains, Names};
use super::matching::{self, Group};
use super::mean_size::mean_size;
use super::naming;
use super::pairs::{self, Cells, Sides};
use super::row::Tested;
use super::unit::{FEWEST_SAMPLES, FEWEST_UNITS};
use super::variation::{self, Pair, Variation};
use super::{CannotCompare, Options, Side, notes, refusal};
use crate::frame::Frames;

/// Compares two sides.
///
/// # Errors
/// The sides have nothing that can be compared: other modes, other normalisers, no unit at all.
pub fn compare(base: Side, canary: Side, options: &Options) -> Result<Comparison, CannotCompare> {
    refusal::check(&base, &canary, options)?;
    let per = exposure::choose(&base, &canary, options)?;
    let mut names = Names::new();
    let (mut base_chains, mut canary_chains) = (Chains::default(), Chains::default());
    let base_numbers = numbers(&base, &mut base_chains, &mut names);
    let canary_numbers = numbers(&canary, &mut canary_chains, &mut names);
    let sides =
        [exposure::observe(&base, per, &base_numbers), exposure::observe(&canary, per, &canary_numbers)];
    let groups = matching::groups(&base_chains.chains(), &canary_chains.chains());
    refusal::check_common(&groups, [&base, &canary])?;
    let frames = |group: &Group| shown(group, &base_chains, &canary_chains);
    let subject = Subject { sides: &sides, options, frames: &frames };
    let (with_inuse, inuse_note) = notes::inuse(&sides);
    let quantities = QUANTITIES.get(..if with_inuse { 3 } else { 2 }).unwrap_or_default();
    let tests = subject.test(&groups, quantities);
    let mut comparison = subject.comparison(&tests, per);
    comparison.base.name.clone_from(&base.name);
    comparison.canary.name.clone_from(&canary.name);
    comparison.notes = notes::all(&sides, per, [&base.units, &canary.units]);
    comparison.notes.extend(inuse_note);
    Ok(comparison)
}

fn numbers<'a>(side: &'a Side, chains: &mut Chains<'a>, names: &mut Names) -> Vec<Vec<usize>> {
    side.units.iter().map(|unit| unit.sites.iter().map(|site| chains.number(site, names)).collect()).collect()
}

/// The largest stack of the canary, or else of the base.
fn shown(group: &Group, base: &Chains<'_>, canary: &Chains<'_>) -> Frames {
    let largest = |numbers: &[usize], chains: &Chains<'_>| {
        let sites = numbers.iter().filter_map(|&at| chains.all.get(at).map(|(_, site)| *site));
        sites.max_by_key(|site| site.alloc_bytes).map(|site| site.frames.clone())
    };
    largest(&group.canary, canary).or_else(|| largest(&group.base, base)).unwrap_or_default()
}

/// What is compared.
struct Subject<'a> {
    sides: &'a Sides,
    options: &'a Options,
    frames: &'a dyn Fn(&Group) -> Frames,
}

/// A site that is tested, or the rest.
struct Site {
    kind: MatchKind,
    frames: Frames,
    cells: Cells,
    /// Which of [`QUANTITIES`] are large enough.
    is_large: [bool; 3],
    tested: Vec<Tested>,
}

/// All tests of a comparison.
struct Tests {
    totals: Vec<Tested>,
    sites: Vec<Site>,
    rest: Option<Site>,
    is_sampling_only: bool,
    /// Of allocated bytes.
    variation: Option<Variation>,
}

impl Subject<'_> {
    fn test(&self, groups: &[Group], quantities: &[Quantity]) -> Tests {
        let is_sampling_only = self.sides.iter().any(|units| units.len() < FEWEST_UNITS);
        let (mut sites, mut rest) = self.divide(groups, quantities);
        let mut bytes_variation = None;
        for (&quantity, at) in quantities.iter().zip(0..) {
            let is_large = |site: &Site| site.is_large.get(at).copied().unwrap_or_default();
            let pairs: Vec<Pair> = sites.iter().map(|site| site.cells.pair(quantity, self.sides)).collect();
            let large = sites.iter().zip(&pairs).filter(|(site, _)| is_large(site)).map(|(_, pair)| pair);
            let variation = (!is_sampling_only).then(|| Variation::fit(large));
            let variance = |pair: &Pair| {
                variation
                    .as_ref()
                    .map_or_else(|| variation::by_sampling(pair), |variation| variation.of(pair))
            };
            for (site, pair) in sites.iter_mut().zip(&pairs) {
                site.tested.push(Tested::new(quantity, pair, variance(pair), is_large(site)));
            }
            if let Some(rest) = &mut rest {
                let pair = rest.cells.pair(quantity, self.sides);
                let share = pairs::share(&pair, &pairs::total(quantity, self.sides));
                rest.tested.push(Tested::new(
                    quantity,
                    &pair,
                    variance(&pair),
                    share >= self.options.min_share,
                ));
            }
            bytes_variation = bytes_variation.or(variation);
        }
        let total = |&quantity: &Quantity| {
            let pair = pairs::total(quantity, self.sides);
            Tested::new(quantity, &pair, pairs::variance_of_total(&pair, is_sampling_only), true)
        };
        let totals: Vec<Tested> = quantities.iter().map(total).collect();
        Tests { totals, sites, rest, is_sampling_only, variation: bytes_variation }
    }

    /// Sites that are large enough to be tested in one of the quantities, and all others as one.
    fn divide(&self, groups: &[Group], quantities: &[Quantity]) -> (Vec<Site>, Option<Site>) {
        let totals = QUANTITIES.map(|quantity| pairs::total(quantity, self.sides));
        let mut sites = Vec::new();
        let mut rest: Option<Site> = None;
        for group in groups {
            let cells = Cells::of(group, self.sides);
            let sum = |count: fn(&Cell) -> u64| cells.sums().iter().map(count).fold(0, u64::saturating_add);
            let samples = sum(|cell| cell.samples);
            let samples = [samples, samples, samples.max(sum(|cell| cell.inuse_samples))];
            let mut is_large = [false; 3];
            let each = is_large.iter_mut().zip(quantities).zip(&totals).zip(samples);
            for (((is_large, &quantity), total), samples) in each {
                let pair = cells.pair(quantity, self.sides);
                *is_large = samples >= FEWEST_SAMPLES && pairs::share(&pair, total) >= self.options.min_share;
            }
            if is_large.contains(&true) {
                let frames = (self.frames)(group);
                sites.push(Site { kind: group.kind, frames, cells, is_large, tested: Vec::new() });
            } else {
                let rest = rest.get_or_insert_with(|| Site {
                    kind: MatchKind::Split,
                    frames: Frames::default(),
                    cells: Cells::default(),
                    is_large: [true; 3],
                    tested: Vec::new(),
                });
                rest.cells.add(&cells);
            }
        }
        (sites, rest)
    }

    fn comparison(&self, tests: &Tests, per: Per) -> Comparison {
        let error = 1.0 - self.options.confidence;
        let all: Vec<&Tested> = tests
            .totals
            .iter()
            .chain(tests.sites.iter().chain(&tests.rest).flat_map(|site| &site.tested))
            .filter(|tested| tested.counts)
            .collect();
        let p_values: Vec<f64> = all.iter().map(|tested| tested.p_value).collect();
        let count = p_values.len();
        let mut adjusted = holm(&p_values).into_iter();
        let mut rows = |tested: &[Tested]| -> Vec<Row> {
            let mut row = |tested: &Tested| {
                let adjusted = if tested.counts { adjusted.next() } else { None };
                tested.row(adjusted.unwrap_or(1.0), error, count)
            };
            tested.iter().map(&mut row).collect()
        };
        let totals = rows(&tests.totals);
        let mut site = |site: &Site| self.site(site, rows(&site.tested), &totals);
        let mut sites: Vec<SiteChange> = tests.sites.iter().map(&mut site).collect();
        let rest = tests.rest.as_ref().map(&mut site);
        sites.sort_by(|a, b| {
            (b.explains, b.weight.abs())
                .partial_cmp(&(a.explains, a.weight.abs()))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        naming::tell_apart(&mut sites, self.options.telling);
        let rest = rest.map(|rest| SiteChange { name: "all other call sites".to_owned(), ..rest });
        let evidence = self.evidence(tests, count);
        let bounds: Vec<Option<Bounds>> = tests.totals.iter().map(|total| Bounds::of(total, error)).collect();
        let decision = decision::decide(&decision::Findings {
            totals: &totals,
            bounds: &bounds,
            sites: &sites,
            rest: rest.as_ref(),
            evidence: &evidence,
            units: self.sides.each_ref().map(Vec::len),
        });
        let [base, canary] = self.sides.each_ref().map(|units| release(units));
        Comparison {
            schema: SCHEMA.to_owned(),
            base,
            canary,
            per,
            evidence,
            decision,
            totals,
            mean_size: mean_size(pairs::total_sizes(self.sides)),
            sites,
            rest,
            notes: Vec::new(),
        }
    }

    fn site(&self, site: &Site, rows: Vec<Row>, totals: &[Row]) -> SiteChange {
        let bytes =
            |rows: &[Row]| rows.first().map(|row| (row.base.amount, row.canary.amount)).unwrap_or_default();
        let (all, (ours, theirs)) = (bytes(totals).0, bytes(&rows));
        let sums = site.cells.sums();
        let part = |amount: f64| (all > 0.0).then(|| amount / all);
        SiteChange {
            name: naming::name(&site.frames, self.options.telling),
            matched: site.kind,
            mean_size: mean_size(site.cells.sizes(self.sides)),
            share: part(ours),
            weight: part(theirs - ours).unwrap_or(0.0),
            samples: sums.map(|cell| cell.samples),
            explains: rows.iter().any(|row| row.change.is_some_and(|change| change.is_significant)),
            frames: site.frames.clone(),
            rows,
        }
    }

    fn evidence(&self, tests: &Tests, count: usize) -> Evidence {
        let degrees = tests.variation.and_then(|variation| variation.prior).map(|prior| prior.degrees);
        Evidence {
            confidence: self.options.confidence,
            max_increase: self.options.max_increase,
            sampling_error_only: tests.is_sampling_only,
            sampling_error_suffices: self.options.sampling_error_suffices,
            tests: u32::try_from(count).unwrap_or(u32::MAX),
            min_share: self.options.min_share,
            unit_variation: tests
                .variation
                .filter(|_| !tests.sites.is_empty())
                .map(|variation| variation.of_units),
            prior_degrees_of_freedom: degrees.filter(|degrees| degrees.is_finite()),
        }
    }
}

fn release(units: &[Observed]) -> Release {
    let mut sample_bytes: Vec<u64> = units.iter().map(|unit| unit.sample_bytes).collect();
    sample_bytes.sort_unstable();
    sample_bytes.dedup();
    Release {
        name: String::new(),
        units: u32::try_from(units.len()).unwrap_or(u32::MAX),
        exposure: units.iter().map(|unit| unit.exposure).sum(),
        sample_bytes,
        unit_seconds: units.iter().filter_map(|unit| unit.seconds).sum(),
    }
}
