//! `tracer daemon --print-config`: flags, real variables and files, as the program itself sees them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Exit code, stdout and stderr of `tracer daemon --print-config`.
fn print_config(args: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.args(["daemon", "--print-config"]).args(args);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TRACER_") || name == "NODE_NAME") {
        command.env_remove(name);
    }
    let output =
        command.envs(variables.iter().copied()).output().expect("the program was built with its tests");
    let text = |bytes| String::from_utf8(bytes).expect("it is UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[track_caller]
fn printed(args: &[&str], variables: &[(&str, &str)]) -> String {
    let (code, stdout, stderr) = print_config(args, variables);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{args:?}");
    stdout
}

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("it is UTF-8")
}

/// The values without the comments behind them.
fn values(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.rsplit_once(" # ").map(|(value, _)| value)).collect()
}

/// Check each step of the precedence, with variables that are real: a flag, a variable, the file, what is built in.
#[test]
fn each_value_says_whether_a_flag_a_variable_the_file_or_nothing_gave_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tracer.toml");
    std::fs::write(&file, "interval = '2s'\nmax_live = 10\nmax_stacks = 10\nmax_series = 10\n")
        .expect("a file");
    let variables = [
        ("TRACER_CONFIG", path(&file)),
        ("TRACER_MAX_STACKS", "20"),
        ("TRACER_MAX_SERIES", "20"),
        ("TRACER_LABELS", "service=shop,version=2"),
        ("TRACER_TOP_SITES", ""),
        // Kubernetes sets these for a Service of the name `tracer`.
        ("TRACER_SERVICE_HOST", "10.0.0.1"),
        ("TRACER_PORT", "tcp://10.0.0.1:9464"),
    ];
    let text = printed(&["--max-series", "30"], &variables);
    for line in [
        "max_series = 30 # flag, --max-series",
        "max_stacks = 20 # environment, TRACER_MAX_STACKS",
        "service = \"shop\" # environment, TRACER_LABELS",
        "version = \"2\" # environment, TRACER_LABELS",
        "max_live = 10 # file, line 2",
        "interval = \"2s\" # file, line 1",
        "top_sites = 0 # default",
        "socket = \"/run/tracer/tracer.sock\" # default",
    ] {
        assert!(text.lines().any(|own| own == line), "{line}: {text}");
    }
}

/// Check that what is printed is a configuration that prints the same values.
#[test]
fn what_is_printed_can_be_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("effective.toml");
    for args in
        [&[][..], &["--config", path(&deploy("tracer.toml")), "--label", "version=3", "--listen", "[::]:1"]]
    {
        let text = printed(args, &[]);
        std::fs::write(&file, &text).expect("a file");
        let again = printed(&["--config", path(&file)], &[]);
        assert_eq!(values(&again), values(&text));
        assert!(values(&text).len() > 20, "{text}");
    }
}

#[test]
fn both_examples_print_the_same() {
    let [toml, yaml] =
        ["tracer.toml", "tracer.yaml"].map(|name| printed(&["--config", path(&deploy(name))], &[]));
    assert_eq!(values(&yaml), values(&toml));
    assert!(toml.contains("name = \"api-canary\" # file, line "), "{toml}");
}

/// Check that wrong configurations are wrong usage, and that all of what is wrong is on stderr.
#[test]
fn a_wrong_configuration_is_refused_with_everything_that_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tracer.yaml");
    std::fs::write(&file, "interval: soon\ntarget:\n  - comm: api\n    mod: live\n").expect("a file");
    let (code, stdout, stderr) =
        print_config(&["--config", path(&file), "--listen", "here"], &[("TRACER_MAX_LIVE", "many")]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    for part in [
        "tracer.yaml:1:11: interval soon: ",
        "tracer.yaml:4:5: target.mod is unknown: allowed here are ",
        "\n--listen here: ",
        "TRACER_MAX_LIVE many: ",
    ] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    assert_eq!(stderr.lines().count(), 4, "{stderr}");
    let (code, _, stderr) = print_config(&["--config", "/nowhere/tracer.toml"], &[]);
    assert_eq!(code, Some(2));
    assert!(stderr.starts_with("tracer: /nowhere/tracer.toml: failed to read it: No such file"), "{stderr}");
}

/// A configuration of the program as it is on a node, in a folder that goes with it.
fn on_a_node(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tracer.toml");
    std::fs::write(&file, text).expect("a file");
    (folder, file)
}

const PODS: &str = "[kubernetes]\nkeep = \"1m\"\n[[target]]\nopted_in = true\nnamespace = [\"shop\", \"tills\"]\nowner = \
                    \"Deployment/api\"\npod_label = \"app=api,!legacy\"\n";

/// Check every built-in rule for labels of pods, in its order.
#[cfg(feature = "kubernetes")]
#[test]
fn on_a_node_of_kubernetes_everything_about_pods_is_printed() {
    let (_folder, file) = on_a_node(PODS);
    let text = printed(&["--config", path(&file)], &[("NODE_NAME", "node-1")]);
    insta::assert_snapshot!("kubernetes", text);
    let (_folder, again) = on_a_node(&text);
    assert_eq!(values(&printed(&["--config", path(&again)], &[])), values(&text));
}

#[cfg(feature = "kubernetes")]
#[test]
fn a_node_without_a_name_is_refused_with_what_to_do() {
    let (_folder, file) = on_a_node(PODS);
    for variables in [&[][..], &[("NODE_NAME", "")]] {
        let (code, stdout, stderr) = print_config(&["--config", path(&file)], variables);
        assert_eq!((code, stdout.as_str()), (Some(2), ""));
        let expect = "tracer.toml:1:2: kubernetes: it has no node, and there is no variable NODE_NAME: set that by the \
                      downward API of the pod (valueFrom: {fieldRef: {fieldPath: spec.nodeName}}), or give node\n";
        assert!(stderr.ends_with(expect), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[cfg(not(feature = "kubernetes"))]
#[test]
fn a_program_that_was_built_without_kubernetes_says_so() {
    let (_folder, file) = on_a_node(PODS);
    let (code, _, stderr) = print_config(&["--config", path(&file)], &[("NODE_NAME", "node-1")]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("it was built without the cargo feature kubernetes"), "{stderr}");
}
