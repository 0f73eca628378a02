//! The kernel's code in every process, which is in no file: this process's copy, as a file.

use std::io::Write;
use std::os::unix::fs::FileExt;

use procfs::process::{MMapPath, Process};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::target::mappings::MappedFile;

/// No vDSO is larger: it has some pages of code.
const MAX_BYTES: u64 = 1 << 20;

/// The vDSO of this process, which is that of all 64-bit ones; `None` if there is none.
pub(super) fn file() -> Option<MappedFile> {
    let maps = Process::myself().ok()?.maps().ok()?;
    let map = maps.iter().find(|map| map.pathname == MMapPath::Vdso)?;
    let length = map.address.1 - map.address.0;
    if length > MAX_BYTES {
        return None;
    }
    let mut bytes = vec![0; length as usize];
    std::fs::File::open("/proc/self/mem").ok()?.read_exact_at(&mut bytes, map.address.0).ok()?;
    let mut file = std::fs::File::from(memfd_create("vdso", MemfdFlags::CLOEXEC).ok()?);
    file.write_all(&bytes).ok()?;
    // No device has this number.
    let identity = (u64::MAX, 0);
    Some(MappedFile { file, path: "[vdso]".to_owned(), identity, root: None })
}
