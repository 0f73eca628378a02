//! What a process has mapped, with the files held open.
//!
//! Each mapped file is opened once, through `/proc/PID/map_files` (which also reaches deleted files and other
//! mount namespaces) or the target's root. The open file is what probes, symbols and code bytes are read from,
//! so all of it still works when the process, its container or the file's name is gone.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use procfs::process::{MMPermissions, MMapPath, MemoryMap, Process};
use tracer_ebpf::abi::Range;

use super::seen;
use crate::elf::Image;
use crate::elf::root::Root;
use crate::units::FileOffset;

/// A file that some target has mapped.
#[derive(Debug)]
pub struct MappedFile {
    /// Held open.
    pub file: File,
    /// Its path as the target sees it.
    pub path: String,
    /// Device and inode.
    pub identity: (u64, u64),
    /// Root of the process that it was found in: there its debug file is looked for.
    pub root: Option<Arc<Root>>,
}

/// The same file by the same name: containers may share it, and each shows its own path.
impl PartialEq for MappedFile {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity && self.path == other.path
    }
}

impl Eq for MappedFile {}

impl Hash for MappedFile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity.hash(state);
    }
}

impl MappedFile {
    /// A path that names the open file whatever its own name means now.
    #[must_use]
    pub fn open_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

/// What stands behind a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backing {
    /// A file.
    File(Arc<MappedFile>),
    /// A file that could not be opened.
    Unopened {
        /// Its path as the target sees it.
        path: String,
        /// Why.
        reason: String,
    },
    /// The kernel's own code in the process.
    Vdso,
    /// The kernel's probe page: its first address is the return trampoline.
    Uprobes,
    /// Memory: code written at run time, if it is executable.
    Anonymous,
}

/// One executable range of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// First address after it.
    pub end: u64,
    /// Offset of `start` in the file.
    pub file_offset: u64,
    /// What stands behind it.
    pub backing: Backing,
}

/// The executable mappings of a process at one moment, sorted by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mappings(Vec<Mapping>);

/// Files that are open, by device, inode and path, shared by all targets.
#[derive(Debug, Default)]
pub struct FileCache(HashMap<(u64, u64), Vec<Arc<MappedFile>>>);

impl Mappings {
    /// Reads the executable mappings of a process.
    ///
    /// # Errors
    ///
    /// The process is gone, or may not be looked at.
    pub fn read(pid: u32, files: &mut FileCache) -> Result<Self, procfs::ProcError> {
        let process = Process::new(i32::try_from(pid).unwrap_or(0))?;
        let root = Root::of_process(pid).ok().map(Arc::new);
        let seen = seen::Root::of(&process);
        let mut mappings = Vec::new();
        for map in process.maps()? {
            if map.perms.contains(MMPermissions::EXECUTE) {
                mappings.push(Mapping {
                    start: map.address.0,
                    end: map.address.1,
                    file_offset: map.offset,
                    backing: files.backing(pid, &map, &seen, root.as_ref()),
                });
            }
        }
        Ok(Self(mappings))
    }

    /// The mapping that holds an address.
    #[must_use]
    pub fn find(&self, address: u64) -> Option<&Mapping> {
        let index = self.0.partition_point(|mapping| mapping.end <= address);
        self.0.get(index).filter(|mapping| mapping.start <= address)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.0.iter()
    }

    /// Distinct files, in the order of their addresses.
    #[must_use]
    pub fn files(&self) -> Vec<Arc<MappedFile>> {
        let mut known = HashSet::new();
        let of = |mapping: &Mapping| match &mapping.backing {
            Backing::File(file) if known.insert(file.identity) => Some(Arc::clone(file)),
            _ => None,
        };
        self.0.iter().filter_map(of).collect()
    }

    /// Files that could not be opened, and why, in the order of their paths.
    #[must_use]
    pub fn unopened(&self) -> BTreeMap<&str, &str> {
        let mut found = BTreeMap::new();
        for mapping in &self.0 {
            if let Backing::Unopened { path, reason } = &mapping.backing {
                found.insert(path.as_str(), reason.as_str());
            }
        }
        found
    }

    /// The file that is mapped at an address, or the next one above it: an object's code lies above its headers.
    #[must_use]
    pub fn file_from(&self, address: u64) -> Option<Arc<MappedFile>> {
        let index = self.0.partition_point(|mapping| mapping.end <= address);
        match &self.0.get(index)?.backing {
            Backing::File(file) => Some(Arc::clone(file)),
            _ => None,
        }
    }

    /// The address in the process of an offset in a file.
    #[must_use]
    pub fn address_of(&self, file: &MappedFile, file_offset: u64) -> Option<u64> {
        self.0.iter().find_map(|mapping| {
            let Backing::File(mapped) = &mapping.backing else { return None };
            let inside = file_offset.checked_sub(mapping.file_offset)?;
            (mapped.identity == file.identity && inside < mapping.end - mapping.start)
                .then_some(mapping.start + inside)
        })
    }

    /// How far the addresses of an object are from those in the process, wrapping; `None` if none of its code is mapped.
    #[must_use]
    pub fn bias_of(&self, file: &MappedFile, image: &Image) -> Option<u64> {
        self.0.iter().find_map(|mapping| {
            let Backing::File(mapped) = &mapping.backing else { return None };
            let here = (mapped.identity == file.identity).then_some(FileOffset(mapping.file_offset))?;
            Some(mapping.start.wrapping_sub(image.file_offset_to_vaddr(here)?.0))
        })
    }

    /// The address in the process of an offset in the file of this path.
    #[must_use]
    pub fn address_in(&self, path: &str, file_offset: u64) -> Option<u64> {
        self.0.iter().find_map(|mapping| {
            let Backing::File(mapped) = &mapping.backing else { return None };
            let inside = file_offset.checked_sub(mapping.file_offset)?;
            (mapped.path == path && inside < mapping.end - mapping.start).then_some(mapping.start + inside)
        })
    }

    /// Where the kernel's return trampoline lies, once a return probe has made it.
    #[must_use]
    pub fn trampoline(&self) -> Option<u64> {
        self.0.iter().find(|mapping| matches!(mapping.backing, Backing::Uprobes)).map(|mapping| mapping.start)
    }

    /// The code of the program itself: the lowest file, wherever the kernel places programs.
    #[must_use]
    pub fn program_text(&self) -> Range {
        let of_file = |mapping: &&Mapping| matches!(mapping.backing, Backing::File(_));
        let lowest = self.0.iter().find(of_file);
        lowest.map_or_else(Range::default, |mapping| Range { start: mapping.start, end: mapping.end })
    }

    /// The first code of a file.
    #[must_use]
    pub fn text_of(&self, file: &MappedFile) -> Range {
        let is_it =
            |mapping: &&Mapping| matches!(&mapping.backing, Backing::File(of) if of.path == file.path);
        let first = self.0.iter().find(is_it);
        first.map_or_else(Range::default, |mapping| Range { start: mapping.start, end: mapping.end })
    }
}

impl FileCache {
    /// Forgets all files but these.
    pub fn keep(&mut self, files: &HashSet<(u64, u64)>) {
        self.0.retain(|identity, _| files.contains(identity));
    }

    fn backing(&mut self, pid: u32, map: &MemoryMap, seen: &seen::Root, root: Option<&Arc<Root>>) -> Backing {
        match &map.pathname {
            MMapPath::Path(path) => self.open(pid, map, seen.seen(path), root),
            MMapPath::Vdso | MMapPath::Vsyscall => Backing::Vdso,
            MMapPath::Other(name) if name.contains("uprobes") => Backing::Uprobes,
            _ => Backing::Anonymous,
        }
    }

    fn open(&mut self, pid: u32, map: &MemoryMap, path: String, root: Option<&Arc<Root>>) -> Backing {
        let device = rustix::fs::makedev(map.dev.0 as u32, map.dev.1 as u32);
        let identity = (device, map.inode);
        let known = self.0.entry(identity).or_default();
        if let Some(file) = known.iter().find(|file| file.path == path) {
            return Backing::File(Arc::clone(file));
        }
        // By another name it is open already.
        let opened = match known.first() {
            Some(file) => file.file.try_clone(),
            None => open(pid, map, path.trim_end_matches(" (deleted)"), root),
        };
        match opened {
            Ok(file) => {
                let mapped = Arc::new(MappedFile { file, path, identity, root: root.cloned() });
                known.push(Arc::clone(&mapped));
                Backing::File(mapped)
            }
            Err(error) => Backing::Unopened { path, reason: error.to_string() },
        }
    }
}

fn open(pid: u32, map: &MemoryMap, name: &str, root: Option<&Arc<Root>>) -> std::io::Result<File> {
    let by_range = format!("/proc/{pid}/map_files/{:x}-{:x}", map.address.0, map.address.1);
    File::open(by_range).or_else(|first| {
        let in_root = root.map_or(Ok(None), |root| root.open_file(Path::new(name)));
        let Ok(Some(file)) = in_root else { return Err(first) };
        // Another file may have that name now.
        if file.metadata()?.ino() == map.inode {
            Ok(file)
        } else {
            Err(std::io::Error::other("it was replaced"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(start: u64, end: u64) -> Mapping {
        Mapping { start, end, file_offset: 0, backing: Backing::Anonymous }
    }

    #[test]
    fn an_address_is_found_in_its_mapping_only() {
        let mappings = Mappings(vec![mapping(0x1000, 0x2000), mapping(0x3000, 0x4000)]);
        let check = |address, start| {
            assert_eq!(mappings.find(address).map(|found| found.start), start, "{address:#x}");
        };
        for (address, start) in [
            (0xfff, None),
            (0x1000, Some(0x1000)),
            (0x1fff, Some(0x1000)),
            (0x2000, None),
            (0x3fff, Some(0x3000)),
            (0x4000, None),
        ] {
            check(address, start);
        }
    }

    #[test]
    fn the_mappings_of_this_process_hold_its_code_and_name_its_libc() {
        let mut files = FileCache::default();
        let mappings = Mappings::read(std::process::id(), &mut files).expect("our own mappings are readable");
        let here = Self_::code_address();
        assert!(mappings.find(here).is_some(), "{here:#x} is code of this test");
        assert!(mappings.files().iter().any(|file| file.path.contains("libc.so")));
    }

    struct Self_;
    impl Self_ {
        fn code_address() -> u64 {
            Self::code_address as fn() -> u64 as usize as u64
        }
    }
}
