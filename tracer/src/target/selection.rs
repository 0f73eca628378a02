//! Which processes are wanted: by pid file, name, program, control group, unit of systemd, container, pod.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use procfs::process::Process;

use super::cgroup::{self, Hierarchies};
use super::comm::Comm;
use super::kubernetes::{PlaceOf, PodSelect};
use super::labels;
use super::seen::Root;

/// What a process must be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Select {
    /// Files that hold a pid.
    pub pid_files: Vec<PathBuf>,
    /// Names; one of more than 15 bytes means its first 15.
    pub comms: Vec<String>,
    /// Programs: the file with that path here, or one with that path where the process lives.
    pub programs: Vec<PathBuf>,
    /// Control groups, with all below them.
    pub cgroups: Vec<PathBuf>,
    /// Units of systemd (`api.service`).
    pub units: Vec<String>,
    /// Containers, by the beginning of their ids, in lower-case hex.
    pub containers: Vec<String>,
    /// Pods.
    pub pods: PodSelect,
}

impl Select {
    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.comms.is_empty() && self.asks_for_names_only()
    }

    /// Whether the name alone decides.
    #[must_use]
    pub fn asks_for_names_only(&self) -> bool {
        self.pid_files.is_empty()
            && self.programs.is_empty()
            && self.cgroups.is_empty()
            && self.units.is_empty()
            && self.containers.is_empty()
            && self.pods.is_empty()
    }
}

/// How the kinds of a selection go together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kinds {
    /// One of any kind is enough.
    #[default]
    Any,
    /// One of each kind that is named.
    Every,
}

/// What is asked for, ready to be held against processes.
#[derive(Debug, Default)]
pub struct Selection {
    kinds: Kinds,
    select: Select,
    comms: BTreeSet<Comm>,
    cgroups: Vec<PathBuf>,
    hierarchies: Hierarchies,
    /// Groups of containers that a process was seen in.
    container_groups: BTreeSet<PathBuf>,
    /// At the last look.
    members: Members,
}

/// A process that is held against what is asked for.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    pid: u32,
    comm: Comm,
    place: &'a PlaceOf<'a>,
}

/// Whether a process fits what is asked of one kind.
type Fits = fn(&mut Selection, Candidate<'_>) -> bool;

/// What holds the namespaces of a pod, as its program is called by every runtime. It has no heap.
const SANDBOX: &str = "pause";

/// Processes that files list.
#[derive(Debug, Default, PartialEq, Eq)]
struct Members {
    of_cgroups: BTreeSet<u32>,
    of_containers: BTreeSet<u32>,
    of_pid_files: BTreeSet<u32>,
}

impl Members {
    fn all(&self) -> BTreeSet<u32> {
        [&self.of_cgroups, &self.of_containers, &self.of_pid_files].into_iter().flatten().copied().collect()
    }
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

impl Selection {
    /// Looks up where the groups are mounted.
    #[must_use]
    pub fn new(select: Select, kinds: Kinds) -> Self {
        let needs_groups = !select.cgroups.is_empty() || !select.containers.is_empty();
        let hierarchies = if needs_groups { Hierarchies::mounted() } else { Hierarchies::default() };
        Self {
            kinds,
            comms: select.comms.iter().map(|name| Comm::of(name.as_bytes())).collect(),
            cgroups: select.cgroups.iter().flat_map(|path| hierarchies.directories(path)).collect(),
            select,
            hierarchies,
            ..Self::default()
        }
    }

    /// What is asked for.
    #[must_use]
    pub const fn select(&self) -> &Select {
        &self.select
    }

    /// Whether a process has one of the names, and that is enough.
    #[must_use]
    pub fn is_enough(&self, comm: Comm) -> bool {
        self.comms.contains(&comm) && (self.kinds == Kinds::Any || self.select.asks_for_names_only())
    }

    /// Reads the groups and the pid files again; the processes that have come or gone since the last time.
    pub fn look_at_groups(&mut self) -> Vec<u32> {
        let processes = |group: &PathBuf| cgroup::processes(group);
        let members = Members {
            of_cgroups: self.cgroups.iter().flat_map(processes).collect(),
            of_containers: self.container_groups.iter().flat_map(processes).collect(),
            of_pid_files: self.select.pid_files.iter().filter_map(|path| pid_in(path)).collect(),
        };
        let changed = members.all().symmetric_difference(&self.members.all()).copied().collect();
        self.members = members;
        changed
    }

    /// Holds what is asked for against a process, which lives at `place`.
    pub fn matches(&mut self, pid: u32, place: &PlaceOf<'_>) -> Match {
        let Some(comm) = Comm::of_process(pid) else { return Match::Gone };
        let candidate = Candidate { pid, comm, place };
        // The cheapest first: the rest is not asked where one decides.
        let kinds: [(bool, Fits); 7] = [
            (!self.select.comms.is_empty(), |this, one| this.comms.contains(&one.comm)),
            (!self.select.pid_files.is_empty(), |this, one| this.members.of_pid_files.contains(&one.pid)),
            (!self.select.cgroups.is_empty(), |this, one| this.is_in_cgroup(one.pid)),
            (!self.select.units.is_empty(), |this, one| this.is_of_unit(one.pid)),
            (!self.select.programs.is_empty(), |this, one| this.has_program(one.pid)),
            (!self.select.containers.is_empty(), |this, one| this.is_in_container(one.pid)),
            (!self.select.pods.is_empty(), |this, one| this.is_in_pod(one)),
        ];
        let mut asked = kinds.iter().filter(|(is_asked, _)| *is_asked).peekable();
        let is_wanted = asked.peek().is_some()
            && match self.kinds {
                Kinds::Any => asked.any(|(_, fits)| fits(self, candidate)),
                Kinds::Every => asked.all(|(_, fits)| fits(self, candidate)),
            };
        if is_wanted { Match::Yes } else { Match::No }
    }

    fn is_in_pod(&self, one: Candidate<'_>) -> bool {
        let place = one.place.get();
        let may_be_sandbox = place.pod().is_some_and(|pod| !pod.is_certain);
        self.select.pods.fits(place) && !(may_be_sandbox && one.comm == Comm::of(SANDBOX.as_bytes()))
    }

    fn is_in_cgroup(&self, pid: u32) -> bool {
        self.members.of_cgroups.contains(&pid)
    }

    fn is_of_unit(&self, pid: u32) -> bool {
        labels::units_of(pid).iter().any(|unit| self.select.units.contains(unit))
    }

    fn has_program(&self, pid: u32) -> bool {
        let link = PathBuf::from(format!("/proc/{pid}/exe"));
        let Some(program) = identity(&link) else { return false };
        let seen = path_seen(pid);
        self.select.programs.iter().any(|wanted| {
            identity(wanted) == Some(program) || seen.as_ref().is_some_and(|seen| Path::new(seen) == wanted)
        })
    }

    fn is_in_container(&mut self, pid: u32) -> bool {
        if self.members.of_containers.contains(&pid) {
            return true;
        }
        let Some(container) = cgroup::container_of(pid, &self.hierarchies) else { return false };
        let is_wanted = self.select.containers.iter().any(|prefix| container.id.starts_with(prefix.as_str()));
        if is_wanted && let Some(directory) = container.directory {
            self.container_groups.insert(directory);
        }
        is_wanted
    }
}

/// The pid that a file holds.
fn pid_in(path: &Path) -> Option<u32> {
    let mut text = String::new();
    // More is no pid.
    File::open(path).ok()?.take(64).read_to_string(&mut text).ok()?;
    text.trim().parse().ok().filter(|&pid| pid > 0)
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
pub(super) fn is_32_bit(pid: u32) -> bool {
    const ELFCLASS32: u8 = 1;
    let mut head = [0; 5];
    let read = File::open(format!("/proc/{pid}/exe")).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head == [0x7f, b'E', b'L', b'F', ELFCLASS32]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::kubernetes::Pods;
    use std::io::Write;

    fn of(select: Select, kinds: Kinds) -> Match {
        let mut selection = Selection::new(select, kinds);
        selection.look_at_groups();
        selection.matches(std::process::id(), &PlaceOf::new(&Pods::default(), 0))
    }

    #[test]
    fn this_process_is_found_by_what_it_is_only() {
        let name = Comm::of_process(std::process::id()).expect("it runs").to_string();
        let program = std::env::current_exe().expect("it has a file");
        let mut pid_file = tempfile::NamedTempFile::new().expect("a file");
        writeln!(pid_file, "{}", std::process::id()).expect("it is ours");
        let pid_files = vec![pid_file.path().to_owned()];
        let other_pids = vec![PathBuf::from("/nowhere"), PathBuf::from("/proc/version")];
        let check = |select: Select, any, every| {
            assert_eq!(of(select.clone(), Kinds::Any), any, "any of {select:?}");
            assert_eq!(of(select.clone(), Kinds::Every), every, "every of {select:?}");
        };
        let both = |select: Select, expect| check(select, expect, expect);
        both(Select::default(), Match::No);
        both(Select { comms: vec![name.clone()], ..Select::default() }, Match::Yes);
        both(Select { comms: vec![format!("not-{name}")], ..Select::default() }, Match::No);
        both(Select { comms: vec!["other".to_owned(), name.clone()], ..Select::default() }, Match::Yes);
        both(Select { programs: vec![program.clone()], ..Select::default() }, Match::Yes);
        both(Select { programs: vec![PathBuf::from("/bin/sh")], ..Select::default() }, Match::No);
        both(Select { containers: vec!["0123456789ab".to_owned()], ..Select::default() }, Match::No);
        both(Select { units: vec!["of-nobody.service".to_owned()], ..Select::default() }, Match::No);
        both(Select { pid_files: pid_files.clone(), ..Select::default() }, Match::Yes);
        both(Select { pid_files: other_pids, ..Select::default() }, Match::No);
        let sh = vec![PathBuf::from("/bin/sh")];
        check(Select { comms: vec![name.clone()], programs: sh, ..Select::default() }, Match::Yes, Match::No);
        both(
            Select { comms: vec![name], programs: vec![program], pid_files, ..Select::default() },
            Match::Yes,
        );
    }

    #[test]
    fn a_process_that_is_gone_is_neither_wanted_nor_unwanted() {
        let select = Select { comms: vec!["x".to_owned()], ..Select::default() };
        assert_eq!(
            Selection::new(select, Kinds::Any).matches(1 << 30, &PlaceOf::new(&Pods::default(), 0)),
            Match::Gone
        );
    }

    #[test]
    fn this_process_is_among_all_and_has_a_parent() {
        assert!(all_processes().contains(&std::process::id()));
        assert_eq!(parent_of(std::process::id()), Some(std::os::unix::process::parent_id()));
    }
}
