//! Control over a unix socket: one JSON object per line, an answer for each.

mod place;
mod socket;

use serde::{Deserialize, Serialize};

pub use socket::{ControlServer, listen};

use crate::mode::Mode;
use crate::model::node::TargetId;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Tell what is traced.
    Status,
    /// Change the mean bytes between samples.
    Rate {
        /// Of what.
        of: Scope,
        /// 0 is every allocation.
        sample_bytes: u64,
    },
    /// Change what is traced: the processes are detached from and attached to again.
    Mode {
        /// Of what.
        of: Scope,
        /// To what.
        mode: Mode,
    },
    /// Trace a process that no rule wants, in the default mode and rate of the configuration.
    Add {
        /// Which.
        pid: u32,
    },
    /// Trace a process no more, whatever the rules say, until the daemon ends.
    Remove {
        /// Which.
        pid: u32,
    },
}

/// What a change is about. It lasts until the configuration changes, or the daemon ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every target, also those that come.
    All,
    /// The targets of a rule, also those that come.
    Rule(String),
    /// One process.
    Pid(u32),
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Peer {
    /// Effective user.
    pub uid: u32,
    /// Process.
    pub pid: i32,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done, for so many processes.
    Done {
        /// Processes that are changed.
        processes: u64,
    },
    /// What is traced.
    Status(Status),
    /// It was not done, and why.
    Refused(String),
}

/// What a daemon does at present.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// When the daemon started.
    pub started_at: jiff::Timestamp,
    /// Where it serves HTTP.
    pub listen: String,
    /// Of the last reload.
    pub config_error: Option<String>,
    /// The processes.
    pub targets: Vec<StatusTarget>,
}

/// A process of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusTarget {
    /// `PID-START`.
    pub id: String,
    /// Kernel's short name.
    pub comm: String,
    /// Of the configuration.
    pub rule: String,
    /// What is traced.
    pub mode: Mode,
    /// Mean bytes between samples.
    pub sample_bytes: u64,
    /// In the last seconds.
    pub alloc_bytes_per_second: f64,
    /// `None` in mode `alloc`.
    pub inuse_bytes: Option<u64>,
    /// As predicted.
    pub overhead_ratio: Option<f64>,
}

impl StatusTarget {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> Option<TargetId> {
        self.id.parse().ok()
    }
}
