//! The frame descriptions (FDE) of an object: where they are, and which address each begins at.
//!
//! Formats: Linux Standard Base, "Exception Frames"
//! (<https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/ehframechpt.html>), and DWARF 5,
//! section 6.4, for `.debug_frame`. What cannot be read is left out, in a time that depends on the file's size only.

use std::hash::{Hash, Hasher};

use gimli::{
    BaseAddresses, CieOrFde, CommonInformationEntry, DebugFrame, EhFrame, EhFrameHdr, EndianSlice,
    FrameDescriptionEntry, LittleEndian, Pointer, UnwindOffset, UnwindSection,
};

use crate::elf::{Image, SectionError};
use crate::units::ElfVaddr;

/// Bytes of an address in these files.
const ADDRESS_BYTES: u8 = 8;
/// Most functions of one object; the largest browsers have about a million.
const MAX_DESCRIPTIONS: usize = 8 << 20;
/// Most bytes of the part that descriptions share (CIE): compilers write some 20. Each description reads it again, so
/// that a huge one would cost its size once per function.
const MAX_SHARED_BYTES: usize = 1024;
/// Most bytes of `.debug_frame`, decompressed: that of a Go program of 700 MB takes 30 MB.
const MAX_DEBUG_BYTES: u64 = 256 << 20;

pub(super) type Reader<'a> = EndianSlice<'a, LittleEndian>;
pub(super) type Description<'a> = FrameDescriptionEntry<Reader<'a>>;

/// Which of the two formats, which differ in how a description points at its shared part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// `.eh_frame`: loaded with the program, for exceptions.
    #[default]
    Loaded,
    /// `.debug_frame`: for debuggers.
    Debug,
}

/// The descriptions of one object; each is decoded when it is asked for.
#[derive(Debug, Default)]
pub(super) struct Frames {
    data: Vec<u8>,
    bases: BaseAddresses,
    form: Form,
    /// First address of a function, and where in `data` it is described; sorted.
    index: Vec<(u64, usize)>,
}

impl Frames {
    /// Reads `.eh_frame`, and its sorted index `.eh_frame_hdr` if there is one. Without section headers the program
    /// headers say where the index is, and the index where the descriptions are.
    pub(super) fn loaded(image: &Image) -> Option<Self> {
        let text = image.section_range(".text").map(|r| r.start);
        if image.section_range(".eh_frame").is_some() {
            let (address, data) = image.section_data(".eh_frame")?;
            return Some(Self::parse(address, data, image.section_data(".eh_frame_hdr"), text));
        }
        let range = image.frame_index_range()?;
        let (index_at, index) = (range.start, image.read_vaddr(range));
        let bases = BaseAddresses::default().set_eh_frame_hdr(index_at.0);
        let header = EhFrameHdr::new(&index, LittleEndian).parse(&bases, ADDRESS_BYTES).ok()?;
        let Pointer::Direct(address) = header.eh_frame_ptr() else { return None };
        let data = image.read_vaddr(ElfVaddr(address)..ElfVaddr(u64::MAX));
        Some(Self::parse(ElfVaddr(address), data, Some((index_at, index)), text))
    }

    /// Reads `.debug_frame`, compressed or not.
    pub(super) fn debug(image: &Image) -> Result<Option<Self>, SectionError> {
        let found = image.plain_section_data(".debug_frame", MAX_DEBUG_BYTES)?;
        Ok(found.map(|(_, data)| {
            let mut frames = Self { data, form: Form::Debug, ..Self::default() };
            frames.scan();
            frames
        }))
    }

    /// Of the contents and addresses of `.eh_frame`, of `.eh_frame_hdr`, and the address of `.text`.
    pub(super) fn parse(
        address: ElfVaddr,
        data: Vec<u8>,
        index: Option<(ElfVaddr, Vec<u8>)>,
        text: Option<ElfVaddr>,
    ) -> Self {
        let mut bases = BaseAddresses::default().set_eh_frame(address.0);
        if let Some(text) = text {
            bases = bases.set_text(text.0);
        }
        let mut frames = Self { data, bases, ..Self::default() };
        if let Some((index_address, index)) = index {
            frames.bases = frames.bases.clone().set_eh_frame_hdr(index_address.0);
            frames.index = frames.read_index(address, &index).unwrap_or_default();
        }
        if frames.index.is_empty() {
            frames.scan();
        }
        frames.index.sort_unstable();
        frames
    }

    /// First address of each function, and what [`Self::describe`] finds it by; by address.
    pub(super) fn index(&self) -> &[(u64, usize)] {
        &self.index
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Adds what the index leaves out, and takes out what it says wrongly: linkers leave out a function at whose address
    /// an empty one begins, and a pass over the descriptions ends where the first file's end is marked.
    pub(super) fn complete(&mut self) {
        let mut index = std::mem::take(&mut self.index);
        index.retain(|&(start, at)| self.describe(at).is_some_and(|d| d.initial_address() == start));
        self.scan();
        self.index.append(&mut index);
        self.index.sort_unstable();
        self.index.dedup();
    }

    /// The description at an offset.
    pub(super) fn describe(&self, at: usize) -> Option<Description<'_>> {
        match self.form {
            Form::Loaded => self.describe_in(&self.eh_frame(), at),
            Form::Debug => self.describe_in(&self.debug_frame(), at),
        }
    }

    /// Finds the descriptions by one pass over them.
    pub(super) fn scan(&mut self) {
        self.index = match self.form {
            Form::Loaded => self.scan_in(&self.eh_frame()),
            Form::Debug => self.scan_in(&self.debug_frame()),
        };
        self.index.sort_unstable();
    }

    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }

    pub(super) fn bases(&self) -> &BaseAddresses {
        &self.bases
    }

    pub(super) fn eh_frame(&self) -> EhFrame<Reader<'_>> {
        let mut frames = EhFrame::new(&self.data, LittleEndian);
        frames.set_address_size(ADDRESS_BYTES);
        frames
    }

    pub(super) fn debug_frame(&self) -> DebugFrame<Reader<'_>> {
        let mut frames = DebugFrame::new(&self.data, LittleEndian);
        frames.set_address_size(ADDRESS_BYTES);
        frames
    }

    fn describe_in<'a, S: UnwindSection<Reader<'a>>>(
        &'a self,
        section: &S,
        at: usize,
    ) -> Option<Description<'a>> {
        section.fde_from_offset(&self.bases, at.into(), |_, _, at| self.shared_part(section, at)).ok()
    }

    /// The part that some descriptions share, unless it is huge: its size is looked at before it is read.
    fn shared_part<'a, S: UnwindSection<Reader<'a>>>(
        &'a self,
        section: &S,
        at: S::Offset,
    ) -> gimli::Result<CommonInformationEntry<Reader<'a>>> {
        let size = self.data.get(UnwindOffset::into(at)..).and_then(<[u8]>::first_chunk);
        // A size of all ones says that a larger one follows.
        if size.is_none_or(|size| u32::from_le_bytes(*size) as usize > MAX_SHARED_BYTES) {
            return Err(gimli::Error::UnknownAugmentation);
        }
        let shared = section.cie_from_offset(&self.bases, at)?;
        if shared.address_size() != ADDRESS_BYTES {
            return Err(gimli::Error::UnsupportedAddressSize(shared.address_size()));
        }
        Ok(shared)
    }

    /// The whole index at once: gimli's own search computes with unchecked numbers of the file.
    fn read_index(&self, frames_at: ElfVaddr, data: &[u8]) -> Option<Vec<(u64, usize)>> {
        let header = EhFrameHdr::new(data, LittleEndian).parse(&self.bases, ADDRESS_BYTES).ok()?;
        let mut found = Vec::new();
        let table = header.table()?;
        for entry in table.iter(&self.bases).take(MAX_DESCRIPTIONS) {
            let Ok((Pointer::Direct(start), Pointer::Direct(frame))) = entry else { return None };
            found.push((start, usize::try_from(frame.checked_sub(frames_at.0)?).ok()?));
        }
        Some(found)
    }

    fn scan_in<'a, S: UnwindSection<Reader<'a>>>(&'a self, section: &S) -> Vec<(u64, usize)> {
        let mut found = Vec::new();
        let mut entries = section.entries(&self.bases);
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(partial) = entry else { continue };
            let offset = partial.offset();
            if let Ok(frame) = partial.parse(|_, _, at| self.shared_part(section, at)) {
                found.push((frame.initial_address(), offset));
            }
            if found.len() >= MAX_DESCRIPTIONS {
                break;
            }
        }
        found
    }
}

/// All that rows are made of.
impl Hash for Frames {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let BaseAddresses { eh_frame_hdr, eh_frame } = &self.bases;
        let bases = [eh_frame_hdr, eh_frame].map(|bases| (bases.section, bases.text, bases.data));
        (&self.data, bases, self.form, &self.index).hash(state);
    }
}
