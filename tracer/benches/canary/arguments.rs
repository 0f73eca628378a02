//! The command line of the experiment.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// Processes of each release that a comparison has.
pub(crate) const UNITS: usize = 6;

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    /// The program.
    pub(crate) tracer: PathBuf,
    /// Where documents and counts of requests are kept.
    pub(crate) folder: PathBuf,
    /// The service in C++.
    pub(crate) cpp: PathBuf,
    /// The service in Go.
    pub(crate) go: PathBuf,
    /// Windows recorded of each process.
    pub(crate) windows: u32,
    /// Seconds of a window.
    pub(crate) window_seconds: u32,
    /// Requests per second and process.
    pub(crate) requests: u32,
    /// Comparisons per cell of the tables.
    pub(crate) comparisons: u32,
    /// Of all that is drawn.
    pub(crate) seed: u64,
}

impl Arguments {
    /// Reads them.
    pub(crate) fn read(words: impl Iterator<Item = OsString>) -> Result<Self> {
        let mut read = Self {
            tracer: PathBuf::new(),
            folder: PathBuf::new(),
            cpp: PathBuf::new(),
            go: PathBuf::new(),
            windows: 12,
            window_seconds: 15,
            requests: 400,
            comparisons: 100,
            seed: 1,
        };
        let mut words = words;
        while let Some(word) = words.next() {
            let name = word.to_string_lossy().into_owned();
            let mut value = || words.next().with_context(|| format!("{name} needs a value"));
            match name.as_str() {
                "--tracer" => read.tracer = value()?.into(),
                "--folder" => read.folder = value()?.into(),
                "--cpp" => read.cpp = value()?.into(),
                "--go" => read.go = value()?.into(),
                "--seed" => read.seed = value()?.to_string_lossy().parse().context("--seed is a number")?,
                "--quick" => (read.windows, read.window_seconds, read.comparisons) = (4, 5, 20),
                // Cargo says so to every benchmark.
                "--bench" => {}
                _ => bail!("{name} is unknown: it is --quick or --seed N"),
            }
        }
        if read.tracer.as_os_str().is_empty() || read.cpp.as_os_str().is_empty() {
            bail!("the services are not named: run this by `cargo xtask canary-power`");
        }
        Ok(read)
    }

    /// In words.
    pub(crate) fn line(&self) -> String {
        format!(
            "{} windows of {} s of each process, {} requests a second; {} comparisons a cell, {UNITS} processes a side; \
             seed {}\n",
            self.windows, self.window_seconds, self.requests, self.comparisons, self.seed
        )
    }
}
