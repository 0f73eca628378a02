//! The settings of the daemon as a whole: each by a flag or variable, by the file, or built in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::kubernetes::Around;
use super::origin::Origin;
use super::reader::{Check, Kind, Table};
use super::{Config, HttpOptions, canary, check, kubernetes, label, target};
use crate::cli::DaemonArgs;
use crate::options::{self, UsageError};

/// Takes all settings; what is wrong is noted.
pub(super) fn config(table: Table<'_>, args: &DaemonArgs, around: &Around) -> Config {
    let default = Config::default();
    let mut settings = Settings { table, args };
    let knows_pods = kubernetes::is_there(&settings.table);
    let (kubernetes, canary_keys) = kubernetes::options(&mut settings.table, around);
    let pod_rules = knows_pods.then_some(canary_keys.as_slice());
    let config = Config {
        http: HttpOptions {
            listen: settings.get("listen", Kind::Text, check::address).unwrap_or(default.http.listen),
            ..http(&mut settings.table, default.http)
        },
        socket: settings.get("socket", Kind::Text, check::socket).unwrap_or(default.socket),
        interval: settings.get("interval", Kind::Text, check::time).unwrap_or(default.interval),
        max_stacks: settings.number("max_stacks", 1..=16_777_216).unwrap_or(default.max_stacks),
        max_live: settings.number("max_live", 1..=268_435_456).unwrap_or(default.max_live),
        max_unwind_bytes: settings
            .get("max_unwind", Kind::Size, options::max_unwind_bytes)
            .unwrap_or(default.max_unwind_bytes),
        max_series: settings.number("max_series", 1..=100_000).unwrap_or(default.max_series),
        expire_after: settings.get("expire_after", Kind::Text, check::time).unwrap_or(default.expire_after),
        gc_threshold: settings
            .get("gc_threshold", Kind::Text, options::gc_threshold)
            .unwrap_or(default.gc_threshold),
        top_sites: settings.number("top_sites", 0..=1000).unwrap_or(default.top_sites),
        canary: canary::options(&mut settings.table),
        labels: labels(&mut settings),
        label_rules: label::rules(&mut settings.table, pod_rules),
        rules: target::rules(&mut settings.table, knows_pods),
        kubernetes,
        canary_keys,
    };
    settings.table.end();
    config
}

/// The file, and what comes before it.
struct Settings<'a> {
    table: Table<'a>,
    args: &'a DaemonArgs,
}

impl Settings<'_> {
    fn number<T>(&mut self, key: &'static str, range: std::ops::RangeInclusive<T>) -> Option<T>
    where
        T: std::str::FromStr + PartialOrd + std::fmt::Display,
    {
        self.get(key, Kind::Number, check::number(range))
    }

    /// A setting. What the file says is checked also where something else comes before it.
    fn get<T>(&mut self, key: &'static str, kind: Kind, check: impl Check<T>) -> Option<T> {
        let of_file = self.table.get(key, kind, &check);
        self.given(key, check).or(of_file)
    }

    /// What a flag or variable says.
    fn given<T>(&self, key: &'static str, check: impl Check<T>) -> Option<T> {
        let settings = self.args.settings();
        let text = settings.iter().find(|(name, _)| *name == key).and_then(|(_, text)| *text)?;
        let is_variable = self.args.from_environment.contains(key);
        // A variable without a value is how many a manifest says that there is none.
        if text.is_empty() && is_variable {
            return None;
        }
        let origin = Origin::of_flag(key, is_variable);
        let checked = self.flag(&origin, |name| check(text, name))?;
        self.table.notes.note(key.to_owned(), origin);
        Some(checked)
    }

    /// Checks something that a flag or variable says.
    fn flag<T>(&self, origin: &Origin, check: impl FnOnce(&str) -> Result<T, UsageError>) -> Option<T> {
        let (Origin::Flag(name) | Origin::Environment(name)) = origin else { return None };
        check(name).map_err(|error| self.table.notes.wrong_flag(&error)).ok()
    }
}

fn http(table: &mut Table<'_>, default: HttpOptions) -> HttpOptions {
    let Some(mut table) = table.take("http").and_then(|entry| entry.table()) else { return default };
    // The parser of HTTP needs 8 KiB.
    let header_bytes = table.get("max_header_bytes", Kind::Size, check::size(8 << 10..=1 << 20));
    let options = HttpOptions {
        listen: default.listen,
        max_connections: number(&mut table, "max_connections").unwrap_or(default.max_connections),
        max_requests: number(&mut table, "max_requests").unwrap_or(default.max_requests),
        max_header_bytes: header_bytes
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(default.max_header_bytes),
        timeout: table.get("timeout", Kind::Text, check::time).unwrap_or(default.timeout),
        max_profile: table.get("max_profile", Kind::Text, check::time).unwrap_or(default.max_profile),
        tls: tls(&mut table),
        token_file: table.get("token_file", Kind::Text, check::path),
    };
    table.end();
    options
}

fn number(table: &mut Table<'_>, key: &'static str) -> Option<usize> {
    table.get(key, Kind::Number, check::number(1..=65_536))
}

/// Certificate and key: both or none.
fn tls(table: &mut Table<'_>) -> Option<(PathBuf, PathBuf)> {
    let (certificate, key) = (table.take("tls_certificate"), table.take("tls_key"));
    if certificate.is_some() != key.is_some() {
        let (given, missing) =
            if key.is_some() { ("tls_key", "tls_certificate") } else { ("tls_certificate", "tls_key") };
        table.wrong(&format!("{given} needs {missing}: give both, or none of them"));
    }
    let path = |entry: super::reader::Entry<'_>| entry.get(Kind::Text, check::path);
    certificate.and_then(path).zip(key.and_then(path))
}

/// The labels of all: those of flags or of the variable before those of the file, each by its name.
fn labels(settings: &mut Settings<'_>) -> BTreeMap<String, String> {
    let mut labels = settings.table.take("labels").map_or_default(|entry| label::map(&entry));
    let is_variable = settings.args.from_environment.contains("labels");
    let origin = if is_variable { Origin::of_flag("labels", true) } else { Origin::of_flag("label", false) };
    let texts = settings.args.labels.iter().map(String::as_str);
    let texts: Vec<_> = if is_variable {
        texts.flat_map(|text| text.split(',')).map(str::trim).filter(|text| !text.is_empty()).collect()
    } else {
        texts.collect()
    };
    for text in texts {
        let given = settings.flag(&origin, |name| {
            let (key, value) = options::label(text, name)?;
            let key = check::label_name(&key, &format!("{name} {key}"))?;
            Ok((key, check::label_value(&value, &format!("{name} {key}"))?))
        });
        if let Some((key, value)) = given {
            settings.table.notes.note(format!("labels.{key}"), origin.clone());
            labels.insert(key.to_owned(), value);
        }
    }
    labels
}
