//! The metrics page: what a node knows at one moment, for Prometheus and all who read its formats.
//!
//! Every number is written from the picture when it is asked for. Nothing is counted here and nothing is kept, so a series
//! is there for as long as the node has it, and no reader waits for the loop that traces.

use std::fmt;

use prometheus_client::encoding::prometheus_protobuf::{self, EncodeError};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use crate::model::node::Node;
use crate::view::canaries::Canaries;

mod accept;
mod canary;
mod list;
mod metric;
mod page;
mod pauses;
mod points;
mod process;
mod sizes;

pub use list::METRICS;
pub use metric::{Kind, Metric, Truth};

/// What is exported.
#[derive(Clone, Copy, Debug)]
pub struct Scrape<'a> {
    /// The picture.
    pub node: &'a Node,
    /// The verdicts of rollouts.
    pub canaries: &'a Canaries,
    /// HTTP requests that were refused, by reason.
    pub refused: &'a [(&'static str, u64)],
    /// The daemon's own process.
    pub process: &'a ProcessUsage,
}

/// What `process_*` says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessUsage {
    /// User and system time.
    pub cpu_seconds: f64,
    /// Resident set.
    pub resident_bytes: u64,
    /// Address space.
    pub virtual_bytes: u64,
    /// Open descriptors.
    pub open_fds: u64,
    /// Their limit.
    pub max_fds: u64,
    /// Since 1970.
    pub start_time_seconds: f64,
    /// Threads.
    pub threads: u64,
}

/// How the page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// `text/plain; version=0.0.4`, for readers that ask for nothing else.
    Text,
    /// OpenMetrics 1.0 text.
    OpenMetrics,
    /// Prometheus' protobuf, with native histograms.
    Protobuf,
}

/// Writes the page.
///
/// # Errors
/// None that is known: the encoder's type has them.
pub fn write(exposition: Exposition, scrape: &Scrape<'_>) -> Result<Vec<u8>, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(page::Page::new(exposition, scrape)));
    let mut out = String::new();
    match exposition {
        Exposition::Text => text::encode_registry(&mut out, &registry)?,
        Exposition::OpenMetrics => text::encode(&mut out, &registry)?,
        Exposition::Protobuf => {
            return prometheus_protobuf::encode_to_vec(&registry).map_err(|error| match error {
                EncodeError::Fmt(error) => error,
                EncodeError::Protobuf(_) => fmt::Error,
            });
        }
    }
    Ok(out.into_bytes())
}
