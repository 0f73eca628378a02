//! Frame descriptions with random damage, and random tables, registers and memory: whatever they hold, a table is built
//! or refused soon and without a panic, every search ends, and so does every walk.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use tracer_ebpf::unwind::page::{self, BLOCK_WORDS, PAGE_BYTES, PageEntry};
use tracer_ebpf::unwind::{Cfa, MAX_FRAME_BYTES, Registers, Row, Rule, SavedFp, Stop, step};

use super::UnwindTable;
use super::fill::Seen;
use super::pack::MAX_BYTES;
use super::pages::{Pages, Span};
use super::testing::{Function, Section, Xorshift};
use crate::elf::Image;
use crate::elf::testing::file_of;
use crate::units::ElfVaddr;

/// A damaged object takes some milliseconds; what has no end takes longer than this on any machine.
const MOST_TIME: Duration = Duration::from_secs(20);
/// Frames of one walk: as many as the kernel side takes.
const MOST_FRAMES: usize = 128;

/// Builds a table, and looks up some addresses of every page.
fn use_table(image: &Image) {
    let Ok(Some(table)) = UnwindTable::build(image) else { return };
    assert!(table.words().len().is_multiple_of(BLOCK_WORDS));
    assert!(size_of_val(table.words()) <= MAX_BYTES);
    assert!(table.pages() > 0);
    for page in 0..table.pages() as u64 {
        for offset in [0, 1, 0x7ff, 0xffe, 0xfff] {
            let row = table.row_at(ElfVaddr((table.first_page() + page) * PAGE_BYTES + offset));
            assert!(u64::from(row.page_offset()) <= offset);
            assert_eq!(Row::pack(0, row.rule()).map(|row| row.0), Some(row.0 & Row::RULE_MASK));
        }
    }
}

/// Damages some bytes of the sections of an object, builds its table, and mends them.
fn damage(name: &str, bytes: &[u8], sections: &[&str], copies: u64) {
    let file = file_of(bytes);
    let whole = Image::open(file.try_clone().expect("one more descriptor")).expect("it is an object");
    assert!(UnwindTable::build(&whole).is_ok_and(|table| table.is_some()), "{name}");
    let ranges: Vec<(u64, u64)> = whole
        .sections()
        .iter()
        .filter(|section| sections.contains(&section.name.as_str()) && section.size_bytes > 0)
        .map(|section| (section.offset.0, section.size_bytes))
        .collect();
    assert!(!ranges.is_empty(), "{name}");
    for seed in 1..=copies {
        let mut random = Xorshift::new(seed);
        let mut damaged = Vec::new();
        for _ in 0..=random.below(16) {
            let (start, len) = random.pick(&ranges);
            // What is read first decides about the rest.
            let len = if random.below(4) == 0 { len.min(64) } else { len };
            let at = start + random.below(len);
            let byte = match random.below(4) {
                0 => 0xff,
                1 => bytes[at as usize] ^ (1 << random.below(8)),
                2 => random.pick(&[0, 0x0a, 0x0b, 0x0f, 0x41, 0x7f, 0x80, 0xc6]),
                _ => random.below(256) as u8,
            };
            file.write_all_at(&[byte], at).expect("the temporary folder is writable");
            damaged.push(at);
        }
        let begin = Instant::now();
        let result = std::panic::catch_unwind(|| {
            use_table(
                &Image::open(file.try_clone().expect("one more descriptor")).expect("its headers are whole"),
            );
        });
        assert!(result.is_ok(), "{name}: seed {seed}");
        assert!(begin.elapsed() < MOST_TIME, "{name}: seed {seed}: {:?}", begin.elapsed());
        for at in damaged {
            file.write_all_at(&bytes[at as usize..=at as usize], at)
                .expect("the temporary folder is writable");
        }
    }
}

#[test]
fn no_damage_of_a_real_object_panics_or_takes_long() {
    for (path, copies) in [("/bin/true", 4000), ("/lib64/ld-linux-x86-64.so.2", 2000)] {
        match std::fs::read(path) {
            Ok(bytes) => damage(path, &bytes, &[".eh_frame", ".eh_frame_hdr"], copies),
            Err(error) => println!("not damaged: {path}: {error}"),
        }
    }
}

#[test]
fn no_damage_of_descriptions_for_debuggers_panics_or_takes_long() {
    let functions: Vec<_> = (0..40)
        .map(|n| {
            Function::new(0x1000 + n * 64, 60, &[0x44, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x0a, 0x50, 0x0b])
        })
        .collect();
    for is_debug in [false, true] {
        let section = Section { is_debug, ..Section::of(&functions) };
        let name = if is_debug { ".debug_frame" } else { ".eh_frame" };
        damage(name, &section.file(4096), &[name], 6000);
    }
}

fn random_rule(random: &mut Xorshift) -> Rule {
    let offset = 8 * random.below(0x2000) as u32;
    let small = 8 * random.below(16) as u32;
    let fp = random.pick(&[SavedFp::Same, SavedFp::BelowCfa(2), SavedFp::BelowCfa(3), SavedFp::BelowCfa(15)]);
    match random.below(12) {
        0 => Rule::Frame(Cfa::Sp(offset), fp),
        1 | 2 => Rule::Frame(Cfa::Sp(small), fp),
        3 => Rule::Frame(Cfa::Fp(small), SavedFp::BelowCfa(2)),
        4 => Rule::Frame(Cfa::AtFpMinus(offset), random.pick(&[fp, SavedFp::AtFp])),
        5 => Rule::Frame(Cfa::AtSpPlus(small), fp),
        6 => Rule::Plt(random.pick(&[10, 11])),
        7 => Rule::Signal,
        8 => random.pick(&[Rule::End, Rule::Unsupported, Rule::FramePointer]),
        _ => random.pick(&[Rule::Gap, Rule::Frame(Cfa::Sp(8), SavedFp::Same)]),
    }
}

#[test]
fn random_rules_are_packed_and_come_out_again() {
    let mut random = Xorshift::new(1);
    for _ in 0..200_000 {
        let (offset, rule) = (random.below(4096) as u16, random_rule(&mut random));
        let row = Row::pack(offset, rule).unwrap_or_else(|| panic!("{rule:?}"));
        assert_eq!((row.page_offset(), row.rule()), (offset.into(), rule));
    }
}

#[test]
fn every_word_is_a_rule_that_packs_to_the_same_or_is_unsupported() {
    for bits in 0..=Row::RULE_MASK {
        let row = Row(bits);
        let again = Row::pack(0, row.rule()).unwrap_or_else(|| panic!("{row:?}"));
        assert_eq!(again.rule(), row.rule());
        if let Some((is_fp, bytes)) = row.plain_cfa() {
            let cfa = if is_fp { Cfa::Fp(bytes as u32) } else { Cfa::Sp(bytes as u32) };
            match row.rule() {
                Rule::Frame(found, SavedFp::Same) => assert_eq!((found, row.fp_words()), (cfa, 0)),
                Rule::Frame(found, SavedFp::BelowCfa(words)) => {
                    assert_eq!((found, row.fp_words()), (cfa, words.into()));
                }
                rule => assert_eq!((rule, row.fp_words()), (Rule::Unsupported, 1)),
            }
        }
    }
}

#[test]
fn random_rows_come_out_of_the_table_as_they_went_in() {
    for seed in 1..=60 {
        let mut random = Xorshift::new(seed);
        let span = Span { first_page: random.below(1 << 40), pages: 1 + random.below(1200) as usize };
        let code = span.addresses();
        // At most 1,000 rows in a page, so that none is crowded.
        let spread = random.pick(&[16, 64, 512, 8192, 100_000]);
        let mut rows = Vec::new();
        let mut at = code.start + random.below(3 * spread);
        while at < code.end {
            rows.push((at, random_rule(&mut random)));
            at += (4 + random.below(spread)) * random.below(8).min(1);
        }
        let start = code.start + random.below(code.end - code.start);
        let trampoline = start..(start + 10).min(code.end);
        let mut pages = Pages::new(&span, vec![trampoline.clone()]);
        for &(at, rule) in &rows {
            pages.set(at, rule).expect("it is small");
        }
        let table = UnwindTable::of_pages(pages, span.clone(), Seen::default()).expect("it is small");
        let naive = |address: u64| {
            let after = rows.partition_point(|&(at, _)| at <= address);
            match after.checked_sub(1) {
                _ if trampoline.contains(&address) => Rule::Signal,
                Some(last) => rows[last].1,
                None => Rule::Gap,
            }
        };
        let near_rows = rows.iter().flat_map(|&(at, _)| [at.saturating_sub(1), at, at + 1]);
        let near_trampoline = [start.saturating_sub(1), start, start + 9, start + 10];
        let anywhere: Vec<u64> =
            (0..2000).map(|_| code.start + random.below(code.end - code.start)).collect();
        for address in near_rows.chain(near_trampoline).chain(anywhere).filter(|at| code.contains(at)) {
            let found = table.row_at(ElfVaddr(address)).rule();
            assert_eq!(found, naive(address), "seed {seed}, {address:#x} of {code:x?}");
        }
    }
}

#[test]
fn a_search_of_random_words_ends_with_one_of_them() {
    let mut random = Xorshift::new(3);
    let mut block = [0; BLOCK_WORDS];
    for _ in 0..2000 {
        block.fill_with(|| random.next() as u32);
        for _ in 0..100 {
            let entry = PageEntry {
                first: random.next() as u32,
                count: random.next() as u16,
                generation: random.next() as u16,
            };
            let (offset, zero) = (random.next() as u32, random.next() as u32 % BLOCK_WORDS as u32);
            assert!(block.contains(&page::search(&block, entry, offset, zero).0));
            let _ = PageEntry::of(&block, random.next());
        }
    }
}

/// Words of the stack that are sometimes addresses further up. The kernel reads none of its own.
fn random_word(random: &mut Xorshift, address: u64) -> Option<u64> {
    if address >= 1 << 57 {
        return None;
    }
    match random.below(8) {
        0 => Some(random.next()),
        1 if random.below(16) == 0 => None,
        1 => Some(0),
        2 => Some(address.wrapping_add(random.below(1 << 12))),
        _ => Some(address.wrapping_add(8 * random.below(256)) & !7),
    }
}

#[test]
fn a_walk_over_random_rows_goes_up_the_stack_and_ends() {
    let (mut longest, mut stops) = (0, BTreeSet::new());
    for seed in 1..=100_000 {
        let mut random = Xorshift::new(seed);
        let any = |random: &mut Xorshift| match random.below(4) {
            0 => random.next(),
            1 => random.pick(&[0, 1, 7, 8, u64::MAX, u64::MAX - 7, 1 << 57, 1 << 63]),
            _ => 0x7ffd_0000_0000 + 8 * random.below(1 << 16),
        };
        let mut now = Registers {
            pc: any(&mut random),
            sp: any(&mut random),
            fp: any(&mut random),
            is_exact: random.below(2) == 0,
        };
        let is_valid = random.below(2) == 0;
        let mut frames = 0;
        let stop = loop {
            if frames == MOST_FRAMES {
                break None;
            }
            let row = if is_valid {
                Row::pack(0, random_rule(&mut random)).expect("it is valid")
            } else {
                Row(random.next() as u32)
            };
            let _ = now.rule_address();
            let next = match step(row, &now, |address| random_word(&mut random, address)) {
                Ok(next) => next,
                Err(stop) => break Some(stop),
            };
            assert!(next.pc != 0 && next.pc < 1 << 57, "seed {seed}");
            assert_eq!(next.is_exact, row.rule() == Rule::Signal, "seed {seed}");
            if !next.is_exact {
                // 16 bytes more of a frame that is found by its frame pointer.
                let grown =
                    next.sp.checked_sub(now.sp).unwrap_or_else(|| panic!("seed {seed}: {row:?} {now:x?}"));
                assert!((1..=MAX_FRAME_BYTES + 16).contains(&grown), "seed {seed}: {grown}");
            }
            now = next;
            frames += 1;
        };
        longest = longest.max(frames);
        stops.insert(format!("{stop:?}"));
    }
    // Every reason has been seen.
    let all = [Stop::End, Stop::Gap, Stop::Unsupported, Stop::BadCfa, Stop::ReadFault, Stop::NoFramePointer];
    assert!(all.iter().all(|stop| stops.contains(&format!("{:?}", Some(stop)))), "{stops:?}");
    assert!(longest > 10, "{longest}");
}
