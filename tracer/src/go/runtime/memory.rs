//! Bounded reads of a process's memory, through one open file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

use super::Unread;

/// Most bytes of one read.
const MAX_READ_BYTES: usize = 1 << 20;
/// What the page-wise reading goes by; no number of the kernel's must be equal to it.
const PAGE_BYTES: u64 = 4096;
/// Most pages that are kept at a time: 4 MiB.
const MAX_PAGES: usize = 1024;

/// The memory of one process as it was when this was opened: of one that has ended, or executes another program, nothing more
/// is read, and never that of another process with its pid.
#[derive(Debug)]
pub(super) struct Memory(File);

impl Memory {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// There is no such process, or it may not be looked into.
    pub(super) fn open(pid: u32) -> io::Result<Self> {
        File::open(format!("/proc/{pid}/mem")).map(Self)
    }

    /// As many bytes as there are, from an address on; fewer than asked for where the memory ends.
    fn read(&self, address: u64, into: &mut [u8]) -> Result<usize, Unread> {
        let mut filled = 0;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let Some(at) = address.checked_add(filled as u64) else { break };
            match self.0.read_at(rest, at) {
                // The end of this file is the end of the process: holes in its memory are errors.
                Ok(0) => return Err(Unread::Gone),
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {
                    return Err(Unread::Gone);
                }
                Err(_) if filled > 0 => break,
                Err(error) => return Err(Unread::Damaged(format!("{at:#x} cannot be read: {error}"))),
            }
        }
        Ok(filled)
    }

    /// Exactly so many bytes.
    pub(super) fn bytes(&self, address: u64, bytes: u64) -> Result<Vec<u8>, Unread> {
        let wanted = usize::try_from(bytes).ok().filter(|&bytes| bytes <= MAX_READ_BYTES);
        let wanted =
            wanted.ok_or_else(|| Unread::Damaged(format!("{bytes} bytes at {address:#x} are too many")))?;
        let mut data = vec![0; wanted];
        let read = self.read(address, &mut data)?;
        if read < wanted {
            return Err(Unread::Damaged(format!("at {address:#x}, {read} of {wanted} bytes are there")));
        }
        Ok(data)
    }

    /// A 64-bit number.
    pub(super) fn word(&self, address: u64) -> Result<u64, Unread> {
        self.bytes(address, 8).map(|data| number(&data, 0).unwrap_or_default())
    }
}

/// Pages that were read already: for one walk through many small structures, since what it holds grows old.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    memory: &'a Memory,
    pages: HashMap<u64, Vec<u8>>,
}

impl<'a> Pages<'a> {
    pub(super) fn of(memory: &'a Memory) -> Self {
        Self { memory, pages: HashMap::new() }
    }

    /// Exactly so many bytes.
    pub(super) fn bytes(&mut self, address: u64, bytes: u64) -> Result<Vec<u8>, Unread> {
        let missing = || Unread::Damaged(format!("{bytes} bytes at {address:#x} are not there"));
        let mut data = Vec::new();
        let end =
            address.checked_add(bytes).filter(|_| bytes <= MAX_READ_BYTES as u64).ok_or_else(missing)?;
        let mut at = address;
        while at < end {
            let inside = at % PAGE_BYTES;
            let page = self.page(at - inside)?;
            let take = (PAGE_BYTES - inside).min(end - at);
            let range = usize::try_from(inside).ok().zip(usize::try_from(inside + take).ok());
            data.extend_from_slice(range.and_then(|(from, to)| page.get(from..to)).ok_or_else(missing)?);
            at += take;
        }
        Ok(data)
    }

    fn page(&mut self, address: u64) -> Result<&[u8], Unread> {
        if !self.pages.contains_key(&address) {
            if self.pages.len() >= MAX_PAGES {
                self.pages.clear();
            }
            self.pages.insert(address, self.memory.bytes(address, PAGE_BYTES)?);
        }
        Ok(self.pages.get(&address).map_or(&[], Vec::as_slice))
    }
}

/// The 64-bit number at an offset.
pub(super) fn number(data: &[u8], offset: u64) -> Option<u64> {
    array(data, offset).map(u64::from_le_bytes)
}

/// The 32-bit number at an offset.
pub(super) fn half(data: &[u8], offset: u64) -> Option<u32> {
    array(data, offset).map(u32::from_le_bytes)
}

fn array<const N: usize>(data: &[u8], offset: u64) -> Option<[u8; N]> {
    let from = usize::try_from(offset).ok()?;
    data.get(from..from.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Memory {
        Memory::open(std::process::id()).expect("this process reads itself")
    }

    #[test]
    fn what_a_process_holds_is_read_across_pages() {
        let held: Vec<u8> = (0..20_000_u32).map(|i| (i % 251) as u8).collect();
        let memory = own();
        let mut pages = Pages::of(&memory);
        for (from, to) in [(0, 1), (1, 5000), (0, 20_000), (4090, 4100)] {
            let address = held.as_ptr() as u64 + from as u64;
            let bytes = (to - from) as u64;
            assert_eq!(memory.bytes(address, bytes).as_deref(), Ok(&held[from..to]));
            assert_eq!(pages.bytes(address, bytes).as_deref(), Ok(&held[from..to]));
        }
    }

    #[test]
    fn what_is_not_mapped_is_damage_and_not_a_panic() {
        let memory = own();
        for (address, bytes) in [(0, 8), (8, 1 << 40), (u64::MAX - 3, 8), (1 << 63, 8), (u64::MAX, u64::MAX)]
        {
            assert!(matches!(memory.bytes(address, bytes), Err(Unread::Damaged(_))), "{address:#x}");
            let paged = Pages::of(&memory).bytes(address, bytes);
            assert!(matches!(paged, Err(Unread::Damaged(_))), "{address:#x}");
        }
    }

    #[test]
    fn a_process_that_has_ended_is_gone() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("`sleep` is everywhere");
        let memory = Memory::open(child.id()).expect("it is our child");
        child.kill().and_then(|()| child.wait()).expect("it is our child");
        assert_eq!(memory.word(0x1000), Err(Unread::Gone));
    }
}
