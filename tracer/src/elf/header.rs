//! The ELF, program and section headers and the notes: read once, when a file is opened.

use std::fs::File;
use std::ops::Range;

use object::LittleEndian;
use object::elf::{self, FileHeader64};
use object::read::ReadCache;
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader, SectionHeader};

use super::dynamic::Dynamic;
use super::{ElfError, Kind, Section, Segment, read_at};
use crate::units::{ElfVaddr, FileOffset};

/// `sh_type` of a section without bytes in the file.
pub(super) const NOBITS: u32 = elf::SHT_NOBITS.0;

/// Most program or section headers. A program has dozens; only relocatable objects have thousands.
const MAX_HEADERS: u32 = 1 << 16;
/// Most bytes of a note segment, of the dynamic section, and of one name.
const MAX_NOTE_BYTES: u64 = 1 << 20;
pub(super) const MAX_DYNAMIC_BYTES: u64 = 1 << 20;
pub(super) const MAX_NAME_BYTES: u64 = 4096;

type Header = FileHeader64<LittleEndian>;

/// What the headers say.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) kind: Kind,
    pub(super) build_id: Option<String>,
    pub(super) interpreter: Option<String>,
    pub(super) dynamic: Dynamic,
    pub(super) segments: Vec<Segment>,
    /// `PT_GNU_EH_FRAME`.
    pub(super) frame_index: Option<Range<ElfVaddr>>,
    pub(super) sections: Vec<Section>,
    /// The file says that it has some, and they cannot be read.
    pub(super) sections_are_broken: bool,
}

/// A program header, as numbers.
struct Part {
    kind: elf::ProgramType,
    address: ElfVaddr,
    offset: FileOffset,
    file_bytes: u64,
}

/// Reads everything that [`Layout`] holds.
pub(super) fn read(file: &File, file_bytes: u64) -> Result<Layout, ElfError> {
    check_ident(&read_at(file, file_bytes, FileOffset(0), 20))?;
    let cache = ReadCache::new(file);
    let data = &cache;
    let corrupt = |_| ElfError::Corrupt("its header is cut off or has unknown values");
    let header = Header::parse(data).map_err(corrupt)?;
    let headers = program_headers(header, data)?;
    let parts: Vec<Part> = headers
        .iter()
        .map(|p| Part {
            kind: p.p_type(LittleEndian),
            address: ElfVaddr(p.p_vaddr(LittleEndian)),
            offset: FileOffset(p.p_offset(LittleEndian)),
            file_bytes: p.p_filesz(LittleEndian),
        })
        .collect();
    let mut layout = Layout {
        kind: Kind::Other,
        build_id: None,
        interpreter: None,
        dynamic: Dynamic::default(),
        segments: headers.iter().filter_map(load_segment).collect(),
        frame_index: frame_index(&parts),
        sections: sections(header, data),
        sections_are_broken: false,
    };
    layout.sections_are_broken = layout.sections.is_empty() && header.e_shoff(LittleEndian) != 0;
    layout.interpreter = parts
        .iter()
        .find(|p| p.kind == elf::PT_INTERP)
        .and_then(|p| text(&read_at(file, file_bytes, p.offset, p.file_bytes.min(MAX_NAME_BYTES))));
    layout.build_id = build_id(&layout, &parts, file, file_bytes);
    if let Some(part) = parts.iter().find(|p| p.kind == elf::PT_DYNAMIC) {
        let data = read_at(file, file_bytes, part.offset, part.file_bytes.min(MAX_DYNAMIC_BYTES));
        let name = |at: FileOffset| text(&read_at(file, file_bytes, at, MAX_NAME_BYTES));
        layout.dynamic = Dynamic::read(&data, &layout.segments, name);
    }
    layout.kind = match header.e_type(LittleEndian) {
        elf::ET_EXEC => Kind::Fixed,
        // libc.so.6 has an interpreter too, so that it can be started: its soname tells it apart.
        elf::ET_DYN if layout.dynamic.is_pie => Kind::Pie,
        elf::ET_DYN if layout.interpreter.is_some() && layout.dynamic.soname.is_none() => Kind::Pie,
        elf::ET_DYN => Kind::Shared,
        _ => Kind::Other,
    };
    Ok(layout)
}

/// Tells apart what is not a 64-bit x86-64 file before anything else is looked at.
fn check_ident(start: &[u8]) -> Result<(), ElfError> {
    if !start.starts_with(&elf::ELFMAG) {
        return Err(ElfError::NotElf);
    }
    let &[_, _, _, _, class, data, ..] = start else {
        return Err(ElfError::Corrupt("it ends inside its first bytes"));
    };
    if class == elf::ELFCLASS32.0 {
        return Err(ElfError::Is32Bit);
    }
    let &[low, high] = start.get(18..20).unwrap_or_default() else {
        return Err(ElfError::Corrupt("it ends inside its first bytes"));
    };
    let is_big = data == elf::ELFDATA2MSB.0;
    let machine = if is_big { u16::from_be_bytes([low, high]) } else { u16::from_le_bytes([low, high]) };
    if machine != elf::EM_X86_64.0 {
        return Err(ElfError::WrongMachine(machine));
    }
    if is_big {
        return Err(ElfError::Corrupt("x86-64 with the highest byte first"));
    }
    Ok(())
}

fn program_headers<'a>(
    header: &Header,
    data: &'a ReadCache<&File>,
) -> Result<&'a [elf::ProgramHeader64<LittleEndian>], ElfError> {
    let corrupt = |_| ElfError::Corrupt("its program headers do not fit into the file");
    if header.e_phoff(LittleEndian) != 0 && header.phnum(LittleEndian, data).map_err(corrupt)? > MAX_HEADERS {
        return Err(ElfError::Corrupt("it has too many program headers"));
    }
    header.program_headers(LittleEndian, data).map_err(corrupt)
}

fn load_segment(p: &elf::ProgramHeader64<LittleEndian>) -> Option<Segment> {
    if p.p_type(LittleEndian) != elf::PT_LOAD {
        return None;
    }
    let has = |flag: elf::ProgramFlags| p.p_flags(LittleEndian).0 & flag.0 != 0;
    Some(Segment {
        address: ElfVaddr(p.p_vaddr(LittleEndian)),
        offset: FileOffset(p.p_offset(LittleEndian)),
        file_bytes: p.p_filesz(LittleEndian),
        memory_bytes: p.p_memsz(LittleEndian),
        readable: has(elf::PF_R),
        writable: has(elf::PF_W),
        executable: has(elf::PF_X),
    })
}

fn frame_index(parts: &[Part]) -> Option<Range<ElfVaddr>> {
    let part = parts.iter().find(|p| p.kind == elf::PT_GNU_EH_FRAME)?;
    Some(part.address..ElfVaddr(part.address.0.checked_add(part.file_bytes)?))
}

/// The section headers. A program runs without them, so a file whose section headers are broken has none.
fn sections(header: &Header, data: &ReadCache<&File>) -> Vec<Section> {
    if header.shnum(LittleEndian, data).map_or(true, |count| count > MAX_HEADERS) {
        return Vec::new();
    }
    let table = header.sections(LittleEndian, data).unwrap_or_default();
    let section = |s: &elf::SectionHeader64<LittleEndian>| Section {
        name: table
            .section_name(LittleEndian, s)
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .unwrap_or_default(),
        kind: s.sh_type(LittleEndian).0,
        link: s.sh_link(LittleEndian),
        is_compressed: s.sh_flags(LittleEndian).0 & elf::SHF_COMPRESSED.0 != 0,
        address: ElfVaddr(s.sh_addr(LittleEndian)),
        offset: FileOffset(s.sh_offset(LittleEndian)),
        size_bytes: s.sh_size(LittleEndian),
    };
    table.iter().map(section).collect()
}

/// The GNU build-id: from the loaded notes, or from the section of old files that do not load it.
fn build_id(layout: &Layout, parts: &[Part], file: &File, file_bytes: u64) -> Option<String> {
    let notes = parts.iter().filter(|p| p.kind == elf::PT_NOTE).map(|p| (p.offset, p.file_bytes));
    let section = layout.sections.iter().filter(|s| s.name == ".note.gnu.build-id");
    notes.chain(section.map(|s| (s.offset, s.size_bytes))).find_map(|(offset, len)| {
        let data = read_at(file, file_bytes, offset, len.min(MAX_NOTE_BYTES));
        // Notes are aligned to 4 or 8 bytes, and some linkers state neither of the two.
        [4, 8].into_iter().find_map(|align| build_id_note(&data, align))
    })
}

fn build_id_note(data: &[u8], align: u64) -> Option<String> {
    let mut notes = NoteIterator::<Header>::new(LittleEndian, align, data).ok()?;
    while let Ok(Some(note)) = notes.next() {
        let is_id = note.name() == elf::ELF_NOTE_GNU && note.n_type(LittleEndian) == elf::NT_GNU_BUILD_ID;
        if is_id && !note.desc().is_empty() {
            return Some(note.desc().iter().map(|byte| format!("{byte:02x}")).collect());
        }
    }
    None
}

/// The text before the first zero byte.
fn text(data: &[u8]) -> Option<String> {
    let end = data.iter().position(|&byte| byte == 0)?;
    Some(String::from_utf8_lossy(&data[..end]).into_owned())
}
