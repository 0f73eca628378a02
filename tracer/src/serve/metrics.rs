//! The metrics of the last picture, as a scraper asks for them.

use std::fmt;

use super::shared::Shared;
use crate::view::prometheus::{self, Exposition, ProcessUsage, Scrape};

/// The text.
pub(super) fn page(shared: &Shared, exposition: Exposition) -> Result<Vec<u8>, fmt::Error> {
    let (node, canaries) = (shared.node(), shared.canaries());
    let scrape = Scrape {
        node: &node,
        canaries: &canaries,
        refused: &shared.refused.all(),
        process: &ProcessUsage::read(),
    };
    prometheus::write(exposition, &scrape)
}
