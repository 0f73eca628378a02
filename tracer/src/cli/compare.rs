//! `tracer compare`, as clap sees it.

use std::path::PathBuf;

use clap::{Args, Command, FromArgMatches, ValueEnum};

use super::{TraceArgs, View};

/// `tracer compare`
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The release that is there: saved profiles (files or folders, comma between them), pid:PID,PID, or the label set of a
    /// daemon's processes such as '{service="shop",canary_group="stable"}'
    pub base: String,
    /// The release that is to replace it, likewise
    pub canary: String,
    /// What amounts are divided by [default: cpu-second where both sides have it, else process, else run; request with
    /// --requests]
    #[arg(long, value_enum)]
    pub per: Option<ComparePer>,
    /// Requests that each side has answered: a number for both or N,N, or a query of --prometheus that is a rate per second;
    /// $labels and $duration in it stand for the side's labels and window
    #[arg(long, value_name = "N[,N]|QUERY")]
    pub requests: Option<String>,
    /// Of the base alone
    #[arg(long, value_name = "N|QUERY", requires = "requests_canary", conflicts_with = "requests")]
    pub requests_base: Option<String>,
    /// Of the canary alone
    #[arg(long, value_name = "N|QUERY", requires = "requests_base", conflicts_with = "requests")]
    pub requests_canary: Option<String>,
    /// Where queries of requests are asked
    #[arg(long, value_name = "URL")]
    pub prometheus: Option<String>,
    /// 1 - the probability that an unchanged pair is called changed, all tests together
    #[arg(long, value_name = "PERCENT", default_value = "99%")]
    pub confidence: String,
    /// Exit with 3 if something has increased by more; changes within it are `same`
    #[arg(long, value_name = "PERCENT", default_value = "5%")]
    pub max_increase: String,
    /// Call sites with a smaller share of the bytes and of the objects are not tested one by one
    #[arg(long, value_name = "PERCENT", default_value = "0.1%")]
    pub min_share: String,
    /// A verdict with fewer than three processes or runs a side: differences between processes are taken for changes
    #[arg(long)]
    pub sampling_error_only: bool,
    /// Call sites in the table; JSON has all
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,
    /// What goes to stdout [default: table]
    #[arg(long, value_name = "tui|table|json|markdown|svg")]
    pub format: Option<String>,
    /// Write to a file, in the format of its suffix (.json .md .svg .txt) or of --format; may be given several times
    #[arg(short, long = "output", value_name = "FILE")]
    pub output: Vec<PathBuf>,
    /// Weighs the stacks of the flame graph [default: alloc_space]
    #[arg(long, value_enum, value_name = "VIEW")]
    pub view: Option<View>,
    /// Only call sites with a function or module that matches
    #[arg(long, value_name = "REGEX")]
    pub include: Option<String>,
    /// No call sites with a function or module that matches
    #[arg(long, value_name = "REGEX")]
    pub exclude: Option<String>,
    /// Trace pids so long, or read the daemon twice so far apart [default: 30s for pids; of a daemon all since each process
    /// was attached to]
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,
    /// What is traced of pids: entries only, or blocks from their allocation to their free
    #[arg(long, value_name = "alloc|live", default_value = "live")]
    pub mode: String,
    /// Of pids, walk the stack of a sample only, one every N bytes on average, such as 512KiB; 0 is every allocation
    #[arg(long, value_name = "N", default_value = "0")]
    pub sample_bytes: String,
    /// The daemon of label sets
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9464")]
    pub daemon: String,
    /// File with the token that the daemon wants
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// File with the token that Prometheus wants
    #[arg(long, value_name = "FILE")]
    pub prometheus_token_file: Option<PathBuf>,
    /// File with certificates in PEM that https servers are trusted by [default: those of the system]
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// What amounts are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ComparePer {
    /// One process for one second
    Process,
    /// One second of CPU time
    CpuSecond,
    /// One request
    Request,
    /// One run, whatever it took
    Run,
}

impl CompareArgs {
    /// As `attach` would take them, with its defaults for the rest.
    ///
    /// # Errors
    ///
    /// An option of `attach` has no default any more.
    pub fn trace_args(&self) -> Result<TraceArgs, clap::Error> {
        let matches = TraceArgs::augment_args(Command::new("attach")).try_get_matches_from(["attach"])?;
        Ok(TraceArgs {
            mode: self.mode.clone(),
            sample_bytes: self.sample_bytes.clone(),
            duration: Some(self.duration.clone().unwrap_or_else(|| "30s".to_owned())),
            format: Some("table".to_owned()),
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            ..TraceArgs::from_arg_matches(&matches)?
        })
    }
}
