//! Whole stacks: Debian's own programs under load, built without frame pointers and without debug information.
//!
//! Of each, how many of the walked stacks reach the thread's start; and at random samples the program is stopped and
//! gdb, which knows nothing of tracer, unwinds the same stack. `cargo xtask stacks` looks at 200 stacks of each in both
//! modes, the test run at fewer.

mod agreement;
mod debugger;
mod program;
mod script;
mod server;
mod share;

use self::program::Program;
use crate::harness::{kernel_or_skip, skip};

/// Set by `cargo xtask stacks`: all of it.
const ALL: &str = "TRACER_STACKS";

fn is_all() -> bool {
    std::env::var_os(ALL).is_some()
}

/// Everything about one program, or why it cannot be had.
fn check(name: &str, prepared: impl FnOnce() -> Result<Box<dyn Program>, String>) {
    if !kernel_or_skip(name) {
        return;
    }
    let program = match prepared() {
        Ok(program) => program,
        Err(reason) => return skip(name, &reason),
    };
    share::check(&*program);
    match debugger::is_there() {
        Ok(()) => agreement::check(&*program),
        Err(reason) => skip(name, &format!("its stacks are whole, but nobody compares them: {reason}")),
    }
}

/// Check a python3 that builds, sorts and parses, with an allocator call for every object.
#[test]
fn stacks_of_python_are_whole_and_a_debuggers() {
    check("stacks_of_python_are_whole_and_a_debuggers", script::python);
}

/// Check a perl that fills and empties hashes.
#[test]
fn stacks_of_perl_are_whole_and_a_debuggers() {
    check("stacks_of_perl_are_whole_and_a_debuggers", script::perl);
}

/// Check a sqlite3 that inserts, sorts and groups in memory.
#[test]
fn stacks_of_sqlite_are_whole_and_a_debuggers() {
    check("stacks_of_sqlite_are_whole_and_a_debuggers", script::sqlite);
}

/// Check a git that shows its history.
#[test]
fn stacks_of_git_are_whole_and_a_debuggers() {
    check("stacks_of_git_are_whole_and_a_debuggers", script::git);
}

/// Check a redis-server on jemalloc, with commands and scripts.
#[test]
fn stacks_of_redis_are_whole_and_a_debuggers() {
    check("stacks_of_redis_are_whole_and_a_debuggers", server::redis);
}

/// Check the worker of an nginx that compresses what it lists.
#[test]
fn stacks_of_nginx_are_whole_and_a_debuggers() {
    check("stacks_of_nginx_are_whole_and_a_debuggers", server::nginx);
}

/// Check the backend of one connection to a postgres.
#[test]
fn stacks_of_postgres_are_whole_and_a_debuggers() {
    check("stacks_of_postgres_are_whole_and_a_debuggers", server::postgres);
}
