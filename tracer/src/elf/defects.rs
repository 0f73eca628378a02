//! What of an object cannot be read, in words: an object that lies has no symbols, and somebody must say why.

use object::elf;

use super::Image;
use super::symbols::MAX_SYMBOLS_BYTES;

impl Image {
    /// Parts that contradict the file or are larger than any that tracer reads; what they hold is missing.
    #[must_use]
    pub fn defects(&self) -> Vec<String> {
        let mut defects = Vec::new();
        if self.layout.sections_are_broken {
            defects.push("its section headers do not fit into the file".to_owned());
        }
        for (index, section) in self.sections().iter().enumerate() {
            let limit = match elf::SectionType(section.kind) {
                elf::SHT_SYMTAB | elf::SHT_DYNSYM => MAX_SYMBOLS_BYTES,
                elf::SHT_STRTAB
                    if self.sections().iter().any(|s| s.is_table() && s.link as usize == index) =>
                {
                    super::MAX_READ_BYTES
                }
                _ => continue,
            };
            let name = &section.name;
            if !self.holds(section) {
                defects.push(format!("its section {name} lies outside the file"));
            } else if section.size_bytes > limit {
                defects.push(format!("its section {name} has more than {limit} bytes"));
            } else if section.is_table() && section.link as usize >= self.sections().len() {
                defects.push(format!("its section {name} has no names"));
            }
        }
        defects
    }
}
