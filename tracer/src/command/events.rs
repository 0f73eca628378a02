//! Everything that can happen while targets are traced, in one channel.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use super::ends::Ends;
use super::live::{self, Wish};
use crate::collect::notices::{self, Notice};
use crate::kernel::NoticeRing;

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A process did something.
    Notice(Notice),
    /// A process has ended.
    Ended {
        /// Its pid.
        pid: u32,
    },
    /// A signal came to the tracer.
    Signal(i32),
    /// Unwind tables are new.
    Tables,
    /// Somebody asks something of the daemon.
    Asked,
    /// Pods have changed.
    Pods,
    /// The user of the live view wants something.
    Wish(Wish),
    /// Nothing, for one tick.
    Tick,
}

/// The channel and its sources.
pub struct Events {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    /// Notices in the channel.
    queued: Arc<AtomicUsize>,
    ends: Option<Ends>,
}

/// What signals mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signalled {
    /// The first INT, TERM or HUP is an event, the second ends the tracer at once.
    Stop,
    /// The same, but HUP is an event like others.
    Serve,
    /// INT and QUIT are the terminal's words to the command; the others are to be forwarded.
    Forward,
}

/// Notices that wait in the channel; more wait in the ring buffer, and what does not fit there is counted.
const MAX_QUEUED: usize = 1 << 16;
/// Between two looks at a full channel.
const FULL_WAIT: Duration = Duration::from_millis(1);
/// Exit code after a signal that ends at once: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

impl Events {
    /// A channel without sources.
    #[must_use]
    pub fn new() -> Self {
        let (sender, receiver) = channel();
        Self { sender, receiver, queued: Arc::default(), ends: None }
    }

    /// Takes signals from now on.
    ///
    /// # Errors
    ///
    /// The handlers or their thread could not be set up.
    pub fn take_signals(&self, meaning: Signalled) -> std::io::Result<()> {
        let wanted: &[i32] = match meaning {
            Signalled::Stop | Signalled::Serve => &[SIGINT, SIGTERM, SIGHUP],
            Signalled::Forward => &[SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2],
        };
        // What was ignored when the tracer started stays so: CMD must inherit it, and `nohup` means it.
        let ignored = match meaning {
            Signalled::Forward => ignored_signals(),
            Signalled::Stop => ignored_signals() & 1 << (SIGHUP - 1),
            Signalled::Serve => 0,
        };
        let mut signals = Signals::new(wanted.iter().filter(|&&signal| ignored >> (signal - 1) & 1 == 0))?;
        let sender = self.sender.clone();
        std::thread::Builder::new().name("tracer-signals".to_owned()).spawn(move || {
            let mut stops = 0;
            for signal in signals.forever() {
                let is_stop = match meaning {
                    Signalled::Stop => true,
                    Signalled::Serve => signal != SIGHUP,
                    Signalled::Forward => false,
                };
                stops += u32::from(is_stop);
                if is_stop && stops > 1 {
                    live::give_back_terminal();
                    // The probes are file descriptors: they end with the process.
                    std::process::exit(INTERRUPTED);
                }
                if sender.send(Event::Signal(signal)).is_err() {
                    return;
                }
            }
        })?;
        Ok(())
    }

    /// Takes the notices of processes.
    ///
    /// # Errors
    ///
    /// The reader's thread could not be started.
    pub fn take_notices(&self, ring: NoticeRing) -> std::io::Result<()> {
        let sender = self.sender.clone();
        let queued = Arc::clone(&self.queued);
        notices::start(ring, move |notice| {
            while queued.load(Ordering::Relaxed) >= MAX_QUEUED {
                std::thread::sleep(FULL_WAIT);
            }
            queued.fetch_add(1, Ordering::Relaxed);
            sender.send(Event::Notice(notice)).is_ok()
        })
    }

    /// Waits for the end of a process.
    ///
    /// # Errors
    ///
    /// The waiter's thread could not be started.
    pub fn take_end(&mut self, pid: u32, pidfd: OwnedFd) -> std::io::Result<()> {
        if self.ends.is_none() {
            let sender = self.sender.clone();
            self.ends = Some(Ends::start(move |pid| sender.send(Event::Ended { pid }).is_ok())?);
        }
        self.ends.as_ref().map_or(Ok(()), |ends| ends.add(pid, pidfd))
    }

    /// What says that unwind tables are new.
    pub fn tables(&self) -> impl Fn() + Send + 'static {
        let sender = self.sender.clone();
        // Nobody waits for them any more if the channel is gone.
        move || {
            let _ = sender.send(Event::Tables);
        }
    }

    /// Where the live view sends what its user wants.
    #[must_use]
    pub fn sender(&self) -> Sender<Event> {
        self.sender.clone()
    }

    /// Gives an event back, for a later reader.
    pub fn put_back(&self, event: Event) {
        // The receiver is ours.
        let _ = self.sender.send(event);
    }

    /// The next event, or a tick if there is none for so long.
    #[must_use]
    pub fn next(&self, tick: Duration) -> Event {
        match self.receiver.recv_timeout(tick) {
            Ok(event) => {
                if matches!(event, Event::Notice(_)) {
                    self.queued.fetch_sub(1, Ordering::Relaxed);
                }
                event
            }
            // Our own sender keeps the channel connected.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Event::Tick,
        }
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

/// The signals that this process ignores: bit 0 is signal 1.
fn ignored_signals() -> u64 {
    procfs::process::Process::myself().and_then(|process| process.status()).map_or(0, |status| status.sigign)
}
