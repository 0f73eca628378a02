//! Lists and watches one kind of object for ever.

use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Config, DefaultBackoff, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, sleep_until};

use super::client::Connection;
use super::troubles::{Trouble, Troubles};
use crate::target::kubernetes::book::Kind;

/// While it waits, it looks so often whether the files of the token and of the authority have changed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// See above.
pub(super) struct Follow<'a> {
    pub(super) kind: Kind,
    pub(super) connection: &'a Connection,
    pub(super) troubles: &'a Troubles,
    /// Of the files, when they were looked at last for this kind of objects.
    pub(super) generation: u64,
    /// Pause after 403 and 404, where others go on without these objects.
    pub(super) refused: Duration,
}

impl Follow<'_> {
    /// Hands on (`take`) what happens, and says (`give_up`) when these objects are not to be had for now.
    ///
    /// The first list is asked for as `first` says, each other one as `again`.
    pub(super) async fn run<K>(
        mut self,
        api: Api<K>,
        [first, again]: [Config; 2],
        mut take: impl FnMut(Event<K>),
        mut give_up: impl FnMut(Kind),
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let mut backoff = DefaultBackoff::default();
        let mut config = first;
        loop {
            let mut stream = pin!(watcher(api.clone(), config));
            while let Some(event) = stream.next().await {
                let error = match event {
                    Ok(event) => {
                        if !matches!(event, Event::Init) {
                            self.troubles.understood(self.kind);
                            backoff.reset();
                        }
                        take(event);
                        continue;
                    }
                    Err(error) => error,
                };
                let (trouble, why) = Trouble::of(&error);
                self.troubles.failed(self.kind, trouble, &why);
                if !trouble.is_everywhere() && self.kind != Kind::Pods {
                    give_up(self.kind);
                }
                self.pause(trouble, backoff.next().unwrap_or(LOOK_EVERY)).await;
                // A watch that is refused with 410 would be asked for again by kube, at the same place, for ever; and a list
                // that is too long for one answer comes by pages.
                let is_list = matches!(error, watcher::Error::InitialListFailed(_));
                if trouble == Trouble::Expired || (is_list && trouble == Trouble::Unreadable) {
                    break;
                }
            }
            config = again.clone();
        }
    }

    /// Waits, or until the files have changed.
    async fn pause(&mut self, trouble: Trouble, delay: Duration) {
        let is_refused = matches!(trouble, Trouble::Forbidden | Trouble::Missing) && self.kind != Kind::Pods;
        let end = Instant::now() + delay + if is_refused { self.refused } else { Duration::ZERO };
        while Instant::now() + LOOK_EVERY < end {
            sleep(LOOK_EVERY).await;
            let generation = self.connection.generation();
            if std::mem::replace(&mut self.generation, generation) != generation {
                return;
            }
        }
        sleep_until(end).await;
    }
}
