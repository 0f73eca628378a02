//! A canary that allocates more and leaks, told to somebody by real parts: the daemon, Prometheus with the rules as they are
//! (in seconds instead of minutes), Alertmanager, a webhook. While that goes on, the dashboard's queries are asked.

use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use super::dashboard;
use super::driver::Daemon;
use super::rules_in_seconds::prometheus_config;
use super::shop::{Market, Shop};
use crate::fixtures;
use crate::groups::Group;
use crate::harness::{Target, eventually, kernel_or_skip, skip, tracer};
use crate::servers::alertmanager::Alertmanager;
use crate::servers::prometheus::Prometheus;
use crate::servers::webhook::Webhook;

/// As much as nothing here reaches.
const MEMORY_LIMIT: u64 = 4 << 30;

/// Check that an alert of the canary reaches whoever is called, names what it is about, and ends with the canary; that a
/// daemon that is gone is told too; and that the dashboard shows something meanwhile.
#[test]
fn a_leaking_canary_is_told_and_its_end_too() {
    let name = "a_leaking_canary_is_told_and_its_end_too";
    if !kernel_or_skip(name) {
        return;
    }
    if let Err(reason) = tell() {
        skip(name, &reason);
    }
}

/// What watches the daemon.
struct Watchers {
    webhook: Webhook,
    _alertmanager: Alertmanager,
    prometheus: Prometheus,
    /// The one that has native histograms.
    native: Prometheus,
    _folder: TempDir,
}

/// The story; the error is the reason to skip it.
fn tell() -> Result<(), String> {
    let market = Market::new();
    let (mut stable, mut canary) = (market.stable(), market.canary());
    let group = Group::with_memory_limit("shop", MEMORY_LIMIT);
    if let Some(group) = &group {
        [&stable, &canary].into_iter().for_each(|shop| shop.move_into(group));
    }
    // One more that is wanted and cannot be traced: it has no function of an allocator by name.
    let nameless = fixtures::static_stripped()?;
    let _nameless = Target::start(&nameless, &["--wait-start"]);
    let rule = format!("[[target]]\nname = \"nameless\"\nexe = \"{}\"\n", nameless.display());
    let daemon = Daemon::start(&format!("top_sites = 5\n{}{rule}", market.rules()));
    let is_traced = |mode: &str| {
        let status = tracer().args(["ctl", "--socket"]).arg(daemon.socket()).arg("status").output();
        let status = status.expect("the tracer starts");
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
        let text = String::from_utf8_lossy(&status.stdout).into_owned();
        text.lines().any(|line| line.contains("shop-canary") && line.contains(mode))
    };
    let target = [("canary_group", "canary")];
    daemon.wait_metric("tracer_target_processes", &target, |count| count == Some(1.0));
    assert!(is_traced("live"));
    let watchers = Watchers::start(daemon.port())?;
    watchers.prometheus.wait_some("tracer_target_processes{canary_group=\"canary\"} == 1");
    [&mut stable, &mut canary].into_iter().for_each(Shop::load);

    let mut clock = Clock::start();
    for quantity in ["bytes", "objects"] {
        watchers.hear(&mut clock, "firing", "TracerCanaryAllocatesMore", ("quantity", quantity));
    }
    watchers.hear(&mut clock, "firing", "TracerCanaryHoldsMore", ("quantity", "inuse_bytes"));
    dashboard::every_panel_shows_something(&watchers.prometheus, group.is_some());
    dashboard::the_leak_is_the_top_site(&watchers.prometheus);
    dashboard::native_histograms_have_the_right_quantile(&watchers.native);
    assert_eq!(watchers.prometheus.broken_rules(), Vec::<String>::new());
    clock.lap("the dashboard");
    for reason in ["no_canary_data", "no_stable_data", "sampled_error", "modes_differ"] {
        watchers.heard_nothing_of(reason);
    }
    watchers.heard_no_end_of(&["TracerCanaryAllocatesMore", "TracerCanaryHoldsMore"]);

    // The daemon says that the canary is over, and is believed: nothing is missing.
    drop(canary);
    let mut clock = Clock::start();
    for quantity in ["bytes", "objects"] {
        watchers.hear(&mut clock, "resolved", "TracerCanaryAllocatesMore", ("quantity", quantity));
    }
    watchers.hear(&mut clock, "resolved", "TracerCanaryHoldsMore", ("quantity", "inuse_bytes"));
    watchers.prometheus.wait("tracer:canary_expected:bool", <[_]>::is_empty);
    watchers.heard_nothing_of("no_canary_data");

    // A new canary of which less is known than of stable, and then one without stable: neither good nor bad, and told.
    daemon.rewrite_config(&market.rules_for("alloc"));
    let mut canary = market.canary();
    if let Some(group) = &group {
        canary.move_into(group);
    }
    canary.load();
    eventually("the canary is traced in the new mode", || is_traced("alloc"));
    let mut clock = Clock::start();
    watchers.hear(&mut clock, "firing", "TracerCanaryDataMissing", ("reason", "modes_differ"));
    watchers.heard_nothing_of("no_stable_data");
    drop(stable);
    let mut clock = Clock::start();
    watchers.hear(&mut clock, "firing", "TracerCanaryDataMissing", ("reason", "no_stable_data"));

    // A daemon that does not answer is taken at its last word.
    watchers.heard_nothing_of("no_canary_data");
    let ended = daemon.stop();
    assert!(ended.success(), "the daemon ends as it is told to: {ended}");
    let mut clock = Clock::start();
    watchers.hear(&mut clock, "firing", "TracerCanaryDataMissing", ("reason", "no_canary_data"));
    watchers.wait_alert("firing", "TracerDataQuality", ("reason", "down"));
    clock.lap("the daemon is down");
    Ok(())
}

impl Watchers {
    fn start(daemon: u16) -> Result<Self, String> {
        let webhook = Webhook::start();
        let alertmanager = Alertmanager::start(&webhook.url())?;
        let folder = tempfile::tempdir().expect("a folder");
        let config = prometheus_config(folder.path(), daemon, alertmanager.port());
        let prometheus = Prometheus::classic(&config)?;
        let native =
            Prometheus::start(&config.replace("rule_files", "# rule_files").replace("  - /", "# - /"))?;
        Ok(Self { webhook, _alertmanager: alertmanager, prometheus, native, _folder: folder })
    }

    fn wait_alert(&self, status: &str, alert: &str, (key, value): (&str, &str)) -> Value {
        self.webhook.wait(|told| {
            let labels = &told["labels"];
            told["status"] == status && labels["alertname"] == alert && labels[key] == value
        })
    }

    /// Waits until an alert of the canary comes with all that tells whose it is.
    fn hear(&self, clock: &mut Clock, status: &str, alert: &str, label: (&str, &str)) {
        let told = self.wait_alert(status, alert, label);
        clock.lap(&format!("{status} {alert} {label:?}"));
        let labels = &told["labels"];
        let whose = ["namespace", "service", "canary_group", "severity"].map(|key| labels[key].as_str());
        assert_eq!(whose, [Some("market"), Some("shop"), Some("canary"), Some("warning")], "{told}");
        let versions = told["annotations"]["versions"].as_str().unwrap_or_default();
        if status == "firing" && label.0 == "quantity" {
            assert!(versions.contains("canary 2.0: 1 processes."), "{told}");
            assert!(versions.contains("stable 1.0: 1 processes."), "{told}");
        }
    }

    fn heard_no_end_of(&self, alerts: &[&str]) {
        let ended = self.webhook.alerts().into_iter().find(|told| {
            told["status"] == "resolved" && alerts.iter().any(|alert| told["labels"]["alertname"] == *alert)
        });
        assert_eq!(ended, None);
    }

    fn heard_nothing_of(&self, reason: &str) {
        let told = self.webhook.alerts().into_iter().find(|told| told["labels"]["reason"] == reason);
        assert_eq!(told, None);
    }
}

/// Says how long everything took, for whoever reads along.
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn lap(&mut self, what: &str) {
        println!("{:.1} s: {what}", self.0.elapsed().as_secs_f64());
    }
}
