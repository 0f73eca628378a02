//! `tracer ctl`: asks a running daemon for something, over its socket.

mod connection;
mod text;

use std::path::Path;

use anyhow::anyhow;

use super::{Failure, print};
use crate::cli::{CtlArgs, CtlCommand, CtlMode, CtlScope, CtlTarget, TextOrJson};
use crate::config::DEFAULT_SOCKET;
use crate::mode::Mode;
use crate::options::{self, UsageError};
use crate::serve::control::{Answer, Request, Scope};

/// Asks, and prints the answer.
///
/// # Errors
///
/// Nobody is there, the socket cannot be trusted, or the daemon refuses.
pub fn run(args: &CtlArgs) -> Result<(), Failure> {
    let request = request(&args.command)?;
    // A variable without a value is how many a manifest says that there is none.
    let socket = args.socket.as_deref().filter(|path| !path.is_empty()).unwrap_or(DEFAULT_SOCKET);
    match connection::ask(Path::new(socket), &request)? {
        Answer::Refused(reason) => {
            Err(anyhow!("the daemon refused: {}", crate::view::frame::printable(&reason)).into())
        }
        Answer::Done { processes } => print(|out| {
            out.extend_from_slice(text::done(&args.command, processes).as_bytes());
            Ok(())
        }),
        Answer::Status(status) => print(|out| {
            if matches!(args.command, CtlCommand::Status { format: TextOrJson::Json }) {
                serde_json::to_writer_pretty(&mut *out, &status)?;
                out.push(b'\n');
            } else {
                out.extend_from_slice(text::status(&status).as_bytes());
            }
            Ok(())
        }),
    }
}

/// What the command line asks for.
fn request(command: &CtlCommand) -> Result<Request, UsageError> {
    Ok(match command {
        CtlCommand::Status { .. } => Request::Status,
        CtlCommand::Rate { size, of } => {
            Request::Rate { of: scope(of), sample_bytes: options::sample_bytes(size, "rate")? }
        }
        CtlCommand::Mode { mode, of } => Request::Mode {
            of: scope(of),
            mode: match mode {
                CtlMode::Alloc => Mode::Alloc,
                CtlMode::Live => Mode::Live,
            },
        },
        CtlCommand::Target(CtlTarget::Add { pid }) => Request::Add { pid: *pid },
        CtlCommand::Target(CtlTarget::Remove { pid }) => Request::Remove { pid: *pid },
    })
}

fn scope(of: &CtlScope) -> Scope {
    match (&of.rule, of.pid) {
        (Some(rule), _) => Scope::Rule(rule.clone()),
        (None, Some(pid)) => Scope::Pid(pid),
        (None, None) => Scope::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_asks_for_what_it_says() {
        let check = |command: CtlCommand, expect: &str| {
            let request = request(&command).expect("it is right");
            assert_eq!(serde_json::to_string(&request).expect("it is JSON"), expect);
        };
        let rule = || CtlScope { rule: Some("api".to_owned()), pid: None };
        let pid = || CtlScope { rule: None, pid: Some(7) };
        let (all, size) = (CtlScope::default(), "64KiB".to_owned());
        check(CtlCommand::Status { format: TextOrJson::Text }, r#"{"do":"status"}"#);
        check(
            CtlCommand::Rate { size, of: rule() },
            r#"{"do":"rate","of":{"rule":"api"},"sample_bytes":65536}"#,
        );
        check(
            CtlCommand::Mode { mode: CtlMode::Live, of: pid() },
            r#"{"do":"mode","of":{"pid":7},"mode":"live"}"#,
        );
        check(
            CtlCommand::Mode { mode: CtlMode::Alloc, of: all },
            r#"{"do":"mode","of":"all","mode":"alloc"}"#,
        );
        check(CtlCommand::Target(CtlTarget::Add { pid: 7 }), r#"{"do":"add","pid":7}"#);
        check(CtlCommand::Target(CtlTarget::Remove { pid: 7 }), r#"{"do":"remove","pid":7}"#);
    }

    #[test]
    fn a_size_that_is_none_is_refused_before_anyone_is_asked() {
        let error = request(&CtlCommand::Rate { size: "many".to_owned(), of: CtlScope::default() });
        assert!(error.is_err_and(|error| error.0.starts_with("rate many: ")));
    }
}
