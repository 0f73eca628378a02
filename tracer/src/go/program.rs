//! A file that Go has built: its version, and where its module data and its tables are.

mod build_info;
mod module;
mod scan;

use std::sync::Arc;

use super::lines::header::{Format, HEADER_BYTES, Header};
use super::lines::{Lines, Sources};
use super::version::GoVersion;
use crate::elf::Image;
use crate::units::ElfVaddr;

pub use module::Module;

/// Sections that hold the table. A program that another linker has made position independent has it in the third, among
/// other things.
const TABLE_SECTIONS: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];
/// Sections that only Go's linker makes.
const MARKS: [&str; 4] = [".gopclntab", ".data.rel.ro.gopclntab", ".go.buildinfo", ".note.go.buildid"];
/// Most places that look like the start of a table: the bytes of such a start are constants in some programs.
const MAX_PLACES: usize = 64;

/// A Go program (or a shared object or plugin that Go has built).
#[derive(Debug)]
pub struct GoProgram {
    /// Its build information says so; `None` where that was removed.
    pub version: Option<GoVersion>,
    /// What its linker says of it.
    pub module: Module,
    /// Its functions and lines.
    pub lines: Arc<Lines>,
}

impl GoProgram {
    /// Looks whether an object was built by Go; `None` if it was not. Its section headers say so at once; an object
    /// without them is looked through.
    ///
    /// # Errors
    ///
    /// It was, and its tables cannot be read: why, in words.
    pub fn open(image: &Image) -> Result<Option<Self>, String> {
        let is_marked = MARKS.iter().any(|mark| image.section_range(mark).is_some());
        if !is_marked && image.sections().iter().any(|section| !section.name.is_empty()) {
            return Ok(None);
        }
        let version = build_info::version(image);
        let places = places(image);
        if !is_marked && version.is_none() && places.is_empty() {
            return Ok(None);
        }
        let built_by = version.as_ref().map_or_else(|| "Go".to_owned(), ToString::to_string);
        let told = |why: String| {
            format!("built by {built_by}, but its functions (.gopclntab) cannot be read: {why}")
        };
        let (module, lines) = read(image, &places, version.as_ref()).map_err(told)?;
        Ok(Some(Self { version, module, lines: Arc::new(lines) }))
    }
}

/// The first table that module data belongs to.
fn read(image: &Image, places: &[ElfVaddr], version: Option<&GoVersion>) -> Result<(Module, Lines), String> {
    let mut failure = "there is no such table".to_owned();
    for &place in places {
        let end = ElfVaddr(place.0.saturating_add(HEADER_BYTES));
        let header = match Header::parse(&image.read_vaddr(place..end)) {
            Ok(header) => header,
            Err(why) => {
                failure = why;
                continue;
            }
        };
        let Some(found) = module::find(image, place, &header, version) else {
            "the module data that leads to them is not there, or not as in Go 1.18 to 1.27"
                .clone_into(&mut failure);
            continue;
        };
        for function_data in found.function_data {
            let sources =
                Sources { header, table: found.table.clone(), text: found.module.text.start, function_data };
            match Lines::load(image, &sources) {
                Ok(lines) => return Ok((found.module, lines)),
                Err(why) => failure = why,
            }
        }
    }
    Err(failure)
}

/// Where tables seem to begin.
fn places(image: &Image) -> Vec<ElfVaddr> {
    let section = TABLE_SECTIONS.iter().find_map(|name| image.section_range(name));
    if let Some(section) = section {
        return vec![section.start];
    }
    let starts = Format::ALL.map(Format::start);
    let found = scan::words(image, |segment| segment.readable, &starts);
    found.into_iter().map(|(place, _)| place).take(MAX_PLACES).collect()
}
