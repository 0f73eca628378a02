//! A service in two versions, under load: what the stories here are about. `canary_group` is told by the environment.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;

use crate::copies::copy_program;
use crate::fixtures;
use crate::groups::Group;
use crate::harness::Target;
use crate::servers::http;

/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(5);

/// A process of the shop, and a client that keeps it busy until it is dropped.
pub(crate) struct Shop {
    process: Target,
    port: u16,
    is_over: Arc<AtomicBool>,
    client: Option<JoinHandle<()>>,
}

/// Programs of a test's own, so that no other test's daemon finds its processes.
pub(crate) struct Market {
    folder: TempDir,
}

impl Market {
    pub(crate) fn new() -> Self {
        let market = Self { folder: tempfile::tempdir().expect("a folder") };
        for version in [1, 2] {
            copy_program(&fixtures::shop(version), &market.program(version));
        }
        market
    }

    fn program(&self, version: u32) -> PathBuf {
        self.folder.path().join(format!("shop-v{version}"))
    }

    /// A stable process. Nobody asks it for anything yet.
    pub(crate) fn stable(&self) -> Shop {
        Shop::start(&self.program(1), 1, "stable")
    }

    /// A process of the version that leaks.
    pub(crate) fn canary(&self) -> Shop {
        Shop::start(&self.program(2), 2, "canary")
    }

    /// A canary that does what stable does: it is the same program.
    pub(crate) fn good_canary(&self) -> Shop {
        Shop::start(&self.program(1), 3, "canary")
    }

    /// What the daemon is told: the canary closely, the stable ones less so.
    pub(crate) fn rules(&self) -> String {
        self.rules_for("live")
    }

    /// The same, with another mode for the canary.
    pub(crate) fn rules_for(&self, mode: &str) -> String {
        let rule = |name: &str, version: u32, mode: &str, sample: &str| {
            let exe = self.program(version);
            format!(
                "[[target]]\nname = \"{name}\"\nexe = \"{}\"\nmode = \"{mode}\"\nsample_bytes = \"{sample}\"\n",
                exe.display()
            )
        };
        rule("shop-canary", 2, mode, "64KiB") + &rule("shop-stable", 1, "live", "128KiB")
    }
}

impl Shop {
    fn start(program: &Path, version: u32, group: &str) -> Self {
        let mut command = Command::new(program);
        command
            .env("OTEL_SERVICE_NAME", "shop")
            .env("OTEL_RESOURCE_ATTRIBUTES", format!("service.version={version}.0,service.namespace=market"))
            .env("TRACER_CANARY_GROUP", group);
        let mut process = Target::spawn(&mut command);
        process.wait_ready();
        let port = process.next_line().parse().expect("a port");
        Self { process, port, is_over: Arc::default(), client: None }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Into a group, which must live longer.
    pub(crate) fn move_into(&self, group: &Group) {
        group.take(self.pid());
    }

    /// Begins to ask it for pages, one after the other.
    pub(crate) fn load(&mut self) {
        self.load_evenly(&[]);
    }

    /// Begins to ask it and others for pages in turn, so that each gets as many requests, whoever else is busy. Its client so
    /// far ends.
    pub(crate) fn load_evenly(&mut self, others: &[&Self]) {
        self.end_client();
        let ports: Vec<u16> = others.iter().map(|shop| shop.port).chain([self.port]).collect();
        for &port in &ports {
            let answer = http::get(port, "/").expect("the shop answers");
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        self.is_over = Arc::default();
        let is_over = Arc::clone(&self.is_over);
        self.client = Some(thread::spawn(move || {
            for &port in ports.iter().cycle() {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                // An error: it has ended.
                drop(http::get(port, "/catalog"));
                thread::sleep(PAUSE);
            }
        }));
    }

    fn end_client(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(client) = self.client.take() {
            drop(client.join());
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.end_client();
    }
}
