//! The command line of the benchmark.

use std::str::FromStr;

use anyhow::{Context, Result, bail};

/// A batch on each of the workload's 16 stacks.
const MIN_PAIRS: u64 = 1024;

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arguments {
    /// Rounds; the table shows medians.
    pub(crate) rounds: u32,
    /// Pairs of malloc and free per thread, row and round: a second of the most expensive row.
    pub(crate) pairs: u64,
    /// Threads of the workload.
    pub(crate) threads: u32,
}

impl Arguments {
    /// Reads them.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut arguments = Self { rounds: 5, pairs: 500_000, threads: 1 };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--rounds" => arguments.rounds = number(&word, words.next())?,
                "--pairs" => arguments.pairs = number(&word, words.next())?,
                "--threads" => arguments.threads = number(&word, words.next())?,
                // Cargo says so to every benchmark.
                "--bench" => {}
                _ => bail!("{word} is unknown: it is --rounds N, --pairs N or --threads N"),
            }
        }
        if arguments.pairs < MIN_PAIRS {
            bail!("--pairs {}: it must be {MIN_PAIRS} at least, so that every stack is met", arguments.pairs);
        }
        Ok(arguments)
    }
}

fn number<N: FromStr + Default + PartialEq>(flag: &str, word: Option<String>) -> Result<N> {
    let word = word.with_context(|| format!("{flag} needs a number"))?;
    match word.parse() {
        Ok(number) if number != N::default() => Ok(number),
        _ => bail!("{flag} {word}: it must be a number above 0"),
    }
}
