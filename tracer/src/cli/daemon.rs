//! `tracer daemon`, as clap sees it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

/// `tracer daemon`
///
/// Each setting has the name of its key in the configuration, a flag and a variable (`max_stacks`, `--max-stacks`,
/// `TRACER_MAX_STACKS`). A variable that begins so and is none of these is no error: for a Service of the name `tracer`
/// Kubernetes sets `TRACER_SERVICE_HOST` and others in every container.
#[derive(Clone, Debug, Default, Args)]
pub struct DaemonArgs {
    /// Configuration: TOML (.toml) or YAML (.yaml, .yml). What flags and variables say comes before it
    #[arg(long, value_name = "FILE", env = "TRACER_CONFIG")]
    pub config: Option<PathBuf>,
    /// Print the configuration that holds, and where each value comes from; trace nothing
    #[arg(long)]
    pub print_config: bool,
    /// Where HTTP is served [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS:PORT", env = "TRACER_LISTEN")]
    pub listen: Option<String>,
    /// Socket that `tracer ctl` speaks to [default: /run/tracer/tracer.sock]
    #[arg(long, value_name = "PATH", env = "TRACER_SOCKET")]
    pub socket: Option<String>,
    /// How often counts are read, and new processes looked for [default: 1s]
    #[arg(long, value_name = "TIME", env = "TRACER_INTERVAL")]
    pub interval: Option<String>,
    /// Call stacks kept apart (216 bytes of kernel memory each) [default: 131072]
    #[arg(long, value_name = "N", env = "TRACER_MAX_STACKS")]
    pub max_stacks: Option<String>,
    /// Blocks followed at a time (49 bytes of kernel memory each) [default: 1048576]
    #[arg(long, value_name = "N", env = "TRACER_MAX_LIVE")]
    pub max_live: Option<String>,
    /// Kernel memory that unwind tables may take [default: 64MiB]
    #[arg(long, value_name = "SIZE", env = "TRACER_MAX_UNWIND")]
    pub max_unwind: Option<String>,
    /// Label sets that are told apart in metrics; the rest is one together [default: 1000]
    #[arg(long, value_name = "N", env = "TRACER_MAX_SERIES")]
    pub max_series: Option<String>,
    /// How long series stay after the last of their processes [default: 10m]
    #[arg(long, value_name = "TIME", env = "TRACER_EXPIRE_AFTER")]
    pub expire_after: Option<String>,
    /// Call sites per label set that get metrics of their own [default: 0]
    #[arg(long, value_name = "N", env = "TRACER_TOP_SITES")]
    pub top_sites: Option<String>,
    /// Label of every process that no rule gives it to: namespace, service, version, canary_group or workload; may be given
    /// several times. In the variable a comma stands between two
    #[arg(long = "label", value_name = "KEY=VALUE", env = "TRACER_LABELS")]
    pub labels: Vec<String>,
    /// Settings that an environment variable gave.
    #[arg(skip)]
    pub from_environment: BTreeSet<String>,
}

impl DaemonArgs {
    /// Notes which settings come from the environment.
    pub(super) fn note_origins(&mut self, matches: &ArgMatches) {
        let is_variable = |id: &&str| matches.value_source(id) == Some(ValueSource::EnvVariable);
        let ids = matches.ids().map(clap::Id::as_str);
        self.from_environment = ids.filter(is_variable).map(str::to_owned).collect();
    }

    /// The settings that have one value each, by their key in the configuration.
    #[must_use]
    pub fn settings(&self) -> [(&'static str, Option<&str>); 9] {
        [
            ("listen", self.listen.as_deref()),
            ("socket", self.socket.as_deref()),
            ("interval", self.interval.as_deref()),
            ("max_stacks", self.max_stacks.as_deref()),
            ("max_live", self.max_live.as_deref()),
            ("max_unwind", self.max_unwind.as_deref()),
            ("max_series", self.max_series.as_deref()),
            ("expire_after", self.expire_after.as_deref()),
            ("top_sites", self.top_sites.as_deref()),
        ]
    }
}
