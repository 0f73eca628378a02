//! The dynamic loader of a process, and the function in it that says that mappings have changed.

use std::sync::Arc;

use procfs::process::Process;

use super::mappings::{MappedFile, Mappings};
use super::per_file::PerFile;
use crate::elf::{Image, Table};

/// Made for debuggers: glibc and musl call it when they begin to load, and when they have mapped the libraries.
const RENDEZVOUS: &str = "_dl_debug_state";
/// Where the loader lies (`AT_BASE`), and where the program begins (`AT_ENTRY`) (getauxval(3)).
const AT_BASE: u64 = 7;
const AT_ENTRY: u64 = 9;

/// Where each file has its rendezvous function, if it is a loader.
pub type Known = PerFile<Option<u64>>;

/// The loader's file and the offset of its rendezvous function; `None` for a static program.
#[must_use]
pub fn rendezvous(pid: u32, mappings: &Mappings, known: &mut Known) -> Option<(Arc<MappedFile>, u64)> {
    let process = Process::new(i32::try_from(pid).ok()?).ok()?;
    let auxiliary = process.auxv().ok()?;
    let of = |key| auxiliary.get(&key).copied().filter(|&address| address > 0);
    // A loader that was started by its own name is the program, and has no loader.
    let file = match of(AT_BASE) {
        Some(base) => mappings.file_from(base),
        None => mappings.file_from(of(AT_ENTRY)?),
    }?;
    let offset = (*known.get(&file, offset))?;
    Some((file, offset))
}

fn offset(file: &MappedFile) -> Option<u64> {
    let image = Image::open(file.file.try_clone().ok()?).ok()?;
    // A static program may hold the function too, in no dynamic table, and calls it for nobody.
    let symbol =
        image.functions_named(&[RENDEZVOUS]).into_iter().find(|symbol| symbol.table == Table::Dynamic)?;
    Some(image.vaddr_to_file_offset(symbol.address)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::mappings::FileCache;

    #[test]
    fn the_loader_of_this_process_has_a_rendezvous() {
        let pid = std::process::id();
        let mappings = Mappings::read(pid, &mut FileCache::default()).expect("our own");
        let (file, offset) =
            rendezvous(pid, &mappings, &mut Known::default()).expect("tests are dynamically linked");
        assert!(file.path.contains("/ld-"), "{}", file.path);
        assert!(offset > 0);
    }
}
