//! Which processes are wanted: by name, by program, by control group, by container. The set is their union.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use procfs::process::Process;

use super::cgroup::{self, Hierarchies};
use super::comm::Comm;
use super::seen::Root;
use super::{Target, TargetError};

/// What the user asks for.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Names; one of more than 15 bytes means its first 15.
    pub comms: Vec<String>,
    /// Programs: the file with that path here, or one with that path where the process lives.
    pub programs: Vec<PathBuf>,
    /// Control groups, with all below them.
    pub cgroups: Vec<PathBuf>,
    /// Containers, by the beginning of their ids, in lower-case hex.
    pub containers: Vec<String>,
}

impl Rules {
    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.comms.is_empty()
            && self.programs.is_empty()
            && self.cgroups.is_empty()
            && self.containers.is_empty()
    }
}

/// The rules, ready to be held against processes.
#[derive(Debug, Default)]
pub struct Selection {
    comms: BTreeSet<Comm>,
    programs: Vec<PathBuf>,
    cgroups: Vec<PathBuf>,
    containers: Vec<String>,
    hierarchies: Hierarchies,
    /// Groups of containers that a process was seen in.
    container_groups: BTreeSet<PathBuf>,
    /// Processes of the groups at the last look.
    members: BTreeSet<u32>,
}

/// What a rule says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It is wanted.
    Yes,
    /// It is not.
    No,
    /// It has ended before it could be looked at.
    Gone,
}

/// What became of the look at a process.
#[derive(Debug)]
pub enum Examined {
    /// It is wanted, and held.
    Wanted(Target),
    /// It is not wanted.
    Unwanted,
    /// It has ended.
    Gone,
    /// It is never a target, and why.
    Never(String),
    /// It is wanted, and cannot be looked at.
    Refused(TargetError),
}

impl Selection {
    /// Looks up where the groups are mounted.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let needs_groups = !rules.cgroups.is_empty() || !rules.containers.is_empty();
        let hierarchies = if needs_groups { Hierarchies::mounted() } else { Hierarchies::default() };
        let cgroups = rules.cgroups.iter().flat_map(|path| hierarchies.directories(path)).collect();
        Self {
            comms: rules.comms.iter().map(|name| Comm::of(name.as_bytes())).collect(),
            programs: rules.programs,
            cgroups,
            containers: rules.containers,
            hierarchies,
            ..Self::default()
        }
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.comms.is_empty() && self.asks_for_names_only()
    }

    /// Whether the name alone decides.
    #[must_use]
    pub fn asks_for_names_only(&self) -> bool {
        self.programs.is_empty() && self.cgroups.is_empty() && self.containers.is_empty()
    }

    /// Whether a process has one of the names.
    #[must_use]
    pub fn has_name(&self, comm: Comm) -> bool {
        self.comms.contains(&comm)
    }

    /// Reads the groups again; the processes that have come into them since the last time.
    pub fn look_at_groups(&mut self) -> Vec<u32> {
        let groups = self.cgroups.iter().chain(&self.container_groups);
        let members: BTreeSet<u32> = groups.flat_map(|group| cgroup::processes(group)).collect();
        let new = members.difference(&self.members).copied().collect();
        self.members = members;
        new
    }

    /// Holds the rules against a process.
    pub fn matches(&mut self, pid: u32) -> Match {
        if self.members.contains(&pid) {
            return Match::Yes;
        }
        let Some(comm) = Comm::of_process(pid) else { return Match::Gone };
        let is_wanted = self.has_name(comm)
            || !self.programs.is_empty() && self.has_program(pid)
            || !self.containers.is_empty() && self.is_in_container(pid);
        if is_wanted { Match::Yes } else { Match::No }
    }

    /// Holds the rules against a process and takes hold of it, if they say so or `in_any_case`.
    pub fn examine(&mut self, pid: u32, in_any_case: bool) -> Examined {
        if !in_any_case && let Some(answer) = self.refusal(pid) {
            return answer;
        }
        if pid == std::process::id() {
            return Examined::Never("it is tracer itself".to_owned());
        }
        let target = match Target::open(pid) {
            Ok(target) => target,
            Err(error @ TargetError::KernelThread { .. }) => return Examined::Never(error.to_string()),
            Err(TargetError::NotFound { .. } | TargetError::Zombie { .. } | TargetError::Thread { .. }) => {
                return Examined::Gone;
            }
            Err(error) => return Examined::Refused(error),
        };
        if is_32_bit(pid) {
            return Examined::Never(format!("process {pid} ({}) is a 32-bit program", target.comm));
        }
        // It may have executed another program, or the pid have come to mean another process, meanwhile.
        let refusal = if in_any_case { None } else { self.refusal(pid) };
        refusal.unwrap_or(Examined::Wanted(target))
    }

    fn refusal(&mut self, pid: u32) -> Option<Examined> {
        match self.matches(pid) {
            Match::Yes => None,
            Match::No => Some(Examined::Unwanted),
            Match::Gone => Some(Examined::Gone),
        }
    }

    fn has_program(&self, pid: u32) -> bool {
        let link = PathBuf::from(format!("/proc/{pid}/exe"));
        let Some(program) = identity(&link) else { return false };
        let seen = path_seen(pid);
        self.programs.iter().any(|wanted| {
            identity(wanted) == Some(program) || seen.as_ref().is_some_and(|seen| Path::new(seen) == wanted)
        })
    }

    fn is_in_container(&mut self, pid: u32) -> bool {
        let Some(container) = cgroup::container_of(pid, &self.hierarchies) else { return false };
        let is_wanted = self.containers.iter().any(|prefix| container.id.starts_with(prefix.as_str()));
        if is_wanted && let Some(directory) = container.directory {
            self.container_groups.insert(directory);
        }
        is_wanted
    }
}

/// Every process that there is now.
#[must_use]
pub fn all_processes() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The parent of a process.
#[must_use]
pub fn parent_of(pid: u32) -> Option<u32> {
    let stat = Process::new(i32::try_from(pid).ok()?).ok()?.stat().ok()?;
    u32::try_from(stat.ppid).ok()
}

/// Device and inode of a file.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// The program's path where the process lives, whether or not the file is still there.
fn path_seen(pid: u32) -> Option<String> {
    let process = Process::new(i32::try_from(pid).ok()?).ok()?;
    let seen = Root::of(&process).seen(&process.exe().ok()?);
    Some(seen.trim_end_matches(" (deleted)").to_owned())
}

/// The class byte of its program (`EI_CLASS`) says 32-bit.
fn is_32_bit(pid: u32) -> bool {
    const ELFCLASS32: u8 = 1;
    let mut head = [0; 5];
    let read = File::open(format!("/proc/{pid}/exe")).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head == [0x7f, b'E', b'L', b'F', ELFCLASS32]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rules: Rules) -> Match {
        Selection::new(rules).matches(std::process::id())
    }

    #[test]
    fn this_process_is_found_by_its_name_and_its_program_only() {
        let name = Comm::of_process(std::process::id()).expect("it runs").to_string();
        let program = std::env::current_exe().expect("it has a file");
        let check = |rules: Rules, expect| assert_eq!(of(rules.clone()), expect, "{rules:?}");
        check(Rules::default(), Match::No);
        check(Rules { comms: vec![name.clone()], ..Rules::default() }, Match::Yes);
        check(Rules { comms: vec![format!("not-{name}")], ..Rules::default() }, Match::No);
        check(Rules { comms: vec!["other".to_owned(), name], ..Rules::default() }, Match::Yes);
        check(Rules { programs: vec![program], ..Rules::default() }, Match::Yes);
        check(Rules { programs: vec![PathBuf::from("/bin/sh")], ..Rules::default() }, Match::No);
        check(Rules { containers: vec!["0123456789ab".to_owned()], ..Rules::default() }, Match::No);
    }

    #[test]
    fn a_process_that_is_gone_is_neither_wanted_nor_unwanted() {
        let mut selection = Selection::new(Rules { comms: vec!["x".to_owned()], ..Rules::default() });
        assert_eq!(selection.matches(1 << 30), Match::Gone);
        assert!(matches!(selection.examine(1 << 30, true), Examined::Gone));
    }

    #[test]
    fn tracer_itself_is_never_a_target() {
        let answer = Selection::default().examine(std::process::id(), true);
        assert!(matches!(answer, Examined::Never(_)), "{answer:?}");
    }

    #[test]
    fn this_process_is_among_all_and_has_a_parent() {
        assert!(all_processes().contains(&std::process::id()));
        assert_eq!(parent_of(std::process::id()), Some(std::os::unix::process::parent_id()));
    }
}
