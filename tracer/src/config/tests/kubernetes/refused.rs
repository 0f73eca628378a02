//! What is refused of what is said of pods, and how.

use super::*;

/// The problems of a configuration, on a node that has a name.
#[track_caller]
fn problems(text: &str) -> Vec<String> {
    let error = loaded("tracer.toml", text, &around(Some("node-1"))).expect_err(text);
    error.lines().map(str::to_owned).collect()
}

#[test]
fn what_is_wrong_with_the_table_is_said_with_its_place() {
    for (line, expect) in [
        ("api = '10.0.0.1'", "2:7: kubernetes.api 10.0.0.1: it must begin with https:// or http://"),
        ("api = 'https://'", "2:7: kubernetes.api https://: it has no host"),
        (
            "token_file = '/t'",
            "2:1: kubernetes.token_file needs api: without it the pod's own service account",
        ),
        ("ca_file = '/c'", "2:1: kubernetes.ca_file needs api: "),
        (
            "api = 'http://a'\nca_file = '/c'",
            "1:2: kubernetes: ca_file needs an api that begins with https://",
        ),
        ("api = 'https://a'\ntoken_file = ''", "3:14: kubernetes.token_file is empty"),
        ("keep = '0s'", "2:8: kubernetes.keep 0s: it must be above 0"),
        ("keep = 5", "2:8: kubernetes.keep must be text in quotes, and is a number"),
        ("canary_keys = ['a b']", "2:16: kubernetes.canary_keys a b: the name of a key has no ' '"),
        ("canary_keys = 1", "2:15: kubernetes.canary_keys must be text in quotes, or a list of it"),
        ("argo_rollouts = 'yes'", "2:17: kubernetes.argo_rollouts must be true or false, and is text"),
        ("flagger_canaries = 1", "2:20: kubernetes.flagger_canaries must be true or false, and is a number"),
        (
            "nodes = 'x'",
            "2:1: kubernetes.nodes is unknown: allowed here are canary_keys, node, api, token_file, ca_file, keep, argo_rollouts, flagger_canaries",
        ),
    ] {
        let found = problems(&format!("[kubernetes]\n{line}\n"));
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(found[0].starts_with(&format!("F:{expect}")), "{line}: {found:?}");
    }
}

#[test]
fn what_is_wrong_with_a_rule_about_pods_is_said_with_its_place() {
    for (line, expect) in [
        ("namespace = 'A'", "4:13: target.namespace A: it has no 'A'"),
        ("namespace = ['a', 'a.b']", "4:19: target.namespace a.b: it has no '.'"),
        ("owner = 'a/b/c'", "4:9: target.owner a/b/c: behind the slash: it has no '/'"),
        ("container_name = 'a_b'", "4:18: target.container_name a_b: it has no '_'"),
        (
            "pod_label = 'app api'",
            "4:13: target.pod_label app api: at character 5: \"api\" instead of =, ==, !=, in, notin",
        ),
        (
            "pod_label = ['app', 'a in ()']",
            "4:21: target.pod_label a in (): at character 7: ')' instead of a value",
        ),
        ("pod_annotation = ''", "4:18: target.pod_annotation : at character 1: it ends, instead of the key"),
        ("opted_in = 'true'", "4:12: target.opted_in must be true or false, and is text"),
        ("pod_settings = 1", "4:16: target.pod_settings must be true or false, and is a number"),
    ] {
        let found = problems(&format!("[kubernetes]\n[[target]]\ncomm = 'x'\n{line}\n"));
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(found[0].starts_with(&format!("F:{expect}")), "{line}: {found:?}");
    }
}

#[test]
fn what_is_wrong_with_a_label_rule_about_pods_is_said_with_its_place() {
    for (lines, expect) in [
        ("from = 'pod_label'", "2:1: label: from = \"pod_label\" needs key"),
        ("from = 'pod_annotation'\nkey = 'a b'", "5:7: label.key a b: the name of a key has no ' '"),
        (
            "from = 'pod'\nkey = 'a'",
            "2:1: label: from = \"pod\" has no key: only these have one: env, pod_label, pod_annotation",
        ),
        ("key = 'a'\nvalue = 'x'", "2:1: label: key needs from"),
        ("match = 'a'\nvalue = 'x'", "2:1: label: match needs from"),
        ("where = 'pod'", "2:1: label: it has no from, and needs one"),
        (
            "where = 'node'\nvalue = 'x'",
            "4:9: label.where node is unknown: it is one of pod, unknown_pod, outside",
        ),
        ("where = 1\nvalue = 'x'", "4:9: label.where must be text in quotes, and is a number"),
        (
            "from = 'pod_image'\nmatch = ':(.*)$'\nvalue = '$2'",
            "2:1: label: value names the group $2, which match has not",
        ),
    ] {
        let found = problems(&format!("[kubernetes]\n[[label]]\nname = 'version'\n{lines}\n"));
        assert_eq!(found.len(), 1, "{lines}: {found:?}");
        assert!(found[0].starts_with(&format!("F:{expect}")), "{lines}: {found:?}");
    }
}

#[test]
fn what_asks_for_pods_needs_the_table() {
    let needs = "is about pods, which are known only with the table [kubernetes]: add that";
    for (line, key) in [
        ("opted_in = true", "opted_in"),
        ("opted_in = false", "opted_in"),
        ("namespace = 'a'", "namespace"),
        ("owner = 'a'", "owner"),
        ("container_name = 'a'", "container_name"),
        ("pod_label = 'a'", "pod_label"),
        ("pod_annotation = 'a'", "pod_annotation"),
        ("pod_settings = true", "pod_settings"),
    ] {
        assert_eq!(
            problems(&format!("[[target]]\ncomm = 'x'\n{line}\n")),
            [format!("F:3:1: target.{key} {needs}")]
        );
    }
    for source in Source::ALL.iter().filter(|source| matches!(source, Source::Pod(_))) {
        let key = source.key().map_or("", |_| "key = 'a'\n");
        let text = format!("[[label]]\nname = 'version'\nfrom = '{}'\n{key}", source.name());
        assert_eq!(problems(&text), [format!("F:3:1: label.from {needs}")]);
    }
    assert_eq!(
        problems("[[label]]\nname = 'version'\nwhere = 'pod'\nvalue = 'x'\n"),
        [format!("F:3:1: label.where {needs}")]
    );
    // One that is wrong in itself is there, and only that is said.
    let found = problems(
        "[kubernetes]\nkeep = 1\n[[target]]\nopted_in = true\n[[label]]\nname = 'version'\nfrom = 'pod'\n",
    );
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_rule_that_takes_pods_says_whom_it_means() {
    let problem = "F:2:1: target: it says of no process that it is meant: give comm, ";
    for line in ["", "opted_in = false", "pod_settings = true"] {
        let found = problems(&format!("[kubernetes]\n[[target]]\n{line}\n"));
        assert!(found.len() == 1 && found[0].starts_with(problem), "{line}: {found:?}");
    }
    for line in [
        "opted_in = true",
        "namespace = 'a'",
        "owner = 'a'",
        "container_name = 'a'",
        "pod_label = 'a'",
        "pod_annotation = 'a'",
    ] {
        assert_eq!(of_pods(&format!("[kubernetes]\n[[target]]\n{line}\n")).rules.len(), 1);
    }
}

#[test]
fn everything_that_is_wrong_about_pods_is_said_at_once() {
    let text = "[kubernetes]\napi = 'x'\nkeep = 'y'\n[[target]]\nnamespace = 'A'\npod_label = '='\n[[label]]\nname = 'version'\nwhere = 'z'\n";
    let error = loaded("tracer.toml", text, &around(None)).expect_err("it is wrong");
    let begins =
        ["F:1:2: kubernetes: it has no node", "F:2:7: ", "F:3:8: ", "F:5:13: ", "F:6:13: ", "F:9:9: "];
    assert_eq!(error.lines().count(), begins.len(), "{error}");
    for (line, begin) in error.lines().zip(begins) {
        assert!(line.starts_with(begin), "{begin}: {error}");
    }
    let yaml = "kubernetes:\n  keep: soon\n  nodes: x\n";
    let error = loaded("tracer.yaml", yaml, &around(Some("node-1"))).expect_err("it is wrong");
    assert!(
        error.contains("F:2:9: kubernetes.keep soon") && error.contains("F:3:3: kubernetes.nodes is unknown"),
        "{error}"
    );
}

#[test]
fn a_program_that_cannot_ask_for_pods_says_so() {
    let without = Around { node: Some("node-1".to_owned()), is_built_in: false };
    let error = loaded("tracer.toml", "[kubernetes]\n[[target]]\nopted_in = true\n", &without)
        .expect_err("it cannot");
    assert_eq!(
        error,
        "F:1:2: kubernetes: this program cannot ask for pods: it was built without the cargo feature kubernetes. Take one \
         that was built with it, or leave the table out"
    );
    assert_eq!(loaded("tracer.toml", "", &without), Ok(Config::default()));
    assert_eq!(Around::here().is_built_in, cfg!(feature = "kubernetes"));
}
