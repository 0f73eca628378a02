//! What tracer says of one repetition: the difference of two documents, site by site.

use anyhow::{Context, Result, bail};
use tracer::model::interval_95;
use tracer::model::snapshot::{CallSite, Snapshot};

use crate::quantity::Quantity;

/// An estimate of one number of one site.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) value: f64,
    pub(crate) variance: f64,
    pub(crate) interval: [f64; 2],
}

/// A fixture's sites, in the order of their numbers: where they stand in a document.
pub(crate) fn by_number(snapshot: &Snapshot, sites: usize) -> Result<Vec<Option<&CallSite>>> {
    let mut found = vec![None; sites];
    for site in &snapshot.sites {
        let caller = site.frames.first().and_then(|frame| frame.function.as_deref()).unwrap_or_default();
        let number = caller.strip_prefix("skewed_").and_then(|number| number.parse::<usize>().ok());
        let place = number.and_then(|number| found.get_mut(number));
        let place = place.with_context(|| format!("a site of {caller:?}, which does not allocate"))?;
        if place.replace(site).is_some() {
            bail!("two sites of {caller}: their stacks were to be alike");
        }
    }
    Ok(found)
}

/// A number of a site between two documents; `None` if the later one does not know it.
///
/// What was allocated only grows, and so does its variance, because samples are independent. What is in use needs no
/// difference: nothing was in use at the earlier one.
pub(crate) fn seen(quantity: Quantity, before: Option<&CallSite>, after: Option<&CallSite>) -> Option<Seen> {
    let after = after?;
    let (value, error) = number(quantity, after)?;
    match quantity {
        Quantity::InuseBytes | Quantity::InuseObjects => {
            let intervals = after.interval_95.as_ref()?;
            let interval = match quantity {
                Quantity::InuseBytes => intervals.inuse_bytes,
                _ => intervals.inuse_objects,
            };
            Some(Seen { value, variance: error * error, interval: interval? })
        }
        Quantity::AllocBytes | Quantity::AllocObjects => {
            let (old, old_error) = before.and_then(|site| number(quantity, site)).unwrap_or_default();
            let samples = after.samples.saturating_sub(before.map_or(0, |site| site.samples));
            let (value, variance) = (value - old, (error * error - old_error * old_error).max(0.0));
            Some(Seen { value, variance, interval: interval_95(value, variance.sqrt(), samples) })
        }
    }
}

/// A number and its standard error.
fn number(quantity: Quantity, site: &CallSite) -> Option<(f64, f64)> {
    let errors = site.standard_error;
    let (value, error) = match quantity {
        Quantity::AllocBytes => (Some(site.alloc_bytes), Some(errors.alloc_bytes)),
        Quantity::AllocObjects => (Some(site.alloc_objects), Some(errors.alloc_objects)),
        Quantity::InuseBytes => (site.inuse_bytes, errors.inuse_bytes),
        Quantity::InuseObjects => (site.inuse_objects, errors.inuse_objects),
    };
    Some((value? as f64, error?))
}
