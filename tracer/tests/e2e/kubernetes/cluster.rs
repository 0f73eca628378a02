//! A node of a cluster: an API server that a test holds, and control groups as a runtime makes them, with real processes.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::fixtures::fixture;
use crate::groups::Group;
use crate::harness::skip;
use crate::servants::Servant;
use crate::servers::kubernetes::{FakeApi, PodSpec};

/// Name of the node.
pub(crate) const NODE: &str = "node-1";

/// See above.
pub(crate) struct Cluster {
    pub(crate) api: FakeApi,
    /// What is `kubepods.slice` on a node.
    root: Group,
}

/// The control groups of a pod; removed when dropped, its processes must have ended.
pub(crate) struct Lodging {
    // They are dropped in this order: what is inside first.
    containers: Vec<Group>,
    pod: Group,
}

impl Cluster {
    /// `None`, and why, where control groups cannot be made.
    pub(crate) fn or_skip(test: &str) -> Option<Self> {
        match Group::create(test) {
            Some(root) => Some(Self { api: FakeApi::start(), root }),
            None => {
                skip(test, "no hierarchy of control groups lets a test make one");
                None
            }
        }
    }

    /// The daemon's configuration: this API server, looks as often as can be, and this behind it.
    pub(crate) fn config(&self, rest: &str) -> String {
        format!("interval = \"100ms\"\n{}{rest}", self.api.config(NODE))
    }

    /// The groups of a pod, as the driver for systemd names them.
    pub(crate) fn lodge(&self, pod: &PodSpec) -> Lodging {
        let uid = uid_of(pod).replace('-', "_");
        Lodging {
            containers: Vec::new(),
            pod: self.root.below(&format!("kubepods-burstable-pod{uid}.slice")),
        }
    }
}

impl Lodging {
    /// Runs the servant in a container of the pod, which has to have this id.
    pub(crate) fn run(&mut self, id: &str) -> Servant {
        self.run_program(id, &fixture("servant"))
    }

    /// The same with another program; it is in its group before it is executed, as runtimes do it.
    pub(crate) fn run_program(&mut self, id: &str, program: &Path) -> Servant {
        self.containers.push(self.pod.below(&format!("cri-containerd-{id}.scope")));
        self.enter(self.containers.len() - 1, program)
    }

    /// Another process in a container that is there already, by its number.
    pub(crate) fn run_beside(&self, container: usize) -> Servant {
        self.enter(container, &fixture("servant"))
    }

    fn enter(&self, container: usize, program: &Path) -> Servant {
        let procs = self.containers[container].path().join("cgroup.procs");
        let script = "echo $$ > \"$0\" && exec \"$1\"";
        Servant::spawn(Command::new("sh").args(["-c", script]).arg(procs).arg(program))
    }
}

/// Tests so far: daemons see the processes of tests beside theirs, which must be in other containers.
static TESTS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// Every test has a thread of its own.
    static TEST: u32 = TESTS.fetch_add(1, Ordering::Relaxed);
}

/// A container's id: 64 hex digits made of a number, this test's own.
pub(crate) fn id(number: u32) -> String {
    format!("{:08x}{:08x}{number:048x}", std::process::id(), TEST.with(|&test| test))
}

/// A pod's uid made of a number, this test's own.
pub(crate) fn uid(number: u32) -> String {
    format!("{number:08x}-{:04x}-4000-8000-{:012x}", TEST.with(|&test| test), std::process::id())
}

/// The uid of a pod.
pub(crate) fn uid_of(pod: &PodSpec) -> String {
    pod.json()["metadata"]["uid"].as_str().expect("every pod has one").to_owned()
}
