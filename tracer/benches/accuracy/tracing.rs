//! Tracer in this process: what `tracer attach` is made of, and the change of the rate that it has no command for.

use anyhow::{Context, Result, bail};
use clap::Parser;
use tracer::cli::{Cli, Command};
use tracer::command::messages::Messages;
use tracer::command::session::Session;
use tracer::mode::Mode;
use tracer::model::snapshot::Snapshot;
use tracer::options::{self, TraceOptions};
use tracer::target::Target;

/// An attached tracer that counts.
pub(crate) struct Tracing {
    session: Session,
    options: TraceOptions,
}

impl Tracing {
    /// Attaches, with the options that this command line has.
    pub(crate) fn start(pid: u32, mode: Mode, sample_bytes: u64) -> Result<Self> {
        let (pid_word, mode_word, rate) = (pid.to_string(), mode.to_string(), sample_bytes.to_string());
        let line = ["tracer", "attach", "--pid", &pid_word, "--mode", &mode_word, "--sample-bytes", &rate];
        let Command::Attach(arguments) = Cli::try_parse_from(line)?.command else {
            bail!("`attach` is another command now");
        };
        let options = options::trace(&arguments.trace, false)?;
        let target = Target::open(pid).context("the workload is gone")?;
        let messages = Messages::start(0, false);
        let mut session = Session::open(&options, std::slice::from_ref(&target), &messages)?;
        session.add_given(target)?;
        session.count();
        Ok(Self { session, options })
    }

    /// Changes the mean from now on.
    pub(crate) fn set_sample_bytes(&mut self, sample_bytes: u64) {
        self.session.set_sample_bytes(sample_bytes);
    }

    /// The document of this moment.
    pub(crate) fn snapshot(&mut self) -> Result<Snapshot> {
        self.session.drain();
        Ok(self.session.snapshot(&self.options)?)
    }

    /// Removes the probes.
    pub(crate) fn end(mut self) {
        self.session.stop();
        self.session.detach();
    }
}
