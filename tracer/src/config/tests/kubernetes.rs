//! What is said of pods.

use super::*;
use crate::target::kubernetes::{Api, KubernetesOptions, PodSelect};
use crate::target::labels::{OfPod, Where};

mod marks;
mod refused;

/// A program that can ask for pods, on a node.
fn around(node: Option<&str>) -> Around {
    Around { node: node.map(str::to_owned), is_built_in: true }
}

#[track_caller]
fn of_pods(text: &str) -> Config {
    loaded("tracer.toml", text, &around(Some("node-1"))).unwrap_or_else(|error| panic!("{error}"))
}

fn loaded(name: &str, text: &str, around: &Around) -> Result<Config, String> {
    let file = file(name, text);
    let path = file.args.config.clone().expect("it has one").display().to_string();
    let loaded = with_surroundings(&file.args, around).map(|(config, _)| config);
    loaded.map_err(|error| error.0.replace(&path, "F"))
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

const ALL: &str = r#"
[kubernetes]
node = "node-2"
api = "https://10.0.0.1:6443"
token_file = "/token"
ca_file = "/ca.crt"
keep = "1m"
canary_keys = ["release", "shop.example/canary"]
argo_rollouts = true
flagger_canaries = true
[[target]]
opted_in = true
namespace = ["shop", "tills"]
owner = ["api", "Deployment/web"]
container_name = "main"
pod_label = ["app=api,track in (canary, next)", "!legacy"]
pod_annotation = "shop.example/team"
pod_settings = false
[[target]]
comm = "node"
opted_in = false
[[label]]
name = "service"
from = "pod_label"
key = "shop.example/service"
[[label]]
name = "service"
where = "unknown_pod"
from = "command"
match = "serve (\\S+)"
[[label]]
name = "service"
where = "pod"
value = "none"
"#;

#[test]
fn every_setting_of_pods_is_taken() {
    let config = of_pods(ALL);
    let api = Api {
        url: "https://10.0.0.1:6443".to_owned(),
        token_file: Some(PathBuf::from("/token")),
        ca_file: Some(PathBuf::from("/ca.crt")),
    };
    let options = KubernetesOptions {
        node: "node-2".to_owned(),
        api: Some(api),
        keep: Duration::from_secs(60),
        argo_rollouts: true,
        flagger_canaries: true,
    };
    assert_eq!(config.kubernetes, Some(options));
    assert_eq!(config.canary_keys, ["release", "shop.example/canary"]);
    let select = PodSelect {
        opted_in: true,
        namespaces: texts(&["shop", "tills"]),
        owners: texts(&["api", "Deployment/web"]),
        containers: texts(&["main"]),
        labels: vec![
            "app=api,track in (canary, next)".parse().expect("it is right"),
            "!legacy".parse().expect("it is right"),
        ],
        annotations: vec!["shop.example/team".parse().expect("it is right")],
    };
    assert_eq!(config.rules[0].select, Select { pods: select, ..Select::default() });
    assert_eq!((config.rules[0].pod_settings, config.rules[1].pod_settings), (false, true));
    assert!(config.rules[1].select.pods.is_empty());
    let rules = config.label_rules.all();
    let services: Vec<_> = rules.iter().filter(|rule| rule.name == "service").collect();
    assert_eq!(services.len(), 3);
    assert_eq!(services[0].from, Some(Source::Pod(OfPod::Label("shop.example/service".to_owned()))));
    assert_eq!(
        (services[1].place, services[1].from.clone()),
        (Some(Where::UnknownPod), Some(Source::Command))
    );
    assert_eq!((services[2].place, services[2].value.as_deref()), (Some(Where::Pod), Some("none")));
    let asks = |key: &str| {
        rules.iter().any(|rule| rule.from.as_ref().and_then(Source::key).is_some_and(|own| own == key))
    };
    assert!(
        asks("release") && asks("shop.example/canary") && !asks("role") && asks("tracer.io/canary-group")
    );
}

#[test]
fn the_table_alone_asks_for_the_pods_of_this_node() {
    let config = of_pods("[kubernetes]\n");
    let options = KubernetesOptions {
        node: "node-1".to_owned(),
        api: None,
        keep: Duration::from_secs(300),
        argo_rollouts: false,
        flagger_canaries: false,
    };
    assert_eq!(config.kubernetes, Some(options));
    assert_eq!(config.canary_keys, ["role", "track", "canary"]);
    assert!(config.label_rules.all().len() > 40);
    assert_eq!(loaded("tracer.yaml", "kubernetes: {}\n", &around(Some("node-1"))), Ok(config));
    // Without it nothing is asked for, wherever the program runs.
    assert_eq!(loaded("tracer.toml", "", &around(Some("node-1"))), Ok(Config::default()));
}

#[test]
fn yaml_says_the_same_of_pods() {
    let yaml = r"
kubernetes: { api: 'http://127.0.0.1:8001', keep: 10m, canary_keys: [], argo_rollouts: true }
target:
- { namespace: shop, pod_label: 'app=api,!legacy', pod_settings: false }
- { opted_in: true, mode: live }
label:
- { name: version, from: pod_image }
- { name: version, where: outside, value: none }
";
    let toml = r#"
kubernetes = { api = "http://127.0.0.1:8001", keep = "10m", canary_keys = [], argo_rollouts = true }
target = [{ namespace = "shop", pod_label = "app=api,!legacy", pod_settings = false }, { opted_in = true, mode = "live" }]
label = [{ name = "version", from = "pod_image" }, { name = "version", where = "outside", value = "none" }]
"#;
    assert_eq!(loaded("tracer.yaml", yaml, &around(Some("node-1"))), Ok(of_pods(toml)));
}

#[test]
fn the_name_of_the_node_is_the_files_or_that_of_the_variable() {
    let check = |text: &str, variable: Option<&str>, expect: Result<&str, &str>| {
        let found = loaded("tracer.toml", text, &around(variable));
        match (found, expect) {
            (Ok(config), Ok(node)) => {
                assert_eq!(config.kubernetes.map(|options| options.node).as_deref(), Some(node));
            }
            (Err(error), Err(begin)) => {
                assert!(error.starts_with(begin), "{error}");
                assert_eq!(error.lines().count(), 1, "{error}");
            }
            (found, _) => panic!("{text} {variable:?}: {found:?}"),
        }
    };
    check("[kubernetes]\n", Some("node-1"), Ok("node-1"));
    check("[kubernetes]\nnode = 'a.b'\n", Some("node-1"), Ok("a.b"));
    check("[kubernetes]\nnode = 'a.b'\n", None, Ok("a.b"));
    check("[kubernetes]\nnode = 'a.b'\n", Some("$(WRONG)"), Ok("a.b"));
    check(
        "[kubernetes]\n",
        None,
        Err(
            "F:1:2: kubernetes: it has no node, and there is no variable NODE_NAME: set that by the downward API of the \
             pod (valueFrom: {fieldRef: {fieldPath: spec.nodeName}}), or give node",
        ),
    );
    check("[kubernetes]\n", Some("$(WRONG)"), Err("NODE_NAME $(WRONG): it has no '$'"));
    check("[kubernetes]\nnode = ''\n", Some("node-1"), Err("F:2:8: kubernetes.node : it is empty"));
    check("[kubernetes]\nnode = 'Node'\n", Some("node-1"), Err("F:2:8: kubernetes.node Node: it has no 'N'"));
    check(
        "[kubernetes]\nnode = 1\n",
        Some("node-1"),
        Err("F:2:8: kubernetes.node must be text in quotes, and is a number"),
    );
}

#[test]
fn other_keys_of_canaries_need_no_restart_and_other_servers_do() {
    let plain = of_pods("[kubernetes]\n");
    let check = |text: &str, expect: &[&str]| {
        let other = of_pods(text);
        assert_eq!(plain.difference_needing_restart(&other), expect, "{text}");
        other
    };
    check("[kubernetes]\n", &[]);
    let keys = check("[kubernetes]\ncanary_keys = ['release']\n", &[]);
    assert_ne!(keys.label_rules, plain.label_rules, "it takes effect on a reload");
    check(
        "[kubernetes]\n[[target]]\nopted_in = true\n[[label]]\nname = 'version'\nfrom = 'pod_image'\n",
        &[],
    );
    check("", &["kubernetes"]);
    for line in
        ["node = 'x'", "api = 'https://a'", "keep = '1s'", "argo_rollouts = true", "flagger_canaries = true"]
    {
        check(&format!("[kubernetes]\n{line}\ncanary_keys = ['release']\n"), &["kubernetes"]);
    }
}

#[test]
fn the_effective_configuration_of_pods_reads_back_as_it_is() {
    let node = around(Some("node-1"));
    for text in ["[kubernetes]\n", ALL, "[kubernetes]\ncanary_keys = []\n[[target]]\ncomm = 'a'\n"] {
        let file = file("tracer.toml", text);
        let (config, origins) = with_surroundings(&file.args, &node).expect("it is right");
        let printed = print::toml(&config, &origins);
        // All of it is in the file now: another variable changes nothing.
        assert_eq!(loaded("tracer.toml", &printed, &around(Some("node-9"))), Ok(config), "{printed}");
        for line in printed.lines().filter(|line| line.contains(" = ")) {
            assert!(line.contains(" # "), "{line}");
        }
    }
}

#[test]
fn the_effective_configuration_of_pods_says_where_each_value_comes_from() {
    let file = file(
        "tracer.toml",
        "[kubernetes]\nkeep = '1m'\n[[target]]\nopted_in = true\npod_label = 'a in (b)'\n",
    );
    let (config, origins) = with_surroundings(&file.args, &around(Some("node-1"))).expect("it is right");
    let printed = print::toml(&config, &origins);
    for line in [
        "node = \"node-1\" # environment, NODE_NAME",
        "keep = \"1m\" # file, line 2",
        "canary_keys = [\"role\", \"track\", \"canary\"] # default",
        "argo_rollouts = false # default",
        "opted_in = true # file, line 4",
        "pod_label = [\"a in (b)\"] # file, line 5",
        "pod_settings = true # default",
        "where = \"unknown_pod\" # default",
    ] {
        assert!(printed.lines().any(|own| own == line), "{line}: {printed}");
    }
}

/// What an example says once its part about Kubernetes is no comment; in YAML that part alone, whose lists would be there twice.
fn example(name: &str) -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name);
    let text = fs::read_to_string(path).expect("the example is there");
    let (before, part) = text.split_once("# On a node of Kubernetes: ").expect("it has the part");
    let (_, part) = part.split_once("\n").expect("it has lines");
    let lines = part.lines().map(|line| {
        line.strip_prefix("# ")
            .or_else(|| line.strip_prefix('#'))
            .unwrap_or_else(|| panic!("{line} is no comment"))
    });
    let part = lines.collect::<Vec<_>>().join("\n");
    let text = if name.ends_with(".toml") { format!("{before}\n{part}") } else { part };
    loaded(name, &text, &around(Some("node-1"))).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_commented_parts_of_the_examples_are_right_and_say_the_same() {
    let [toml, yaml] = ["tracer.toml", "tracer.yaml"].map(example);
    let names: Vec<_> = toml.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["api-canary", "api-stable", "opted-in", "shop"]);
    assert_eq!(yaml.rules, toml.rules[2..]);
    assert!(yaml.rules[0].select.pods.opted_in);
    assert_eq!(yaml.kubernetes, toml.kubernetes);
    assert_eq!(
        (&yaml.canary_keys, &toml.canary_keys),
        (&texts(&["role", "track", "canary"]), &Config::default().canary_keys)
    );
    let versions = |config: &Config| {
        config
            .label_rules
            .all()
            .iter()
            .filter(|rule| rule.name == "version" && rule.is_of_pods())
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(versions(&yaml).len(), 2);
    assert_eq!(versions(&yaml), versions(&toml));
    // What it shows of the defaults is what they are.
    assert_eq!(toml.kubernetes, of_pods("[kubernetes]\n").kubernetes);
}
