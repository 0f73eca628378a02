//! The header of `.gopclntab`: which format, and where its parts begin (`pcHeader` in `runtime/symtab.go`).

use super::words::{u32_at, u64_at};

/// Bytes of a header.
pub(in crate::go) const HEADER_BYTES: u64 = 72;
/// Least bytes between two instructions (`minLC`, 1 on x86-64) and bytes of a pointer, after two of padding.
const MACHINE: [u8; 4] = [0, 0, 1, 8];
/// More functions than any program has: a table of so many could not be read.
const MAX_FUNCTIONS: u64 = 1 << 26;

/// What the records of a table look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::go) enum Format {
    /// Go 1.18 and 1.19.
    Go118,
    /// Go 1.20 and later.
    Go120,
}

impl Format {
    /// Those that can be read.
    pub(in crate::go) const ALL: [Self; 2] = [Self::Go118, Self::Go120];

    /// The first word of a table (`internal/abi/symtab.go`, before 1.26 `debug/gosym/pclntab.go`).
    pub(in crate::go) const fn magic(self) -> u32 {
        match self {
            Self::Go118 => 0xffff_fff0,
            Self::Go120 => 0xffff_fff1,
        }
    }

    /// The first eight bytes of a table of this machine.
    pub(in crate::go) const fn start(self) -> u64 {
        self.magic() as u64 | (u32::from_le_bytes(MACHINE) as u64) << 32
    }
}

/// Offsets from the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::go) struct Header {
    pub(in crate::go) format: Format,
    /// Functions.
    pub(in crate::go) functions: u64,
    /// `funcnametab`.
    pub(in crate::go) names_at: u64,
    /// `cutab`.
    pub(in crate::go) units_at: u64,
    /// `filetab`.
    pub(in crate::go) files_at: u64,
    /// `pctab`.
    pub(in crate::go) values_at: u64,
    /// `ftab` and the functions.
    pub(in crate::go) functions_at: u64,
}

impl Header {
    /// Takes the first bytes of a table apart.
    ///
    /// # Errors
    ///
    /// They are those of another format, or of none.
    pub(in crate::go) fn parse(data: &[u8]) -> Result<Self, String> {
        let magic = u32_at(data, 0).ok_or("it ends inside its header")?;
        let Some(format) = Format::ALL.into_iter().find(|format| format.magic() == magic) else {
            return Err(other_format(magic));
        };
        if data.get(4..8) != Some(&MACHINE) {
            return Err("its header is that of another machine".to_owned());
        }
        // 24 is `textStart`: a relocation in some programs, unused since Go 1.26; the module data has it too.
        let word = |at| u64_at(data, at).ok_or("it ends inside its header");
        let header = Self {
            format,
            functions: word(8)?,
            names_at: word(32)?,
            units_at: word(40)?,
            files_at: word(48)?,
            values_at: word(56)?,
            functions_at: word(64)?,
        };
        if !header.is_plausible() {
            return Err("its header contradicts itself".to_owned());
        }
        Ok(header)
    }

    /// The parts follow one another.
    fn is_plausible(&self) -> bool {
        let parts =
            [HEADER_BYTES, self.names_at, self.units_at, self.files_at, self.values_at, self.functions_at];
        parts.is_sorted() && (1..MAX_FUNCTIONS).contains(&self.functions)
    }
}

fn other_format(magic: u32) -> String {
    match magic {
        0xffff_fffa | 0xffff_fffb => "it is of Go 1.17 or older: 1.18 to 1.27 can be read".to_owned(),
        0xffff_ff00..=0xffff_ffff => {
            format!("its format {magic:#x} is of a newer Go than is known here: 1.18 to 1.27 can be read")
        }
        _ => format!("it begins with {magic:#x}, which no format of Go does"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(magic: u32, words: [u64; 8]) -> Vec<u8> {
        let mut data: Vec<u8> = magic.to_le_bytes().into_iter().chain(MACHINE).collect();
        data.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        data
    }

    #[test]
    fn a_header_of_another_format_is_refused_by_name() {
        let check = |magic, expect: &str| {
            let error = Header::parse(&header(magic, [1; 8])).expect_err("it cannot be read");
            assert!(error.contains(expect), "{error}");
        };
        check(0xffff_fffb, "Go 1.17 or older");
        check(0xffff_fffa, "Go 1.17 or older");
        check(0xffff_fff2, "newer Go");
        check(0x1234, "no format of Go");
        check(0xffff_fff1, "contradicts itself");
    }

    #[test]
    fn the_parts_of_a_table_follow_one_another() {
        let check = |words, expect| {
            let parsed = Header::parse(&header(0xffff_fff1, words));
            assert_eq!(parsed.is_ok(), expect, "{parsed:?}");
        };
        check([9, 2, 0, 72, 80, 96, 100, 200], true);
        check([0, 2, 0, 72, 80, 96, 100, 200], false);
        check([9, 2, 0, 72, 80, 96, 200, 100], false);
        check([u64::MAX, 2, 0, 72, 80, 96, 100, 200], false);
        assert!(Header::parse(&header(0xffff_fff0, [9, 2, 0, 72, 80, 96, 100, 200])[..40]).is_err());
    }
}
