//! Containers on this machine: the daemon's own, of exactly the content that is shipped, and those of targets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tracer::kernel::preflight::CAPABILITIES;

use super::content;
use super::groups::PodGroups;
use crate::copies::copy_program;
use crate::daemon::driver::Daemon;
use crate::fixtures::{compile, fixture, source};
use crate::harness::{Outcome, Tracer};
use crate::inspect::descendants_of;
use crate::servants::Servant;
use crate::servers::free_port;

/// Where the daemon's container has its configuration.
pub(super) const CONFIG: &str = "/etc/tracer/tracer.toml";
const PROGRAM: &str = "/usr/bin/tracer";
/// Of a target, as images have it that do not run as root.
pub(super) const USER: u32 = 1000;

/// All capabilities of the DaemonSet, a bit each.
pub(super) fn all_capabilities() -> u64 {
    CAPABILITIES.iter().fold(0, |mask, capability| mask | 1 << capability.bit)
}

/// What starts a program in a container.
fn container() -> Command {
    let mut command = Command::new(fixture("container"));
    // As far as an image says nothing else.
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command
}

/// Whether containers can be made here, as far as the kernel is concerned.
pub(super) fn why_not() -> Option<String> {
    let image = tempfile::tempdir().expect("a folder");
    let scratch = tempfile::tempdir().expect("a folder");
    for library in content::needed(Path::new("/bin/true")).expect("it is a program") {
        put(&library, image.path(), &library);
    }
    put(Path::new("/bin/true"), image.path(), Path::new("/true"));
    let mut command = container();
    command.arg("--image").arg(image.path()).arg("--scratch").arg(scratch.path()).args(["--", "/true"]);
    let output = command.output().expect("the fixture runs");
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

fn put(from: &Path, root: &Path, path: &Path) {
    let to = root.join(path.strip_prefix("/").expect("an absolute path"));
    fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
    copy_program(from, &to);
}

/// What is mounted at `/sys/fs/cgroup` of the daemon.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Seen {
    /// All of the machine's, as by a hostPath.
    All,
    /// Of the hierarchy that limits memory, the part that pods are in.
    PartWithPods,
    /// Nothing.
    Nothing,
}

/// The daemon in its container.
pub(super) struct Pod {
    pub(super) daemon: Daemon,
    capabilities: u64,
    // After the process.
    _image: TempDir,
    _scratch: TempDir,
    _groups: PodGroups,
}

impl Pod {
    /// With all capabilities.
    #[track_caller]
    pub(super) fn start(test: &str, config: &str) -> Self {
        let mut pod = Self::spawn(test, config, all_capabilities(), Seen::All);
        pod.daemon.wait_ready();
        pod
    }

    /// Starts it, and waits for nothing.
    pub(super) fn spawn(test: &str, config: &str, capabilities: u64, seen: Seen) -> Self {
        let groups = PodGroups::create(test, "daemon").expect("others were made before");
        let image = tempfile::tempdir().expect("a folder");
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
        content::fill(Path::new(env!("CARGO_BIN_EXE_tracer")), repository, image.path()).expect("an image");
        let (scratch, folder) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let port = free_port();
        let log = Daemon::prepare(&folder, port, config);
        let mut command = container();
        command.arg("--image").arg(image.path()).arg("--scratch").arg(scratch.path());
        let configuration = format!("{}:/etc/tracer", folder.path().display());
        command.args(["--mount", &configuration, "--mount", "tmpfs:/run/tracer"]);
        command.args(["--mount", "/sys/kernel/btf:/sys/kernel/btf"]);
        for mount in mounted(seen, &groups) {
            command.args(["--mount", &mount]);
        }
        for group in groups.directories() {
            command.arg("--group").arg(group);
        }
        command.args(["--capabilities", &format!("{capabilities:x}"), "--filtered", "1", "--", PROGRAM]);
        // The file has the name that the socket would have outside.
        command.args(["daemon", "-v", "--config", CONFIG, "--socket", "/run/tracer/tracer.sock"]);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        let child = command.spawn().expect("the fixture runs");
        Self {
            daemon: Daemon::of(child, folder, port),
            capabilities,
            _image: image,
            _scratch: scratch,
            _groups: groups,
        }
    }

    /// Another command in there, as by `kubectl exec`.
    pub(super) fn execute(&self, arguments: &[&str]) -> Outcome {
        let mut command = container();
        command.args(["--join", &self.daemon.pid().to_string()]);
        command.args([
            "--capabilities",
            &format!("{:x}", self.capabilities),
            "--filtered",
            "1",
            "--",
            PROGRAM,
        ]);
        Tracer::spawn(command.args(arguments)).wait()
    }

    /// The same, and it must succeed.
    #[track_caller]
    pub(super) fn done(&self, arguments: &[&str]) -> String {
        let outcome = self.execute(arguments);
        assert_eq!(
            outcome.code,
            0,
            "{arguments:?}: {}{}{}",
            outcome.stdout,
            outcome.stderr,
            self.daemon.stderr()
        );
        outcome.stdout
    }
}

fn mounted(seen: Seen, groups: &PodGroups) -> Vec<String> {
    const AT: &str = "/sys/fs/cgroup";
    match seen {
        Seen::All => vec![format!("{AT}:{AT}")],
        Seen::PartWithPods => {
            let (mount, _) = groups.memory();
            let part = format!("{}:{}", groups.top().join("kubepods").display(), mount.display());
            // Where hierarchies are mounted below it there must be folders.
            if mount == Path::new(AT) { vec![part] } else { vec![format!("tmpfs:{AT}"), part] }
        }
        Seen::Nothing => Vec::new(),
    }
}

/// A container with a program that obeys commands, of another user, in namespaces of its own.
pub(super) struct Target {
    pub(super) servant: Servant,
    pub(super) groups: PodGroups,
    _image: TempDir,
    _scratch: TempDir,
}

impl Target {
    /// Its environment says that it is the service NAME, its program is called NAME-program.
    pub(super) fn start(program: &Path, name: &str, groups: PodGroups) -> Self {
        let image = tempfile::tempdir().expect("a folder");
        let scratch = tempfile::tempdir().expect("a folder");
        for library in content::needed(program).expect("it is a program") {
            put(&library, image.path(), &library);
        }
        let path = format!("/app/{name}-program");
        put(program, image.path(), Path::new(&path));
        let mut command = container();
        command.env("OTEL_SERVICE_NAME", name);
        command.arg("--image").arg(image.path()).arg("--scratch").arg(scratch.path());
        for group in groups.directories() {
            command.arg("--group").arg(group);
        }
        command.args(["--own-groups", &groups.memory().1.to_string(), "--new-pids", "1", "--writable", "1"]);
        command.args(["--filtered", "1", "--user", &USER.to_string(), "--", &path]);
        let mut servant = Servant::spawn(&mut command);
        servant.pid = *descendants_of(servant.process.pid()).last().expect("a child of the runtime");
        Self { servant, groups, _image: image, _scratch: scratch }
    }

    pub(super) fn pid(&self) -> u32 {
        self.servant.pid
    }

    /// A new file in the place of its libc, as an update does it; the process keeps the old one.
    pub(super) fn replace_libc(&self) {
        let root = PathBuf::from(format!("/proc/{}/root", self.pid()));
        let libraries = content::needed(Path::new("/bin/true")).expect("it is a program");
        let libc =
            libraries.iter().find(|path| path.to_string_lossy().contains("libc.so")).expect("it has one");
        let libc = root.join(libc.strip_prefix("/").expect("an absolute path"));
        let beside = libc.with_extension("new");
        fs::copy(&libc, &beside).and_then(|_| fs::rename(&beside, &libc)).expect("its root is writable");
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.pid())).expect("it runs");
        assert!(maps.contains("libc.so.6 (deleted)"), "{maps}");
    }
}

/// The same program with another allocator, or why there is none.
pub(super) fn with_jemalloc() -> Result<PathBuf, String> {
    let library = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2";
    if !Path::new(library).exists() {
        return Err(format!("there is no {library}: package libjemalloc2"));
    }
    let flags =
        ["-std=gnu11", "-O1", "-g", "-fno-omit-frame-pointer", "-pthread", "-Wl,--no-as-needed", library];
    compile("servant-jemalloc", "gcc", &source("servant.c"), &flags.map(str::to_owned))
}
