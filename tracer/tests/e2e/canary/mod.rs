//! The canary verdict about real processes.

mod compare;
mod daemon;
mod releases;
