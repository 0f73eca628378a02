//! Sides of a comparison, drawn of recorded processes.

use rand::RngExt;
use rand::rngs::StdRng;
use rand_distr::{Binomial, Distribution};
use tracer::canary::{Side, Unit};
use tracer::mode::Mode;
use tracer::model::snapshot::{CallSite, SiteErrors};

use crate::recording::{Count, Process, Recording, Window};

/// How long, and how much of it is sampled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Design {
    /// Seconds that each process is observed.
    pub(crate) seconds: f64,
    /// Mean bytes between samples; 0 is every allocation.
    pub(crate) sample_bytes: u64,
}

/// A side of these processes; what a process did in `design.seconds` is drawn of its windows. A site that is
/// `replaced` does what it did in one of other processes.
pub(crate) fn side(
    name: &str,
    processes: &[&Process],
    recording: &Recording,
    design: Design,
    random: &mut StdRng,
    replaced: &[(usize, &[Process])],
) -> Side {
    let mut units = Vec::new();
    for (number, process) in processes.iter().enumerate() {
        let mut sum = draw(process, design.seconds, random);
        for &(site, others) in replaced {
            let other = draw(&others[random.random_range(0..others.len())], design.seconds, random);
            let scale = sum.requests / other.requests;
            let count = other.counts.get(&site).copied().unwrap_or_default();
            let scaled = |amount: u64| (amount as f64 * scale).round() as u64;
            sum.counts.insert(site, Count { objects: scaled(count.objects), bytes: scaled(count.bytes) });
        }
        units.push(unit(format!("{name}-{number}"), &sum, recording, design, random));
    }
    Side { name: name.to_owned(), units }
}

/// Windows with replacement, as many as fill the time; the last one in proportion.
fn draw(process: &Process, seconds: f64, random: &mut StdRng) -> Window {
    let mut sum = Window::default();
    while sum.seconds < seconds {
        let window = &process.0[random.random_range(0..process.0.len())];
        let part = ((seconds - sum.seconds) / window.seconds).min(1.0);
        sum.seconds += window.seconds * part;
        sum.requests += window.requests * part;
        for (&site, count) in &window.counts {
            let (objects, size) = (count.objects, count.bytes.checked_div(count.objects).unwrap_or(0));
            let kept = if part < 1.0 { binomial(objects, part, random) } else { objects };
            let entry = sum.counts.entry(site).or_default();
            entry.objects += kept;
            entry.bytes += if part < 1.0 { kept * size } else { count.bytes };
        }
    }
    sum
}

fn unit(name: String, window: &Window, recording: &Recording, design: Design, random: &mut StdRng) -> Unit {
    let mut exact = (0, 0);
    let mut sites = Vec::new();
    for (&site, &count) in &window.counts {
        exact = (exact.0 + count.bytes, exact.1 + count.objects);
        sites.push(CallSite {
            frames: recording.sites[site].clone(),
            ..sampled(count, design.sample_bytes, random)
        });
    }
    sites.retain(|site| site.samples > 0);
    Unit {
        name,
        process: None,
        processes: 1,
        seconds: Some(window.seconds),
        times: None,
        cpu_seconds: None,
        tracing_share: 0.0,
        requests: Some(window.requests),
        mode: Some(Mode::Alloc),
        sample_bytes: design.sample_bytes,
        exact: Some(exact),
        inuse_bytes: None,
        inuse_seconds: None,
        is_lossy: false,
        sites,
    }
}

/// What sampling leaves of allocations of one size, and what is estimated of it: each is a sample with the probability
/// `p = 1 - exp(-size / interval)` and stands for `1 / p` (docs/accuracy.md).
fn sampled(count: Count, sample_bytes: u64, random: &mut StdRng) -> CallSite {
    let size = count.bytes as f64 / count.objects.max(1) as f64;
    let p = if sample_bytes == 0 { 1.0 } else { -(-size.max(1.0) / sample_bytes as f64).exp_m1() };
    let samples = if p < 1.0 { binomial(count.objects, p, random) } else { count.objects };
    let objects = samples as f64 / p;
    let error = (samples as f64 * (1.0 - p)).sqrt() / p;
    CallSite {
        alloc_objects: objects.round() as u64,
        alloc_bytes: (objects * size).round() as u64,
        standard_error: SiteErrors {
            alloc_objects: error,
            alloc_bytes: error * size,
            ..SiteErrors::default()
        },
        samples,
        ..CallSite::default()
    }
}

fn binomial(objects: u64, p: f64, random: &mut StdRng) -> u64 {
    Binomial::new(objects, p).map_or(0, |law| law.sample(random))
}
