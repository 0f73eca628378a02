//! Sides of made-up units whose truth is known, for tests.

use std::sync::Arc;

use crate::frame::Frame;
use crate::mode::Mode;
use crate::model::snapshot::{CallSite, SiteErrors};

use super::{Side, Unit};

/// A generator with a seed: splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    /// Above 0 and below 1.
    pub(super) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((z >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    pub(super) fn poisson(&mut self, mean: f64) -> f64 {
        if mean > 50.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0);
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.uniform(), 0.0);
        while product > limit {
            product *= self.uniform();
            count += 1.0;
        }
        count
    }
}

pub(super) fn frame(function: &str, place: &str) -> Arc<Frame> {
    let (file, line) = place.split_once(':').unwrap_or((place, "0"));
    Arc::new(Frame {
        address: "0x1000".to_owned(),
        function: (!function.is_empty()).then(|| function.to_owned()),
        module: Some("/opt/app/bin/app".to_owned()),
        file: (!file.is_empty()).then(|| file.to_owned()),
        line: line.parse().ok().filter(|&line| line > 0),
        ..Frame::default()
    })
}

/// Functions with their places, leaf first: `a x.c:3, main x.c:9`.
pub(super) fn stack(text: &str) -> Vec<Arc<Frame>> {
    text.split(", ")
        .map(|part| part.split_once(' ').unwrap_or((part, "")))
        .map(|(f, p)| frame(f, p))
        .collect()
}

/// A service: what its sites allocate, how its processes differ.
#[derive(Clone)]
pub(super) struct Service {
    /// Bytes per second of each site.
    pub(super) rates: Vec<f64>,
    /// Standard deviations of the logarithm: of each site by itself, of all sites of a process together.
    pub(super) variation: f64,
    pub(super) common: f64,
    /// 0: exact.
    pub(super) sample_bytes: u64,
    pub(super) seconds: f64,
}

pub(super) const OBJECT_BYTES: f64 = 64.0;

impl Service {
    /// Sites that fall with their rank, as those of real services do.
    pub(super) fn of(sites: usize) -> Self {
        let rates = (1..=sites).map(|rank| 5e7 / (rank as f64).powf(0.9)).collect();
        Self { rates, variation: 0.0, common: 0.0, sample_bytes: 65_536, seconds: 60.0 }
    }

    pub(super) fn side(&self, units: u32, random: &mut Random) -> Side {
        let stacks: Vec<Vec<Arc<Frame>>> = (0..self.rates.len())
            .map(|site| stack(&format!("make_{site} app.c:{}, main app.c:1", site + 2)))
            .collect();
        let units = (0..units).map(|pid| self.unit(pid + 1, &stacks, random)).collect();
        Side { name: "side".to_owned(), units }
    }

    fn unit(&self, pid: u32, stacks: &[Vec<Arc<Frame>>], random: &mut Random) -> Unit {
        let load = self.seconds * (self.common * random.normal()).exp();
        let mut bytes_of_all = 0.0;
        let mut sites = Vec::new();
        for (&rate, stack) in self.rates.iter().zip(stacks) {
            let truth = rate * load * (self.variation * random.normal()).exp();
            bytes_of_all += truth;
            let chance = 1.0 - (-OBJECT_BYTES / self.sample_bytes.max(1) as f64).exp();
            let (objects, error, samples) = if self.sample_bytes == 0 {
                (truth / OBJECT_BYTES, 0.0, (truth / OBJECT_BYTES) as u64)
            } else {
                let samples = random.poisson(truth / OBJECT_BYTES * chance);
                (samples / chance, (samples * (1.0 - chance)).sqrt() / chance, samples as u64)
            };
            if samples > 0 {
                sites.push(site(objects, error, samples, stack));
            }
        }
        Unit {
            name: format!("pid {pid}"),
            process: Some(("host".to_owned(), pid, 7)),
            processes: 1,
            seconds: Some(self.seconds),
            times: None,
            cpu_seconds: None,
            tracing_share: 0.0,
            requests: None,
            mode: Some(Mode::Alloc),
            sample_bytes: self.sample_bytes,
            exact: Some((bytes_of_all as u64, (bytes_of_all / OBJECT_BYTES) as u64)),
            inuse_bytes: None,
            inuse_seconds: Some(self.seconds),
            is_lossy: false,
            sites,
        }
    }
}

/// A site of objects of [`OBJECT_BYTES`].
pub(super) fn site(objects: f64, error: f64, samples: u64, stack: &[Arc<Frame>]) -> CallSite {
    CallSite {
        pid: 1,
        alloc_objects: objects.round() as u64,
        alloc_bytes: (objects * OBJECT_BYTES).round() as u64,
        standard_error: SiteErrors {
            alloc_objects: error,
            alloc_bytes: error * OBJECT_BYTES,
            ..SiteErrors::default()
        },
        samples,
        frames: stack.into(),
        ..CallSite::default()
    }
}
