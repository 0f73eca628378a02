//! Objects with random damage: whatever a file holds, reading it ends, soon, without a panic.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracer::elf::{DebugFinder, Image};
use tracer::symbolize::{AddressKind, Located, Place, Symbolizer};
use tracer::target::mappings::MappedFile;
use tracer::units::ElfVaddr;
use tracer::unwind::Extents;

use crate::fixtures::fixture;

/// Damaged copies of each object; each has up to this many wrong bytes.
const COPIES: u64 = 1500;
const MOST_WRONG: u64 = 24;
/// A copy takes some milliseconds; a loop without an end takes longer than this on any machine.
const MOST_TIME: Duration = Duration::from_secs(20);

/// The generator of G. Marsaglia, "Xorshift RNGs" (2003): the same numbers in every run.
struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// Wrong bytes, half of them in the first page and the section headers at the end, on which all else depends.
    fn damage(&mut self, bytes: &mut [u8]) {
        let len = bytes.len() as u64;
        for _ in 0..=self.below(MOST_WRONG) {
            let at = match self.below(4) {
                0 => self.below(len.min(1024)),
                1 => len - 1 - self.below(len.min(4096)),
                _ => self.below(len),
            };
            bytes[at as usize] = match self.below(4) {
                0 => 0xff,
                1 => 0,
                2 => bytes[at as usize] ^ (1 << self.below(8)),
                _ => self.below(256) as u8,
            };
        }
    }
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("the temporary folder is writable");
    file.write_all(bytes).expect("the temporary folder has room");
    file
}

/// Everything that tracer asks an object.
fn ask_everything(bytes: &[u8]) {
    let Ok(image) = Image::open(file_of(bytes)) else { return };
    let image = image.with_debug(&DebugFinder::default(), "/usr/lib/object.so");
    let named = image.functions_named(&["malloc", "free", "calloc"]);
    let addresses: Vec<_> = named.iter().map(|symbol| symbol.address).collect();
    let _ = (image.functions_at(&addresses), image.functions_where(|name| name.ends_with("mallocx")));
    let _ = (image.exported_functions_named(&["malloc"]), image.imported_slots());
    let _ = image.functions_between(ElfVaddr(0)..ElfVaddr(u64::MAX));
    let extents = Extents::load(&image);
    let _ = (extents.iter().count(), addresses.iter().filter_map(|at| extents.at(*at)).count());
}

/// The names of some addresses.
fn name_addresses(bytes: &[u8], seed: u64) {
    let file =
        MappedFile { file: file_of(bytes), path: "/object".to_owned(), identity: (0, seed), root: None };
    let (file, mut symbolizer) = (Arc::new(file), Symbolizer::default());
    for file_offset in (0x1000..bytes.len() as u64).step_by(0x171).take(40) {
        let place = Place::File { file: Arc::clone(&file), file_offset };
        let located = Located { address: file_offset, kind: AddressKind::Return, place };
        assert!(!symbolizer.frames(&located).is_empty(), "an address without a name has a reason");
    }
}

fn damaged(name: &str, whole: &[u8], check: impl Fn(&[u8], u64)) {
    for seed in 1..=COPIES {
        let mut random = Xorshift(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut bytes = whole.to_vec();
        random.damage(&mut bytes);
        if seed % 5 == 0 {
            bytes.truncate(random.below(whole.len() as u64) as usize);
        }
        let begin = Instant::now();
        check(&bytes, seed);
        let took = begin.elapsed();
        assert!(took < MOST_TIME, "{name}, seed {seed}: {took:?}");
    }
}

#[test]
fn no_damage_of_a_program_or_of_the_real_libc_panics() {
    let program = std::fs::read(fixture("truth")).expect("it was compiled");
    damaged("truth", &program, |bytes, _| ask_everything(bytes));
    let maps = std::fs::read_to_string("/proc/self/maps").expect("our own");
    let libc = maps.split_whitespace().find(|word| word.ends_with("/libc.so.6"));
    let libc = std::fs::read(libc.expect("this test runs with glibc")).expect("it is mapped");
    damaged("libc", &libc, |bytes, seed| {
        if seed % 10 == 0 {
            ask_everything(bytes);
        }
    });
}

#[test]
fn no_damage_of_debug_information_ends_the_symbolizer() {
    for name in ["truth", "throws"] {
        let program = std::fs::read(fixture(name)).expect("it was compiled");
        damaged(name, &program, name_addresses);
    }
}
