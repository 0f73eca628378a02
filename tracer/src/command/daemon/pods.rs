//! Who watches pods, where that is asked for.

use super::super::Failure;
use super::super::events::Events;
#[cfg(feature = "kubernetes")]
use super::super::{events::Event, messages};
use crate::config::Config;
use crate::target::kubernetes::Pods;
#[cfg(feature = "kubernetes")]
use crate::target::kubernetes::watch::{self, Watch};

/// The watcher's thread, if there is one.
pub(super) struct Watcher(#[cfg(feature = "kubernetes")] Option<Watch>);

impl Watcher {
    /// Ends it.
    pub(super) fn stop(self) {
        #[cfg(feature = "kubernetes")]
        if let Some(watch) = self.0 {
            watch.stop();
        }
    }
}

/// The pods of this node from now on, if the configuration asks for them. Nothing waits for them.
#[cfg(feature = "kubernetes")]
pub(super) fn watched(config: &Config, events: &Events) -> Result<(Pods, Watcher), Failure> {
    let Some(options) = &config.kubernetes else { return Ok((Pods::default(), Watcher(None))) };
    let waker = events.sender();
    // Who would be told may be gone: the daemon ends.
    let pods = Pods::new(move || {
        let _ = waker.send(Event::Pods);
    });
    let watch = watch::start(options, pods.clone(), |text| messages::line(&format!("tracer: {text}")))
        .map_err(anyhow::Error::from)?;
    Ok((pods, Watcher(Some(watch))))
}

/// Nobody watches: a configuration that asks for it was refused.
#[cfg(not(feature = "kubernetes"))]
pub(super) fn watched(_: &Config, _: &Events) -> Result<(Pods, Watcher), Failure> {
    Ok((Pods::default(), Watcher()))
}
