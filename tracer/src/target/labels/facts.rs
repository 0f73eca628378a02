//! What can be known of a process without asking anyone: what label rules look at. A process says of itself what it likes, so
//! every read is bounded, and what cannot be read is not there.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::rules::LabelRules;
use super::source::Source;
use super::unit::unit_of;
use crate::target::comm::Comm;
use crate::target::kubernetes::Place;

/// Bytes of an environment that are looked at: half of what an exec takes by default (`_STK_LIM / 4`, execve(2)).
const MAX_ENVIRONMENT_BYTES: u64 = 1 << 20;
/// Bytes of a command line that are looked at.
const MAX_COMMAND_BYTES: u64 = 64 << 10;

/// What is known of a process: what the rules look at, and no more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Variables of its environment as it was at its exec.
    pub environment: BTreeMap<String, String>,
    /// Its unit of systemd.
    pub unit: Option<String>,
    /// Its arguments, a blank between two.
    pub command: Option<String>,
    /// Base name of its program.
    pub exe: Option<String>,
    /// Kernel's short name.
    pub comm: Option<String>,
    /// Its pod: who knows pods fills it in.
    pub place: Place,
}

impl Facts {
    /// Reads what the rules look at. A process that is gone, or that may not be looked at, has no facts.
    #[must_use]
    pub fn read(pid: u32, rules: &LabelRules) -> Self {
        let mut facts = Self::default();
        let mut wanted = Vec::new();
        for source in rules.sources() {
            match source {
                Source::Env(key) => wanted.push(key.as_str()),
                Source::Unit if facts.unit.is_none() => facts.unit = unit_of(pid),
                Source::Command if facts.command.is_none() => facts.command = command(pid),
                Source::Exe if facts.exe.is_none() => facts.exe = exe(pid),
                Source::Comm if facts.comm.is_none() => {
                    facts.comm = Comm::of_process(pid).map(|comm| comm.to_string());
                }
                Source::Unit | Source::Command | Source::Exe | Source::Comm | Source::Pod(_) => {}
            }
        }
        if !wanted.is_empty() {
            facts.environment = variables(&bounded(pid, "environ", MAX_ENVIRONMENT_BYTES), &wanted);
        }
        facts
    }
}

/// The beginning of a file of `/proc/PID`, up to its last whole entry; nothing if it cannot be read.
fn bounded(pid: u32, name: &str, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Ok(file) = File::open(format!("/proc/{pid}/{name}")) else { return bytes };
    if file.take(most).read_to_end(&mut bytes).is_err() {
        return Vec::new();
    }
    if bytes.len() as u64 == most {
        let whole = bytes.iter().rposition(|&byte| byte == 0).unwrap_or(0);
        bytes.truncate(whole);
    }
    bytes
}

/// The variables of these names. Of two with the same name the first counts, as for getenv(3).
fn variables(environment: &[u8], wanted: &[&str]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in environment.split(|&byte| byte == 0) {
        let mut parts = entry.splitn(2, |&byte| byte == b'=');
        let (Some(key), Some(value)) = (parts.next(), parts.next()) else { continue };
        if let Some(&name) = wanted.iter().find(|name| name.as_bytes() == key) {
            found.entry(name.to_owned()).or_insert_with(|| String::from_utf8_lossy(value).into_owned());
        }
    }
    found
}

fn command(pid: u32) -> Option<String> {
    let bytes = bounded(pid, "cmdline", MAX_COMMAND_BYTES);
    let arguments = String::from_utf8_lossy(&bytes).trim_end_matches('\0').replace('\0', " ");
    Some(arguments).filter(|text| !text.is_empty())
}

fn exe(pid: u32) -> Option<String> {
    let link = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let name = Path::new(&link).file_name().map(OsStr::to_string_lossy)?;
    // So the kernel marks a program whose file is gone.
    Some(name.trim_end_matches(" (deleted)").to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;
    use crate::target::labels::{NAMES, rules::LabelRule};

    /// A process that ends with the test.
    struct Sleep(Child);

    impl Sleep {
        fn with(environment: &[(&str, &str)]) -> Self {
            let mut command = Command::new("sleep");
            command.arg("60").env_clear().envs(environment.iter().copied());
            let sleep = Self(command.spawn().expect("every machine has sleep"));
            // Its exec has begun; its arguments are there when it is over.
            while std::fs::read(format!("/proc/{}/cmdline", sleep.0.id())).is_ok_and(|text| text.is_empty()) {
                std::thread::yield_now();
            }
            sleep
        }
    }

    impl Drop for Sleep {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn rules(sources: &[Source]) -> LabelRules {
        let rule = |source: &Source| {
            LabelRule::new(NAMES[1], Some(source.clone()), None, None).expect("it is a rule")
        };
        LabelRules::new(sources.iter().map(rule).collect())
    }

    #[test]
    fn a_real_process_is_known_by_its_environment_command_program_and_name() {
        let sleep =
            Sleep::with(&[("OTEL_SERVICE_NAME", "shop=1, ü"), ("SECRET", "of no interest"), ("EMPTY", "")]);
        let sources = ["OTEL_SERVICE_NAME", "EMPTY", "NOT_THERE"].map(|key| Source::Env(key.to_owned()));
        let rules = rules(&[&sources[..], &[Source::Command, Source::Exe, Source::Comm]].concat());
        let facts = Facts::read(sleep.0.id(), &rules);
        let environment = [("EMPTY", ""), ("OTEL_SERVICE_NAME", "shop=1, ü")];
        assert_eq!(
            facts.environment,
            environment.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
        );
        assert_eq!(facts.command.as_deref(), Some("sleep 60"));
        assert_eq!(facts.comm.as_deref(), Some("sleep"));
        let program = std::fs::canonicalize("/bin/sleep").expect("it is there");
        assert_eq!(facts.exe.as_deref(), program.file_name().and_then(OsStr::to_str));
        assert_eq!(facts.unit, None, "no rule looks at it");
    }

    #[test]
    fn what_no_rule_looks_at_is_not_read() {
        let sleep = Sleep::with(&[("OTEL_SERVICE_NAME", "shop")]);
        assert_eq!(Facts::read(sleep.0.id(), &LabelRules::default()), Facts::default());
    }

    #[test]
    fn a_process_that_is_gone_has_no_facts() {
        let all = [Source::Env("PATH".to_owned()), Source::Unit, Source::Command, Source::Exe, Source::Comm];
        assert_eq!(Facts::read(1 << 30, &rules(&all)), Facts::default());
    }

    #[test]
    fn an_environment_is_taken_as_bytes_that_need_not_be_what_they_should() {
        let check = |bytes: &[u8], expect: Option<&str>| {
            assert_eq!(variables(bytes, &["A"]).get("A").map(String::as_str), expect, "{bytes:?}");
        };
        check(b"", None);
        check(b"A=1\0", Some("1"));
        check(b"A=1", Some("1"));
        check(b"A=1\0A=2\0", Some("1"));
        check(b"B=A=3\0", None);
        check(b"AA=3\0A\0=A\0\0A=x=y\0", Some("x=y"));
        check(b"A=\xff\xfe\0", Some("\u{fffd}\u{fffd}"));
    }
}
