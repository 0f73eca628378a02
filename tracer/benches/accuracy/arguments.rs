//! The command line of the experiment.

use std::str::FromStr;

use anyhow::{Context, Result, bail};

/// Two thousand intervals of sites with many samples per row need about that many.
const SEEDS: u32 = 105;
/// Allocations of a repetition.
const ALLOCATIONS: u64 = 150_000;
/// A smoke: does everything still come out, roughly?
const QUICK_SEEDS: u32 = 4;

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arguments {
    /// Repetitions of a row, each with a seed of its own.
    pub(crate) seeds: u32,
    /// The seed of the first one.
    pub(crate) first_seed: u32,
    /// Allocations of a repetition.
    pub(crate) allocations: u64,
}

impl Arguments {
    /// Reads them.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let (mut seeds, mut first_seed, mut quick) = (None, 1, false);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => quick = true,
                "--seeds" => seeds = Some(number(&word, words.next())?),
                "--first-seed" => first_seed = number(&word, words.next())?,
                // Cargo says so to every benchmark.
                "--bench" => {}
                _ => bail!("{word} is unknown: it is --quick, --seeds N or --first-seed N"),
            }
        }
        let seeds = seeds.unwrap_or(if quick { QUICK_SEEDS } else { SEEDS });
        if seeds < 2 {
            bail!("--seeds {seeds}: it must be 2 at least, for one run has no spread");
        }
        Ok(Self { seeds, first_seed, allocations: ALLOCATIONS })
    }

    /// The seeds of the repetitions.
    pub(crate) fn all_seeds(&self) -> impl Iterator<Item = u32> {
        (0..self.seeds).map(|index| self.first_seed.wrapping_add(index))
    }

    /// In words.
    pub(crate) fn line(&self) -> String {
        let last = self.first_seed.wrapping_add(self.seeds - 1);
        format!(
            "{} repetitions a row, seeds {} … {last}, {} allocations each",
            self.seeds, self.first_seed, self.allocations
        )
    }
}

fn number<N: FromStr + Default + PartialEq>(flag: &str, word: Option<String>) -> Result<N> {
    let word = word.with_context(|| format!("{flag} needs a number"))?;
    match word.parse() {
        Ok(number) if number != N::default() => Ok(number),
        _ => bail!("{flag} {word}: it must be a number above 0"),
    }
}
