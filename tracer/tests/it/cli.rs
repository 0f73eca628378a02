//! The command line: what is refused and how, what help shows, what is generated from it.

use crate::tracer;

/// Wrong usage is refused with 2, one sentence on stderr, and nothing on stdout.
#[track_caller]
fn refused(args: &[&str], sentence: &str) {
    let outcome = tracer(args);
    assert_eq!(outcome.code, Some(2), "{args:?}: {}", outcome.stderr);
    assert_eq!(outcome.text(), "", "{args:?}: stdout is for data");
    assert_eq!(outcome.stderr.trim_end(), format!("tracer: {sentence}"), "{args:?}");
}

/// What clap refuses has its own words: they must hold the part that matters.
#[track_caller]
fn refused_by_syntax(args: &[&str], part: &str) {
    let outcome = tracer(args);
    assert_eq!(outcome.code, Some(2), "{args:?}: {}", outcome.stderr);
    assert_eq!(outcome.text(), "", "{args:?}: stdout is for data");
    assert!(outcome.stderr.contains(part), "{args:?}: {}", outcome.stderr);
}

/// Check that each option of a later version says that it is one, for `attach` and for `run`.
#[test]
fn an_option_of_a_later_version_is_refused_with_that_sentence() {
    let later = "is not there yet: a later version brings it";
    for (option, value, sentence) in [
        ("--mode", "growth", format!("--mode growth {later}. Use alloc or live")),
        ("--max-overhead", "2%", format!("--max-overhead {later}")),
        ("--sample-bytes", "auto", format!("--sample-bytes auto {later}. Use 0, every allocation")),
    ] {
        refused(&["attach", "--pid", "1", option, value], &sentence);
        refused(&["run", option, value, "--", "true"], &sentence);
    }
}

/// Check that the live view is refused where there is no terminal, or where it is CMD's.
#[test]
fn a_live_view_without_a_terminal_is_refused() {
    let sentence = "--format tui needs stdout to be a terminal that is ours. Use table";
    refused(&["attach", "--pid", "1", "--format", "tui"], sentence);
    refused(&["run", "--format", "tui", "--", "true"], sentence);
    refused(&["view", "--format", "tui", "x.json"], sentence);
}

/// Check that every wrong value is named with its option, and with what would be right.
#[test]
fn a_wrong_value_is_refused_with_what_would_be_right() {
    for (options, sentence) in [
        (&["--mode", "heap"][..], "--mode heap is unknown: it is alloc or live"),
        (&["--sample-bytes", "513MiB"], "--sample-bytes 513MiB: it must be at most 512 MiB"),
        (&["--format", "xml"], "--format xml is unknown: it is tui, table, json, pprof, folded or svg"),
        (
            &["-o", "report.xml"],
            "-o report.xml: its suffix is of no format. Use .json, .pb.gz, .folded, .svg or .txt, or one -o \
             with --format",
        ),
        (
            &["--format", "json", "-o", "a", "-o", "b.svg"],
            "-o a: its suffix is of no format. Use .json, .pb.gz, .folded, .svg or .txt, or one -o with --format",
        ),
        (
            &["--mode", "alloc", "--older-than", "30s"],
            "--older-than needs --mode live: mode alloc does not follow blocks",
        ),
        (
            &["--mode", "alloc", "--view", "inuse_space"],
            "--view inuse_space and inuse_objects need mode live: mode alloc does not follow blocks",
        ),
        (
            &["--mode", "alloc", "--view", "inuse_objects"],
            "--view inuse_space and inuse_objects need mode live: mode alloc does not follow blocks",
        ),
        (&["--duration", "0s"], "--duration 0s: it must be above 0"),
        (&["--interval", "0s"], "--interval 0s: it must be above 0"),
        (&["--label", "service"], "--label service: it must be KEY=VALUE"),
        (&["--label", "=shop"], "--label =shop: it must be KEY=VALUE"),
        (&["--comm", ""], "--comm: the name is empty"),
        (&["--container", "web-1"], "--container web-1: an id has hex digits only"),
        (&["--container", "0123456789a"], "--container 0123456789a: give 12 to 64 hex digits of its id"),
    ] {
        refused(&[&["attach", "--pid", "1"], options].concat(), sentence);
    }
}

/// Check the values whose error is a parser's own: the option and the example are ours.
#[test]
fn a_value_that_does_not_parse_is_refused_with_its_option() {
    for (options, begin, end) in [
        (&["--duration", "soon"][..], "tracer: --duration soon: ", "Use a time such as 10s or 500ms"),
        (&["--duration", "10"], "tracer: --duration 10: ", "Use a time such as 10s or 500ms"),
        (&["--interval", "-1s"], "error: ", ""),
        (&["--gc-threshold", "never"], "tracer: --gc-threshold never: ", "0s for every stop, or off"),
        (&["--older-than", "old"], "tracer: --older-than old: ", "Use a time such as 10s or 500ms"),
        (&["--sample-bytes", "many"], "tracer: --sample-bytes many: ", "Use a size such as 0 or 512KiB"),
        (&["--include", "("], "tracer: --include (: ", "unclosed group"),
        (&["--exclude", "["], "tracer: --exclude [: ", "unclosed character class"),
    ] {
        let outcome = tracer([&["attach", "--pid", "1"], options].concat());
        assert_eq!(outcome.code, Some(2), "{options:?}: {}", outcome.stderr);
        assert!(outcome.stderr.starts_with(begin), "{options:?}: {}", outcome.stderr);
        assert!(outcome.stderr.trim_end().ends_with(end), "{options:?}: {}", outcome.stderr);
    }
}

/// Check that sizes of samples are taken in every unit, up to the largest: what is refused comes after them.
#[test]
fn a_size_of_samples_is_taken() {
    for size in ["0", "1", "524288", "512KiB", "0.5MiB", "64 KiB", "512MiB"] {
        let sentence = "--older-than needs --mode live: mode alloc does not follow blocks";
        let options = ["--sample-bytes", size, "--mode", "alloc", "--older-than", "30s"];
        refused(&[&["attach", "--pid", "1"][..], &options].concat(), sentence);
    }
}

/// Check that `run` never takes CMD's stdout: another format needs a file.
#[test]
fn run_needs_a_file_for_another_format_than_the_table() {
    for format in ["json", "pprof", "folded", "svg"] {
        let sentence = "--format needs -o FILE with `run`: stdout belongs to CMD";
        refused(&["run", "--format", format, "--", "true"], sentence);
    }
}

/// Check what clap refuses: its code is ours.
#[test]
fn a_command_line_of_the_wrong_shape_is_refused() {
    for (args, part) in [
        (&[][..], "Usage:"),
        (&["trace"], "unrecognized subcommand 'trace'"),
        (&["attach"], "--pid <PID>|--comm <NAME>|--exe <PATH>|--cgroup <PATH>|--container <ID>"),
        (&["attach", "--duration", "1s"], "--pid <PID>|--comm <NAME>|"),
        (&["run", "--comm", "sh", "--", "true"], "unexpected argument '--comm' found"),
        (&["attach", "--pid", "-1"], "'-1'"),
        (&["attach", "--pid", "shop"], "invalid value 'shop' for '--pid <PID>'"),
        (&["attach", "--pid", "1", "--top", "all"], "invalid value 'all' for '--top <N>'"),
        (&["attach", "--pid", "1", "--view", "rss"], "invalid value 'rss' for '--view <VIEW>'"),
        (&["attach", "--pid", "1", "--attach", "ptrace"], "invalid value 'ptrace' for '--attach <ATTACH>'"),
        (&["attach", "--pid", "1", "--follow-forks", "maybe"], "invalid value 'maybe'"),
        (&["attach", "--pid", "1", "--max-stacks", "0"], "0 is not in 1..=16777216"),
        (&["attach", "--pid", "1", "--max-live", "0"], "0 is not in 1..=268435456"),
        (&["attach", "--pid", "1", "-v", "-q"], "cannot be used with"),
        (&["run"], "<CMD>..."),
        (&["run", "ls"], "unexpected argument 'ls' found"),
        (&["view"], "<FILE>"),
        (&["doctor", "--format", "xml"], "invalid value 'xml' for '--format <FORMAT>'"),
        (&["daemon", "extra"], "unexpected argument 'extra' found"),
        (&["ctl"], "Usage:"),
        (&["ctl", "rate"], "<SIZE>"),
        (&["ctl", "rate", "0", "--rule", "a", "--pid", "1"], "cannot be used with"),
        (&["ctl", "mode", "growth"], "invalid value 'growth' for '<MODE>'"),
        (&["ctl", "target", "add", "shop"], "invalid value 'shop' for '<PID>'"),
        (&["completions", "sh"], "invalid value 'sh' for '<SHELL>'"),
    ] {
        refused_by_syntax(args, part);
    }
}

/// Check that help goes to stdout, and that it shows nothing that is refused or meant for the program itself.
#[test]
fn help_shows_every_option_that_works_and_no_other() {
    const COMMANDS: [&str; 10] =
        ["attach", "run", "daemon", "ctl", "view", "advise", "compare", "doctor", "completions", "man"];
    let options = "--mode --sample-bytes --duration --interval --top --format --output --view --older-than \
                   --include --exclude --label --allocator --object --symbol-prefix --attach --follow-forks --by-thread --max-stacks --max-live";
    let main_help = tracer(["--help"]);
    for command in COMMANDS {
        assert!(main_help.success().contains(&format!("\n  {command} ")), "{command}: {}", main_help.text());
    }
    let selectors = "--pid --comm --exe --cgroup --container";
    let settings = "--config --print-config --listen --socket --interval --max-stacks --max-live --max-unwind \
                    --max-series --expire-after --top-sites --label TRACER_CONFIG TRACER_MAX_STACKS TRACER_LABELS";
    for (command, shown) in [
        ("attach", options),
        ("attach", selectors),
        ("run", options),
        ("daemon", settings),
        ("ctl", "--socket TRACER_SOCKET status rate mode target"),
        ("view", "--format --top --view"),
        (
            "advise",
            "--pid --fail-above --by --top --format --output --duration --mode --sample-bytes --include --exclude",
        ),
        (
            "compare",
            "--per --requests --prometheus --confidence --max-increase --min-share --sampling-error-only --top --format \
             --output --view --include --exclude --duration --mode --sample-bytes --daemon --token-file --ca-file",
        ),
    ] {
        let help = tracer([command, "--help"]);
        for option in shown.split_whitespace() {
            assert!(help.success().contains(option), "{command} {option}: {}", help.text());
        }
    }
    for args in [&["--help"][..]].into_iter().chain(COMMANDS.each_ref().map(std::slice::from_ref)) {
        let help = tracer(args.iter().chain(&["--help"]));
        for hidden in ["max-overhead", "growth", "|auto", "__", "seccomp"] {
            assert!(!help.success().contains(hidden), "{args:?} {hidden}: {}", help.text());
        }
    }
}

/// Check that the version is the package's.
#[test]
fn version_is_the_packages() {
    assert_eq!(tracer(["--version"]).success(), concat!("tracer ", env!("CARGO_PKG_VERSION"), "\n"));
}

/// Check that each shell gets completions that know the commands.
#[test]
fn completions_know_the_commands() {
    for (shell, begin) in [("bash", "_tracer() {"), ("zsh", "#compdef tracer"), ("fish", "")] {
        let outcome = tracer(["completions", shell]);
        assert!(outcome.success().starts_with(begin), "{shell}: {}", outcome.text());
        for word in
            ["attach", "run", "daemon", "ctl", "view", "doctor", "older-than", "print-config", "remove"]
        {
            assert!(outcome.text().contains(word), "{shell}: it completes {word}");
        }
    }
}

/// Check that the manual page is one: roff, with a title, a name and the exit codes.
#[test]
fn manual_page_is_roff() {
    let page = tracer(["man"]);
    for part in [
        ".TH tracer-daemon 1",
        ".TH tracer-ctl-target-add 1",
        ".TH tracer 1",
        ".SH NAME\ntracer \\- ",
        ".SH SYNOPSIS",
        "Exit codes: 0 done",
    ] {
        assert!(page.success().contains(part), "{part}: {}", page.text());
    }
}
