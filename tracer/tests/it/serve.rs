//! The servers of the daemon, by real clients: HTTP and the control socket. A fake loop answers what they ask.
#![expect(clippy::unwrap_used, reason = "what helps tests may fail as they do")]

mod control;
mod hostile;
mod profiles;
pub(crate) mod rig;
mod routes;
mod tls;
