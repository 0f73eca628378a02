//! The command line of the benchmark.

use std::str::FromStr;

use anyhow::{Context, Result, bail};

use crate::section::Section;

/// A batch on each of the workload's 16 stacks.
const MIN_PAIRS: u64 = 1024;
/// Of `--quick`: everything runs, nothing is worth comparing.
const QUICK_PAIRS: u64 = 5_000;

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    /// Sections, in the order of the program.
    pub(crate) sections: Vec<Section>,
    /// Rounds; the tables show medians.
    pub(crate) rounds: u32,
    /// Pairs of malloc and free per thread, row and round: a second of the most expensive row.
    pub(crate) pairs: u64,
    /// The larger number of threads of section `threads`.
    pub(crate) threads: u32,
    /// Whether only to see that everything runs.
    pub(crate) is_quick: bool,
}

impl Arguments {
    /// Reads them.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let (mut rounds, mut pairs) = (None, None);
        let mut arguments =
            Self { sections: Vec::new(), rounds: 5, pairs: 500_000, threads: 2, is_quick: false };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--rounds" => rounds = Some(number(&word, words.next())?),
                "--pairs" => pairs = Some(number(&word, words.next())?),
                "--threads" => arguments.threads = number(&word, words.next())?,
                "--quick" => arguments.is_quick = true,
                // Cargo says so to every benchmark.
                "--bench" => {}
                name => arguments.sections.push(Section::named(name).with_context(|| unknown(name))?),
            }
        }
        if arguments.is_quick {
            (arguments.rounds, arguments.pairs) = (1, QUICK_PAIRS);
        }
        arguments.rounds = rounds.unwrap_or(arguments.rounds);
        arguments.pairs = pairs.unwrap_or(arguments.pairs);
        if arguments.pairs < MIN_PAIRS {
            bail!("--pairs {}: it must be {MIN_PAIRS} at least, so that every stack is met", arguments.pairs);
        }
        if arguments.sections.is_empty() {
            arguments.sections = Section::ALL.to_vec();
        }
        Ok(arguments)
    }
}

fn unknown(word: &str) -> String {
    let sections: Vec<&str> = Section::ALL.iter().map(|section| section.name()).collect();
    format!(
        "{word} is unknown: it is --rounds N, --pairs N, --threads N, --quick, or a section: {}",
        sections.join(" ")
    )
}

fn number<N: FromStr + Default + PartialEq>(flag: &str, word: Option<String>) -> Result<N> {
    let word = word.with_context(|| format!("{flag} needs a number"))?;
    match word.parse() {
        Ok(number) if number != N::default() => Ok(number),
        _ => bail!("{flag} {word}: it must be a number above 0"),
    }
}
