//! What the kernel side and user space agree on.
//!
//! The library target holds the shared types ([`abi`]) and the kernel logic that needs no BPF helper
//! ([`stack_hash`], [`histogram`], [`unwind`]), so that it is tested on the host. The binary target
//! (`src/main.rs`, feature `programs`) holds the BPF programs. Nothing here allocates or panics.
#![cfg_attr(not(test), no_std)]

pub mod abi;
pub mod histogram;
pub mod sampling;
pub mod stack_hash;
pub mod table;
pub mod unwind;
