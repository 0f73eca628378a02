//! Pods: the API server of the tests, and what becomes of what it says.

mod api_down;
mod cluster;
mod crowd;
mod pods;
mod watch;
