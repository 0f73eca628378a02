//! Tables of strangers: of versions that nobody knows, without their version, and damaged in every way.

use std::path::Path;
use std::time::{Duration, Instant};

use tracer::elf::Image;
use tracer::go::GoProgram;
use tracer::units::ElfVaddr;

use super::toolchains::{build, toolchains};
use super::{go_program, image};

/// Damaged copies of each program.
const COPIES: u64 = 120;
/// Most time that one may take: a table that runs in a circle never ends.
const MOST_TIME: Duration = Duration::from_secs(20);

struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// A program, and where in the file its table is.
fn built(go: &Path, folder: &Path) -> (Vec<u8>, std::ops::Range<usize>) {
    let program = folder.join("calls");
    build(go, "go_calls.go", &["-ldflags=-s -w"], false, &program);
    let image = image(&program);
    let table = image.section_range(".gopclntab").expect("a program at a fixed address has it");
    let start = image.vaddr_to_file_offset(table.start).expect("it is in the file").0 as usize;
    (std::fs::read(&program).expect("it was built"), start..start + (table.end.0 - table.start.0) as usize)
}

fn opened(bytes: &[u8], folder: &Path) -> Result<Option<GoProgram>, String> {
    let path = folder.join("damaged");
    std::fs::write(&path, bytes).expect("the temporary folder has room");
    let file = std::fs::File::open(&path).expect("it was written");
    Image::open(file).map_or(Ok(None), |image| GoProgram::open(&image))
}

#[test]
fn no_damage_of_a_table_panics_or_never_ends() {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    for go in toolchains("no_damage_of_a_table_panics_or_never_ends") {
        let (whole, table) = built(&go, folder.path());
        let (mut opened_copies, mut named) = (0, 0);
        for seed in 1..=COPIES {
            let mut random = Xorshift(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut bytes = whole.clone();
            for _ in 0..1 << random.below(12) {
                // Behind the table and before it: module data, inlined calls, headers.
                let at = match seed % 4 {
                    0 => random.below(whole.len() as u64) as usize,
                    1 => table.start + random.below(128) as usize,
                    _ => table.start + random.below(table.len() as u64) as usize,
                };
                bytes[at] = [0, 0xff, 0x7f, random.next() as u8][random.below(4) as usize];
            }
            if seed % 7 == 0 {
                bytes.truncate(random.below(whole.len() as u64) as usize);
            }
            let begin = Instant::now();
            if let Ok(Some(program)) = opened(&bytes, folder.path()) {
                opened_copies += 1;
                let text = program.module.text;
                let step = (text.end.0.saturating_sub(text.start.0) / 3000).max(1);
                let addresses = (0..3000).map(|index| text.start.0.wrapping_add(index * step));
                named += addresses.filter(|&at| !program.lines.frames(ElfVaddr(at)).is_empty()).count();
                let _ = (program.lines.function("main.main"), program.lines.functions_where(&|_| true).len());
            }
            let took = begin.elapsed();
            assert!(took < MOST_TIME, "{}, seed {seed}: {took:?}", go.display());
        }
        assert!(
            opened_copies > 10 && named > 10_000,
            "most of a damaged table is whole: {opened_copies}, {named}"
        );
    }
}

#[test]
fn a_format_that_nobody_knows_is_refused_by_name_and_a_version_that_is_not_said_is_not_needed() {
    let test = "a_format_that_nobody_knows_is_refused_by_name_and_a_version_that_is_not_said_is_not_needed";
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    for go in toolchains(test) {
        let (whole, table) = built(&go, folder.path());
        let check = |magic: u8, expect: &str| {
            let mut bytes = whole.clone();
            bytes[table.start] = magic;
            let error = opened(&bytes, folder.path()).expect_err("it cannot be read");
            assert!(error.starts_with("built by go1.") && error.contains(expect), "{error}");
        };
        check(0xf2, "newer Go");
        check(0xfb, "Go 1.17 or older");
        let magic = b"\xff Go buildinf:";
        let at =
            whole.windows(magic.len()).position(|bytes| bytes == magic).expect("it has build information");
        let mut silent = whole.clone();
        silent[at..at + magic.len()].fill(0);
        let silent = opened(&silent, folder.path()).expect("its tables are there").expect("Go has built it");
        assert_eq!(silent.version, None);
        let whole = go_program(&folder.path().join("calls"));
        assert_eq!(silent.lines.functions_where(&|_| true), whole.lines.functions_where(&|_| true));
        assert_eq!(
            silent.lines.frames(silent.module.text.start),
            whole.lines.frames(whole.module.text.start)
        );
    }
}
