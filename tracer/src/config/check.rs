//! Checks of settings that only the daemon has. What `attach` has too is checked in `options`.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::options::{self, UsageError};
use crate::target::kubernetes::{Api, KubernetesOptions, PodSelect, Selector};
use crate::target::labels::{MAX_VALUE_CHARACTERS, NAMES, UNIT_SUFFIXES};
use crate::units::Bytes;

use super::reader::Check;

/// Bytes of the path of a socket: `sun_path` of unix(7), with its NUL.
const MAX_SOCKET_PATH: usize = 107;
/// Longest time of any setting.
const MAX_TIME: Duration = Duration::from_secs(100 * 24 * 3600);

fn wrong<T>(text: String) -> Result<T, UsageError> {
    Err(UsageError(text))
}

/// A whole number of a range.
pub(super) fn number<T: FromStr + PartialOrd + Display>(range: RangeInclusive<T>) -> impl Check<T> {
    move |text, name| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => {
            wrong(format!("{name} {text}: it must be a whole number of {} to {}", range.start(), range.end()))
        }
    }
}

/// A number of bytes of a range.
pub(super) fn size(range: RangeInclusive<u64>) -> impl Check<u64> {
    move |text, name| match parse_size::parse_size(text) {
        Ok(bytes) if range.contains(&bytes) => Ok(bytes),
        Ok(_) => {
            let (least, most) = (Bytes(*range.start()), Bytes(*range.end()));
            wrong(format!("{name} {text}: it must be {least} to {most}"))
        }
        Err(error) => wrong(format!("{name} {text}: {error}. Use a size such as 16KiB")),
    }
}

/// An address and a port.
pub(super) fn address(text: &str, name: &str) -> Result<SocketAddr, UsageError> {
    text.parse().or_else(|_| {
        wrong(format!(
            "{name} {text}: it must be an IP address and a port, such as 127.0.0.1:9464 or [::]:9464"
        ))
    })
}

/// A time, short enough to be added to any other.
pub(super) fn time(text: &str, name: &str) -> Result<Duration, UsageError> {
    match options::duration(text, name)? {
        time if time <= MAX_TIME => Ok(time),
        _ => wrong(format!("{name} {text}: it must be at most {}", humantime::format_duration(MAX_TIME))),
    }
}

/// A path.
pub(super) fn path(text: &str, name: &str) -> Result<PathBuf, UsageError> {
    some(text, name).map(PathBuf::from)
}

/// The path of a socket.
pub(super) fn socket(text: &str, name: &str) -> Result<PathBuf, UsageError> {
    if text.len() > MAX_SOCKET_PATH {
        return wrong(format!("{name} {text}: the path of a socket has {MAX_SOCKET_PATH} bytes at most"));
    }
    path(text, name)
}

/// Any text but none.
pub(super) fn some(text: &str, name: &str) -> Result<String, UsageError> {
    if text.is_empty() { wrong(format!("{name} is empty")) } else { Ok(text.to_owned()) }
}

/// A unit of systemd; one without a suffix is a service, as for systemctl(1).
pub(super) fn unit(text: &str, name: &str) -> Result<String, UsageError> {
    let has_suffix = UNIT_SUFFIXES.iter().any(|suffix| text.ends_with(suffix));
    some(text, name).map(|unit| if has_suffix { unit } else { format!("{unit}.service") })
}

/// The name of a namespace or a container.
pub(super) fn pod_name(text: &str, name: &str) -> Result<String, UsageError> {
    right(text, name, PodSelect::check_name(text))
}

/// The name of a workload, or `KIND/NAME`.
pub(super) fn owner(text: &str, name: &str) -> Result<String, UsageError> {
    right(text, name, PodSelect::check_owner(text))
}

/// The key of a label or annotation of pods.
pub(super) fn pod_key(text: &str, name: &str) -> Result<String, UsageError> {
    right(text, name, PodSelect::check_key(text))
}

/// A label selector.
pub(super) fn selector(text: &str, name: &str) -> Result<Selector, UsageError> {
    text.parse().or_else(|error| wrong(format!("{name} {text}: {error}")))
}

/// The name of a node.
pub(super) fn node(text: &str, name: &str) -> Result<String, UsageError> {
    right(text, name, KubernetesOptions::check_node(text))
}

/// The URL of an API server.
pub(super) fn api(text: &str, name: &str) -> Result<String, UsageError> {
    right(text, name, Api::check_url(text))
}

/// The text itself, if a check that knows no name of it found nothing.
fn right(text: &str, name: &str, checked: Result<(), String>) -> Result<String, UsageError> {
    match checked {
        Ok(()) => Ok(text.to_owned()),
        Err(why) => wrong(format!("{name} {text}: {why}")),
    }
}

/// The name of a label.
pub(super) fn label_name(text: &str, name: &str) -> Result<&'static str, UsageError> {
    NAMES
        .into_iter()
        .find(|known| *known == text)
        .map_or_else(|| wrong(format!("{name} is unknown: the labels are {}", NAMES.join(", "))), Ok)
}

/// The value of a label.
pub(super) fn label_value(text: &str, name: &str) -> Result<String, UsageError> {
    if text.chars().count() > MAX_VALUE_CHARACTERS {
        return wrong(format!("{name}: a label has {MAX_VALUE_CHARACTERS} characters at most"));
    }
    if text.chars().any(char::is_control) {
        return wrong(format!("{name}: a label has no control characters"));
    }
    if text.starts_with("__") {
        return wrong(format!("{name} {text}: what begins with two underscores is the daemon's own"));
    }
    Ok(text.to_owned())
}
