//! redis-server, asked by redis-benchmark over the loopback interface.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::{Amount, Program};
use crate::compile;
use crate::lines::Lines;
use crate::peer;

/// In words. Debian's redis brings jemalloc, so libc is loaded before it: the calls are the same.
pub(super) const NAME: &str = "redis-server (on glibc's malloc)";

/// Keys of the requests: the same ones again, so that it does not grow for ever.
const KEYS: &str = "10000";
/// Requests on their way at a time, of each of these clients.
const PIPELINE: &str = "16";
const CLIENTS: &str = "10";

/// The running server, and who asks it.
pub(super) struct Redis {
    server: Child,
    port: u16,
    benchmark: std::path::PathBuf,
    requests: u32,
    _libc: TempDir,
    _folder: TempDir,
}

impl Redis {
    /// Starts it on a port of its own, in a folder of its own; it keeps nothing.
    pub(super) fn start(amount: Amount) -> Result<Self> {
        let program = peer::program("redis-server", "redis-server").map_err(anyhow::Error::msg)?;
        let benchmark = peer::program("redis-benchmark", "redis-tools").map_err(anyhow::Error::msg)?;
        let (libc, folder) = (compile::private_libc()?, TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?);
        // Free now, and nobody is told of it.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut server = Command::new(program)
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
            ])
            .arg(folder.path())
            .env("LD_LIBRARY_PATH", libc.path())
            .env("LD_PRELOAD", libc.path().join("libc.so.6"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("failed to start redis-server")?;
        let stdout = server.stdout.take();
        let requests = amount.choose(100_000, 5_000);
        let this = Self { server, port, benchmark, requests, _libc: libc, _folder: folder };
        let Some(stdout) = stdout else { bail!("redis-server has no stdout") };
        let mut said = Lines::of(stdout);
        said.wait_for(|line| line.contains("eady to accept connections"))
            .context("redis-server did not start")?;
        Ok(this)
    }
}

impl Program for Redis {
    fn pid(&self) -> u32 {
        self.server.id()
    }

    fn work(&mut self) -> Result<()> {
        let output = Command::new(&self.benchmark)
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-n", &self.requests.to_string()])
            .args(["-t", "set,get", "-d", "100", "-r", KEYS, "-P", PIPELINE, "-c", CLIENTS, "-q"])
            .output()
            .context("failed to run redis-benchmark")?;
        if !output.status.success() {
            bail!("redis-benchmark: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        drop(self.server.kill());
        drop(self.server.wait());
    }
}
