//! What each process had allocated when `delta_heap` was last asked for. Only processes that are traced are kept, and of
//! each two numbers per call site.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::model::node::{Node, TargetId};
use crate::view::pprof::delta::Base;

/// The last answer of one process; `None` if there was none.
pub(super) type Last = Option<(jiff::Timestamp, Base)>;

/// The last answers.
#[derive(Default)]
pub(super) struct Deltas(Mutex<HashMap<TargetId, Arc<tokio::sync::Mutex<Last>>>>);

impl Deltas {
    /// The last answer of a process. Who holds it has the turn: what is allocated is in one answer, and in no other.
    pub(super) async fn turn(&self, id: TargetId, node: &Node) -> OwnedMutexGuard<Last> {
        let last = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|kept, _| *kept == id || node.targets.iter().any(|target| target.id == *kept));
            Arc::clone(all.entry(id).or_default())
        };
        last.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::node::NodeTarget;

    #[test]
    fn processes_that_are_gone_are_forgotten() {
        let deltas = Deltas::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let id = |pid| TargetId { pid, start_time: 1 };
        let node = |pids: &[u32]| Node {
            targets: pids.iter().map(|&pid| NodeTarget { id: id(pid), ..NodeTarget::default() }).collect(),
            ..Node::default()
        };
        runtime.block_on(async {
            *deltas.turn(id(1), &node(&[1, 2])).await = Some(Default::default());
            drop(deltas.turn(id(2), &node(&[1, 2])).await);
            assert!(deltas.turn(id(1), &node(&[1, 2])).await.is_some());
            drop(deltas.turn(id(2), &node(&[2])).await);
            assert!(deltas.turn(id(1), &node(&[1, 2])).await.is_none());
        });
    }
}
