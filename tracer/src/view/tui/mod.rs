//! The live view: screens as pure functions of a snapshot and of what the user has chosen, in a terminal.
//!
//! ```text
//! terminal ──► Input ──► App::act ──► Request      (quit, write, change the sampling interval: the caller's work)
//!    ▲                     │
//!    └── App::draw ◄── Picture (snapshot, baseline, names) ◄── App::update(Arc<Snapshot>)
//! ```
//!
//! Nothing here reads a process, a map or a file, and nothing waits: what the screens show is in the snapshot.

mod action;
mod app;
mod calltree;
mod cells;
mod changes;
mod chrome;
mod columns;
mod compare;
mod comparison;
mod data;
mod detail;
mod filter;
mod flame;
mod help;
mod interval;
mod list;
mod marks;
mod matches;
mod names;
mod naming;
mod picture;
mod process;
mod prompt;
mod quality;
mod rows;
mod screen;
mod scroll;
mod sites;
mod spark;
mod targets;
mod terminal;
mod theme;
mod tree;

#[cfg(test)]
mod testing;

pub use action::{Action, Input};
pub use app::{App, Request, Settings};
pub use comparison::{ComparisonScreen, ComparisonWish};
pub use terminal::{Terminal, is_there};
pub use theme::Theme;

#[cfg(test)]
mod tests;
