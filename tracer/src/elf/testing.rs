//! Builds small ELF files for tests, byte by byte, and finds the C library that runs the tests.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};

/// Where [`Builder`] loads the code.
pub(crate) const TEXT: u64 = 0x1000;

/// A file that exists only as long as it is open.
pub(crate) fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("the temporary folder is writable");
    file.write_all(bytes).expect("the temporary folder has room");
    file
}

/// The C library that this test process runs with, if it has one.
pub(crate) fn real_libc() -> Option<String> {
    let maps = BufReader::new(File::open("/proc/self/maps").ok()?);
    maps.lines().map_while(Result::ok).find_map(|line| {
        let path = &line[line.find('/')?..];
        path.ends_with("/libc.so.6").then(|| path.to_owned())
    })
}

/// A symbol of a built file.
#[derive(Clone, Copy)]
pub(crate) struct Defined {
    pub(crate) name: &'static str,
    /// From the start of the code.
    pub(crate) at: u64,
    pub(crate) size: u64,
    pub(crate) is_local: bool,
}

/// A shared library with code, symbols and a build-id.
#[derive(Clone, Default)]
pub(crate) struct Builder {
    pub(crate) code: Vec<u8>,
    pub(crate) rodata: Vec<u8>,
    pub(crate) dynamic: Vec<Defined>,
    pub(crate) fixed: Vec<Defined>,
    /// Further sections by name.
    pub(crate) extra: Vec<(&'static str, Vec<u8>)>,
    pub(crate) build_id: BuildId,
    /// Without `.symtab`.
    pub(crate) is_stripped: bool,
}

/// What the note says.
#[derive(Clone, Copy, Default)]
pub(crate) enum BuildId {
    #[default]
    DeadBeef,
    Other,
    Absent,
}

impl Builder {
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut note = Vec::new();
        for word in [4_u32, 4, 3] {
            note.extend(word.to_le_bytes());
        }
        note.extend(b"GNU\0");
        note.extend(match self.build_id {
            BuildId::DeadBeef => [0xde, 0xad, 0xbe, 0xef],
            BuildId::Other | BuildId::Absent => [1, 2, 3, 4],
        });
        let mut names = vec![0];
        let mut parts: Vec<(u32, u32, u64, u64, u32)> = vec![(0, 0, 0, 0, 0)];
        let mut out = vec![0; TEXT as usize];
        let mut add = |name: &str, kind: u32, link: u32, data: &[u8]| {
            let at = names.len() as u32;
            names.extend(name.bytes().chain([0]));
            parts.push((at, kind, out.len() as u64, data.len() as u64, link));
            out.extend(data);
            out.resize(out.len().next_multiple_of(8), 0);
        };
        let (dynsym, dynstr) = table(&self.dynamic);
        let (symtab, strtab) = table(&self.fixed);
        add(".text", 1, 0, &self.code);
        add(".rodata", 1, 0, &self.rodata);
        add(".dynsym", 11, 4, &dynsym);
        add(".dynstr", 3, 0, &dynstr);
        if !self.is_stripped {
            add(".symtab", 2, 6, &symtab);
            add(".strtab", 3, 0, &strtab);
        }
        if !matches!(self.build_id, BuildId::Absent) {
            add(".note.gnu.build-id", 7, 0, &note);
        }
        for (name, data) in &self.extra {
            add(name, 1, 0, data);
        }
        let at = names.len() as u32;
        names.extend(b".shstrtab\0");
        parts.push((at, 3, out.len() as u64, names.len() as u64, 0));
        out.extend(&names);
        out.resize(out.len().next_multiple_of(8), 0);
        let headers_at = out.len() as u64;
        for &(name, kind, offset, size, link) in &parts {
            for word in [name, kind] {
                out.extend(word.to_le_bytes());
            }
            for word in [2_u64, offset, offset, size] {
                out.extend(word.to_le_bytes());
            }
            for word in [link, 0] {
                out.extend(word.to_le_bytes());
            }
            for word in [8_u64, 24] {
                out.extend(word.to_le_bytes());
            }
        }
        let start = header(headers_at, parts.len() as u16, out.len() as u64);
        out[..start.len()].copy_from_slice(&start);
        out
    }
}

/// The ELF header and one program header that loads the whole file at address 0.
fn header(headers_at: u64, sections: u16, len: u64) -> Vec<u8> {
    let mut start = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [3_u16, 62] {
        start.extend(half.to_le_bytes());
    }
    start.extend(1_u32.to_le_bytes());
    for word in [0, 64, headers_at] {
        start.extend(word.to_le_bytes());
    }
    start.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 64, sections, sections - 1] {
        start.extend(half.to_le_bytes());
    }
    for word in [1_u32, 5] {
        start.extend(word.to_le_bytes());
    }
    for word in [0, 0, 0, len, len, 0x1000] {
        start.extend(word.to_le_bytes());
    }
    start
}

fn table(symbols: &[Defined]) -> (Vec<u8>, Vec<u8>) {
    let (mut entries, mut strings) = (vec![0; 24], vec![0]);
    for symbol in symbols {
        entries.extend((strings.len() as u32).to_le_bytes());
        entries.extend([if symbol.is_local { 0x02 } else { 0x12 }, 0, 1, 0]);
        entries.extend((TEXT + symbol.at).to_le_bytes());
        entries.extend(symbol.size.to_le_bytes());
        strings.extend(symbol.name.bytes().chain([0]));
    }
    (entries, strings)
}
