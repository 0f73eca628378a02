//! Libraries that targets load: their mappings are read again at once, and not more often than that is worth.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::session::Session;

/// Between two readings of a process's mappings. A loader says twice what it loads: when it begins, and when it is done.
const LEAST: Duration = Duration::from_millis(2);
/// A reading that takes long is not repeated before so many times as long: a program may load thousands of libraries.
const PAUSE: u32 = 8;

/// Processes whose loader has spoken.
#[derive(Default)]
pub(super) struct Loads(BTreeMap<u32, Load>);

struct Load {
    not_before: Instant,
    is_waiting: bool,
}

impl Loads {
    /// The mappings of a process have changed, or are about to.
    pub(super) fn changed(&mut self, session: &mut Session, pid: u32) {
        let now = Instant::now();
        let load = self.0.entry(pid).or_insert(Load { not_before: now, is_waiting: false });
        load.is_waiting = true;
        if load.not_before <= now {
            load.read(session, pid);
        }
    }

    /// Reads what waits and may be read.
    pub(super) fn catch_up(&mut self, session: &mut Session) {
        let now = Instant::now();
        for (&pid, load) in &mut self.0 {
            if load.is_waiting && load.not_before <= now {
                load.read(session, pid);
            }
        }
        self.0.retain(|_, load| load.is_waiting || load.not_before > now);
    }
}

impl Load {
    fn read(&mut self, session: &mut Session, pid: u32) {
        let begin = Instant::now();
        session.mappings_changed(pid);
        self.is_waiting = false;
        self.not_before = Instant::now() + LEAST.max(begin.elapsed() * PAUSE);
    }
}
