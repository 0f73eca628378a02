//! Finds the BPF object that `cargo xtask build` made; it is embedded in the program.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-env-changed=TRACER_BPF_OBJECT");
    let default = || {
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default())
            .join("../target/bpf/bpfel-unknown-none/release/tracer-bpf")
    };
    let object = env::var_os("TRACER_BPF_OBJECT").map_or_else(default, PathBuf::from);
    println!("cargo::rerun-if-changed={}", object.display());
    match fs::canonicalize(&object) {
        Ok(object) => println!("cargo::rustc-env=TRACER_BPF_OBJECT={}", object.display()),
        Err(error) => println!(
            "cargo::error=no BPF object at {}: {error}. Build with `cargo xtask build`, which makes it first.",
            object.display()
        ),
    }
}
