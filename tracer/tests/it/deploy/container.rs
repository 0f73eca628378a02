//! `deploy/container/Dockerfile`: read by a parser, because nothing here builds images.

use std::borrow::Cow;

use parse_dockerfile::{Command, CopyInstruction, Instruction, Source, UnescapedString};

use super::objects::{find, with};
use super::{read, repository};

const FILE: &str = "deploy/container/Dockerfile";

fn value<'a>(text: &'a UnescapedString<'_>) -> &'a str {
    &text.value
}

fn words(command: &Command<'_>) -> Vec<String> {
    match command {
        Command::Exec(words) => words.value.iter().map(|word| value(word).to_owned()).collect(),
        other => panic!("a shell would be needed: {other:?}"),
    }
}

/// The stage or image that is copied from, what, and where to.
fn copied<'a>(copy: &'a CopyInstruction<'_>) -> (Option<&'a str>, Vec<Cow<'a, str>>, &'a str) {
    let from = copy.options.iter().find(|option| value(&option.name) == "from");
    let sources = copy.src.iter().map(|source| match source {
        Source::Path(path) => Cow::Borrowed(value(path)),
        other => panic!("no path: {other:?}"),
    });
    (from.and_then(|option| option.value.as_ref()).map(value), sources.collect(), value(&copy.dest))
}

/// Check that it is built of what is here, by a command that is there, and that nothing but its result is in the image.
#[test]
fn the_image_is_what_the_image_command_makes() {
    let text = read(FILE);
    let file = parse_dockerfile::parse(&text).expect("a Dockerfile");
    let stages: Vec<_> = file.stages().collect();
    let images: Vec<_> = stages.iter().map(|stage| value(&stage.from.image)).collect();
    assert_eq!(images, ["rust:1.95-bookworm", "scratch"]);
    let name = stages[0].from.as_.as_ref().map(|(_, name)| value(name));
    let copies: Vec<_> = stages
        .iter()
        .map(|stage| {
            let copies = stage.instructions.iter().filter_map(|instruction| match instruction {
                Instruction::Copy(copy) => Some(copied(copy)),
                _ => None,
            });
            copies.collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(copies[0], [(None, vec![Cow::Borrowed(".")], ".")]);
    assert_eq!(copies[1], [(name, vec![Cow::Borrowed("/image/")], "/")]);
    let runs: Vec<_> = stages[0]
        .instructions
        .iter()
        .filter_map(|instruction| match instruction {
            Instruction::Run(run) => Some(match &run.arguments {
                Command::Shell(text) => text.value.to_owned(),
                other => panic!("{other:?}"),
            }),
            _ => None,
        })
        .collect();
    assert_eq!(runs, ["cargo xtask setup", "cargo xtask image --root /image"]);
    let alias = read(".cargo/config.toml");
    assert!(alias.contains("xtask = "), "{alias}");
}

/// Check that the image starts what the pod starts, as the user of the pod.
#[test]
fn the_image_starts_as_the_pod_wants_it() {
    let text = read(FILE);
    let file = parse_dockerfile::parse(&text).expect("a Dockerfile");
    let last = file.stages().last().expect("a stage");
    let (mut entrypoint, mut arguments, mut user, mut ports) = (vec![], vec![], None, vec![]);
    for instruction in last.instructions {
        match instruction {
            Instruction::Entrypoint(own) => entrypoint = words(&own.arguments),
            Instruction::Cmd(own) => arguments = words(&own.arguments),
            Instruction::User(own) => user = Some(value(&own.arguments).to_owned()),
            Instruction::Expose(own) => ports.extend(own.arguments.iter().map(|port| value(port).to_owned())),
            Instruction::Label(own) => {
                let version = format!("org.opencontainers.image.version=\"{}\"", env!("CARGO_PKG_VERSION"));
                assert!(own.arguments.value.contains(&version), "{}", own.arguments.value);
            }
            Instruction::Copy(_) => {}
            other => panic!("nothing else is in the image: {other:?}"),
        }
    }
    assert_eq!(entrypoint, ["/usr/bin/tracer"]);
    assert_eq!(user.as_deref(), Some("0:0"));
    let Some(base) = with("the_image_starts_as_the_pod_wants_it", &[]) else { return };
    let container = &find(&base, "DaemonSet/tracer")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["args"], serde_json::json!(arguments));
    assert_eq!(container["command"], serde_json::Value::Null, "the image's");
    assert_eq!(container["ports"][0]["containerPort"].to_string(), ports.concat());
}

/// Check that what the build reads is not kept from it.
#[test]
fn what_is_ignored_is_not_needed() {
    let ignored = read(".dockerignore");
    let ignored: Vec<_> = ignored.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(ignored, [".git", "target", "**/target", "docs/pictures"]);
    for needed in
        ["Cargo.lock", ".cargo/config.toml", "LICENSE-MIT", "LICENSE-APACHE", "xtask", "tracer-ebpf"]
    {
        assert!(repository().join(needed).exists(), "{needed}");
    }
}
