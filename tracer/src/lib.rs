//! Which call stacks of a live process allocate memory, and which keep it.
//!
//! ```text
//! control plane (slow, may fail, may retry)              data plane (bounded, counted, never waits)
//!
//! target ──► allocator ──► probe plan ──► kernel.attach   BPF programs ──► maps, ring buffer
//!   │            ▲                                                              │
//!   └─► elf ─────┴─► unwind                                                     ▼
//!                                         collect ──► symbolize ──► model ──► Snapshot ──► view
//! ```
//!
//! The modules stand in the order in which data flows; each uses only those above it (`cargo xtask tidy`).
#![deny(unsafe_code)]

pub mod units;

pub mod frame;
pub mod mode;

pub mod elf;

pub mod target;

pub mod allocator;

pub mod unwind;

pub mod go;

pub mod probe;

pub mod kernel;

pub mod collect;

pub mod symbolize;

pub mod model;

pub mod advise;

pub mod canary;

pub mod view;

pub mod serve;

pub mod cli;

pub mod options;

pub mod config;

pub mod command;
