//! Waits for the ends of any number of processes, in one thread.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

/// Ends that are taken at a time.
const AT_A_TIME: usize = 64;

/// A process that is waited for: readable when it has ended.
struct Waiting {
    pid: u32,
    /// Closing it takes it off the list.
    _pidfd: OwnedFd,
}

/// The waiter.
pub(super) struct Ends {
    epoll: Arc<OwnedFd>,
    /// By a number of their own: a pid comes back.
    waiting: Arc<Mutex<HashMap<u64, Waiting>>>,
}

impl Ends {
    /// Starts the thread; it ends when `take` returns false.
    pub(super) fn start(take: impl Fn(u32) -> bool + Send + 'static) -> io::Result<Self> {
        let ends = Self { epoll: Arc::new(epoll::create(CreateFlags::CLOEXEC)?), waiting: Arc::default() };
        let (epoll, waiting) = (Arc::clone(&ends.epoll), Arc::clone(&ends.waiting));
        std::thread::Builder::new().name("tracer-ends".to_owned()).spawn(move || {
            let mut events = Vec::with_capacity(AT_A_TIME);
            loop {
                events.clear();
                // An interrupted wait is a short one.
                let _ = epoll::wait(&*epoll, spare_capacity(&mut events), None);
                for event in &events {
                    let key = { event.data }.u64();
                    let ended = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
                    let Some(Waiting { pid, .. }) = ended else { continue };
                    if !take(pid) {
                        return;
                    }
                }
            }
        })?;
        Ok(ends)
    }

    /// Waits for the end of a process too.
    pub(super) fn add(&self, pid: u32, pidfd: OwnedFd) -> io::Result<()> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let key = waiting.keys().max().map_or(0, |last| last + 1);
        epoll::add(&*self.epoll, &pidfd, EventData::new_u64(key), EventFlags::IN | EventFlags::ONESHOT)?;
        waiting.insert(key, Waiting { pid, _pidfd: pidfd });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::Duration;

    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    #[test]
    fn each_end_is_told_once() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let ends = Ends::start(move |pid| sender.send(pid).is_ok()).expect("a thread starts");
        let mut children: Vec<_> = (0..3)
            .map(|_| Command::new("sleep").arg("0.05").spawn().expect("`sleep` is everywhere"))
            .collect();
        let mut expected: Vec<u32> = children.iter().map(std::process::Child::id).collect();
        for child in &children {
            let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).expect("it is ours");
            ends.add(child.id(), pidfd).expect("it can be waited for");
        }
        let mut told: Vec<u32> = (0..expected.len())
            .map(|_| receiver.recv_timeout(Duration::from_secs(20)).expect("it ends"))
            .collect();
        told.sort_unstable();
        expected.sort_unstable();
        assert_eq!(told, expected);
        assert!(receiver.recv_timeout(Duration::from_millis(50)).is_err(), "and not again");
        children.iter_mut().for_each(|child| drop(child.wait()));
    }
}
