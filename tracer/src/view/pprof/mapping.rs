//! Mappings of a profile. A snapshot has no list of them, so each is as wide as the frames that lie in it, in
//! whole pages: one per file, build-id and load address, so that an address always leads to the right offset.

use std::collections::HashMap;

use crate::model::snapshot::{Frame, Snapshot};
use crate::view::pprof::proto::Mapping;

/// Pages of x86-64, and the smallest of arm64.
const PAGE_BYTES: u64 = 4096;

/// What tells mappings apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    module: String,
    build_id: Option<String>,
    /// Address minus file offset, where the offset is known.
    bias: Option<u64>,
}

impl Key {
    /// The key of the mapping that a frame lies in; none if its file is unknown.
    pub(super) fn of(frame: &Frame) -> Option<Self> {
        Some(Self {
            module: frame.module.clone()?,
            build_id: frame.build_id.clone(),
            bias: frame.file_offset.map(|offset| address(frame).wrapping_sub(offset)),
        })
    }
}

/// The address of a frame; 0 if it is no number.
pub(super) fn address(frame: &Frame) -> u64 {
    let digits = frame.address.strip_prefix("0x").unwrap_or(&frame.address);
    u64::from_str_radix(digits, 16).unwrap_or(0)
}

/// What is known of one mapping: addresses from the frames, file offset of the first.
#[derive(Clone, Debug)]
struct Extent {
    key: Key,
    first: u64,
    last: u64,
    functions: bool,
    files: bool,
    lines: bool,
    inlined: bool,
}

impl Extent {
    fn new(key: Key, address: u64) -> Self {
        Self {
            key,
            first: address,
            last: address,
            functions: false,
            files: false,
            lines: false,
            inlined: false,
        }
    }

    fn add(&mut self, frame: &Frame) {
        self.first = self.first.min(address(frame));
        self.last = self.last.max(address(frame));
        self.functions |= frame.function.is_some();
        self.files |= frame.file.is_some();
        self.lines |= frame.line.is_some();
        self.inlined |= frame.inlined;
    }

    fn message(&self, id: u64, filename: i64, build_id: i64) -> Mapping {
        let offset_first = self.key.bias.map(|bias| self.first.wrapping_sub(bias));
        // Down to the page, but never before the start of the file.
        let back = (self.first % PAGE_BYTES).min(offset_first.unwrap_or(u64::MAX));
        Mapping {
            id,
            memory_start: self.first - back,
            memory_limit: (self.last | (PAGE_BYTES - 1)).saturating_add(1),
            file_offset: offset_first.map_or(0, |offset| offset - back),
            filename,
            build_id,
            has_functions: self.functions,
            has_filenames: self.files,
            has_line_numbers: self.lines,
            has_inline_frames: self.inlined,
        }
    }
}

/// All mappings of a snapshot, numbered from 1.
pub(super) struct Mappings {
    extents: Vec<Extent>,
    ids: HashMap<Key, u64>,
}

impl Mappings {
    /// From all frames; the targets' programs come first, since readers name a profile after its first mapping.
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let mut extents: Vec<Extent> = Vec::new();
        let mut at = HashMap::new();
        for frame in snapshot.sites.iter().flat_map(|site| site.frames.iter()) {
            let Some(key) = Key::of(frame) else { continue };
            let at = *at.entry(key.clone()).or_insert_with(|| {
                extents.push(Extent::new(key, address(frame)));
                extents.len() - 1
            });
            extents[at].add(frame);
        }
        let program = |extent: &Extent| snapshot.targets.iter().any(|target| target.exe == extent.key.module);
        extents.sort_by_key(|extent| !program(extent));
        let ids = extents.iter().zip(1..).map(|(extent, id)| (extent.key.clone(), id)).collect();
        Self { extents, ids }
    }

    /// The number of a mapping; 0, pprof's "none", if it is not of this snapshot.
    pub(super) fn id(&self, key: &Key) -> u64 {
        self.ids.get(key).copied().unwrap_or(0)
    }

    /// The messages, in the order of their numbers.
    pub(super) fn messages(&self, mut text_id: impl FnMut(&str) -> i64) -> Vec<Mapping> {
        let message = |(extent, id): (&Extent, u64)| {
            let filename = text_id(&extent.key.module);
            let build_id = text_id(extent.key.build_id.as_deref().unwrap_or(""));
            extent.message(id, filename, build_id)
        };
        self.extents.iter().zip(1..).map(message).collect()
    }
}
