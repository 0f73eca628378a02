//! The command line, as clap sees it. Nothing here is checked beyond its syntax: `options` does that.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::kernel::seccomp_trial;
pub use advise::{AdviseArgs, AdviseBy};
pub use compare::{CompareArgs, ComparePer};
pub use ctl::{CtlArgs, CtlCommand, CtlMode, CtlScope, CtlTarget};
pub use daemon::DaemonArgs;

mod advise;
mod compare;
mod ctl;
mod daemon;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "tracer",
    version,
    about = "Which call stacks of a live process allocate memory, and which keep it",
    after_help = "Data goes to stdout, messages to stderr. Exit codes: 0 done, 1 failed while running, 2 wrong usage, \
                  3 a threshold or gate failed, 4 target not found, 5 this target or machine cannot be traced.",
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Say more on stderr, the BPF programs' own messages too
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Say nothing on stderr but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Attach to running processes
    #[command(
        after_help = "--pid, --comm, --exe, --cgroup and --container may be given several times and mixed: all that they \
                      name is traced. With one of the last four, processes that match later are traced too, and if \
                      none matches yet, tracer waits for the first; the report comes after --duration or Ctrl-C."
    )]
    Attach(AttachArgs),
    /// Start a program under the tracer, from its first allocation
    Run(RunArgs),
    /// Trace the processes of a machine by rules: metrics and profiles over HTTP
    #[command(
        after_help = "Precedence: flags, then TRACER_* variables, then the file, then defaults. SIGHUP, or a change of the \
                      file, reads it again."
    )]
    Daemon(DaemonArgs),
    /// Change what a running daemon traces, and how
    Ctl(CtlArgs),
    /// Show a saved JSON or pprof file, or a saved comparison
    View(ViewArgs),
    /// Find allocation patterns that are worth fixing, and say how
    #[command(
        after_help = "Rules are asked in order, and what a line of a function asks for gets the advice of the first that \
                      holds; rates and shares that are estimated count with the lower end of their interval. docs/advice.md has every rule, its thresholds and its fix."
    )]
    Advise(AdviseArgs),
    /// Say whether a release allocates more than another one, and where
    #[command(
        after_help = "A side is one or several processes or runs; with three or more a side the differences between them are in \
                      the intervals. The verdict is better, same, worse or not enough data. Exit codes: 0 better, same, \
                      or worse within --max-increase; 3 worse beyond it, or not enough data; 2 nothing can be compared."
    )]
    Compare(CompareArgs),
    /// Say what works here, what is missing, what would be probed and why
    Doctor(DoctorArgs),
    /// Print completions for a shell
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// The tracer's own helper: stop, then become CMD.
    #[command(skip)]
    Exec(Vec<OsString>),
    /// The tracer's own helper: live under a system call filter.
    #[command(skip)]
    SeccompTrial,
}

/// `tracer attach`
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// Which processes.
    #[command(flatten)]
    pub select: SelectArgs,
    /// Everything that `run` has too.
    #[command(flatten)]
    pub trace: TraceArgs,
}

/// Processes of `attach`: each may be given several times, and all of them together are traced.
#[derive(Debug, Default, Args)]
#[group(required = true, multiple = true)]
pub struct SelectArgs {
    /// Process to attach to
    #[arg(long = "pid", value_name = "PID")]
    pub pids: Vec<u32>,
    /// Processes of that name (`comm`), also those that start later; of a longer name the first 15 bytes count
    #[arg(long = "comm", value_name = "NAME")]
    pub comms: Vec<String>,
    /// Processes of that program, also later ones: its path here, or as its container has it
    #[arg(long = "exe", value_name = "PATH")]
    pub exes: Vec<PathBuf>,
    /// Processes of that control group and all below it, also later ones: a path under the cgroup mount, or relative
    /// to it
    #[arg(long = "cgroup", value_name = "PATH")]
    pub cgroups: Vec<PathBuf>,
    /// Processes of that container, also later ones: its id of 64 hex digits, or at least the first 12
    #[arg(long = "container", value_name = "ID")]
    pub containers: Vec<String>,
}

/// `tracer run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Everything that `attach` has too.
    #[command(flatten)]
    pub trace: TraceArgs,
    /// Program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Options of `attach` and `run`.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// What is traced: entries only, or blocks from their allocation to their free
    #[arg(long, value_name = "alloc|live", default_value = "live")]
    pub mode: String,
    /// Walk the stack of a sample only, one every N bytes on average, such as 512KiB; 0 is every allocation
    #[arg(long, value_name = "N", default_value = "0")]
    pub sample_bytes: String,
    /// Where Go's call sites come from: its runtime's own profile, or probes on mallocgc, one stack every --sample-bytes; auto
    /// is the profile where the program has one
    #[arg(long, value_name = "auto|runtime|probes", default_value = "auto")]
    pub go: String,
    /// Stop so long after the first process is attached to, such as 10s [default: until Ctrl-C or the end of the
    /// targets]
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,
    /// How often the live view is drawn anew; given with a table on stdout, one is printed as often. Also how soon a process
    /// that newly matches is attached to [default: 1s]
    #[arg(long, value_name = "TIME")]
    pub interval: Option<String>,
    /// Rows of the table
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,
    /// What goes to stdout [default: table; where `attach` has a terminal tui, the live view]
    #[arg(long, value_name = "tui|table|json|pprof|folded|svg")]
    pub format: Option<String>,
    /// Write to a file, in the format of its suffix (.json .pb.gz .folded .svg .txt) or of --format; may be given several times
    #[arg(short, long = "output", value_name = "FILE")]
    pub output: Vec<PathBuf>,
    /// Sorts the sites and weighs the stacks [default: inuse_space, in mode alloc alloc_space]
    #[arg(long, value_enum, value_name = "VIEW")]
    pub view: Option<View>,
    /// Count as in use only blocks that are at least that old
    #[arg(long, value_name = "TIME")]
    pub older_than: Option<String>,
    /// Only call sites with a function or module that matches
    #[arg(long, value_name = "REGEX")]
    pub include: Option<String>,
    /// No call sites with a function or module that matches
    #[arg(long, value_name = "REGEX")]
    pub exclude: Option<String>,
    /// Label on everything that is exported; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<String>,
    /// Trace only this allocator, as reports name it (glibc, jemalloc, tcmalloc, mimalloc, musl, go, unknown)
    #[arg(long, value_name = "NAME")]
    pub allocator: Option<String>,
    /// Look for allocators in this mapped file only, also among its private functions
    #[arg(long, value_name = "PATH")]
    pub object: Option<String>,
    /// Trace only functions with this before their names: PREFIXmalloc, PREFIXfree, …
    #[arg(long, value_name = "PREFIX")]
    pub symbol_prefix: Option<String>,
    /// How probes are attached
    #[arg(long, value_enum, default_value_t = Attach::Auto)]
    pub attach: Attach,
    /// Record a stop of the world by Go's garbage collector, or by another part of its runtime, that takes so long; 0s is
    /// every one, off sees none and places no probe for them
    #[arg(long, value_name = "TIME", default_value = "5ms")]
    pub gc_threshold: String,
    /// Trace children too [default: no for attach, yes for run]
    #[arg(long, value_name = "yes|no")]
    pub follow_forks: Option<YesNo>,
    /// Tell call sites apart by the name of their thread too
    #[arg(long)]
    pub by_thread: bool,
    /// Call stacks kept apart (216 bytes of kernel memory each)
    #[arg(long, value_name = "N", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    pub max_stacks: u32,
    /// Blocks followed at a time (49 bytes of kernel memory each)
    #[arg(long, value_name = "N", default_value_t = 1_048_576, value_parser = clap::value_parser!(u32).range(1..=268_435_456))]
    pub max_live: u32,
    /// How stacks are walked
    #[arg(long, value_enum, default_value_t = Unwind::Tables)]
    pub unwind: Unwind,
    /// Kernel memory that unwind tables may take
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    pub max_unwind: String,
    /// For the benchmark: look each rule up in its table.
    #[arg(long, hide = true)]
    pub keep_rows: Option<YesNo>,
    /// For tests: walk as on a kernel without `bpf_loop`.
    #[arg(long, hide = true)]
    pub bpf_loop: Option<YesNo>,
    /// For tests: stop the target (SIGSTOP) at one in N samples.
    #[arg(long, hide = true, value_name = "N", default_value_t = 0)]
    pub stop_one_in: u32,
    /// Not there yet.
    #[arg(long, hide = true)]
    pub max_overhead: Option<String>,
}

/// pprof's four numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum View {
    /// Live bytes
    InuseSpace,
    /// Live blocks
    InuseObjects,
    /// Allocated bytes
    AllocSpace,
    /// Allocations
    AllocObjects,
}

/// How probes are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Attach {
    /// The best that works here
    Auto,
    /// uprobe_multi: one link for all probes of a kind
    Multi,
    /// Perf events: one per probe
    Perf,
}

/// How stacks are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Unwind {
    /// By tables made of the programs' frame descriptions: whole in all code that has them
    Tables,
    /// By frame pointers: cheaper, and right only where all code keeps them
    FramePointers,
}

/// A choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum YesNo {
    /// Yes
    Yes,
    /// No
    No,
}

/// `tracer view`
#[derive(Debug, Args)]
pub struct ViewArgs {
    /// File that `attach`, `run` or `compare` wrote
    pub file: PathBuf,
    /// What goes to stdout; markdown is of comparisons, pprof and folded are of profiles [default: tui on a terminal, else
    /// table]
    #[arg(long, value_name = "tui|table|json|pprof|folded|svg|markdown")]
    pub format: Option<String>,
    /// Rows of the table
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,
    /// Sorts the sites and weighs the stacks
    #[arg(long, value_enum, value_name = "VIEW")]
    pub view: Option<View>,
}

/// `tracer doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Also say what would be probed in this process
    #[arg(long)]
    pub pid: Option<u32>,
    /// How to say it
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
}

/// How something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TextOrJson {
    /// For people
    Text,
    /// For programs
    Json,
}

/// First argument of the helper that becomes CMD.
pub const EXEC: &str = "__exec";

/// Prints completions.
pub fn completions(shell: clap_complete::Shell, out: &mut impl std::io::Write) {
    clap_complete::generate(shell, &mut Cli::command(), "tracer", out);
}

/// Prints the manual pages: the program's, then one per command.
///
/// # Errors
///
/// The writer's.
pub fn man(out: &mut impl std::io::Write) -> std::io::Result<()> {
    let mut program = Cli::command();
    program.build();
    pages(&program, "tracer", out)
}

/// The page of a command, and those of the commands below it.
fn pages(command: &clap::Command, title: &str, out: &mut impl std::io::Write) -> std::io::Result<()> {
    clap_mangen::Man::new(command.clone()).title(title).render(out)?;
    let is_shown = |command: &&clap::Command| !command.is_hide_set() && command.get_name() != "help";
    command
        .get_subcommands()
        .filter(is_shown)
        .try_for_each(|command| pages(command, &format!("{title}-{}", command.get_name()), out))
}

/// Parses the process's arguments; prints help, version or a usage error itself, and then is the exit code.
///
/// # Errors
///
/// The exit code of what was printed.
pub fn parse() -> Result<Cli, u8> {
    let mut arguments = std::env::args_os().skip(1);
    let helper = match arguments.next() {
        Some(first) if first == EXEC => Some(Command::Exec(arguments.collect())),
        Some(first) if first == seccomp_trial::ARGUMENT => Some(Command::SeccompTrial),
        _ => None,
    };
    if let Some(command) = helper {
        return Ok(Cli { command, verbose: 0, quiet: false });
    }
    let parsed = Cli::command().try_get_matches().and_then(|matches| from_matches(&matches));
    parsed.map_err(|error| {
        // There is no one to tell if stderr is closed.
        let _ = error.print();
        u8::from(error.use_stderr()) * 2
    })
}

fn from_matches(matches: &ArgMatches) -> Result<Cli, clap::Error> {
    let mut cli = Cli::from_arg_matches(matches).map_err(|error| error.format(&mut Cli::command()))?;
    if let (Command::Daemon(args), Some((_, matches))) = (&mut cli.command, matches.subcommand()) {
        args.note_origins(matches);
    }
    Ok(cli)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
