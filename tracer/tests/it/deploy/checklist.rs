//! The checklist of `docs/canary.md`: what stands there works as it stands.

use std::process::Command;

use super::read;
use super::tools::promtool;

const DOCUMENT: &str = "docs/canary.md";

/// The only block of a language in the document.
#[track_caller]
fn block(language: &str) -> String {
    let text = read(DOCUMENT);
    let begin = format!("\n```{language}\n");
    let mut blocks = text.split(&begin).skip(1);
    let block = blocks.next().and_then(|rest| rest.split("\n```\n").next()).expect("a block");
    assert!(blocks.next().is_none(), "one block of {language}");
    format!("{block}\n")
}

/// Check that the daemon takes the configuration, and that it says what the checklist names: rates per group, labels, the window.
#[test]
fn the_configuration_of_the_checklist_works_as_it_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tracer.toml");
    std::fs::write(&file, block("toml")).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TRACER_") || name == "NODE_NAME") {
        command.env_remove(name);
    }
    let output = command.args(["daemon", "--print-config", "--config"]).arg(&file).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: toml::Table = String::from_utf8(output.stdout).expect("UTF-8").parse().expect("TOML");
    assert_eq!(printed["canary"]["window"].as_str(), Some("5m"));
    assert_eq!(printed["canary"]["per"].as_str(), Some("cpu_second"));
    assert_eq!(printed["labels"]["workload"].as_str(), Some("web"));
    let rules = printed["target"].as_array().expect("rules");
    let of = |rule: &toml::Value| {
        let text = |value: &toml::Value| value.as_str().expect("text").to_owned();
        (text(&rule["labels"]["canary_group"]), text(&rule["mode"]), text(&rule["sample_bytes"]))
    };
    let expect = [("canary", "live", "64KiB"), ("stable", "live", "256KiB")];
    assert_eq!(
        rules.iter().map(of).collect::<Vec<_>>(),
        expect.map(|(group, mode, size)| (group.to_owned(), mode.to_owned(), size.to_owned()))
    );
}

/// Check that what the document gives as the defaults are the defaults.
#[test]
fn the_settings_of_the_document_are_those_of_the_daemon() {
    let text = read(DOCUMENT);
    let output = Command::new(env!("CARGO_BIN_EXE_tracer"))
        .args(["daemon", "--print-config"])
        .env_clear()
        .output()
        .expect("it runs");
    let printed: toml::Table = String::from_utf8(output.stdout).expect("UTF-8").parse().expect("TOML");
    let settings = printed["canary"].as_table().expect("a table");
    for (key, value) in settings {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert!(text.contains(&format!("\n| `{key}` | `{value}` |")), "{DOCUMENT} has no `{key}` of {value}");
    }
}

/// Check the rule for pauses by Prometheus' own reading, and that what it reads is exported.
#[test]
fn the_rule_of_the_checklist_is_one() {
    let rules = block("yaml");
    assert!(rules.contains("tracer_gc_pause_seconds_bucket"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rules.yaml");
    std::fs::write(&file, rules).expect("a file");
    promtool("the_rule_of_the_checklist_is_one", &["check", "rules", file.to_str().expect("a plain path")]);
}
