//! Debian's Prometheus, with the configuration that a test gives it.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::http::encoded;
use super::{Server, poll};
use crate::harness::skip;

/// Labels and value.
pub(crate) type Sample = (BTreeMap<String, String>, f64);

/// A running Prometheus.
pub(crate) struct Prometheus {
    server: Server,
}

impl Prometheus {
    /// Starts it with the text of a configuration; paths in it are absolute. The error is the reason to skip a test.
    pub(crate) fn start(config: &str) -> Result<Self, String> {
        Self::with(config, "native-histograms,exemplar-storage")
    }

    /// The same without native histograms, as it is where nobody has switched them on.
    pub(crate) fn classic(config: &str) -> Result<Self, String> {
        Self::with(config, "exemplar-storage")
    }

    fn with(config: &str, features: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("prometheus.yml"), config).expect("a configuration");
        let server = Server::start("prometheus", folder, "/-/ready", |port, folder| {
            let folder = folder.display();
            vec![
                format!("--config.file={folder}/prometheus.yml"),
                format!("--storage.tsdb.path={folder}/data"),
                format!("--web.listen-address=127.0.0.1:{port}"),
                format!("--enable-feature={features}"),
                "--rules.alert.resend-delay=1s".to_owned(),
                "--log.level=warn".to_owned(),
            ]
        })?;
        Ok(Self { server })
    }

    /// Where it listens on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    /// What an expression is at this moment.
    #[track_caller]
    pub(crate) fn query(&self, expression: &str) -> Vec<Sample> {
        let answer = self.server.json("GET", &format!("/api/v1/query?query={}", encoded(expression)), "");
        let samples = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("no vector: {answer}"));
        samples.iter().map(sample).collect()
    }

    /// Rules that could not be evaluated, each with the reason.
    #[track_caller]
    pub(crate) fn broken_rules(&self) -> Vec<String> {
        let answer = self.server.json("GET", "/api/v1/rules", "");
        let groups = answer["data"]["groups"].as_array().into_iter().flatten();
        let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
        let broken = rules.filter(|rule| rule["health"] == "err");
        broken.map(|rule| format!("{}: {}", rule["name"], rule["lastError"])).collect()
    }

    /// Looks until the samples of an expression are such.
    #[track_caller]
    pub(crate) fn wait(&self, expression: &str, are_such: impl Fn(&[Sample]) -> bool) -> Vec<Sample> {
        poll(expression, || Some(self.query(expression)).filter(|samples| are_such(samples)))
    }

    /// Looks until an expression has samples: the first comes some 6 s after the start.
    #[track_caller]
    pub(crate) fn wait_some(&self, expression: &str) -> Vec<Sample> {
        self.wait(expression, |samples| !samples.is_empty())
    }
}

fn sample(sample: &Value) -> Sample {
    let labels = sample["metric"].as_object().into_iter().flatten();
    let labels = labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
    let value = sample["value"][1].as_str().and_then(|value| value.parse().ok());
    (labels.collect(), value.unwrap_or_else(|| panic!("no number: {sample}")))
}

/// Check that it scrapes, evaluates, answers and is gone with its handle.
#[test]
fn prometheus_scrapes_itself_and_answers() {
    let target = super::free_port();
    let config = format!(
        "global: {{scrape_interval: 200ms}}\n\
         scrape_configs: [{{job_name: nobody, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]\n"
    );
    let prometheus = match Prometheus::start(&config) {
        Ok(prometheus) => prometheus,
        Err(reason) => return skip("prometheus_scrapes_itself_and_answers", &reason),
    };
    let samples = prometheus.wait_some("up{job=\"nobody\"}");
    assert_eq!(samples[0].0["instance"], format!("127.0.0.1:{target}"));
    assert_eq!(samples[0].1.to_bits(), 0f64.to_bits(), "nobody listens there");
    assert!(prometheus.query("vector(1) < 0").is_empty());
    let port = prometheus.port();
    drop(prometheus);
    super::http::get(port, "/-/ready").expect_err("it is gone");
}

/// Check that Prometheus runs the rules as they are, and that a missing daemon is seen.
#[test]
fn prometheus_runs_the_alert_rules() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/prometheus/alerts.yaml");
    let config = format!("global: {{evaluation_interval: 200ms}}\nrule_files: ['{rules}']\n");
    let prometheus = match Prometheus::start(&config) {
        Ok(prometheus) => prometheus,
        Err(reason) => return skip("prometheus_runs_the_alert_rules", &reason),
    };
    prometheus.wait_some("ALERTS{alertname=\"TracerDataQuality\", reason=\"absent\"}");
    assert!(prometheus.broken_rules().is_empty(), "{:?}", prometheus.broken_rules());
}
