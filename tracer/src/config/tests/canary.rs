//! `[canary]`: what is taken, and what is refused.

use super::*;
use crate::canary::Per;

const ALL: &str = r#"
[canary]
enabled = false
window = "10m"
interval = "30s"
confidence = "99.9%"
max_increase = "12.5 %"
min_share = "0.05%"
per = "process"
sampling_error_only = true
"#;

#[test]
fn every_setting_of_canaries_is_taken() {
    let canary = good(ALL).canary;
    assert!(!canary.enabled && canary.sampling_error_only);
    assert_eq!((canary.window, canary.interval), (Duration::from_secs(600), Duration::from_secs(30)));
    let shares = [canary.confidence, canary.max_increase, canary.min_share];
    assert_eq!(shares.map(Share::ratio), [0.999, 0.125, 0.0005]);
    assert_eq!(shares.map(|share| share.to_string()), ["99.9%", "12.5%", "0.05%"]);
    assert_eq!(canary.per, Per::Process);
    assert_eq!(good("[canary]\n").canary, CanaryConfig::default());
    let yaml = "canary: { window: 10m, max_increase: 5% }\n";
    let yaml = load(&file("tracer.yaml", yaml).args).expect("it is right").canary;
    assert_eq!((yaml.window, yaml.max_increase.ratio()), (Duration::from_secs(600), 0.05));
}

#[test]
fn what_canaries_are_compared_by_without_a_word() {
    let canary = Config::default().canary;
    assert!(canary.enabled && !canary.sampling_error_only);
    assert_eq!((canary.window, canary.interval), (Duration::from_secs(300), Duration::from_secs(15)));
    let shares = [canary.confidence, canary.max_increase, canary.min_share];
    assert_eq!(shares.map(Share::ratio), [0.99, 0.05, 0.001]);
    assert_eq!(canary.per, Per::CpuSecond);
}

#[test]
fn a_wrong_setting_of_canaries_is_an_error_that_says_what_is_right() {
    let canary = |line: &str| format!("[canary]\n{line}\n");
    for (line, expect) in [
        (
            "confidence = \"0.99\"",
            "F:2:14: canary.confidence 0.99: it must be a percentage of 50% to 99.9999%",
        ),
        (
            "confidence = \"100%\"",
            "F:2:14: canary.confidence 100%: it must be a percentage of 50% to 99.9999%",
        ),
        ("max_increase = \"nan%\"", "F:2:16: canary.max_increase nan%: it must be a percentage"),
        ("max_increase = \"-5%\"", "F:2:16: canary.max_increase -5%: it must be a percentage"),
        ("max_increase = 5", "F:2:16: canary.max_increase must be text in quotes"),
        ("min_share = \"0%\"", "F:2:13: canary.min_share 0%: it must be a percentage of 0.0001% to 100%"),
        ("per = \"request\"", "F:2:7: canary.per request: it must be cpu_second or process"),
        ("interval = \"1h\"", "F:2:12: canary.interval 1h: it must be 1s to 2m"),
        ("window = \"5s\"", "F:1:2: canary: window must be at least interval"),
        ("sampling_error_only = \"yes\"", "F:2:23: canary.sampling_error_only must be true or false"),
        ("windows = \"5m\"", "F:2:1: canary.windows is unknown: allowed here are enabled, window, interval"),
    ] {
        let found = problems_of("tracer.toml", &canary(line));
        assert!(found.len() == 1 && found[0].starts_with(expect), "{line}: {found:?}");
    }
}

#[test]
fn canaries_are_printed_as_they_can_be_read_back() {
    let first = file("tracer.toml", ALL);
    let printed = effective(&first.args).expect("it is right");
    assert!(printed.contains("max_increase = \"12.5%\" # file, line 7"), "{printed}");
    assert_eq!(good(&printed).canary, good(ALL).canary);
}

#[test]
fn a_reload_takes_other_settings_of_canaries() {
    assert_eq!(Config::default().difference_needing_restart(&good(ALL)), Vec::<&str>::new());
}
