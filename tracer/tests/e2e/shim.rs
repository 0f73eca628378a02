//! The counting shim (`counting_shim.c`): a judge that sits in the target and counts what passes through it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixtures::library;

/// The functions in the order of `counting_shim.c`, the freeing one last.
pub(crate) const FUNCTIONS: [&str; 7] =
    ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign", "free"];
/// Numbers of each: calls, bytes, failed, attempts, bytes of attempts.
pub(crate) const NUMBERS: usize = 5;

/// The shim for one program, and the file that it counts in.
#[derive(Debug)]
pub(crate) struct Shim {
    /// What is preloaded.
    pub(crate) library: PathBuf,
    program: PathBuf,
    file: PathBuf,
}

impl Shim {
    /// Counts of 0 in a new file.
    pub(crate) fn of(program: &Path, file: &Path) -> Self {
        let program = program.canonicalize().expect("a program that is there");
        let shim = Self { library: library("counting_shim"), program, file: file.to_path_buf() };
        shim.forget();
        shim
    }

    /// Counts of 0 again.
    pub(crate) fn forget(&self) {
        let bytes = (FUNCTIONS.len() * NUMBERS + 2) * size_of::<u64>();
        fs::write(&self.file, vec![0; bytes]).expect("our own file");
    }

    /// Before all other libraries of what the command starts; only the program's own calls are counted.
    pub(crate) fn preload<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("LD_PRELOAD", &self.library)
            .env("COUNTING_SHIM", &self.file)
            .env("COUNTING_SHIM_PROGRAM", &self.program)
    }

    /// What it has counted so far.
    pub(crate) fn counts(&self) -> Counts {
        let bytes = fs::read(&self.file).expect("the shim's counts");
        let words: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|word| u64::from_ne_bytes(word.try_into().expect("eight bytes")))
            .collect();
        let (functions, rest) = words.split_at(FUNCTIONS.len() * NUMBERS);
        let functions = functions
            .chunks_exact(NUMBERS)
            .map(|numbers| numbers.try_into().expect("five numbers"))
            .collect();
        Counts { functions, freed: rest[0], own_blocks: rest[1] }
    }
}

/// What the shim counted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Counts {
    /// As [`FUNCTIONS`].
    pub(crate) functions: Vec<[u64; NUMBERS]>,
    /// Blocks that went, by `free` or by `realloc`.
    pub(crate) freed: u64,
    /// Calls that the shim could not pass on.
    pub(crate) own_blocks: u64,
}

impl Counts {
    /// What came after an earlier look.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let functions = self.functions.iter().zip(&before.functions);
        Self {
            functions: functions.map(|(now, then)| std::array::from_fn(|at| now[at] - then[at])).collect(),
            freed: self.freed - before.freed,
            own_blocks: self.own_blocks,
        }
    }
}
