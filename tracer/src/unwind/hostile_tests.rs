//! Frame descriptions that someone has made to harm: each is refused or costs little, and what remains is right.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use tracer_ebpf::unwind::page::{BLOCK_WORDS, PAGE_BYTES};
use tracer_ebpf::unwind::{Cfa, Rule, SavedFp};

use super::testing::{AT_ENTRY, Function, Section};
use super::{Unsupported, UnwindSource, UnwindTable};
use crate::elf::Image;
use crate::elf::testing::{Builder, TEXT, file_of, real_libc};
use crate::units::{Bytes, ElfVaddr};

const ENTRY: Rule = Rule::Frame(Cfa::Sp(8), SavedFp::Same);

/// What a hostile object may take on a slow machine.
const MOST_TIME: Duration = Duration::from_secs(30);

fn sp(bytes: u32) -> Rule {
    Rule::Frame(Cfa::Sp(bytes), SavedFp::Same)
}

/// `DW_CFA_def_cfa_offset`.
fn offset(bytes: u8) -> [u8; 2] {
    [0x0e, bytes]
}

fn build(section: &Section, code_bytes: usize) -> Result<UnwindTable, String> {
    let begin = Instant::now();
    let table = UnwindTable::build(&section.object(code_bytes));
    assert!(begin.elapsed() < MOST_TIME, "{:?}", begin.elapsed());
    table.map(|table| table.expect("it has functions"))
}

fn rules<const N: usize>(table: &UnwindTable, addresses: [u64; N]) -> [Rule; N] {
    addresses.map(|address| table.row_at(ElfVaddr(address)).rule())
}

#[test]
fn of_two_functions_the_one_that_begins_later_holds() {
    let check = |functions: [(u64, u64, u8); 3], expect: [Rule; 6]| {
        let functions = functions.map(|(start, bytes, cfa)| Function::new(start, bytes, &offset(cfa)));
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let functions = order.map(|index| functions[index].clone());
            let table = build(&Section::of(&functions), 256).expect("it is small");
            let found = rules(&table, [0x1000, 0x1010, 0x1018, 0x1020, 0x1030, 0x1040]);
            assert_eq!(found, expect, "{functions:?}");
        }
    };
    let (gap, a, b, c) = (Rule::Gap, sp(16), sp(24), sp(32));
    check([(0x1000, 16, 16), (0x1010, 16, 24), (0x1020, 16, 32)], [a, b, b, c, gap, gap]);
    check([(0x1000, 64, 16), (0x1010, 8, 24), (0x1020, 16, 32)], [a, b, gap, c, gap, gap]);
    check([(0x1000, 64, 16), (0x1018, 0, 24), (0x1030, 1, 32)], [a, a, a, a, c, gap]);
    check([(0x1000, u64::MAX, 16), (0x1020, 16, 24), (0x1030, u64::MAX - 0x1030, 32)], [a, a, a, b, c, c]);
}

#[test]
fn of_two_functions_at_one_address_the_last_one_holds() {
    let functions =
        [(32, 16), (8, 24), (16, 32)].map(|(bytes, cfa)| Function::new(TEXT, bytes, &offset(cfa)));
    let table = build(&Section::of(&functions), 256).expect("it is small");
    assert_eq!(rules(&table, [TEXT, TEXT + 15, TEXT + 16]), [sp(32), sp(32), Rule::Gap]);
}

#[test]
fn functions_that_the_linker_has_dropped_are_left_out() {
    let functions = [0, 0x4000_0000, u64::MAX - 7, TEXT + 16].map(|start| Function::new(start, 16, &[]));
    let table = build(&Section::of(&functions), 256).expect("it is small");
    assert_eq!(
        rules(&table, [0, 1, TEXT, TEXT + 16, TEXT + 32]),
        [Rule::Gap, Rule::Gap, Rule::Gap, ENTRY, Rule::Gap]
    );
    assert_eq!(table.statistics().source_rows, 1);
}

#[test]
fn a_function_that_covers_all_addresses_covers_the_code_only() {
    for (start, bytes) in [(1, u64::MAX), (0x1000, u64::MAX - 0x1000), (1, u64::MAX - 1)] {
        let table = build(&Section::of(&[Function::new(start, bytes, &[])]), 100_000).expect("it is small");
        let last = (table.first_page() + table.pages() as u64) * PAGE_BYTES - 1;
        assert_eq!(rules(&table, [start, 0x2000, last, last + 1]), [ENTRY, ENTRY, ENTRY, Rule::Gap]);
        assert_eq!(table.words().len(), 2 * BLOCK_WORDS);
        assert!(table.statistics().rows <= 4, "{:?}", table.statistics());
    }
}

#[test]
fn shared_parts_in_a_circle_are_no_descriptions() {
    let section = Section::of(&[0, 1].map(|n| Function::new(TEXT + n * 16, 16, &[]))).build();
    let first = u32::from_le_bytes(*section.first_chunk().expect("a length")) as usize + 4;
    let second = first + u32::from_le_bytes(*section[first..].first_chunk().expect("a length")) as usize + 4;
    let check = |at: usize, expect: Option<[Rule; 3]>| {
        let mut section = section.clone();
        let back = (first as u32 + 4).wrapping_sub(at as u32);
        section[first + 4..first + 8].copy_from_slice(&back.to_le_bytes());
        let file =
            Builder { code: vec![0x90; 64], extra: vec![(".eh_frame", section)], ..Builder::default() };
        let image = Image::open(file_of(&file.build())).expect("the file is valid");
        let table = UnwindTable::build(&image).expect("it is small");
        assert_eq!(table.map(|table| rules(&table, [TEXT, TEXT + 16, TEXT + 32])), expect, "{at}");
    };
    let other_is_whole = Some([Rule::Gap, ENTRY, Rule::Gap]);
    // The first one's shared part is itself, and what lies inside it.
    check(first, other_is_whole);
    check(first - 4, other_is_whole);
    // A part that would begin later, or before the section, ends the pass, as a broken length does.
    check(second, None);
    check(first + 0x1000_0000, None);
    check(usize::MAX, None);
}

#[test]
fn a_description_longer_than_the_section_ends_the_pass() {
    let whole = Section::of(&[0, 1].map(|n| Function::new(TEXT + n * 16, 16, &[]))).build();
    let first = u32::from_le_bytes(*whole.first_chunk().expect("a length")) as usize + 4;
    let second = first + u32::from_le_bytes(*whole[first..].first_chunk().expect("a length")) as usize + 4;
    for length in [0x7fff_ffff_u32, 0xffff_fff0, 0xffff_ffff, whole.len() as u32] {
        let mut section = whole.clone();
        section[second..second + 4].copy_from_slice(&length.to_le_bytes());
        let file =
            Builder { code: vec![0x90; 64], extra: vec![(".eh_frame", section)], ..Builder::default() };
        let image = Image::open(file_of(&file.build())).expect("the file is valid");
        let table = UnwindTable::build(&image).expect("it is small").expect("it has one function");
        assert_eq!(rules(&table, [TEXT, TEXT + 16]), [ENTRY, Rule::Gap], "{length:#x}");
    }
}

#[test]
fn a_page_holds_as_many_rows_as_a_block_and_says_where_it_ends() {
    // Another rule with every byte.
    let instructions: Vec<u8> = (0..4200_u32).flat_map(|n| [0x41, 0x0e, 8 + 8 * (n % 2) as u8]).collect();
    let section = Section::of(&[Function::new(0x2000, 0x1000 + 100, &instructions)]);
    let table = build(&section, 0x3000).expect("it is small");
    let at = |n: u64| rules(&table, [0x2000 + n])[0];
    // The first row, and then each is an instruction's.
    let rows = BLOCK_WORDS as u64;
    assert_eq!([at(0), at(1), at(2), at(rows - 2)], [ENTRY, ENTRY, sp(16), sp(16)]);
    assert_eq!([at(rows), at(rows + 1), at(4095)], [Rule::Unsupported; 3]);
    assert_eq!([at(4096), at(4097), at(4098)], [sp(16), sp(8), sp(16)]);
    assert!(table.statistics().unsupported(Unsupported::Crowded) > 2000);
}

#[test]
fn millions_of_rows_in_one_function_are_refused_when_they_do_not_fit() {
    let rows = 8 << 20;
    let section = |step: u8| {
        let instructions: Vec<u8> =
            (0..rows).flat_map(|n| [0x40 | step, 0x0e, 8 + 8 * (n % 2) as u8]).collect();
        Section::of(&[Function::new(TEXT, 1 << 30, &instructions)])
    };
    let error = build(&section(4), 40 << 20).expect_err("it is too large");
    assert!(error.contains("larger than 16 MiB"), "{error}");
    // Rows without a byte of code replace one another.
    let table = build(&section(0), 4096).expect("it is small");
    assert!(table.statistics().rows <= 4, "{:?}", table.statistics());
    let more: Vec<u8> = vec![0x40; 17 << 20];
    let error = build(&Section::of(&[Function::new(TEXT, 64, &more)]), 4096).expect_err("too many rows");
    assert!(error.contains("16777216 rows"), "{error}");
}

#[test]
fn shared_instructions_are_counted_with_every_function() {
    let functions: Vec<_> = (0..200_000).map(|n| Function::new(TEXT + n, 1, &[])).collect();
    let shared = [&AT_ENTRY[..], &[0; 900]].concat();
    let section = Section { shared, ..Section::of(&functions) };
    let error = build(&section, 300_000).expect_err("too many instructions");
    assert!(error.contains("64 MiB"), "{error}");
}

#[test]
fn states_that_are_remembered_take_little_time_and_memory() {
    // As many registers as a state holds, which each state is copied with.
    let registers: Vec<u8> = (0..40).flat_map(|register| [0x80 | register, 2]).collect();
    let flood: Vec<u8> = (0..10 << 20).flat_map(|_| [0x0a, 0x0b]).collect();
    let functions = [
        Function::new(TEXT, 16, &[&registers, &flood[..]].concat()),
        Function::new(TEXT + 16, 16, &vec![0x0a; 20 << 20]),
        Function::new(TEXT + 32, 16, &vec![0x0b; 20 << 20]),
    ];
    let table = build(&Section::of(&functions), 4096).expect("it is small");
    // Rules of registers that nobody asks for leave no room: the return address is one of those that were set.
    assert_eq!(
        rules(&table, [TEXT, TEXT + 16, TEXT + 32, TEXT + 48]),
        [Rule::Unsupported, Rule::Unsupported, Rule::Unsupported, Rule::Gap]
    );
}

#[test]
fn code_that_spans_too_much_or_ends_nowhere_is_refused() {
    let check = |address: u64, memory_bytes: u64, expect: &str| {
        let mut bytes = Section::of(&[Function::new(TEXT, 16, &[])]).file(64);
        // The first program header: address, and bytes in memory.
        bytes[64 + 16..64 + 24].copy_from_slice(&address.to_le_bytes());
        bytes[64 + 40..64 + 48].copy_from_slice(&memory_bytes.to_le_bytes());
        let image = Image::open(file_of(&bytes)).expect("its header is valid");
        match UnwindTable::build(&image) {
            Ok(table) => assert_eq!(expect, "", "{table:?}"),
            Err(error) => assert!(!expect.is_empty() && error.contains(expect), "{error}"),
        }
    };
    check(0, 1 << 30, "");
    check(0, (1 << 30) + 1, "the limit is 1073741824");
    check(0, u64::MAX, "ends at no address");
    check(u64::MAX - 4096, 8192, "ends at no address");
    check(u64::MAX - 8191, 4096, "ends at no address");
    check((1 << 57) - 8192, 8192, "");
    check((1 << 57) - 8192, 8193, "ends at no address");
    check(0, 0, "no code");
}

#[test]
fn an_index_that_lies_is_corrected() {
    let Some(path) = real_libc() else { return };
    let mut bytes = Vec::new();
    File::open(path).expect("it is mapped").read_to_end(&mut bytes).expect("it is mapped");
    let image = Image::open(file_of(&bytes)).expect("it runs");
    let table = UnwindTable::build(&image).expect("it is small").expect("it has functions");
    let index = image.section_range(".eh_frame_hdr").expect("it has one");
    let at = image.vaddr_to_file_offset(index.start).expect("it is loaded").0 as usize;
    // Functions and their descriptions are shifted against each other; then half of them are gone.
    let mut shifted = bytes.clone();
    for entry in shifted[at + 12..at + 12 + 8000].chunks_exact_mut(8) {
        entry[4] = entry[4].wrapping_add(24);
    }
    let mut halved = bytes.clone();
    let count = u32::from_le_bytes(*bytes[at + 8..].first_chunk().expect("a count"));
    halved[at + 8..at + 12].copy_from_slice(&(count / 2).to_le_bytes());
    for bytes in [shifted, halved] {
        let image = Image::open(file_of(&bytes)).expect("its headers are whole");
        let found = UnwindTable::build(&image).expect("it is small").expect("it has functions");
        assert_eq!(found.words(), table.words());
    }
}

#[test]
fn an_object_without_section_headers_has_the_same_table() {
    let Some(path) = real_libc() else { return };
    let mut bytes = Vec::new();
    File::open(path).expect("it is mapped").read_to_end(&mut bytes).expect("it is mapped");
    let table = |bytes: &[u8]| {
        let image = Image::open(file_of(bytes)).expect("it runs");
        UnwindTable::build(&image).expect("it is small").expect("it has functions")
    };
    let whole = table(&bytes);
    // Where the section headers are, how many there are, and which holds their names.
    bytes[40..48].fill(0);
    bytes[60..64].fill(0);
    assert_eq!(table(&bytes).words(), whole.words());
}

#[test]
fn an_object_without_descriptions_has_no_table() {
    let mut plain = Builder { code: vec![0x90; 64], ..Builder::default() };
    let build =
        |file: &Builder| UnwindTable::build(&Image::open(file_of(&file.build())).expect("the file is valid"));
    assert_eq!(build(&plain), Ok(None));
    for contents in [vec![], vec![0; 4], vec![0xff; 64], Section::of(&[]).build()] {
        plain.extra = vec![(".eh_frame", contents)];
        assert_eq!(build(&plain), Ok(None));
    }
    let debug = Section { is_debug: true, ..Section::of(&[Function::new(TEXT, 16, &[])]) };
    plain.extra.push((".debug_frame", debug.build()));
    assert_eq!(
        rules(&build(&plain).expect("small").expect("a function"), [TEXT, TEXT + 16]),
        [ENTRY, Rule::Gap]
    );
}

#[test]
fn a_trampoline_that_nothing_describes_is_a_signals_frame() {
    let code = [&[0x90; 33][..], &[0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05], &[0xf4; 22]].concat();
    for bytes in [16, 64] {
        let extra = vec![(".eh_frame", Section::of(&[Function::new(TEXT, bytes, &[])]).build())];
        let file = Builder { code: code.clone(), extra, ..Builder::default() }.build();
        let image = Image::open(file_of(&file)).expect("the file is valid");
        let source = UnwindSource::load(&image).expect("it is small").expect("it has a function");
        let table = source.build().expect("it is small");
        let after = if bytes == 64 { ENTRY } else { Rule::Gap };
        let found = rules(&table, [TEXT, TEXT + 31, TEXT + 32, TEXT + 33, TEXT + 41, TEXT + 42]);
        let signal = Rule::Signal;
        assert_eq!(found, [ENTRY, after, signal, signal, signal, after], "{bytes}");
    }
}

#[test]
fn a_compressed_section_that_becomes_huge_is_refused() {
    let mut stream = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    (0..300).for_each(|_| stream.write_all(&[0; 1 << 20]).expect("memory"));
    let stream = stream.finish().expect("memory");
    // `Elf64_Chdr`: zlib, the size that it becomes, its alignment.
    let header = [1_u64, 300 << 20, 1].map(u64::to_le_bytes).concat();
    let extra = vec![(".debug_frame", [header, stream].concat())];
    let mut bytes = Builder { code: vec![0x90; 64], extra, ..Builder::default() }.build();
    let image = Image::open(file_of(&bytes)).expect("the file is valid");
    assert_eq!(UnwindTable::build(&image), Ok(None), "garbage that is not compressed");
    let number = image.sections().iter().position(|s| s.name == ".debug_frame").expect("just built");
    let headers = u64::from_le_bytes(*bytes[40..].first_chunk().expect("a header")) as usize;
    // `SHF_COMPRESSED`.
    bytes[headers + number * 64 + 8..][..8].copy_from_slice(&0x800_u64.to_le_bytes());
    let image = Image::open(file_of(&bytes)).expect("the file is valid");
    let error = UnwindTable::build(&image).expect_err("too large");
    assert!(error.contains("larger than tracer's limit"), "{error}");
    assert!(Bytes(size_of_val(&bytes[..]) as u64) < Bytes(8 << 20));
}
