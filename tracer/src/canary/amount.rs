//! What a site allocated in a unit, with the error of its sampling.

use std::ops::AddAssign;

use crate::model::snapshot::{CallSite, Snapshot};

use super::Quantity;

/// In the order in which rows are shown.
pub(super) const QUANTITIES: [Quantity; 3] =
    [Quantity::AllocBytes, Quantity::AllocObjects, Quantity::InuseBytes];

/// A number that may be an estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Amount {
    pub(super) value: f64,
    /// Of its sampling; 0 where exact.
    pub(super) variance: f64,
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.value += other.value;
        self.variance += other.variance;
    }
}

/// A site in a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cell {
    pub(super) bytes: Amount,
    pub(super) objects: Amount,
    pub(super) inuse: Amount,
    pub(super) samples: u64,
    /// Of what is in use; where every allocation was seen, the blocks.
    pub(super) inuse_samples: u64,
}

impl Cell {
    pub(super) fn of(site: &CallSite) -> Self {
        let amount = |value: u64, error: f64| Amount { value: value as f64, variance: error * error };
        let errors = site.standard_error;
        let is_exact = errors.inuse_bytes.is_none_or(|error| error <= 0.0);
        Self {
            bytes: amount(site.alloc_bytes, errors.alloc_bytes),
            objects: amount(site.alloc_objects, errors.alloc_objects),
            inuse: amount(site.inuse_bytes.unwrap_or(0), errors.inuse_bytes.unwrap_or(0.0)),
            samples: site.samples,
            inuse_samples: site.inuse_samples.or(site.inuse_objects.filter(|_| is_exact)).unwrap_or(0),
        }
    }

    pub(super) const fn get(&self, quantity: Quantity) -> Amount {
        match quantity {
            Quantity::AllocBytes => self.bytes,
            Quantity::AllocObjects => self.objects,
            Quantity::InuseBytes => self.inuse,
        }
    }
}

impl AddAssign for Cell {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.objects += other.objects;
        self.inuse += other.inuse;
        self.samples = self.samples.saturating_add(other.samples);
        self.inuse_samples = self.inuse_samples.saturating_add(other.inuse_samples);
    }
}

/// Of objects of so many bytes each: what a sample stands for beyond itself, which is the variance of an amount over the
/// amount, in bytes or in objects.
///
/// An object is sampled with the probability `P = 1 - exp(-size / interval)`; a sample stands for `1 / P` objects and
/// adds `(1 - P) / P^2` to the variance (Horvitz and Thompson, 1952; `tracer_ebpf::sampling::weight`).
pub(super) fn excess(mean_bytes: f64, interval_bytes: u64, quantity: Quantity) -> f64 {
    if interval_bytes <= 1 {
        return 0.0;
    }
    let size = mean_bytes.max(1.0);
    let chance = -f64::exp_m1(-size / interval_bytes as f64);
    let objects = (1.0 - chance) / chance;
    match quantity {
        Quantity::AllocObjects => objects,
        Quantity::AllocBytes | Quantity::InuseBytes => objects * size,
    }
}

/// The site with errors and samples where its document has none: profiles in pprof's format keep neither, and they follow
/// from the interval and the mean size, as if all objects had that size (`scaleHeapSample` in Go's
/// `runtime/pprof/protomem.go` scales by it).
pub(super) fn with_errors(site: &CallSite, snapshot: &Snapshot) -> CallSite {
    let mut site = site.clone();
    let interval = interval_of(&site, snapshot);
    let (objects, bytes) = (site.alloc_objects as f64, site.alloc_bytes as f64);
    let mut errors = site.standard_error;
    let is_bare = site.samples == 0 && errors.alloc_objects <= 0.0 && errors.alloc_bytes <= 0.0;
    if is_bare && objects > 0.0 && interval <= 1 {
        site.samples = site.alloc_objects;
    } else if is_bare && objects > 0.0 {
        let size = (bytes / objects).max(1.0);
        let chance = -f64::exp_m1(-size / interval as f64);
        let error = |amount: f64, quantity| (amount * excess(size, interval, quantity)).sqrt();
        site.samples = (objects * chance).round().max(1.0) as u64;
        errors.alloc_objects = error(objects, Quantity::AllocObjects);
        errors.alloc_bytes = error(bytes, Quantity::AllocBytes);
    }
    if let (Some(bytes), Some(objects), None) = (site.inuse_bytes, site.inuse_objects, site.inuse_samples)
        && interval > 1
        && objects > 0
        && errors.inuse_bytes.is_none_or(|error| error <= 0.0)
    {
        let size = bytes as f64 / objects as f64;
        let chance = -f64::exp_m1(-size.max(1.0) / interval as f64);
        site.inuse_samples = Some((objects as f64 * chance).round().max(1.0) as u64);
        errors.inuse_bytes = Some((bytes as f64 * excess(size, interval, Quantity::InuseBytes)).sqrt());
    }
    site.standard_error = errors;
    site
}

/// Mean bytes between the samples of a site: of its runtime, which samples by itself, or of the whole document.
fn interval_of(site: &CallSite, snapshot: &Snapshot) -> u64 {
    let target = snapshot.targets.iter().find(|target| target.pid == site.pid);
    let mut allocators = target.into_iter().flat_map(|target| &target.allocators);
    let runtime = allocators
        .find(|one| one.source == "runtime" && site.allocator.as_deref() == Some(one.name.as_str()))
        .map(|one| one.sample_bytes.unwrap_or(0));
    runtime.unwrap_or(snapshot.sample_bytes)
}
