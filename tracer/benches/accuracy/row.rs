//! A row: a mode and its means, one attach, many repetitions.

use anyhow::Result;
use tracer::mode::Mode;
use tracer::model::snapshot::{CallSite, Snapshot};

use crate::arguments::Arguments;
use crate::coverage::{Class, Coverage};
use crate::design::Expected;
use crate::quantity::Quantity;
use crate::repetition;
use crate::sums::Sums;
use crate::tracing::Tracing;
use crate::workload::{Part, Sizes, Workload};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    mode: Mode,
    /// The mean of each part of a repetition; it changes while the workload runs.
    means: &'static [u64],
    quantities: &'static [Quantity],
}

const ALLOCATED: &[Quantity] = &[Quantity::AllocBytes, Quantity::AllocObjects];
const IN_USE: &[Quantity] = &[Quantity::InuseBytes, Quantity::InuseObjects];

impl Row {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::allocated(&[64 * KIB]),
        Self::allocated(&[512 * KIB]),
        Self::allocated(&[2 * MIB]),
        Self::allocated(&[64 * KIB, MIB, 64 * KIB]),
        Self::allocated(&[0, 512 * KIB]),
        Self::in_use(&[64 * KIB]),
        Self::in_use(&[64 * KIB, 512 * KIB]),
        Self::in_use(&[0, 64 * KIB]),
    ];

    const fn allocated(means: &'static [u64]) -> Self {
        Self { mode: Mode::Alloc, means, quantities: ALLOCATED }
    }

    const fn in_use(means: &'static [u64]) -> Self {
        Self { mode: Mode::Live, means, quantities: IN_USE }
    }

    /// In words.
    pub(crate) fn name(self) -> String {
        let mean = |&mean: &u64| match mean {
            0 => "0".to_owned(),
            mean if mean >= MIB => format!("{} MiB", mean / MIB),
            mean => format!("{} KiB", mean / KIB),
        };
        let means: Vec<String> = self.means.iter().map(mean).collect();
        format!("{}, {}", self.mode, means.join(" → "))
    }
}

/// One number of a row.
#[derive(Debug)]
pub(crate) struct OfQuantity {
    pub(crate) quantity: Quantity,
    pub(crate) sums: Sums,
    pub(crate) coverage: [Coverage; Class::ALL.len()],
}

/// What came out.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) row: Row,
    pub(crate) numbers: Vec<OfQuantity>,
    /// Repetitions whose exact numbers were not the truth.
    pub(crate) wrong: Vec<String>,
    pub(crate) repetitions: u32,
}

impl Measured {
    /// Attaches and repeats.
    pub(crate) fn of(row: Row, arguments: &Arguments) -> Result<Self> {
        let mut workload = Workload::start()?;
        let sites = workload.sites()?;
        let number = |&quantity| OfQuantity { quantity, sums: Sums::default(), coverage: Default::default() };
        let mut measured = Self {
            row,
            numbers: row.quantities.iter().map(number).collect(),
            wrong: Vec::new(),
            repetitions: arguments.seeds,
        };
        let mut tracing = Tracing::start(workload.pid(), row.mode, row.means[0])?;
        let mut before = tracing.snapshot()?;
        for seed in arguments.all_seeds() {
            tracing.set_sample_bytes(row.means[0]);
            let change = |part: usize| tracing.set_sample_bytes(row.means[part]);
            let truth = workload.run(seed, arguments.allocations, row.means.len(), change)?;
            let after = tracing.snapshot()?;
            workload.free()?;
            let freed = tracing.snapshot()?;
            measured.compare(&sites, &before, &after, &truth)?;
            measured.check(seed, &before, &after, &freed, &truth);
            before = freed;
        }
        tracing.end();
        Ok(measured)
    }

    /// Holds every site's estimates against the truth.
    fn compare(
        &mut self,
        sites: &[Sizes],
        before: &Snapshot,
        after: &Snapshot,
        truth: &[Part],
    ) -> Result<()> {
        let before = repetition::by_number(before, sites.len())?;
        let after = repetition::by_number(after, sites.len())?;
        let by_mean: Vec<Vec<Expected>> = self.row.means.iter().map(|&mean| of_sites(sites, mean)).collect();
        for OfQuantity { quantity, sums, coverage } in &mut self.numbers {
            let seen = |site: usize| repetition::seen(*quantity, before[site], after[site]);
            let seen: Vec<_> = (0..sites.len()).map(seen).collect();
            let mut whole = vec![0; sites.len()];
            let mut variance = 0.0;
            for site in 0..sites.len() {
                whole[site] = truth.iter().map(|part| quantity.of(part)[site]).sum();
                // What is counted one by one asks for no samples.
                let sampled = by_mean.iter().zip(truth).zip(self.row.means).filter(|(_, mean)| **mean > 0);
                let expected: Vec<Expected> = sampled
                    .map(|((ones, part), _)| ones[site].times(quantity.objects(part)[site] as f64))
                    .collect();
                variance += expected.iter().map(|part| quantity.variance(*part)).sum::<f64>();
                if whole[site] > 0 {
                    let class = Class::of(*quantity, &expected) as usize;
                    coverage[class].add(seen[site], whole[site], self.row.means.contains(&0));
                }
            }
            sums.add(&seen, &whole, variance);
        }
        Ok(())
    }

    /// Notes whatever is exact and was not the truth.
    fn check(&mut self, seed: u32, before: &Snapshot, after: &Snapshot, freed: &Snapshot, truth: &[Part]) {
        let sum = |quantity: Quantity| truth.iter().flat_map(|part| quantity.of(part)).sum::<u64>();
        let totals = |snapshot: &Snapshot| {
            snapshot.targets.first().map(|target| (target.totals.alloc_objects, target.totals.alloc_bytes))
        };
        let difference = totals(before).zip(totals(after)).map(|(old, new)| (new.0 - old.0, new.1 - old.1));
        let expect = (sum(Quantity::AllocObjects), sum(Quantity::AllocBytes));
        if difference != Some(expect) {
            self.wrong.push(format!("seed {seed}: totals {difference:?}, not {expect:?}"));
        }
        let lost: u64 = freed.quality.lost.values().sum();
        if lost > 0 {
            self.wrong.push(format!("seed {seed}: lost {:?}", freed.quality.lost));
        }
        let holds = |site: &&CallSite| {
            self.row.mode == Mode::Live && (site.inuse_objects, site.inuse_bytes) != (Some(0), Some(0))
        };
        if let Some(site) = freed.sites.iter().find(holds) {
            let (objects, bytes) = (site.inuse_objects, site.inuse_bytes);
            self.wrong
                .push(format!("seed {seed}: in use after all frees: {objects:?} blocks, {bytes:?} bytes"));
        }
    }
}

fn of_sites(sites: &[Sizes], mean: u64) -> Vec<Expected> {
    sites.iter().map(|&sizes| Expected::of_one(sizes, mean)).collect()
}
