//! What gates say of good canaries, of bad ones, and of those of which nothing can be said: by Prometheus' own evaluation.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::rollouts::{Condition, Gate, argo, flagger};
use super::tools::promtool;
use super::{assert_known, names, repository, rules};

const RULES: &str = "deploy/prometheus/alerts.yaml";
/// What every rule has seen enough of, and when a canary that changes has changed for long.
const MINUTES: u32 = 30;

/// What a controller does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Go,
    Stop,
    /// Argo pauses; Flagger does not advance.
    Unknown,
}
use Verdict::{Go, Stop, Unknown};

/// The processes of one group on one node.
#[derive(Clone, Copy)]
struct Side {
    processes: u32,
    /// KiB per second and process.
    allocates: u32,
    /// MiB per process; `None`: mode alloc.
    holds: Option<u32>,
    /// MiB per process and minute that come to it.
    leaks: u32,
    /// MiB per process.
    resident: u32,
    /// Standard error of what it holds.
    error: f64,
    attached: f64,
    /// Minutes until nothing more is heard.
    until: u32,
}

const SIDE: Side = Side {
    processes: 4,
    allocates: 100,
    holds: Some(100),
    leaks: 0,
    resident: 150,
    error: 0.01,
    attached: 1.0,
    until: MINUTES,
};

/// A rollout: two groups, and the share of events that daemons lose.
struct Scene {
    canary: Option<Side>,
    stable: Option<Side>,
    lost: f64,
}

impl Scene {
    fn of(canary: Side) -> Self {
        Self { canary: Some(canary), stable: Some(SIDE), lost: 0.0 }
    }
}

/// Each with its verdict by quality, allocation and memory in use.
fn scenes() -> Vec<(&'static str, Scene, [Verdict; 3])> {
    let one = Side { processes: 1, ..SIDE };
    let young = Side { holds: Some(20), ..SIDE };
    vec![
        ("a canary that does what stable does", Scene::of(one), [Go, Go, Go]),
        ("a canary that leaks", Scene::of(Side { leaks: 5, ..one }), [Go, Go, Stop]),
        ("a canary that allocates more", Scene::of(Side { allocates: 150, ..one }), [Go, Stop, Go]),
        (
            "a canary that allocates more and holds more",
            Scene::of(Side { allocates: 300, holds: Some(200), resident: 250, ..one }),
            [Go, Stop, Stop],
        ),
        ("a canary that is better", Scene::of(Side { allocates: 50, holds: Some(50), ..one }), [Go, Go, Go]),
        (
            "a canary of little, three times as much",
            Scene {
                canary: Some(Side { allocates: 30, holds: Some(3), resident: 10, ..one }),
                stable: Some(Side { allocates: 10, holds: Some(3), resident: 10, ..SIDE }),
                lost: 0.0,
            },
            [Go, Go, Go],
        ),
        (
            "a canary that holds twice of next to nothing",
            Scene {
                canary: Some(Side { holds: Some(2), resident: 11, error: 0.05, ..one }),
                stable: Some(Side { holds: Some(1), resident: 10, error: 0.05, ..SIDE }),
                lost: 0.0,
            },
            // 1 MiB more: it is worth a look from there on.
            [Go, Go, Stop],
        ),
        ("a canary without requests", Scene::of(Side { allocates: 0, ..one }), [Go, Unknown, Go]),
        (
            "stable, whose blocks from before its daemon started are not counted",
            Scene { stable: Some(young), ..Scene::of(one) },
            [Go, Go, Unknown],
        ),
        ("a canary in mode alloc", Scene::of(Side { holds: None, ..one }), [Go, Go, Unknown]),
        ("a canary of which samples say little", Scene::of(Side { error: 0.2, ..one }), [Go, Go, Unknown]),
        (
            "a leak that is within the error",
            Scene::of(Side { holds: Some(125), resident: 175, error: 0.09, ..one }),
            [Go, Go, Go],
        ),
        ("no canary", Scene { canary: None, ..Scene::of(one) }, [Unknown; 3]),
        ("no stable", Scene { stable: None, ..Scene::of(one) }, [Unknown; 3]),
        (
            "a leaking canary that was heard last ten minutes ago",
            Scene::of(Side { until: MINUTES - 10, leaks: 5, allocates: 300, ..one }),
            [Unknown; 3],
        ),
        (
            "a leaking canary of which only half of the processes are traced",
            Scene::of(Side { attached: 0.5, leaks: 5, allocates: 300, ..SIDE }),
            [Unknown; 3],
        ),
        (
            "a leaking canary, and daemons that lose a tenth",
            Scene { lost: 0.1, ..Scene::of(Side { leaks: 5, allocates: 300, ..one }) },
            [Unknown; 3],
        ),
        (
            "daemons that lose a hundredth",
            Scene { lost: 0.01, ..Scene::of(Side { leaks: 5, allocates: 300, ..one }) },
            [Go, Stop, Stop],
        ),
        ("canary processes that are all gone", Scene::of(Side { processes: 0, ..SIDE }), [Unknown; 3]),
    ]
}

/// Series of one test of promtool.
#[derive(Default)]
struct Series(String);

impl Series {
    fn add(&mut self, series: &str, values: &str) {
        writeln!(self.0, "      - series: '{series}'\n        values: {values}").expect("it grows");
    }

    fn side(&mut self, group: &str, workload: &str, side: Side) {
        self.side_of("web", group, workload, side);
    }

    fn side_of(&mut self, service: &str, group: &str, workload: &str, side: Side) {
        let Side { processes, until, .. } = side;
        let labels = format!(
            "namespace=\"shop\",service=\"{service}\",workload=\"{workload}\",canary_group=\"{group}\",version=\"{group}\",\
             job=\"tracer\",instance=\"{group}\""
        );
        let mib = u64::from(processes) << 20;
        let per_minute = (u64::from(side.allocates) << 10) * 60 * u64::from(processes);
        self.add(&format!("tracer_target_processes{{{labels}}}"), &format!("{processes}x{until}"));
        self.add(&format!("tracer_attached_ratio{{{labels}}}"), &format!("{}x{until}", side.attached));
        self.add(
            &format!("tracer_alloc_bytes_total{{{labels},allocator=\"glibc\"}}"),
            &format!("0+{per_minute}x{until}"),
        );
        let line = |start: u32| format!("{}+{}x{until}", u64::from(start) * mib, u64::from(side.leaks) * mib);
        self.add(&format!("tracer_target_resident_bytes{{{labels}}}"), &line(side.resident));
        if let Some(holds) = side.holds {
            self.add(&format!("tracer_inuse_bytes{{{labels}}}"), &line(holds));
            self.add(
                &format!("tracer_estimate_relative_error{{{labels},quantity=\"inuse_bytes\"}}"),
                &format!("{}x{until}", side.error),
            );
        }
    }

    fn verdict(&mut self, number: usize, node: Node) {
        self.verdict_of("web", number, node);
    }

    fn verdict_of(&mut self, service: &str, number: usize, node: Node) {
        let labels = format!(
            "namespace=\"shop\",service=\"{service}\",workload=\"web\",job=\"tracer\",instance=\"node-{number}\""
        );
        if let Some(gate) = node.gate {
            self.add(&format!("tracer_canary_gate{{{labels}}}"), &format!("{gate}x{MINUTES}"));
        }
        let (until, stands) = (node.until, MINUTES - node.until);
        let times = if stands == 0 {
            format!("0+60x{until}")
        } else {
            format!("0+60x{until} {}x{}", until * 60, stands - 1)
        };
        self.add(&format!("tracer_canary_timestamp_seconds{{{labels}}}"), &times);
    }

    fn scene(scene: &Scene) -> Self {
        let mut series = Self::default();
        for (group, side) in [("canary", scene.canary), ("stable", scene.stable)] {
            let instance = format!("job=\"tracer\",instance=\"{group}\"");
            series.add(&format!("tracer_events_total{{{instance}}}"), &format!("0+100000x{MINUTES}"));
            let lost = 100_000.0 * scene.lost;
            series.add(
                &format!("tracer_events_lost_total{{{instance},reason=\"map_full\"}}"),
                &format!("0+{lost}x{MINUTES}"),
            );
            if let Some(side) = side {
                series.side(group, "web", side);
            }
        }
        // Of another workload, whose canary does all that is bad.
        series.side("canary", "other", Side { allocates: 900, holds: Some(900), resident: 990, ..SIDE });
        series.side("stable", "other", SIDE);
        series
    }
}

/// Expressions with the value that is expected: 1 where a gate says so.
fn expectations(gate: &Gate, verdict: Verdict) -> Vec<(String, u32)> {
    let query = gate.query.trim();
    let met = |condition: &Condition| {
        format!("count(({query}) {} {}) or vector(0)", condition.operator, condition.limit)
    };
    let mut all = vec![(met(&gate.go), u32::from(verdict == Go))];
    if let Some(stop) = &gate.stop {
        all.push((met(stop), u32::from(verdict == Stop)));
        // One number, or none: neither controller looks at a second.
        all.push((format!("count({query}) or vector(0)"), u32::from(verdict != Unknown)));
    }
    all
}

/// A test of promtool: series, and what gates say of them at the end.
fn tested(name: &str, series: &Series, expectations: &[(String, u32)]) -> String {
    let mut test =
        format!("  - name: {name}\n    interval: 1m\n    input_series:\n{}    promql_expr_test:\n", series.0);
    for (expression, value) in expectations {
        let expression = serde_json::to_string(expression).expect("a string");
        writeln!(
            test,
            "      - expr: {expression}\n        eval_time: {MINUTES}m\n        exp_samples:\n          - {{labels: '{{}}', value: {value}}}"
        )
        .expect("it grows");
    }
    test
}

fn run(name: &str, tests: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("gates.test.yaml");
    let rules = repository().join(RULES);
    let text = format!("rule_files: [{}]\nevaluation_interval: 1m\ntests:\n{tests}", rules.display());
    std::fs::write(&file, text).expect("a file");
    promtool(name, &["test", "rules", file.to_str().expect("a plain path")]);
}

/// Check, for the gates of both controllers, that a leaking canary is stopped, that a good one goes on, and that nothing is said
/// where data are missing or bad.
#[test]
fn gates_stop_bad_canaries_only_and_say_nothing_without_good_data() {
    let mut tests = String::new();
    for (name, scene, verdicts) in scenes() {
        let series = Series::scene(&scene);
        let mut all = Vec::new();
        for gates in [argo("shop", "web", &[]), flagger("shop", "web")].map(of_ratios) {
            assert_eq!(gates.len(), verdicts.len());
            all.extend(gates.iter().zip(verdicts).flat_map(|(gate, verdict)| expectations(gate, verdict)));
        }
        tests.push_str(&tested(name, &series, &all));
    }
    run("gates_stop_bad_canaries_only_and_say_nothing_without_good_data", &tests);
}

/// Those that compare sums of all nodes.
fn of_ratios(gates: Vec<Gate>) -> Vec<Gate> {
    gates.into_iter().filter(|gate| !is_of_verdict(gate)).collect()
}

fn is_of_verdict(gate: &Gate) -> bool {
    gate.query.contains("tracer:canary_verdict:gate")
}

/// What the daemon of a node says: go, stop, or nothing; and in which minute it said so last.
#[derive(Clone, Copy)]
struct Node {
    gate: Option<u32>,
    until: u32,
}

/// Check that the worst verdict of the nodes that can tell holds, that one that cannot tell is no verdict, and that an old one is
/// none either.
#[test]
fn the_worst_verdict_of_the_nodes_that_can_tell_holds() {
    let node = |gate| Node { gate, until: MINUTES };
    let (go, stop, unknown) = (node(Some(1)), node(Some(0)), node(None));
    let half = Side { attached: 0.5, ..SIDE };
    let mut tests = String::new();
    for (name, side, nodes, verdict) in [
        ("one says go", SIDE, vec![go], Go),
        ("one says stop", SIDE, vec![stop], Stop),
        ("one of two says stop", SIDE, vec![go, stop], Stop),
        ("one of two can tell", SIDE, vec![unknown, go], Go),
        ("none can tell", SIDE, vec![unknown, unknown], Unknown),
        ("a verdict of ten minutes ago", SIDE, vec![Node { until: MINUTES - 10, ..go }], Unknown),
        ("half of the processes are traced", half, vec![go], Unknown),
        ("no daemon compares", SIDE, vec![], Unknown),
    ] {
        let mut series = Series::scene(&Scene::of(side));
        for (number, node) in nodes.iter().enumerate() {
            series.verdict(number, *node);
        }
        let gates = argo("shop", "web", &[]).into_iter().chain(flagger("shop", "web"));
        let gates: Vec<_> = gates.filter(is_of_verdict).collect();
        assert_eq!(gates.len(), 2, "one of each controller");
        let all: Vec<_> = gates.iter().flat_map(|gate| expectations(gate, verdict)).collect();
        tests.push_str(&tested(name, &series, &all));
    }
    run("the_worst_verdict_of_the_nodes_that_can_tell_holds", &tests);
}

/// Check that a workload of two services goes on only if both say so, and stops if one does.
#[test]
fn a_workload_goes_on_only_if_each_of_its_services_does() {
    let mut tests = String::new();
    for (name, web, proxy, verdict) in [
        ("both say go", Some(1), Some(1), Go),
        ("the first cannot tell", None, Some(1), Unknown),
        ("the second cannot tell", Some(1), None, Unknown),
        ("neither can tell", None, None, Unknown),
        ("one says stop", Some(1), Some(0), Stop),
        ("one says stop, the other cannot tell", None, Some(0), Stop),
    ] {
        let mut series = Series::scene(&Scene::of(SIDE));
        for group in ["canary", "stable"] {
            series.side_of("proxy", group, "web", SIDE);
        }
        series.verdict_of("web", 0, Node { gate: web, until: MINUTES });
        series.verdict_of("proxy", 0, Node { gate: proxy, until: MINUTES });
        let gates = argo("shop", "web", &[]).into_iter().chain(flagger("shop", "web"));
        let all: Vec<_> = gates.filter(is_of_verdict).flat_map(|gate| expectations(&gate, verdict)).collect();
        tests.push_str(&tested(name, &series, &all));
    }
    run("a_workload_goes_on_only_if_each_of_its_services_does", &tests);
}

/// Check that arguments change what is asked, and that they name one workload of one namespace.
#[test]
fn arguments_of_a_gate_choose_what_is_judged() {
    let series = Series::scene(&Scene::of(Side { processes: 2, allocates: 150, ..SIDE }));
    let mut tests = String::new();
    for (name, gates, verdicts) in [
        ("as it is", argo("shop", "web", &[]), [Go, Stop, Go]),
        ("more is allowed", argo("shop", "web", &[("max-ratio", "1.6")]), [Go, Go, Go]),
        ("more processes are wanted", argo("shop", "web", &[("min-processes", "3")]), [Unknown, Stop, Go]),
        ("a service that is not there", argo("shop", "web", &[("service", "api")]), [Unknown; 3]),
        ("a service by a pattern", argo("shop", "web", &[("service", "w.b|api")]), [Go, Stop, Go]),
        ("another namespace", argo("park", "web", &[]), [Unknown; 3]),
        ("another workload", argo("shop", "other", &[]), [Go, Stop, Stop]),
        ("another target", flagger("shop", "other"), [Go, Stop, Stop]),
    ] {
        let gates = of_ratios(gates);
        let all: Vec<_> =
            gates.iter().zip(verdicts).flat_map(|(gate, verdict)| expectations(gate, verdict)).collect();
        tests.push_str(&tested(name, &series, &all));
    }
    run("arguments_of_a_gate_choose_what_is_judged", &tests);
}

/// Check that no gate reads what nobody has.
#[test]
fn every_gate_reads_recorded_series() {
    let (records, mut read) = (rules::records(), BTreeSet::new());
    let gates: Vec<_> = argo("shop", "web", &[]).into_iter().chain(flagger("shop", "web")).collect();
    for gate in &gates {
        assert_known(&gate.query, &records);
        read.extend(names(&gate.query));
    }
    let expect = [
        "tracer:canary_alloc_bytes:gate",
        "tracer:canary_expected:bool",
        "tracer:canary_inuse_bytes:gate",
        "tracer:canary_trusted:bool",
        "tracer:canary_verdict:gate",
        "tracer:target_processes:avg5m",
    ];
    assert_eq!(read, BTreeSet::from(expect));
}
