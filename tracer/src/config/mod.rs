//! What the daemon is to do: flags, environment, file and defaults as one checked whole.
//!
//! A flag comes before a variable, a variable before the file, the file before what is built in. Everything that is wrong is
//! said at once.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::DaemonArgs;
use crate::mode::{GoSource, Mode, Tracing};
use crate::options::UsageError;
use crate::serve::http::HttpOptions;
use crate::target::kubernetes::KubernetesOptions;
use crate::target::labels::LabelRules;
use crate::target::policy::Select;
use document::{Node, Position, Value};
use kubernetes::Around;
use origin::Origins;
use reader::{Notes, Table};

pub use canary::{CanaryConfig, Share};
pub use target::marks;
pub use watch::Watch;

mod canary;
mod check;
mod document;
mod kubernetes;
mod label;
mod origin;
mod print;
mod reader;
mod settings;
mod target;
mod watch;

/// All settings, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where and how HTTP is served.
    pub http: HttpOptions,
    /// The socket for control.
    pub socket: PathBuf,
    /// Between two looks at the counts.
    pub interval: Duration,
    /// Call stacks kept apart.
    pub max_stacks: u32,
    /// Blocks followed.
    pub max_live: u32,
    /// Bytes that unwind tables may take.
    pub max_unwind_bytes: u64,
    /// Label sets that are told apart.
    pub max_series: usize,
    /// Series of which no process is there stay so long.
    pub expire_after: Duration,
    /// A stop of the world by Go's runtime that takes so long is recorded; `None`: stops are not probed.
    pub gc_threshold: Option<Duration>,
    /// Call sites per label set with a metric of their own; 0 is none.
    pub top_sites: usize,
    /// Labels that everything has.
    pub labels: BTreeMap<String, String>,
    /// What the other labels of a process are made of.
    pub label_rules: LabelRules,
    /// How pods are asked for; `None`: they are not.
    pub kubernetes: Option<KubernetesOptions>,
    /// Labels of pods that the built-in label rules ask which side of a rollout one is on.
    pub canary_keys: Vec<String>,
    /// How the two sides of a rollout are compared.
    pub canary: CanaryConfig,
    /// Which processes are traced, and how: the first rule that matches.
    pub rules: Vec<TargetRule>,
}

/// Processes and how they are traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetRule {
    /// Unique.
    pub name: String,
    /// Which processes.
    pub select: Select,
    /// What is traced.
    pub mode: Mode,
    /// Mean bytes between samples; 0 is every allocation.
    pub sample_bytes: u64,
    /// Who counts Go's call sites.
    pub go: GoSource,
    /// Before those that the process itself tells.
    pub labels: BTreeMap<String, String>,
    /// Their children too.
    pub follow_forks: bool,
    /// What a pod says of mode and rate comes before the two above.
    pub pod_settings: bool,
}

impl TargetRule {
    /// How what it wants is traced.
    #[must_use]
    pub const fn tracing(&self) -> Tracing {
        Tracing { mode: self.mode, sample_bytes: self.sample_bytes, go: self.go }
    }
}

/// A rule that says nothing of it is in this mode: one trap per allocation, and nothing at a free.
pub const DEFAULT_MODE: Mode = Mode::Alloc;
/// A rule that says nothing of it samples so many bytes apart.
pub const DEFAULT_SAMPLE_BYTES: u64 = 512 << 10;

/// Where a daemon listens for `tracer ctl`.
pub const DEFAULT_SOCKET: &str = "/run/tracer/tracer.sock";

impl Default for Config {
    fn default() -> Self {
        Self {
            http: HttpOptions {
                listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464),
                max_connections: 256,
                max_requests: 64,
                max_header_bytes: 16 << 10,
                timeout: Duration::from_secs(10),
                max_profile: Duration::from_secs(5 * 60),
                tls: None,
                token_file: None,
            },
            socket: PathBuf::from(DEFAULT_SOCKET),
            interval: Duration::from_secs(1),
            max_stacks: 131_072,
            max_live: 1_048_576,
            max_unwind_bytes: 64 << 20,
            max_series: 1000,
            expire_after: Duration::from_secs(10 * 60),
            gc_threshold: Some(Duration::from_millis(5)),
            top_sites: 0,
            labels: BTreeMap::new(),
            label_rules: LabelRules::or_built_in(Vec::new()),
            kubernetes: None,
            canary_keys: kubernetes::default_canary_keys(),
            canary: CanaryConfig::default(),
            rules: Vec::new(),
        }
    }
}

impl Config {
    /// Settings that differ and that only a restart changes: threads, sockets and maps that are there already. Everything else
    /// holds from the reload on.
    #[must_use]
    pub fn difference_needing_restart(&self, other: &Self) -> Vec<&'static str> {
        let (http, new) = (&self.http, &other.http);
        let differences = [
            ("listen", http.listen != new.listen),
            ("http.max_connections", http.max_connections != new.max_connections),
            ("http.max_requests", http.max_requests != new.max_requests),
            ("http.max_header_bytes", http.max_header_bytes != new.max_header_bytes),
            ("http.timeout", http.timeout != new.timeout),
            ("http.max_profile", http.max_profile != new.max_profile),
            ("http.tls_certificate, http.tls_key", http.tls != new.tls),
            ("http.token_file", http.token_file != new.token_file),
            ("socket", self.socket != other.socket),
            ("max_stacks", self.max_stacks != other.max_stacks),
            ("max_live", self.max_live != other.max_live),
            ("kubernetes", self.kubernetes != other.kubernetes),
            ("gc_threshold", self.gc_threshold != other.gc_threshold),
            ("max_unwind", self.max_unwind_bytes != other.max_unwind_bytes),
        ];
        differences.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
    }
}

/// The configuration that holds.
///
/// # Errors
///
/// Everything that is wrong with it, a line each.
pub fn load(args: &DaemonArgs) -> Result<Config, UsageError> {
    with_origins(args).map(|(config, _)| config)
}

/// The configuration that holds as TOML that can be read back, with the origin of each value beside it.
///
/// # Errors
///
/// Everything that is wrong with it, a line each.
pub fn effective(args: &DaemonArgs) -> Result<String, UsageError> {
    let (config, origins) = with_origins(args)?;
    Ok(print::toml(&config, &origins))
}

fn with_origins(args: &DaemonArgs) -> Result<(Config, Origins), UsageError> {
    with_surroundings(args, &Around::here())
}

fn with_surroundings(args: &DaemonArgs, around: &Around) -> Result<(Config, Origins), UsageError> {
    let notes = Notes::of(args.config.as_deref().map_or_default(|path| path.display().to_string()));
    let root = match &args.config {
        Some(path) => read(path, &notes),
        None => nothing(),
    };
    let config = settings::config(Table::root(&notes, &root), args, around);
    match notes.into_parts() {
        (problems, origins) if problems.is_empty() => Ok((config, origins)),
        (problems, _) => Err(UsageError(problems.join("\n"))),
    }
}

/// The file; if it cannot be read, that is noted, and the flags are looked at all the same.
fn read(path: &Path, notes: &Notes) -> Node {
    document::read(path).unwrap_or_else(|errors| {
        for error in errors {
            notes.wrong(error.at, &error.text);
        }
        nothing()
    })
}

const fn nothing() -> Node {
    Node { value: Value::Table(Vec::new()), at: Position { line: 1, column: 1 } }
}

#[cfg(test)]
mod tests;
