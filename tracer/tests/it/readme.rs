//! README and `docs/`: every command line parses, every link leads somewhere.

use std::path::{Path, PathBuf};

use clap::Parser;
use tracer::cli::{Cli, Command};
use tracer::options;

fn repository() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// README.md, and everything in `docs/` and `deploy/` that is Markdown.
fn documents() -> Vec<PathBuf> {
    let mut documents = vec![repository().join("README.md")];
    for folder in ["docs", "deploy"] {
        let folder = repository().join(folder);
        let entries =
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let paths = entries.map(|entry| entry.expect("a readable folder").path());
        documents.extend(paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    documents
}

/// The lines of a document's code blocks.
fn code_lines(text: &str) -> Vec<&str> {
    let mut is_code = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            lines.push(line);
        }
    }
    assert!(!is_code, "a code block has no end");
    lines
}

/// The command lines of this program among shell lines: after the prompt, up to a pipe or a redirection.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let lines = code_lines(text).into_iter().filter_map(|line| line.trim_start().strip_prefix("$ "));
    let lines = lines.map(|line| line.strip_prefix("sudo ").unwrap_or(line));
    lines.filter(|line| line.starts_with("tracer ")).map(words).collect()
}

/// Words as a shell splits them, as far as documents use it: quotes, `$(…)` as one number, an end at `|`, `>`, `&`.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(char) = rest.next() {
        match char {
            '\'' | '"' => {
                word.get_or_insert_default().extend(rest.by_ref().take_while(|&inside| inside != char));
            }
            '$' => {
                // A process id, in every document so far.
                rest.by_ref().find(|&inside| inside == ')');
                word.get_or_insert_default().push('1');
            }
            '|' | '>' | '&' | '#' if word.is_none() => break,
            ' ' => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// Parses a command line, and checks its options as the command itself would.
fn check(line: &[String]) -> Result<(), String> {
    let cli = Cli::try_parse_from(line).map_err(|error| error.to_string())?;
    let checked = match cli.command {
        Command::Attach(args) => options::trace(&args.trace, false).map(drop),
        Command::Run(args) => options::trace(&args.trace, true).map(drop),
        Command::View(args) => options::stdout(args.format.as_deref(), true).map(drop),
        _ => Ok(()),
    };
    checked.map_err(|error| error.to_string())
}

/// Relative targets of Markdown links, without their `#…`.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let targets = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    targets.filter_map(|target| target.split('#').next()).collect()
}

/// Check that the tests below would see a wrong line, quoting included.
#[test]
fn command_lines_are_found_and_split_as_a_shell_does() {
    let text = "```console\n$ sudo tracer run -o 'a b.json' -- sh -c \"x | y\" | cat\noutput\n$ ls\n```\n$ tracer no\n";
    let expect = ["tracer", "run", "-o", "a b.json", "--", "sh", "-c", "x | y"];
    assert_eq!(command_lines(text), [expect.map(str::to_owned).to_vec()]);
    let line = words("tracer attach --pid $(pidof -s nginx) > log");
    assert_eq!(line, ["tracer", "attach", "--pid", "1"]);
    let is_right = |line: &str| check(&words(line)).is_ok();
    assert!(is_right("tracer attach --pid 1 --duration 10s"));
    assert!(!is_right("tracer attach --pid 1 --duration ten"));
    assert!(!is_right("tracer attach --pid 1 --seconds 10"));
    assert!(!is_right("tracer run --format json -- ls"));
}

/// Check that every command line that the documents show is one that the program takes.
#[test]
fn every_command_line_in_the_documents_parses() {
    for path in documents() {
        for line in command_lines(&read(&path)) {
            if let Err(error) = check(&line) {
                panic!("{}: {line:?}: {error}", path.display());
            }
        }
    }
    let shown = command_lines(&read(&repository().join("README.md")));
    for command in ["attach", "run", "view", "doctor"] {
        assert!(shown.iter().any(|line| line[1] == command), "README shows {command}");
    }
}

/// Check that the set-up commands that README names are tasks of the xtask.
#[test]
fn every_xtask_in_the_documents_is_a_task() {
    let tasks = read(&repository().join("xtask/src/main.rs"));
    for path in documents() {
        let text = read(&path);
        for rest in text.split("cargo xtask ").skip(1) {
            let name: String = rest.chars().take_while(|it| it.is_ascii_lowercase() || *it == '-').collect();
            assert!(
                name.is_empty()
                    || tasks.contains(&format!("Task::new(\"{name}\""))
                    || tasks.contains(&format!("Task::new(\n        \"{name}\"")),
                "{}: `cargo xtask {name}` is not a task",
                path.display()
            );
        }
    }
}

/// Check that no relative link leads nowhere.
#[test]
fn every_relative_link_in_the_documents_leads_to_a_file() {
    for path in documents() {
        let text = read(&path);
        for link in links(&text) {
            let folder = path.parent().expect("a document lies in a folder");
            assert!(folder.join(link).exists(), "{}: {link} does not exist", path.display());
        }
    }
}

/// Check that every file that the architecture names is there, and that it names every file of the program.
#[test]
fn the_code_map_of_the_architecture_is_complete() {
    let text = read(&repository().join("docs/architecture.md"));
    for package in ["tracer/src", "tracer-ebpf/src"] {
        let root = repository().join(package);
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder of sources") {
                let path = entry.expect("a readable folder").path();
                let name = path.strip_prefix(&root).expect("below the root").display().to_string();
                if path.is_dir() {
                    folders.push(path);
                } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
                    assert!(
                        text.contains(&format!("`{name}`")),
                        "docs/architecture.md does not name {package}/{name}"
                    );
                }
            }
        }
    }
}
