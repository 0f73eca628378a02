//! Offsets of the runtime's structures out of a Go program's own DWARF: what the program was really built with.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use gimli::{
    AttributeValue, DebuggingInformationEntry, Dwarf, EndianSlice, EntriesCursor, LittleEndian, SectionId,
};

use crate::elf::Image;

/// Most bytes of one section, decompressed.
const MAX_SECTION_BYTES: u64 = 512 << 20;
/// Most bytes of the tables that say what entries have: a compressed one may become some hundred times as large, and each of
/// its entries takes a hundred bytes.
const MAX_TABLE_BYTES: u64 = 16 << 20;
/// That looking through it may take: a program may have been made to take long.
const MAX_TIME: Duration = Duration::from_secs(10);
/// Most entries of the runtime's unit that are looked at: twenty times as many as it has in Go 1.27.
const MAX_ENTRIES: usize = 2_000_000;
/// The name of the runtime's unit.
const UNIT: &str = "runtime";

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Offsets of fields by the name of their structure and their own; a structure's size is under an empty name.
#[derive(Debug, Default)]
pub(super) struct Fields(HashMap<(String, String), u64>);

impl Fields {
    pub(super) fn get(&self, structure: &str, field: &str) -> Option<u64> {
        self.0.get(&(structure.to_owned(), field.to_owned())).copied()
    }
}

/// The structures `wanted` of the runtime's unit, as far as it has them; `None` if the object has no DWARF of a runtime.
///
/// # Errors
///
/// It has, and it cannot be read: why.
pub(super) fn fields(image: &Image, wanted: &[&str]) -> Result<Option<Fields>, String> {
    let mut sections = HashMap::new();
    for id in [SectionId::DebugInfo, SectionId::DebugAbbrev, SectionId::DebugStr, SectionId::DebugLineStr] {
        let most = if id == SectionId::DebugAbbrev { MAX_TABLE_BYTES } else { MAX_SECTION_BYTES };
        let data = image.plain_section_data(id.name(), most);
        let data = data.map_err(|error| format!("{} of its DWARF cannot be read: {error}", id.name()))?;
        sections.insert(id.name(), data.map(|(_, data)| data).unwrap_or_default());
    }
    let slice = |id: SectionId| sections.get(id.name()).map_or(&[][..], Vec::as_slice);
    let dwarf = Dwarf::load(|id| Ok::<_, gimli::Error>(EndianSlice::new(slice(id), LittleEndian)));
    let until = Instant::now() + MAX_TIME;
    let found = dwarf.and_then(|dwarf| in_units(&dwarf, wanted, until));
    let found = found.map_err(|error| format!("its DWARF is damaged: {error}"))?;
    let found = found.ok_or_else(|| format!("its DWARF takes longer than {MAX_TIME:?} to look through"))?;
    Ok((!found.0.is_empty()).then_some(found))
}

/// `None` when it is not done by then.
fn in_units(dwarf: &Dwarf<Slice<'_>>, wanted: &[&str], until: Instant) -> gimli::Result<Option<Fields>> {
    let mut units = dwarf.units();
    let mut found = Fields::default();
    // Go's units share one table.
    let mut table = None;
    while let Some(header) = units.next()? {
        if Instant::now() > until {
            return Ok(None);
        }
        let at = header.debug_abbrev_offset();
        if table.as_ref().is_none_or(|&(known, _)| known != at) {
            // Not `Dwarf::unit`, which reads lines and addresses too.
            table = Some((at, dwarf.abbreviations(&header)?));
        }
        let Some((_, abbreviations)) = &table else { continue };
        let mut entries = header.entries(abbreviations);
        let name = entries.next_dfs()?.and_then(|root| name_of(dwarf, root));
        if name.as_deref() == Some(UNIT) {
            in_runtime(dwarf, entries, wanted, &mut found)?;
        }
    }
    Ok(Some(found))
}

/// The structures stand right below the unit, their members right below them.
fn in_runtime<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    mut entries: EntriesCursor<'_, Slice<'a>>,
    wanted: &[&str],
    found: &mut Fields,
) -> gimli::Result<()> {
    let mut structure = None;
    for _ in 0..MAX_ENTRIES {
        let Some(entry) = entries.next_dfs()? else { break };
        match (entry.depth(), entry.tag()) {
            (1, gimli::DW_TAG_structure_type) => {
                structure = name_of(dwarf, entry).and_then(|name| {
                    let name = name.strip_prefix("runtime.")?.to_owned();
                    wanted.contains(&name.as_str()).then_some(name)
                });
                if let (Some(name), Some(bytes)) = (&structure, number(entry, gimli::DW_AT_byte_size)) {
                    found.0.insert((name.clone(), String::new()), bytes);
                }
            }
            (1, _) => structure = None,
            (2, gimli::DW_TAG_member) => {
                let Some(structure) = &structure else { continue };
                let offset = number(entry, gimli::DW_AT_data_member_location);
                if let (Some(name), Some(offset)) = (name_of(dwarf, entry), offset) {
                    found.0.insert((structure.clone(), name), offset);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A name that is text: one in a form that Go's linker does not write is none.
fn name_of(dwarf: &Dwarf<Slice<'_>>, entry: &DebuggingInformationEntry<Slice<'_>>) -> Option<String> {
    let name = match entry.attr_value(gimli::DW_AT_name)? {
        AttributeValue::String(name) => name,
        AttributeValue::DebugStrRef(offset) => dwarf.string(offset).ok()?,
        AttributeValue::DebugLineStrRef(offset) => dwarf.line_string(offset).ok()?,
        _ => return None,
    };
    Some(String::from_utf8_lossy(name.slice()).into_owned())
}

/// An attribute that is a number, in whichever form.
fn number(entry: &DebuggingInformationEntry<Slice<'_>>, name: gimli::DwAt) -> Option<u64> {
    entry.attr_value(name)?.udata_value()
}
