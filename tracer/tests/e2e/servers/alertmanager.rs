//! Debian's Alertmanager, which passes every alert on to one webhook at once.

use std::fs;

use serde_json::Value;

use super::Server;
use super::webhook::Webhook;
use crate::harness::skip;

/// A running Alertmanager.
pub(crate) struct Alertmanager {
    server: Server,
}

impl Alertmanager {
    /// Starts it with one receiver. The error is the reason to skip a test.
    pub(crate) fn start(webhook_url: &str) -> Result<Self, String> {
        Self::with(&format!(
            "route: {{receiver: webhook, group_wait: 0s, group_interval: 1s}}\n\
             receivers: [{{name: webhook, webhook_configs: [{{url: '{webhook_url}', send_resolved: true}}]}}]\n"
        ))
    }

    /// Starts it with the text of a configuration.
    pub(crate) fn with(config: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("alertmanager.yml"), config).expect("a configuration");
        let server = Server::start("prometheus-alertmanager", folder, "/-/ready", |port, folder| {
            let folder = folder.display();
            vec![
                format!("--config.file={folder}/alertmanager.yml"),
                format!("--storage.path={folder}/data"),
                format!("--web.listen-address=127.0.0.1:{port}"),
                "--cluster.listen-address=".to_owned(),
                "--log.level=warn".to_owned(),
            ]
        })?;
        Ok(Self { server })
    }

    /// Where it listens on loopback: for Prometheus's configuration.
    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    /// The alerts that are active.
    #[track_caller]
    pub(crate) fn alerts(&self) -> Vec<Value> {
        let answer = self.server.json("GET", "/api/v2/alerts?active=true", "");
        answer.as_array().cloned().unwrap_or_default()
    }
}

/// Check the way from a rule to a webhook.
#[test]
fn an_alert_of_prometheus_arrives_at_the_webhook() {
    let name = "an_alert_of_prometheus_arrives_at_the_webhook";
    let webhook = Webhook::start();
    let alertmanager = match Alertmanager::start(&webhook.url()) {
        Ok(alertmanager) => alertmanager,
        Err(reason) => return skip(name, &reason),
    };
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("rules.yaml");
    fs::write(&rules, "groups: [{name: all, rules: [{alert: Always, expr: vector(2) > 1}]}]\n")
        .expect("rules");
    let config = format!(
        "global: {{evaluation_interval: 200ms}}\nrule_files: ['{}']\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{}']}}]}}]}}\n",
        rules.display(),
        alertmanager.port()
    );
    let _prometheus = match super::prometheus::Prometheus::start(&config) {
        Ok(prometheus) => prometheus,
        Err(reason) => return skip(name, &reason),
    };
    let alert = webhook.wait(|alert| alert["labels"]["alertname"] == "Always");
    assert_eq!(alert["status"], "firing");
    assert_eq!(alertmanager.alerts()[0]["labels"]["alertname"], "Always");
}

/// Check that the example is one that Alertmanager takes.
#[test]
fn alertmanager_starts_with_the_example() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/alertmanager/alertmanager.yml");
    let example = fs::read_to_string(example).expect("the example");
    match Alertmanager::with(&example) {
        Ok(alertmanager) => assert!(alertmanager.alerts().is_empty()),
        Err(reason) => skip("alertmanager_starts_with_the_example", &reason),
    }
}
