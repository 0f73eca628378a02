//! Process events, read the moment they happen, by a thread of its own.

use crate::kernel::NoticeRing;
use rustix::event::{PollFd, PollFlags, poll};
use tracer_ebpf::abi::EventKind;

use super::decode;

/// What a followed process did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It executes another program.
    Exec {
        /// The process.
        tgid: u32,
    },
    /// It has a child.
    Fork {
        /// The child.
        child: u32,
    },
    /// Its loader has changed its mappings.
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
                if let Some(notice) = decode::header(&record).and_then(|header| notice(&header))
                    && !take(notice)
                {
                    return;
                }
            }
        }
    })?;
    Ok(())
}

fn notice(header: &decode::Header) -> Option<Notice> {
    let tgid = header.tgid;
    match header.kind {
        kind if kind == EventKind::Exec as u32 => Some(Notice::Exec { tgid }),
        kind if kind == EventKind::Fork as u32 => Some(Notice::Fork { child: header.value as u32 }),
        kind if kind == EventKind::Loaded as u32 => Some(Notice::Loaded { tgid }),
        _ => None,
    }
}
