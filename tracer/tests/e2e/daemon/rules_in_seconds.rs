//! The shipped rules and the example's configuration of Prometheus, with seconds where they have minutes and hours.

use std::fs;
use std::path::Path;

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/prometheus");
/// What takes minutes and hours, and how long it takes here.
const SHORTER: [(&str, &str); 10] = [
    ("[5m]", "[10s]"),
    ("[30m]", "[10s]"),
    ("[1h]", "[60s]"),
    ("offset 30m", "offset 10s"),
    ("offset 1h", "offset 20s"),
    ("for: 10m", "for: 3s"),
    ("for: 30m", "for: 3s"),
    ("for: 15m", "for: 3s"),
    ("for: 5m", "for: 3s"),
    ("0.5 * 1800", "0.5 * 10"),
];

/// The text of the example's configuration, for these ports on loopback and in seconds; its rules are written into `folder`.
pub(crate) fn prometheus_config(folder: &Path, daemon: u16, alertmanager: u16) -> String {
    let rules = folder.join("alerts.yaml");
    let mut text = fs::read_to_string(format!("{DEPLOY}/alerts.yaml")).expect("the rules");
    for (long, short) in SHORTER {
        assert!(text.contains(long), "the rules have {long}");
        text = text.replace(long, short);
    }
    fs::write(&rules, text).expect("rules");
    let mut config = fs::read_to_string(format!("{DEPLOY}/prometheus.yml")).expect("the example");
    for (of_example, here) in [
        ("interval: 15s", "interval: 1s".to_owned()),
        ("- alerts.yaml", format!("- {}", rules.display())),
        ("127.0.0.1:9093", format!("127.0.0.1:{alertmanager}")),
        ("127.0.0.1:9464", format!("127.0.0.1:{daemon}")),
    ] {
        assert!(config.contains(of_example), "the example has {of_example}");
        config = config.replace(of_example, &here);
    }
    config
}
