//! The thread that compares: the loop that traces waits for it never, and asks for nothing new while it is busy.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use super::options;
use crate::canary::{Comparison, Options, Per, Release, Side, compare};
use crate::config::CanaryConfig;
use crate::serve::shared::Shared;
use crate::view::canaries::{Canaries, ServiceCanary, ServiceName};

/// One service.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) service: ServiceName,
    /// Stable and canary.
    pub(super) sides: [Side; 2],
    /// Why it cannot be compared.
    pub(super) reason: Option<String>,
    /// That is because names are still being looked up.
    pub(super) awaits_names: bool,
    pub(super) notes: Vec<String>,
}

/// All services of a look.
struct Work {
    jobs: Vec<Job>,
    options: Options,
    notes: Vec<String>,
}

/// See above.
pub(super) struct Judge {
    work: SyncSender<Work>,
    is_busy: Arc<AtomicBool>,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Judge {
    /// Starts the thread.
    pub(super) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let (work, works) = sync_channel(1);
        let is_busy = Arc::new(AtomicBool::new(false));
        let (busy, to) = (Arc::clone(&is_busy), Arc::clone(&shared));
        let thread =
            thread::Builder::new().name("canary".to_owned()).spawn(move || judge(&works, &busy, &to))?;
        Ok(Self { work, is_busy, shared, thread })
    }

    /// Whether the last comparison goes on.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy.load(Ordering::Acquire) && !self.thread.is_finished()
    }

    /// Compares these from now on.
    pub(super) fn send(&self, jobs: Vec<Job>, config: &CanaryConfig, notes: Vec<String>) {
        self.is_busy.store(true, Ordering::Release);
        let work = Work { jobs, options: options(config), notes };
        // An old verdict must not stand for ever.
        if self.work.try_send(work).is_err() {
            self.shared.publish_canaries(Canaries {
                services: Vec::new(),
                notes: vec!["the comparison has failed: restart the daemon, and tell its makers".to_owned()],
            });
        }
    }

    /// Ends the thread.
    pub(super) fn stop(self) {
        drop(self.work);
        // What it has found nobody reads any more.
        drop(self.thread.join());
    }
}

fn judge(works: &Receiver<Work>, is_busy: &AtomicBool, shared: &Shared) {
    for Work { jobs, options, notes } in works {
        let services = jobs.into_iter().map(|job| service(job, &options)).collect();
        shared.publish_canaries(Canaries { services, notes });
        is_busy.store(false, Ordering::Release);
    }
}

/// The verdict of one service; what cannot be compared is not enough data.
fn service(job: Job, options: &Options) -> ServiceCanary {
    let Job { service, sides: [base, canary], reason, notes, .. } = job;
    let releases = [&base, &canary].map(|side| release(side, options.per));
    let reason = reason.or_else(|| idle([&base, &canary], options.per));
    let compared = match reason {
        Some(reason) => Err(reason),
        None => compare(base, canary, options).map_err(|error| error.to_string()),
    };
    let mut comparison = compared.unwrap_or_else(|reason| Comparison::undecided(releases, options, reason));
    comparison.notes.extend(notes);
    ServiceCanary { labels: service, at: jiff::Timestamp::now(), comparison: Arc::new(comparison) }
}

/// Why CPU time cannot be divided by, if that is so.
fn idle(sides: [&Side; 2], per: Option<Per>) -> Option<String> {
    let mut units = sides.into_iter().flat_map(|side| &side.units);
    let idle = units.find(|unit| unit.cpu_seconds.is_none_or(|seconds| seconds <= 0.0));
    idle.filter(|_| per == Some(Per::CpuSecond)).map(|unit| {
        format!(
            "process {} took no CPU time in the window, which is told in hundredths of a second: give it requests, or set \
             `per = \"process\"` in `[canary]`",
            unit.name
        )
    })
}

fn release(side: &Side, per: Option<Per>) -> Release {
    let unit_seconds = side.units.iter().filter_map(|unit| unit.seconds).sum();
    let cpu_seconds = side.units.iter().filter_map(|unit| unit.cpu_seconds).sum();
    let mut sample_bytes: Vec<u64> = side.units.iter().map(|unit| unit.sample_bytes).collect();
    sample_bytes.sort_unstable();
    sample_bytes.dedup();
    Release {
        name: side.name.clone(),
        units: u32::try_from(side.units.len()).unwrap_or(u32::MAX),
        exposure: if per == Some(Per::CpuSecond) { cpu_seconds } else { unit_seconds },
        sample_bytes,
        unit_seconds,
    }
}

#[cfg(test)]
mod tests;
