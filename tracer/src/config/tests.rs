//! What is taken out of flags, variables and files, and what is refused how.

use std::fs;

use super::*;
use crate::target::labels::{Facts, Source};

/// A configuration file that goes with the test.
struct File {
    _folder: tempfile::TempDir,
    args: DaemonArgs,
}

fn file(name: &str, text: &str) -> File {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    fs::write(&path, text).expect("a file");
    File { _folder: folder, args: DaemonArgs { config: Some(path), ..DaemonArgs::default() } }
}

#[track_caller]
fn good(text: &str) -> Config {
    load(&file("tracer.toml", text).args).unwrap_or_else(|error| panic!("{error}"))
}

/// The problems, without the path of the file.
#[track_caller]
fn problems_of(name: &str, text: &str) -> Vec<String> {
    let file = file(name, text);
    let path = file.args.config.clone().expect("it has one").display().to_string();
    let error = load(&file.args).expect_err(text).0;
    error.lines().map(|line| line.replace(&path, "F")).collect()
}

#[track_caller]
fn problem(text: &str, expect: &str) {
    assert_eq!(problems_of("tracer.toml", text), [expect], "{text}");
}

#[test]
fn nothing_at_all_is_the_defaults_and_traces_nothing() {
    assert_eq!(load(&DaemonArgs::default()).expect("it is right"), Config::default());
    assert_eq!(load(&file("tracer.yaml", "# nothing\n").args).expect("it is right"), Config::default());
    assert_eq!(good("\n# nothing\n"), Config::default());
    assert!(Config::default().rules.is_empty());
    let default = Config::default();
    assert_eq!(default.http.listen.to_string(), "127.0.0.1:9464");
    assert_eq!(
        (default.max_stacks, default.max_live, default.max_unwind_bytes),
        (131_072, 1 << 20, 64 << 20)
    );
    assert_eq!(default.expire_after, Duration::from_secs(600));
}

const WHOLE: &str = r#"
listen = "0.0.0.0:1234"
socket = "/run/x.sock"
interval = "500ms"
max_stacks = 100
max_live = 200
max_unwind = 2097152
max_series = 7
expire_after = "1h"
gc_threshold = "off"
top_sites = 5
[http]
max_connections = 1
max_requests = 2
max_header_bytes = "8KiB"
timeout = "3s"
max_profile = "1m 30s"
tls_certificate = "/a.crt"
tls_key = "/a.key"
token_file = "/token"
[labels]
namespace = "shop"
[[target]]
comm = "api"
exe = ["/bin/a", "/bin/b"]
cgroup = "a/b"
unit = ["api", "b.slice"]
container = "containerd://0123456789AB"
pid_file = "/run/a.pid"
mode = "live"
sample_bytes = "64KiB"
go = "probes"
follow_forks = true
labels = { canary_group = "canary", version = "2" }
[[target]]
comm = ["b"]
[[label]]
name = "service"
from = "env"
key = "NAME"
match = '^(.*)-v(\d+)$'
value = "$2"
"#;

#[test]
fn every_setting_is_taken() {
    let config = good(WHOLE);
    let http = HttpOptions {
        listen: "0.0.0.0:1234".parse().expect("an address"),
        max_connections: 1,
        max_requests: 2,
        max_header_bytes: 8192,
        timeout: Duration::from_secs(3),
        max_profile: Duration::from_secs(90),
        tls: Some((PathBuf::from("/a.crt"), PathBuf::from("/a.key"))),
        token_file: Some(PathBuf::from("/token")),
    };
    assert_eq!(config.http, http);
    assert_eq!(
        (config.socket.as_path(), config.interval),
        (Path::new("/run/x.sock"), Duration::from_millis(500))
    );
    assert_eq!((config.max_stacks, config.max_live, config.max_unwind_bytes), (100, 200, 2 << 20));
    assert_eq!((config.max_series, config.top_sites), (7, 5));
    assert_eq!((config.expire_after, config.gc_threshold), (Duration::from_secs(3600), None));
    assert_eq!(config.labels, BTreeMap::from([("namespace".to_owned(), "shop".to_owned())]));
    let strings = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
    let first = TargetRule {
        name: "target-1".to_owned(),
        select: Select {
            comms: strings(&["api"]),
            programs: paths(&["/bin/a", "/bin/b"]),
            cgroups: paths(&["a/b"]),
            units: strings(&["api.service", "b.slice"]),
            containers: strings(&["0123456789ab"]),
            pid_files: paths(&["/run/a.pid"]),
            ..Select::default()
        },
        mode: Mode::Live,
        sample_bytes: 64 << 10,
        go: GoSource::Probes,
        labels: [("canary_group", "canary"), ("version", "2")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        follow_forks: true,
        pod_settings: true,
    };
    assert_eq!(config.rules[0], first);
    let second = TargetRule {
        name: "target-2".to_owned(),
        select: Select { comms: strings(&["b"]), ..Select::default() },
        mode: DEFAULT_MODE,
        sample_bytes: DEFAULT_SAMPLE_BYTES,
        go: GoSource::Auto,
        labels: BTreeMap::new(),
        follow_forks: false,
        pod_settings: true,
    };
    assert_eq!(config.rules[1], second);
    let services: Vec<_> = config.label_rules.all().iter().filter(|rule| rule.name == "service").collect();
    assert_eq!(services.len(), 1);
    assert_eq!(services[0].from, Some(Source::Env("NAME".to_owned())));
    let facts = Facts { environment: [("NAME".to_owned(), "a-v3".to_owned())].into(), ..Facts::default() };
    assert_eq!(&*config.label_rules.apply(&[], &facts).service, "3");
}

#[test]
fn yaml_says_the_same_as_toml() {
    let yaml = "interval: 2s\nmax_live: 5\nhttp: { timeout: 1s }\ntarget:\n- comm: api\n  follow_forks: true\n  \
                sample_bytes: 0\nlabel:\n- { name: version, from: unit }\n";
    let toml = "interval = '2s'\nmax_live = 5\nhttp.timeout = '1s'\n[[target]]\ncomm = 'api'\nfollow_forks = \
                true\nsample_bytes = 0\n[[label]]\nname = 'version'\nfrom = 'unit'\n";
    for name in ["tracer.yaml", "tracer.yml"] {
        assert_eq!(load(&file(name, yaml).args).expect("it is right"), good(toml));
    }
}

#[test]
fn an_unknown_key_is_an_error_that_names_it_and_those_that_are_allowed() {
    let known = "http, socket, interval, max_stacks";
    let found = problems_of("tracer.toml", "\nintervall = '1s'\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("F:2:1: intervall is unknown: allowed here are "), "{found:?}");
    for key in known.split(", ") {
        assert!(found[0].contains(key), "{key}: {found:?}");
    }
    problem(
        "[[label]]\nname = 'service'\nfrom = 'exe'\nregex = 'x'\n",
        "F:4:1: label.regex is unknown: allowed here are name, where, from, key, match, value",
    );
    for (text, begin) in [
        ("[http]\nlisten = 'x'\n", "F:2:1: http.listen is unknown"),
        ("[[target]]\ncomm = 'a'\nrate = 1\n", "F:3:1: target.rate is unknown"),
        ("[[targets]]\n", "F:1:3: targets is unknown"),
    ] {
        let found = problems_of("tracer.toml", text);
        assert!(found.len() == 1 && found[0].starts_with(begin), "{found:?}");
    }
    let found = problems_of("tracer.yaml", "target:\n  - comm: a\n    rate: 1\n");
    assert!(found[0].starts_with("F:3:5: target.rate is unknown"), "{found:?}");
}

#[test]
fn a_wrong_value_is_an_error_with_its_place_and_what_would_be_right() {
    let target = |line: &str| format!("[[target]]\ncomm = 'a'\n{line}\n");
    for (text, expect) in [
        ("interval = '1'", "interval 1: "),
        ("interval = 1", "interval must be text in quotes, and is a number"),
        ("interval = '0s'", "interval 0s: it must be above 0"),
        ("expire_after = '1year'", "expire_after 1year: it must be at most "),
        ("gc_threshold = 'never'", "gc_threshold never: "),
        ("listen = ':9464'", "listen :9464: it must be an IP address and a port, such as 127.0.0.1:9464"),
        ("max_stacks = '100'", "max_stacks must be a whole number, without quotes, and is text"),
        ("max_stacks = 0", "max_stacks 0: it must be a whole number of 1 to 16777216"),
        (
            "max_live = 1.5",
            "max_live must be a whole number, without quotes, and is a number with a fraction",
        ),
        ("max_unwind = '1KiB'", "max_unwind 1KiB: it must be 1 MiB to 1.00 GiB"),
        ("max_unwind = true", "max_unwind must be a size such as \"512KiB\", and is true or false"),
        ("max_series = -1", "max_series -1: it must be a whole number"),
        ("http = 1", "http must be a table, and is a number"),
        ("http.max_header_bytes = '1KiB'", "http.max_header_bytes 1KiB: it must be 8.00 KiB to 1.00 MiB"),
        ("http.token_file = ''", "http.token_file is empty"),
        ("labels = { team = 'x' }", "the label team is unknown: the labels are namespace, service, version"),
        ("labels = { version = 2 }", "labels.version must be text in quotes, and is a number"),
        ("labels = { service = '__other__' }", "labels.service __other__: what begins with two underscores"),
        ("target = { comm = 'a' }", "target must be a list of tables, and is a table"),
    ] {
        let found = problems_of("tracer.toml", text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        let message = found[0].split_once(' ').expect("it has words").1;
        assert!(message.starts_with(expect), "{text}: {found:?}");
        assert!(found[0].starts_with("F:1:"), "{text}: {found:?}");
    }
    for (line, expect) in [
        ("mode = 'growth'", "target.mode growth is not there yet"),
        ("mode = 'heap'", "target.mode heap is unknown: it is alloc or live"),
        ("sample_bytes = '1GiB'", "target.sample_bytes 1GiB: it must be at most 512 MiB"),
        ("follow_forks = 'yes'", "target.follow_forks must be true or false, and is text"),
        ("container = ['x']", "target.container x: an id has hex digits only"),
        ("exe = ''", "target.exe is empty"),
        ("unit = [1]", "target.unit must be text in quotes, and is a number"),
        ("pid_file = 1", "target.pid_file must be text in quotes, or a list of it, and is a number"),
        ("name = ''", "target.name is empty"),
    ] {
        let found = problems_of("tracer.toml", &target(line));
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(found[0].starts_with("F:3:") && found[0].contains(expect), "{line}: {found:?}");
    }
}

#[test]
fn what_belongs_together_is_checked_together() {
    problem(
        "[http]\ntls_key = 'k'\n",
        "F:1:2: http: tls_key needs tls_certificate: give both, or none of them",
    );
    problem(
        "[[target]]\nmode = 'live'\n",
        "F:1:1: target: it says of no process that it is meant: give comm, exe, cgroup, unit, container, pid_file, \
         or of pods opted_in, namespace, owner, container_name, pod_label, pod_annotation",
    );
    problem(
        "[[target]]\nname = 'target-2'\ncomm = 'a'\n[[target]]\ncomm = 'b'\n",
        "F:4:1: target: the name target-2 is that of another rule already",
    );
    problem("[[label]]\nfrom = 'exe'\n", "F:1:1: label: it has no name, and needs one");
    problem("[[label]]\nname = 'version'\n", "F:1:1: label: it has no from, and needs one");
    problem(
        "[[label]]\nname = 'version'\nfrom = 'env'\n",
        "F:1:1: label: from = \"env\" needs key, the name of the variable",
    );
    problem(
        "[[label]]\nname = 'version'\nfrom = 'exe'\nkey = 'K'\n",
        "F:1:1: label: from = \"exe\" has no key: only these have one: env, pod_label, pod_annotation",
    );
    problem(
        "[[label]]\nname = 'version'\nfrom = 'exe'\nmatch = '(a)'\nvalue = '$2'\n",
        "F:1:1: label: value names the group $2, which match has not",
    );
    let found =
        problems_of("tracer.toml", "[[label]]\nname = 'version'\nfrom = 'exe'\nmatch = '('\nvalue = '$1'\n");
    assert!(found[0].starts_with("F:4:9: label.match (: "), "{found:?}");
    assert!(!found.iter().any(|line| line.contains("needs a match")), "{found:?}");
    problem(
        "[[label]]\nname = 'team'\nfrom = 'exe'\n",
        "F:2:8: label.name team is unknown: the labels are namespace, service, version, canary_group, workload",
    );
    problem(
        "[[label]]\nname = 'version'\nfrom = 'node'\n",
        "F:3:8: label.from node is unknown: it is one of env, unit, command, exe, comm, pod_label, pod_annotation, \
         pod_namespace, pod, pod_workload, pod_container, pod_image, argo_rollout, flagger",
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let text = "interval = 'x'\nno = 1\n[http]\ntimeout = 1\n[[target]]\nmode = 'x'\n[[target]]\ncomm = ''\n[[label]]\n";
    let file = file("tracer.toml", text);
    let args = DaemonArgs { max_live: Some("many".to_owned()), ..file.args.clone() };
    let error = load(&args).expect_err("it is wrong").0;
    let parts = [
        ":1:12: interval x",
        "--max-live many: ",
        ":2:1: no is unknown",
        ":4:11: http.timeout",
        ":6:8: target.mode x",
        "it says of no process",
        ":8:8: target.comm is empty",
        "it has no name",
        "it has no from",
    ];
    for part in parts {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(error.lines().count(), parts.len(), "{error}");
}

#[test]
fn a_syntax_error_and_a_wrong_flag_are_said_together() {
    let file = file("tracer.toml", "a = = 1\n");
    let args = DaemonArgs { listen: Some("x".to_owned()), ..file.args.clone() };
    let error = load(&args).expect_err("it is wrong").0;
    assert!(error.contains("tracer.toml:1:5: "), "{error}");
    assert!(error.contains("--listen x: "), "{error}");
}

#[test]
fn a_flag_comes_before_a_variable_before_the_file_before_the_default() {
    let file =
        file("tracer.toml", "max_live = 10\nmax_stacks = 10\nlabels = { service = 'f', version = 'f' }\n");
    let mut args = file.args.clone();
    let check = |args: &DaemonArgs, live, stacks, series, service: &str| {
        let config = load(args).unwrap_or_else(|error| panic!("{error}"));
        let found =
            (config.max_live, config.max_stacks, config.max_series, config.labels["service"].as_str());
        assert_eq!(found, (live, stacks, series, service));
        assert_eq!(config.labels["version"], "f");
    };
    check(&args, 10, 10, 1000, "f");
    args.max_live = Some("20".to_owned());
    args.from_environment.insert("max_live".to_owned());
    args.max_stacks = Some("30".to_owned());
    args.labels = vec!["service=v, namespace = n".to_owned()];
    assert!(load(&args).is_ok(), "as a flag it is one label");
    args.labels = vec!["service=v,namespace=n".to_owned()];
    args.from_environment.insert("labels".to_owned());
    check(&args, 20, 30, 1000, "v");
    // A variable without a value is none.
    args.max_live = Some(String::new());
    args.labels = vec![String::new()];
    check(&args, 10, 30, 1000, "f");
    args.max_stacks = Some(String::new());
    assert!(load(&args).is_err(), "a flag without a value is wrong");
}

#[test]
fn a_wrong_flag_or_variable_is_named() {
    let mut args = DaemonArgs { interval: Some("x".to_owned()), ..DaemonArgs::default() };
    args.labels = vec!["team=x".to_owned(), "service".to_owned()];
    let error = load(&args).expect_err("it is wrong").0;
    let expect = [
        "--interval x: ",
        "--label team is unknown: the labels are ",
        "--label service: it must be KEY=VALUE",
    ];
    for part in expect {
        assert!(error.lines().any(|line| line.starts_with(part)), "{part}: {error}");
    }
    args.from_environment = ["interval", "labels"].map(str::to_owned).into();
    let error = load(&args).expect_err("it is wrong").0;
    assert!(error.starts_with("TRACER_INTERVAL x: "), "{error}");
    assert!(error.contains("\nTRACER_LABELS team is unknown"), "{error}");
}

#[test]
fn the_effective_configuration_reads_back_as_it_is() {
    for text in ["", WHOLE, "max_unwind = 1048577\n[[target]]\ncomm = \"a\\\"\\\\\\n'é\"\nsample_bytes = 0\n"]
    {
        let file = file("tracer.toml", text);
        let config = load(&file.args).expect("it is right");
        let printed = effective(&file.args).expect("it is right");
        assert_eq!(good(&printed), config, "{printed}");
    }
}

#[test]
fn the_effective_configuration_says_where_each_value_comes_from() {
    let file = file(
        "tracer.toml",
        "max_live = 10\n[[target]]\ncomm = 'a'\n[[label]]\nname = 'version'\nfrom = 'exe'\n",
    );
    let mut args = file.args.clone();
    args.max_stacks = Some("30".to_owned());
    args.interval = Some("2s".to_owned());
    args.labels = vec!["service=v".to_owned()];
    args.from_environment = ["interval", "labels"].map(str::to_owned).into();
    let printed = effective(&args).expect("it is right");
    for line in [
        "listen = \"127.0.0.1:9464\" # default",
        "interval = \"2s\" # environment, TRACER_INTERVAL",
        "max_stacks = 30 # flag, --max-stacks",
        "max_live = 10 # file, line 1",
        "service = \"v\" # environment, TRACER_LABELS",
        "comm = [\"a\"] # file, line 3",
        "mode = \"alloc\" # default",
        "sample_bytes = \"512KiB\" # default",
        "name = \"version\" # file, line 4",
        "name = \"service\" # default",
        "key = \"OTEL_SERVICE_NAME\" # default",
    ] {
        assert!(printed.lines().any(|own| own == line), "{line}: {printed}");
    }
    let values = printed.lines().filter(|line| line.contains(" = "));
    assert!(values.clone().count() > 20);
    for line in values {
        assert!(line.contains(" # "), "{line}");
    }
}

#[test]
fn a_difference_needs_a_restart_only_where_something_is_there_already() {
    let check = |text: &str, expect: &[&str]| {
        assert_eq!(Config::default().difference_needing_restart(&good(text)), expect, "{text}");
    };
    check("", &[]);
    check("interval = '2s'\nmax_series = 5\nexpire_after = '1s'\ntop_sites = 3\nlabels.service = 'x'\n", &[]);
    check("[[target]]\ncomm = 'a'\n[[label]]\nname = 'version'\nfrom = 'exe'\n", &[]);
    check("listen = '127.0.0.1:1'\nmax_live = 1\n", &["listen", "max_live"]);
    check("http = { tls_key = 'k', tls_certificate = 'c' }", &["http.tls_certificate, http.tls_key"]);
    let whole = Config::default().difference_needing_restart(&good(WHOLE));
    assert_eq!(whole.len(), 13, "{whole:?}");
}

#[test]
fn the_examples_are_right_and_say_the_same() {
    let example = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name);
        load(&DaemonArgs { config: Some(path), ..DaemonArgs::default() })
            .unwrap_or_else(|error| panic!("{error}"))
    };
    let config = example("tracer.toml");
    assert_eq!(example("tracer.yaml"), config);
    let rates: Vec<_> = config.rules.iter().map(|rule| (rule.mode, rule.sample_bytes)).collect();
    assert_eq!(rates, [(Mode::Live, 64 << 10), (Mode::Live, 2 << 20)]);
    // What it shows of the defaults is what they are.
    let shown = Config {
        labels: BTreeMap::new(),
        label_rules: Config::default().label_rules,
        rules: Vec::new(),
        ..config
    };
    assert_eq!(shown, Config::default());
}

mod canary;
mod kubernetes;
