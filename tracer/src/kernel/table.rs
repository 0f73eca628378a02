//! BPF arrays as mapped memory: user space reads and writes them without a system call, while the programs do.
//!
//! `BPF_F_MMAPABLE` needs Linux 5.5 (kernel commit fc9702273e2e).
#![expect(unsafe_code, reason = "the memory is shared with the BPF programs")]

use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU32, AtomicU64};

use aya::Pod;
use aya::maps::{Map, MapData};
use memmap2::{MmapOptions, MmapRaw};

use super::KernelError;

/// A mapped array of `T`, whose size is a multiple of 8 bytes.
pub(super) struct Table<T> {
    memory: MmapRaw,
    length: u32,
    entries: PhantomData<T>,
    /// The mapping keeps the map alive by itself; the descriptor is what tools list.
    _map: Option<MapData>,
}

impl<T: Pod> Table<T> {
    const STRIDE: usize = size_of::<T>();
    const CHECK: () = assert!(Self::STRIDE.is_multiple_of(8));

    /// Maps an array of `length` entries.
    pub(super) fn of(map: Option<Map>, name: &'static str, length: u32) -> Result<Self, KernelError> {
        let Some(Map::Array(map)) = map else {
            let reason = "it is not an array of the BPF object".to_owned();
            return Err(KernelError::Map { map: name, reason });
        };
        let table = Self::over(&map, name, length)?;
        Ok(Self { _map: Some(map), ..table })
    }

    /// Maps an array of `length` entries that another keeps.
    pub(super) fn over(map: &MapData, name: &'static str, length: u32) -> Result<Self, KernelError> {
        let () = Self::CHECK;
        let error = |reason: String| KernelError::Map { map: name, reason };
        let memory = MmapOptions::new()
            .len(Self::STRIDE * length as usize)
            .map_raw(map.fd().as_fd().as_raw_fd())
            .map_err(|cause| error(format!("it cannot be mapped: {cause}")))?;
        Ok(Self { memory, length, entries: PhantomData, _map: None })
    }

    /// Entries.
    pub(super) const fn len(&self) -> u32 {
        self.length
    }

    fn place(&self, index: u32) -> *mut T {
        assert!(index < self.length, "entry {index} of a table of {}", self.length);
        // SAFETY: the index was checked, and the mapping covers every entry.
        unsafe { self.memory.as_mut_ptr().cast::<T>().add(index as usize) }
    }

    /// A copy of an entry; its words may be of different moments.
    pub(super) fn read(&self, index: u32) -> T {
        // SAFETY: the place is valid and aligned (a page, and multiples of 8 bytes), and every bit pattern is a `T`.
        unsafe { self.place(index).read_volatile() }
    }

    /// Writes an entry that no program uses yet.
    pub(super) fn write(&self, index: u32, value: &T) {
        // SAFETY: as in `read`.
        unsafe { self.place(index).write_volatile(*value) };
    }

    /// A word of an entry, at `offset` bytes.
    pub(super) fn word(&self, index: u32, offset: usize) -> &AtomicU64 {
        assert!(offset + 8 <= Self::STRIDE && offset.is_multiple_of(8), "a word at {offset}");
        // SAFETY: within the entry and aligned; the programs access words of it as a whole too.
        unsafe { AtomicU64::from_ptr(self.place(index).cast::<u8>().add(offset).cast()) }
    }

    /// A half word of an entry.
    pub(super) fn half(&self, index: u32, offset: usize) -> &AtomicU32 {
        assert!(offset + 4 <= Self::STRIDE && offset.is_multiple_of(4), "a half word at {offset}");
        // SAFETY: as in `word`.
        unsafe { AtomicU32::from_ptr(self.place(index).cast::<u8>().add(offset).cast()) }
    }
}
