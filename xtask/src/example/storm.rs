//! The five variants of the service, one after the other, of one compiler.

use std::{collections::BTreeMap, path::Path, thread, time::Duration};

use anyhow::{Context, Result, bail};

use super::{
    advice::{self, Advice},
    document::{Document, Tracing},
    go::{Go, PerRequest},
    load::{Hey, REQUESTS_MAX, now_ns, saturate},
    options::Options,
    service::Service,
    stats::Window,
    throughput::{self, BY_PROBES, BY_RUNTIME, Pairs},
};
use crate::process::say;

/// The first is the one that the others are compared with.
pub(super) const VARIANTS: [&str; 5] = [BASELINE, "nil", "prealloc", "pool", "readonly"];
pub(super) const BASELINE: &str = "baseline";
/// Of what the baseline can do: hey costs about as much as the service, and the rest is what collections may take.
const SHARE_OF_RATE: f64 = 0.2;
const WARM_UP: Duration = Duration::from_secs(2);
/// Until hey has its rate; and until the service was read once more after a window.
const SETTLING: Duration = Duration::from_millis(1500);
/// What starting tracer twice may take.
const SLACK: Duration = Duration::from_secs(120);

/// All variants of one compiler.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) go: String,
    /// Requests per second that were asked for.
    pub(super) rate: u32,
    pub(super) variants: Vec<Measured>,
}

/// What was measured of one variant.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) name: &'static str,
    /// What tracer says.
    pub(super) ours: Document,
    /// What Go says of the same seconds.
    pub(super) gos: Window,
    /// What the benchmark says.
    pub(super) bench: PerRequest,
    /// Latencies with tracer and without, at the rate.
    pub(super) p99: (Option<f64>, Option<f64>),
    /// With tracer and without, as much as goes.
    pub(super) throughput: Pairs,
    /// The same, tracer with probes on Go's allocator; of the baseline.
    pub(super) probed: Option<Pairs>,
    pub(super) advice: Vec<Advice>,
}

/// Builds and measures.
pub(super) fn run(go: &Go, folder: &Path, options: &Options) -> Result<Report> {
    let program = go.build(folder)?;
    let bench = go.bench(folder)?;
    let mut rate = options.rate;
    let mut variants = Vec::new();
    for name in VARIANTS {
        say(&format!("{}, variant {name}", go.version));
        let service = Service::start(&program, name)?;
        let most = saturate(&service.url(), WARM_UP)?;
        let rate = *rate.get_or_insert_with(|| share_of(most));
        variants.push(
            measured(name, &service, rate, &bench, folder, options)
                .with_context(|| format!("failed to measure the variant {name} of {}", go.version))?,
        );
    }
    Ok(Report { go: go.version.clone(), rate: rate.unwrap_or_default(), variants })
}

/// Round, because it is in the table.
fn share_of(most: f64) -> u32 {
    ((most * SHARE_OF_RATE / 100.0).round() * 100.0).max(100.0) as u32
}

fn measured(
    name: &'static str,
    service: &Service,
    rate: u32,
    bench: &BTreeMap<String, PerRequest>,
    folder: &Path,
    options: &Options,
) -> Result<Measured> {
    let window = options.window;
    let limit = SETTLING + 3 * window + SLACK;
    if u64::from(rate) * (SETTLING + 4 * window).as_secs() > REQUESTS_MAX {
        bail!(
            "hey keeps {REQUESTS_MAX} requests, which is less than {rate} a second for so long; take a lower --rate"
        );
    }
    let hey = Hey::start(&service.url(), rate, limit, folder)?;
    let watch = service.watch();
    thread::sleep(SETTLING);
    let from_ns = now_ns();
    thread::sleep(window);
    let to_ns = now_ns();
    let ours = Tracing::start(service.pid(), window, BY_RUNTIME, folder)?.end()?;
    let ours = Document::parse(&ours).context("tracer's document does not tell what the table needs")?;
    let advice = advice::on(service.pid(), window)?;
    thread::sleep(SETTLING);
    let answers = hey.end()?;
    let gos = watch.end()?.window(ours.from_ns, ours.to_ns)?;
    let pairs = if name == BASELINE { options.pairs } else { options.further_pairs };
    let pairs_of = |how| throughput::pairs(service, pairs, options.run, how, folder);
    Ok(Measured {
        name,
        p99: (answers.quantile(0.99, ours.from_ns, ours.to_ns), answers.quantile(0.99, from_ns, to_ns)),
        gos,
        ours,
        bench: *bench.get(name).context("the benchmark does not have it")?,
        throughput: pairs_of(BY_RUNTIME)?,
        probed: (name == BASELINE).then(|| pairs_of(BY_PROBES)).transpose()?,
        advice,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_round_and_never_nothing() {
        assert_eq!([38_085.46, 1000.0, 20.0].map(share_of), [7600, 200, 100]);
    }
}
