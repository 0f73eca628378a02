//! bpftrace.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::tool::Tool;
use super::{Found, Peer, program};
use crate::floor::ProbeSet;
use crate::workload::Workload;

/// What the scripts print once their probes, which stand before it, are attached.
const READY: &str = "attached";

/// What it does at each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// Counts calls of malloc.
    Count,
    /// Counts by stack at malloc's entry: what mode `alloc` does.
    Stacks,
    /// Follows blocks, without their stacks: less than what mode `live` does.
    Live,
    /// Follows blocks and adds up the bytes of each stack: what mode `live` does.
    LiveStacks,
}

impl Script {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Count, Self::Stacks, Self::Live, Self::LiveStacks];

    /// In words.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Count => "bpftrace, @ = count()",
            Self::Stacks => "bpftrace, @[ustack] = count()",
            Self::Live => "bpftrace, live map without stacks",
            Self::LiveStacks => "bpftrace, live map and stacks",
        }
    }

    /// The floor with the same functions.
    pub(crate) const fn floor(self) -> ProbeSet {
        match self {
            Self::Count | Self::Stacks => ProbeSet::E,
            Self::Live | Self::LiveStacks => ProbeSet::L,
        }
    }

    fn text(self, object: &str) -> String {
        let entry = |action: &str| format!("uprobe:{object}:malloc {{ {action} }}");
        let live = |action: &str| {
            format!(
                "{}
                 uretprobe:{object}:malloc /@size[tid]/ {{ @live[retval] = @size[tid]; {action} delete(@size[tid]); }}
                 uprobe:{object}:free {{ delete(@live[arg0]); }}",
                entry("@size[tid] = arg0;")
            )
        };
        let probes = match self {
            Self::Count => entry("@ = count();"),
            Self::Stacks => entry("@[ustack] = count();"),
            Self::Live => live(""),
            Self::LiveStacks => live("@bytes[ustack] = sum(@size[tid]);"),
        };
        format!("{probes} interval:ms:100 {{ printf(\"{READY}\\n\"); }}")
    }
}

/// The program, and what it is to do.
struct Bpftrace {
    program: PathBuf,
    script: Script,
}

/// Looks for it.
pub(super) fn find(script: Script) -> Found {
    Ok(Box::new(Bpftrace { program: program("bpftrace", "bpftrace")?, script }))
}

impl Peer for Bpftrace {
    fn measure(&mut self, workload: &mut Workload, object: &str, pairs: u64) -> Result<f64> {
        let mut command = Command::new(&self.program);
        command.args(["-B", "line", "-p", &workload.pid().to_string(), "-e", &self.script.text(object)]);
        let mut tool = Tool::start(&mut command)?;
        tool.wait_for(|line| line == READY).context("bpftrace did not attach")?;
        workload.pass()?;
        let measured = workload.run(pairs)?;
        tool.stop()?;
        Ok(measured.ns_per_pair)
    }
}
