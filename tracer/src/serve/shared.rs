//! Where the loop that traces and the threads that serve meet: the last picture of the node, and what is asked of the
//! loop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::oneshot;

use super::control;
use crate::model::node::{Node, TargetId};
use crate::model::snapshot::Snapshot;
use crate::view::canaries::Canaries;

/// What is asked of the loop that traces. An answer that nobody waits for any more is dropped.
#[derive(Debug)]
pub enum Ask {
    /// The profile of a process, or of all where there is no id; `None` if there is no such process. Its names are those that
    /// are known by now (`quality.pending_symbols` says how many are not): who wants all asks again.
    Profile {
        /// Whose.
        target: Option<TargetId>,
        /// Where to.
        answer: oneshot::Sender<Option<Arc<Snapshot>>>,
    },
    /// Something to change, or to tell.
    Control {
        /// What.
        request: control::Request,
        /// Who wants it, for the log: user id and pid.
        peer: control::Peer,
        /// Where to.
        answer: oneshot::Sender<control::Answer>,
    },
}

/// What both sides have.
pub struct Shared {
    node: RwLock<Arc<Node>>,
    canaries: RwLock<Arc<Canaries>>,
    is_ready: AtomicBool,
    /// Requests that were refused, by reason.
    pub refused: Refused,
    ask: Box<dyn Fn(Ask) -> bool + Send + Sync>,
}

/// Why requests are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Refusal {
    /// More connections than are allowed.
    Connections,
    /// More requests at a time than are allowed.
    Busy,
    /// Its header did not come in time, or the answer was not taken in time.
    Timeout,
    /// Its header or body is too large.
    TooLarge,
    /// It is not HTTP, or not TLS.
    Malformed,
    /// Without the token, or with a wrong one.
    Unauthorized,
    /// Nothing is changed over HTTP.
    Method,
}

/// Refused requests by reason.
#[derive(Debug, Default)]
pub struct Refused([AtomicU64; Refusal::ALL.len()]);

impl Refusal {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Connections,
        Self::Busy,
        Self::Timeout,
        Self::TooLarge,
        Self::Malformed,
        Self::Unauthorized,
        Self::Method,
    ];

    /// Label `reason` of the metric.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Busy => "busy",
            Self::Timeout => "timeout",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Unauthorized => "unauthorized",
            Self::Method => "method",
        }
    }
}

impl Refused {
    /// Counts one.
    pub fn count(&self, reason: Refusal) {
        self.0[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// All so far.
    #[must_use]
    pub fn all(&self) -> [(&'static str, u64); Refusal::ALL.len()] {
        Refusal::ALL.map(|reason| (reason.name(), self.0[reason as usize].load(Ordering::Relaxed)))
    }
}

impl Shared {
    /// Nothing is known yet; `ask` passes on what is asked of the loop, and says whether there is one still.
    #[must_use]
    pub fn new(ask: impl Fn(Ask) -> bool + Send + Sync + 'static) -> Self {
        Self {
            node: RwLock::default(),
            canaries: RwLock::default(),
            is_ready: AtomicBool::new(false),
            refused: Refused::default(),
            ask: Box::new(ask),
        }
    }

    /// The last picture.
    #[must_use]
    pub fn node(&self) -> Arc<Node> {
        Arc::clone(&self.node.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A new picture: the programs are loaded, and the targets of the first look attached to.
    pub fn publish(&self, node: Node) {
        *self.node.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(node);
        self.is_ready.store(true, Ordering::Release);
    }

    /// The last verdicts.
    #[must_use]
    pub fn canaries(&self) -> Arc<Canaries> {
        Arc::clone(&self.canaries.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// New verdicts.
    pub fn publish_canaries(&self, canaries: Canaries) {
        *self.canaries.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(canaries);
    }

    /// Whether there was a picture.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    /// Asks the loop; false if there is none any more.
    pub fn ask(&self, ask: Ask) -> bool {
        (self.ask)(ask)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("refused", &self.refused).finish_non_exhaustive()
    }
}
