//! Two sites that allocate in turn, with a period that fools a threshold of a fixed number of bytes.
//!
//! 7,153 and 1,037 bytes: 8 (64, 256) times both is a little less than 64 KiB (512 KiB, 2 MiB). Who takes a sample
//! every N bytes and begins to count anew after each meets the large site and the small one in turn, and shows about
//! as much of both.

use anyhow::{Context, Result};
use tracer::mode::Mode;
use tracer::model::snapshot::Snapshot;

use crate::arguments::Arguments;
use crate::sums::Moments;
use crate::tracing::Tracing;
use crate::workload::Workload;

/// In the order of a pair: what the fixture allocates.
const SIZES: [u64; 2] = [7153, 1037];
const NAMES: [&str; 2] = ["lockstep_large", "lockstep_small"];
/// Of a repetition: 50 samples of the small site at the largest mean.
const PAIRS: u64 = 100_000;
const MEANS: [u64; 3] = [64 << 10, 512 << 10, 2 << 20];
/// The repetitions of a row are more than are needed here.
const SEEDS_PER_REPETITION: u32 = 5;

/// Large against small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio {
    pub(crate) sample_bytes: u64,
    pub(crate) truth: f64,
    /// What a fixed threshold would have shown of the same allocations.
    pub(crate) fixed: f64,
    /// Of all repetitions together.
    pub(crate) ours: f64,
    /// From the standard errors that tracer reports.
    pub(crate) standard_error: f64,
    /// The error of a repetition in units of its own standard error.
    pub(crate) by_reported_error: Moments,
}

/// What a site has, and the variance of that.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    bytes: f64,
    variance: f64,
}

/// At each mean; how many pairs that were.
pub(crate) fn measure(arguments: &Arguments) -> Result<(u64, Vec<Ratio>)> {
    let repetitions = (arguments.seeds / SEEDS_PER_REPETITION).max(2);
    let ratios = MEANS.into_iter().map(|mean| ratio(mean, repetitions)).collect::<Result<_>>()?;
    Ok((u64::from(repetitions) * PAIRS, ratios))
}

fn ratio(sample_bytes: u64, repetitions: u32) -> Result<Ratio> {
    let mut workload = Workload::start()?;
    let mut tracing = Tracing::start(workload.pid(), Mode::Alloc, sample_bytes)?;
    let truth = SIZES[0] as f64 / SIZES[1] as f64;
    let mut before = [Shown::default(); 2];
    let mut errors = Vec::new();
    for _ in 0..repetitions {
        workload.lockstep(PAIRS)?;
        let after = shown(&tracing.snapshot()?)?;
        let (ours, relative_error) = divided([0, 1].map(|site| Shown {
            bytes: after[site].bytes - before[site].bytes,
            variance: after[site].variance - before[site].variance,
        }));
        errors.push((ours / truth).ln() / relative_error);
        before = after;
    }
    tracing.end();
    let (ours, relative_error) = divided(before);
    Ok(Ratio {
        sample_bytes,
        truth,
        fixed: fixed(sample_bytes, PAIRS * u64::from(repetitions)),
        ours,
        standard_error: ours * relative_error,
        by_reported_error: Moments::of(&errors),
    })
}

fn shown(snapshot: &Snapshot) -> Result<[Shown; 2]> {
    let site = |name| {
        let mut sites = snapshot.sites.iter();
        let site = sites.find(|site| site.frames.first().and_then(|f| f.function.as_deref()) == Some(name));
        site.map(|site| Shown {
            bytes: site.alloc_bytes as f64,
            variance: site.standard_error.alloc_bytes.powi(2),
        })
        .with_context(|| format!("{name} has no sample"))
    };
    Ok([site(NAMES[0])?, site(NAMES[1])?])
}

/// The ratio, and its relative standard error.
fn divided([large, small]: [Shown; 2]) -> (f64, f64) {
    let squared = |site: Shown| site.variance / (site.bytes * site.bytes);
    (large.bytes / small.bytes, (squared(large) + squared(small)).sqrt())
}

/// A sample whenever `threshold` bytes have come together: they are all put down to the site that has just allocated,
/// and the count begins anew.
fn fixed(threshold: u64, pairs: u64) -> f64 {
    let mut shown = [0_u64; 2];
    let mut since = 0;
    for _ in 0..pairs {
        for (site, size) in SIZES.into_iter().enumerate() {
            since += size;
            if since >= threshold {
                shown[site] += since;
                since = 0;
            }
        }
    }
    shown[0] as f64 / shown[1] as f64
}
