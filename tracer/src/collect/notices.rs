//! Process events, read the moment they happen, by a thread of its own.

use crate::kernel::NoticeRing;
use rustix::event::{PollFd, PollFlags, poll};
use tracer_ebpf::abi::EventKind;

use super::decode;
use crate::target::comm::Comm;

/// What a process did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It executes another program.
    Exec {
        /// The process.
        tgid: u32,
        /// Its name from now on.
        comm: Comm,
    },
    /// It has a child.
    Fork {
        /// The process.
        parent: u32,
        /// The child.
        child: u32,
    },
    /// Its mappings have changed: its loader says so, or a stack led through code that is not known.
    Loaded {
        /// The process.
        tgid: u32,
    },
}

/// Starts the reader; it ends when `take` returns false.
///
/// # Errors
///
/// The thread could not be started.
pub fn start(mut ring: NoticeRing, take: impl Fn(Notice) -> bool + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name("tracer-notices".to_owned()).spawn(move || {
        loop {
            // A failed or interrupted wait is a short one: the ring is looked at in any case.
            let _ = poll(&mut [PollFd::new(&ring, PollFlags::IN)], None);
            while let Some(record) = ring.next() {
                if let Some(notice) = notice(&record)
                    && !take(notice)
                {
                    return;
                }
            }
        }
    })?;
    Ok(())
}

fn notice(record: &[u8]) -> Option<Notice> {
    let header = decode::header(record)?;
    let tgid = header.tgid;
    match header.kind {
        kind if kind == EventKind::Exec as u32 => Some(Notice::Exec { tgid, comm: decode::comm(record)? }),
        kind if kind == EventKind::Fork as u32 => {
            Some(Notice::Fork { parent: tgid, child: header.value as u32 })
        }
        kind if kind == EventKind::Loaded as u32 || kind == EventKind::Unmapped as u32 => {
            Some(Notice::Loaded { tgid })
        }
        _ => None,
    }
}
