//! What goes wrong between here and the API server: counted each time, said once when it begins and once when it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::runtime::watcher;

use crate::target::kubernetes::Pods;
use crate::target::kubernetes::book::Kind;

/// Streams that break in a row before it is said: one is what a restart looks like.
const BREAKS: u32 = 3;

/// What kube cannot know.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("{0}")]
    Files(String),
    #[error("nothing has come for {seconds} s")]
    Silent { seconds: u64 },
    #[error("a line is longer than {max_bytes} bytes")]
    TooLong { max_bytes: usize },
    #[error("{0}")]
    Broken(String),
}

impl Problem {
    /// Of a stream. kube would take some of these for the stream's end, and say nothing of them.
    pub(super) fn broken(error: &(dyn Error + 'static)) -> Self {
        let text = innermost(error);
        let is_cut = text.contains("unexpected EOF") || text.contains("close_notify");
        Self::Broken(if is_cut { "it ended in the middle".to_owned() } else { text })
    }
}

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// A token or a certificate cannot be read.
    Files,
    /// No connection.
    Unreachable,
    /// A connection, and no answer.
    Silent,
    /// Somebody else, as far as can be known.
    Untrusted,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404.
    Missing,
    /// 410: what was known last is too old to go on from. Not said: that is how it is meant to be.
    Expired,
    /// Another answer that is none.
    Failing,
    /// A stream ended with an error.
    Broken,
    /// An answer that cannot be understood.
    Unreadable,
}

impl Trouble {
    /// What an error is, and what it says.
    pub(super) fn of(error: &watcher::Error) -> (Self, String) {
        let status = match error {
            watcher::Error::WatchError(status) => Some(status),
            watcher::Error::NoResourceVersion => return (Self::Unreadable, error.to_string()),
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status))
            | watcher::Error::WatchFailed(kube::Error::Api(status)) => Some(status),
            _ => None,
        };
        if let Some(status) = status {
            let kind = match status.code {
                401 => Self::Unauthorized,
                403 => Self::Forbidden,
                404 => Self::Missing,
                410 => Self::Expired,
                _ => Self::Failing,
            };
            return (kind, format!("{} {}", status.code, status.message).trim_end().to_owned());
        }
        let text = innermost(error);
        (Self::of_chain(error, &text), text)
    }

    fn of_chain(error: &(dyn Error + 'static), text: &str) -> Self {
        let mut chain = chain(error);
        let kind = chain.find_map(|error| {
            let problem = error.downcast_ref::<Problem>().map(|problem| match problem {
                Problem::Files(_) => Self::Files,
                Problem::Silent { .. } => Self::Silent,
                Problem::TooLong { .. } => Self::Unreadable,
                Problem::Broken(_) => Self::Broken,
            });
            let kube = || match error.downcast_ref::<kube::Error>()? {
                kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => Some(Self::Unreadable),
                kube::Error::Auth(_) => Some(Self::Files),
                _ => None,
            };
            problem.or_else(kube)
        });
        // As rustls words it: `Error::InvalidCertificate`.
        let is_certificate = text.contains("invalid peer certificate");
        kind.unwrap_or(if is_certificate { Self::Untrusted } else { Self::Unreachable })
    }

    /// It is the whole API server's, and not only that of one kind of objects.
    pub(super) const fn is_everywhere(self) -> bool {
        matches!(self, Self::Files | Self::Unreachable | Self::Silent | Self::Untrusted | Self::Unauthorized)
    }

    const fn ends_with_an_answer(self) -> bool {
        !matches!(self, Self::Broken | Self::Unreadable)
    }

    /// What it means, and what can be done.
    fn text(self, kind: Kind, url: &str, why: &str) -> String {
        let objects = kind.name();
        match self {
            Self::Files => format!(
                "{why}. It is read again until it is there: see `token_file` and `ca_file` in [kubernetes]; in a pod \
                 `automountServiceAccountToken` must not be false"
            ),
            Self::Unreachable => format!(
                "{url} cannot be reached: {why}. See that `api` is right, and that a network policy or a firewall lets \
                 this node through"
            ),
            Self::Silent => format!("{url} does not answer: {why}. See the API server's load and log"),
            Self::Untrusted => {
                format!(
                    "{url} is not trusted: {why}. `ca_file` must hold the authority that signed its certificate"
                )
            }
            Self::Unauthorized => format!(
                "{url} does not take the token: {why}. It must be one of this cluster that has not expired; \
                 `token_file` is read again as soon as it changes"
            ),
            Self::Forbidden => {
                format!("{objects} may not be watched: {why}. The ClusterRole needs the rule {}", kind.rule())
            }
            Self::Missing => {
                format!("{url} knows no {objects}: {why}. {}", kind.missing())
            }
            Self::Failing | Self::Expired => {
                format!("failed to watch {objects}: {url} says {why}. See the API server's log")
            }
            Self::Broken => format!(
                "the watch of {objects} broke {BREAKS} times in a row: {why}. See what lies between here and {url}"
            ),
            Self::Unreadable => {
                format!(
                    "failed to understand what {url} says of {objects}: {why}. Is it an API server of Kubernetes?"
                )
            }
        }
    }
}

/// See above.
pub(super) struct Troubles {
    url: String,
    pods: Pods,
    say: Box<dyn Fn(String) + Send + Sync>,
    state: Mutex<State>,
}

/// A trouble, and whose, if it is not everybody's.
type Subject = (Trouble, Option<Kind>);

#[derive(Default)]
struct State {
    /// What has been said, and is not over for these.
    open: BTreeMap<Subject, BTreeSet<Kind>>,
    breaks: BTreeMap<Kind, u32>,
}

impl Troubles {
    pub(super) fn new(url: String, pods: Pods, say: Box<dyn Fn(String) + Send + Sync>) -> Self {
        Self { url, pods, say, state: Mutex::default() }
    }

    /// Something failed.
    pub(super) fn failed(&self, kind: Kind, trouble: Trouble, why: &str) {
        self.pods.count_error();
        if trouble == Trouble::Expired {
            return;
        }
        let mut state = self.locked();
        if trouble == Trouble::Broken {
            let breaks = state.breaks.entry(kind).or_default();
            *breaks += 1;
            if *breaks < BREAKS {
                return;
            }
        }
        let whose = state.open.entry((trouble, (!trouble.is_everywhere()).then_some(kind))).or_default();
        let is_new = whose.is_empty();
        whose.insert(kind);
        drop(state);
        if is_new {
            let text = trouble.text(kind, &self.url, why);
            (self.say)(format!("kubernetes: {text}. What is known stays; it is tried again"));
        }
    }

    /// A request was answered as it should be.
    pub(super) fn answered(&self, kind: Kind) {
        self.over(kind, Trouble::ends_with_an_answer);
    }

    /// A stream goes on.
    pub(super) fn goes_on(&self, kind: Kind) {
        self.locked().breaks.remove(&kind);
        self.over(kind, |trouble| trouble == Trouble::Broken);
    }

    /// What it said was understood.
    pub(super) fn understood(&self, kind: Kind) {
        self.over(kind, |trouble| trouble == Trouble::Unreadable);
    }

    fn over(&self, kind: Kind, which: impl Fn(Trouble) -> bool) {
        let mut ended = BTreeSet::new();
        self.locked().open.retain(|(trouble, whose), kinds| {
            if which(*trouble) {
                kinds.remove(&kind);
            }
            if kinds.is_empty() {
                ended.insert(*whose);
            }
            !kinds.is_empty()
        });
        for whose in ended {
            (self.say)(match whose {
                None => format!("kubernetes: {} answers again", self.url),
                Some(kind) => format!("kubernetes: {} are watched again", kind.name()),
            });
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error, and what it comes from.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn Error + 'static)| error.source())
}

/// What an error goes back to, in its own words.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let last = chain(error).last();
    last.map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn troubles() -> (Troubles, Pods, Arc<Mutex<Vec<String>>>) {
        let (said, pods) = (Arc::new(Mutex::new(Vec::new())), Pods::new(|| {}));
        let sink = Arc::clone(&said);
        let say = Box::new(move |text| sink.lock().unwrap().push(text));
        (Troubles::new("https://api".to_owned(), pods.clone(), say), pods, said)
    }

    fn count(said: &Mutex<Vec<String>>, word: &str) -> usize {
        said.lock().unwrap().iter().filter(|text| text.contains(word)).count()
    }

    #[test]
    fn each_kind_of_trouble_is_said_once_and_its_end_once() {
        let (troubles, pods, said) = troubles();
        for _ in 0..5 {
            troubles.failed(Kind::Pods, Trouble::Unreachable, "connection refused");
            troubles.failed(Kind::Rollouts, Trouble::Unreachable, "connection refused");
            troubles.failed(Kind::Pods, Trouble::Silent, "nothing");
        }
        assert_eq!(pods.standing().map(|standing| standing.watch_errors), Some(15));
        assert_eq!((count(&said, "cannot be reached"), count(&said, "does not answer")), (1, 1));
        troubles.answered(Kind::Pods);
        assert_eq!(count(&said, "answers again"), 1, "silence was the pods' trouble only");
        troubles.answered(Kind::Rollouts);
        troubles.answered(Kind::Rollouts);
        assert_eq!(count(&said, "answers again"), 2);
        troubles.failed(Kind::Pods, Trouble::Unreachable, "connection refused");
        assert_eq!(count(&said, "cannot be reached"), 2, "it began again");
    }

    #[test]
    fn what_may_not_be_watched_says_the_rule_that_is_missing() {
        let (troubles, _, said) = troubles();
        for kind in [Kind::Pods, Kind::Rollouts, Kind::Canaries] {
            troubles.failed(kind, Trouble::Forbidden, "403 no");
            assert_eq!(count(&said, kind.rule()), 1, "{kind:?}");
        }
        troubles.answered(Kind::Pods);
        assert_eq!(count(&said, "watched again"), 1);
    }

    #[test]
    fn a_stream_that_breaks_once_is_counted_and_not_said() {
        let (troubles, pods, said) = troubles();
        let breaks = || troubles.failed(Kind::Pods, Trouble::Broken, "reset");
        breaks();
        breaks();
        troubles.goes_on(Kind::Pods);
        breaks();
        breaks();
        troubles.failed(Kind::Pods, Trouble::Expired, "410");
        assert_eq!(said.lock().unwrap().len(), 0);
        breaks();
        assert_eq!(count(&said, "in a row"), 1);
        troubles.answered(Kind::Pods);
        assert_eq!(count(&said, "watched again"), 0, "that it may be asked for is not that it goes on");
        troubles.goes_on(Kind::Pods);
        assert_eq!(count(&said, "watched again"), 1);
        assert_eq!(pods.standing().map(|standing| standing.watch_errors), Some(6));
    }
}
