//! Reads a whole BPF hash map in few system calls; the BPF library reads one element per two.
//!
//! `BPF_MAP_LOOKUP_BATCH` needs Linux 5.6 (kernel commit cb4d03ab499d).
#![expect(unsafe_code, reason = "the bpf(2) system call has no safe wrapper for batches")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use aya::Pod;

const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;
/// Elements per call: a bucket that does not fit fails the call, and buckets are short.
const BATCH: usize = 16_384;

/// The `batch` member of the kernel's `union bpf_attr`.
#[repr(C)]
#[derive(Default)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// All elements of a hash map, in no order. Elements that change meanwhile may be missing or stale.
///
/// # Errors
///
/// The kernel's error, also where it has no batch operations.
pub fn read_hash<K: Pod, V: Pod>(map: BorrowedFd<'_>) -> io::Result<Vec<(K, V)>> {
    let mut elements = Vec::new();
    let mut keys = vec![MaybeUninit::<K>::uninit(); BATCH];
    let mut values = vec![MaybeUninit::<V>::uninit(); BATCH];
    let mut position = [0_u64; 2];
    let mut next = [0_u64; 2];
    let mut first = true;
    loop {
        let mut attr = BatchAttr {
            in_batch: if first { 0 } else { position.as_ptr() as u64 },
            out_batch: next.as_mut_ptr() as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: BATCH as u32,
            map_fd: map.as_raw_fd() as u32,
            ..BatchAttr::default()
        };
        // SAFETY: the pointers are to live buffers of `BATCH` elements, and the kernel writes at most `count`;
        // a hash map's batch position is 4 bytes, for which `next` has room.
        let result = unsafe {
            libc::syscall(libc::SYS_bpf, BPF_MAP_LOOKUP_BATCH, &raw mut attr, size_of::<BatchAttr>())
        };
        let error = (result < 0).then(io::Error::last_os_error);
        let last = match error {
            None => false,
            Some(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            Some(error) => return Err(error),
        };
        for (key, value) in keys.iter().zip(&values).take(attr.count as usize) {
            // SAFETY: the kernel has written `count` keys and values, and both types are plain bytes.
            elements.push(unsafe { (key.assume_init(), value.assume_init()) });
        }
        if last {
            return Ok(elements);
        }
        position = next;
        first = false;
    }
}
