//! `cargo xtask …`: everything that a developer or CI runs. One line per task here, one file per task beside.

mod accuracy;
mod advice;
mod allocators;
mod bench;
mod build;
mod canary_power;
mod demo;
mod example;
mod image;
mod install;
mod lint;
mod pictures;
mod process;
mod program;
mod python;
mod record;
mod services;
mod setup;
mod stacks;
mod stage;
mod test;
mod tidy;
mod toolchain;

use std::process::ExitCode;

use anyhow::{Result, bail};
use lexopt::{Arg, Parser};

/// One task: what is typed, what it does, who does it.
struct Task {
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    run: fn(Parser) -> Result<()>,
}

const TASKS: &[Task] = &[
    Task::new(
        "setup",
        "[--test | --bench]",
        "get the BPF toolchain, and what the tests or the benchmark run",
        setup::task,
    ),
    Task::new("build", "[--release]", "the BPF object, then target/{debug,release}/tracer", build::task),
    Task::new(
        "test",
        "[--only unit|e2e] [FILTER]",
        "build, lint, tidy and every test; what CI runs",
        test::task,
    ),
    Task::new("lint", "", "format and clippy, warnings are errors", lint::task),
    Task::new("tidy", "", "the architecture's invariants, as checks", tidy::task),
    Task::new("demo", "", "trace a small leaking service for 10 s", demo::task),
    Task::new(
        "example",
        "go-map-storm [--quick] [ARG …]",
        "a Go service's maps before and after each remedy: docs/go.md",
        example::task,
    ),
    Task::new(
        "advice",
        "[--duration SECONDS] [PROGRAM …]",
        "what is advised on Debian's Go programs under load: docs/advice.md",
        advice::task,
    ),
    Task::new(
        "bench",
        "[SECTION …] [--quick] [ARG …]",
        "what tracing costs: docs/performance.md",
        bench::task,
    ),
    Task::new(
        "accuracy",
        "[ARG …]",
        "how right sampled numbers are: tables for docs/accuracy.md",
        accuracy::task,
    ),
    Task::new(
        "canary-power",
        "[--quick] [ARG …]",
        "how well a comparison finds changes: the tables of docs/canary.md",
        canary_power::task,
    ),
    Task::new(
        "allocators",
        "",
        "the matrix of allocators: the table of docs/allocators.md",
        allocators::task,
    ),
    Task::new(
        "stacks",
        "[PROGRAM]",
        "stacks of Debian's programs under load against gdb's: the long form of the test",
        stacks::task,
    ),
    Task::new(
        "record",
        "",
        "documents of real runs, which the tests of the live view draw; takes a minute",
        record::task,
    ),
    Task::new(
        "pictures",
        "",
        "the README's pictures of the live view, of real runs; takes a minute",
        pictures::task,
    ),
    Task::new(
        "install",
        "[--root DIR]",
        "program, man page and completions to DIR (/usr/local)",
        install::task,
    ),
    Task::new(
        "image",
        "--root DIR [--program FILE]",
        "the content of the container image, in an empty folder",
        image::task,
    ),
    Task::new("help", "", "this list", help),
];

impl Task {
    const fn new(
        name: &'static str,
        usage: &'static str,
        about: &'static str,
        run: fn(Parser) -> Result<()>,
    ) -> Self {
        Self { name, usage, about, run }
    }
}

fn main() -> ExitCode {
    match dispatch(Parser::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(mut args: Parser) -> Result<()> {
    let name = match args.next()? {
        None | Some(Arg::Long("help") | Arg::Short('h')) => "help".to_owned(),
        Some(Arg::Value(name)) => name.to_string_lossy().into_owned(),
        Some(other) => return Err(other.unexpected().into()),
    };
    match TASKS.iter().find(|task| task.name == name) {
        Some(task) => (task.run)(args),
        None => bail!("there is no task {name:?}: `cargo xtask help` lists what there is"),
    }
}

fn help(args: Parser) -> Result<()> {
    no_more(args)?;
    println!("cargo xtask TASK\n");
    for Task { name, usage, about, .. } in TASKS {
        println!("  {:<35} {about}", format!("{name} {usage}"));
    }
    Ok(())
}

/// Refuses whatever is left on the command line.
fn no_more(mut args: Parser) -> Result<()> {
    match args.next()? {
        None => Ok(()),
        Some(arg) => Err(arg.unexpected().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_task_is_refused_with_the_way_to_the_list() {
        let error = dispatch(Parser::from_args(["tets"])).expect_err("a typo is not a task");
        assert!(error.to_string().contains("cargo xtask help"), "{error}");
    }

    #[test]
    fn a_task_without_arguments_refuses_one() {
        assert!(dispatch(Parser::from_args(["help", "--all"])).is_err());
    }
}
