//! `tracer ctl`, as clap sees it.

use clap::{Args, Subcommand, ValueEnum};

use super::TextOrJson;

/// `tracer ctl`
#[derive(Debug, Args)]
pub struct CtlArgs {
    /// Socket of the daemon [default: /run/tracer/tracer.sock]
    #[arg(long, value_name = "PATH", env = "TRACER_SOCKET", global = true)]
    pub socket: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: CtlCommand,
}

/// What a daemon is asked for.
#[derive(Debug, Subcommand)]
pub enum CtlCommand {
    /// Show what is traced, and how
    Status {
        /// How to say it
        #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
        format: TextOrJson,
    },
    /// Change the mean bytes between samples, until the configuration changes or the daemon ends
    Rate {
        /// One sample every so many bytes, such as 512KiB; 0 is every allocation
        size: String,
        /// Of what.
        #[command(flatten)]
        of: CtlScope,
    },
    /// Change what is traced, until the configuration changes or the daemon ends
    Mode {
        /// To what
        mode: CtlMode,
        /// Of what.
        #[command(flatten)]
        of: CtlScope,
    },
    /// Trace a process that no rule wants, or no more one that a rule wants
    #[command(subcommand)]
    Target(CtlTarget),
}

/// What a change is about; without either, everything.
#[derive(Debug, Default, Args)]
pub struct CtlScope {
    /// Only the processes of this rule of the configuration
    #[arg(long, value_name = "NAME", conflicts_with = "pid")]
    pub rule: Option<String>,
    /// Only this process
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
}

/// Modes of tracing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CtlMode {
    /// Entries of the allocating functions only
    Alloc,
    /// Blocks from their allocation to their free
    Live,
}

/// Processes one by one.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum CtlTarget {
    /// Trace this process, until the daemon ends
    Add {
        /// Which
        pid: u32,
    },
    /// Trace this process no more, whatever the rules say, until the daemon ends
    Remove {
        /// Which
        pid: u32,
    },
}
