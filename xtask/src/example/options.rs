//! What can be said to an example on the command line.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use lexopt::{Arg, Parser, ValueExt};

/// How long, how often, with which compilers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Options {
    /// Instead of Debian's and PyPI's.
    pub(super) compilers: Vec<PathBuf>,
    /// Of each window.
    pub(super) window: Duration,
    /// Of one run of wrk.
    pub(super) run: Duration,
    /// Runs with and without tracer, of the baseline.
    pub(super) pairs: usize,
    /// The same of the other variants.
    pub(super) further_pairs: usize,
    /// Requests per second; `None`: a share of what the baseline can do.
    pub(super) rate: Option<u32>,
}

const WINDOW_MAX_SECONDS: u64 = 600;
const PAIRS_MAX: usize = 1000;

impl Options {
    fn new(is_quick: bool) -> Self {
        let (window, run, pairs, further_pairs) = if is_quick { (3, 1, 3, 1) } else { (10, 3, 10, 3) };
        Self {
            compilers: Vec::new(),
            window: Duration::from_secs(window),
            run: Duration::from_secs(run),
            pairs,
            further_pairs,
            rate: None,
        }
    }

    /// `[--go PATH …] [--duration 10s] [--pairs N] [--rate N] [--quick]`, in any order.
    pub(super) fn parse(mut args: Parser) -> Result<Self> {
        let (mut is_quick, mut compilers, mut window, mut pairs, mut rate) =
            (false, Vec::new(), None, None, None);
        while let Some(arg) = args.next()? {
            match arg {
                Arg::Long("quick") => is_quick = true,
                Arg::Long("go") => compilers.push(PathBuf::from(args.value()?)),
                Arg::Long("duration") => window = Some(seconds(&args.value()?.string()?)?),
                Arg::Long("pairs") => pairs = Some(args.value()?.parse::<usize>()?),
                Arg::Long("rate") => rate = Some(args.value()?.parse::<u32>()?),
                other => return Err(other.unexpected().into()),
            }
        }
        let mut options = Self::new(is_quick);
        options.compilers = compilers;
        options.window = window.unwrap_or(options.window);
        options.pairs = pairs.unwrap_or(options.pairs);
        options.rate = rate;
        if !(2..=PAIRS_MAX).contains(&options.pairs) {
            bail!("--pairs must be 2 to {PAIRS_MAX}: one pair alone has no interval");
        }
        if options.rate == Some(0) {
            bail!("--rate must be at least 1 request per second");
        }
        Ok(options)
    }
}

/// `10s`, `10`.
fn seconds(text: &str) -> Result<Duration> {
    let number = text.strip_suffix('s').unwrap_or(text);
    let seconds: u64 = number.parse().with_context(|| format!("{text:?} is no duration such as 10s"))?;
    if !(1..=WINDOW_MAX_SECONDS).contains(&seconds) {
        bail!("--duration must be 1s to {WINDOW_MAX_SECONDS}s, not {text}");
    }
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Options> {
        Options::parse(Parser::from_args(args))
    }

    #[test]
    fn what_is_said_wins_over_quick_wherever_it_stands() {
        let expected = Options { window: Duration::from_secs(7), pairs: 4, ..Options::new(true) };
        for args in
            [["--quick", "--duration", "7s", "--pairs", "4"], ["--duration", "7", "--pairs=4", "--quick", ""]]
        {
            let args: Vec<&str> = args.into_iter().filter(|arg| !arg.is_empty()).collect();
            assert_eq!(parsed(&args).unwrap(), expected);
        }
        assert_eq!(parsed(&[]).unwrap(), Options::new(false));
        assert_eq!(parsed(&["--go", "/a/go", "--go", "/b/go"]).unwrap().compilers.len(), 2);
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        for args in [
            ["--duration", "0s"],
            ["--duration", "ten"],
            ["--duration", "601"],
            ["--pairs", "1"],
            ["--pairs", "-3"],
            ["--rate", "0"],
            ["--fast", ""],
        ] {
            assert!(parsed(&args).is_err(), "{args:?}");
        }
    }
}
