//! Pods: which one a process belongs to, and what is said of it.
//!
//! Data flows one way: `watch` keeps a [`book`](self) of what the API server says and publishes it as a [`Table`] in
//! [`Pods`]; who traces and who labels look processes up there. Without the API nothing is known and nothing waits.

#[cfg(feature = "kubernetes")]
mod book;
mod marks;
mod options;
mod place;
mod pod;
mod pods;
mod select;
mod table;
#[cfg(feature = "kubernetes")]
pub mod watch;

pub use marks::{ENABLED, MODE, Marks, SAMPLE_BYTES};
pub use options::{Api, DEFAULT_KEEP, KubernetesOptions};
pub use place::{Place, PlaceOf, PodOf};
pub use pod::{Owner, Pod, PodContainer};
pub use pods::{Pods, Standing};
pub use select::{PodSelect, Selector};
pub use table::{Group, Hashes, Rollouts, Table};
