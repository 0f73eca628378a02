//! memleak: the Python program of BCC, and the one of libbpf-tools.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::tool::Tool;
use super::{Found, Peer, headers, program};
use crate::workload::Workload;

/// In each report, also the first one, a second after the probes are attached.
const REPORT: &str = "outstanding allocations";

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Compiles its BPF code when it starts.
    Python,
    /// Brings it.
    Libbpf,
}

impl Kind {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Python, Self::Libbpf];

    /// In words.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Python => "memleak (bcc, python)",
            Self::Libbpf => "memleak (libbpf-tools)",
        }
    }
}

struct Memleak {
    program: PathBuf,
    /// Of another kernel, if those of this one are not there.
    headers: Option<TempDir>,
}

/// Looks for it, and for what it needs.
pub(super) fn find(kind: Kind) -> Found {
    match kind {
        Kind::Python => {
            let program = program("memleak-bpfcc", "bpfcc-tools")?;
            let headers = if headers::are_installed() {
                None
            } else {
                headers::of_another_kernel().map_err(|error| format!("{error:#}"))?
            };
            Ok(Box::new(Memleak { program, headers }))
        }
        Kind::Libbpf => {
            let found = program("memleak", "libbpf-tools").map_err(|absent| {
                // Debian 12 has the package without this program.
                match program("opensnoop", "libbpf-tools") {
                    Ok(_) => "libbpf-tools is installed, and this version of it has no memleak".to_owned(),
                    Err(_) => absent,
                }
            });
            Ok(Box::new(Memleak { program: found?, headers: None }))
        }
    }
}

impl Peer for Memleak {
    fn measure(&mut self, workload: &mut Workload, object: &str, pairs: u64) -> Result<f64> {
        let mut command = Command::new(&self.program);
        command.args(["-p", &workload.pid().to_string(), "-O", object, "1"]).env("PYTHONUNBUFFERED", "1");
        if let Some(headers) = &self.headers {
            command.env("BCC_KERNEL_SOURCE", headers.path());
        }
        let mut tool = Tool::start(&mut command)?;
        tool.wait_for(|line| line.contains(REPORT)).context("memleak did not attach")?;
        workload.pass()?;
        let measured = workload.run(pairs)?;
        tool.stop()?;
        Ok(measured.ns_per_pair)
    }

    fn note(&self) -> Option<String> {
        self.headers.as_ref().map(|_| "compiled with the headers of another kernel".to_owned())
    }
}
