//! Real programs under the live view in a real terminal: what `record` and `pictures` share.
//!
//! The programs lie in a folder that says nothing about the machine, since its paths end up in documents and pictures.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use self::tmux::Terminal;
use crate::{
    process::{is_root, on_path, run},
    program::Program,
    toolchain,
};

#[path = "../../tracer/tests/e2e/tmux.rs"]
mod tmux;

/// Where the programs lie, and the sources that their debug information names.
const FOLDER: &str = "/srv/demo";
const FIXTURES: &str = "/srv/demo/fixtures";
/// The first picture needs the probes to be there and the names of the first stacks.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The folder. Dropping it restores what was there.
pub(crate) struct Stage {
    kept: Option<PathBuf>,
}

/// Programs that are traced, and those that only give them something to do.
#[derive(Default)]
pub(crate) struct Cast {
    _load: Vec<Program>,
    targets: Vec<Program>,
}

/// The live view in a terminal of its own.
pub(crate) struct View {
    terminal: Terminal,
    opened_at: Instant,
}

impl Stage {
    pub(crate) fn set() -> Result<Self> {
        if !is_root() {
            bail!("needs root: for the probes and for {FOLDER}");
        }
        let missing: Vec<&str> = ["gcc", "g++", "tmux", "redis-server", "redis-benchmark"]
            .into_iter()
            .filter(|name| !on_path(name))
            .collect();
        if !missing.is_empty() {
            bail!("there is no {}: `cargo xtask setup --test` installs it", missing.join(" and no "));
        }
        let folder = Path::new(FOLDER);
        let kept = folder.exists().then(|| folder.with_extension(format!("kept-{}", std::process::id())));
        if let Some(kept) = &kept {
            fs::rename(folder, kept).with_context(|| format!("failed to put {FOLDER} aside"))?;
        }
        // From here on the guard restores it.
        let stage = Self { kept };
        fs::create_dir_all(FIXTURES).with_context(|| format!("failed to create {FIXTURES}"))?;
        Ok(stage)
    }

    /// Where something of it lies.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        Path::new(FOLDER).join(name)
    }

    /// The path of a program that is compiled from a fixture.
    fn compiled(&self, fixture: &str, name: &str, compile: &[&str]) -> Result<PathBuf> {
        let (source, program) = (Path::new(FIXTURES).join(fixture), Path::new(FOLDER).join(name));
        let fixture = toolchain::repository().join("tracer/tests/fixtures").join(fixture);
        fs::copy(&fixture, &source).with_context(|| format!("failed to copy {}", fixture.display()))?;
        let mut compiler = Command::new(compile[0]);
        compiler.args(&compile[1..]).arg("-o").arg(&program).arg(&source);
        run(&mut compiler).context("failed to compile what is to be traced")?;
        Ok(program)
    }

    /// The demo's service; it ends by itself if `args` say so.
    pub(crate) fn leaky_service(&self, name: &str, args: &[&str]) -> Result<Program> {
        let compile = ["gcc", "-O1", "-g", "-fno-omit-frame-pointer", "-pthread"];
        Program::start(&self.compiled("leaky_service.c", name, &compile)?, args)
    }

    /// A program whose functions have long names. Without debug information: as it would be shipped.
    pub(crate) fn long_names(&self, name: &str, args: &[&str]) -> Result<Program> {
        let compile = ["g++", "-std=c++17", "-O1", "-pthread"];
        Program::start(&self.compiled("long_names.cpp", name, &compile)?, args)
    }

    /// Debian's redis, and its own benchmark that asks it without end, with values of so many bytes.
    pub(crate) fn redis(&self, name: &str, commands: &str, value_bytes: u32) -> Result<Cast> {
        let socket = format!("{FOLDER}/{name}.socket");
        let server =
            ["--port", "0", "--save", "", "--loglevel", "warning", "--dir", FOLDER, "--unixsocket", &socket];
        let server = Program::start(Path::new("/usr/bin/redis-server"), &server)?;
        let end = Instant::now() + ANSWER_LIMIT;
        while !Path::new(&socket).exists() {
            if Instant::now() > end {
                bail!("redis-server does not listen");
            }
            thread::sleep(Duration::from_millis(50));
        }
        let bytes = value_bytes.to_string();
        let load =
            ["-s", &socket, "-t", commands, "-c", "4", "-r", "20000", "-d", &bytes, "-n", "2000", "-l", "-q"];
        let load = Program::start(Path::new("/usr/bin/redis-benchmark"), &load)?;
        Ok(Cast { _load: vec![load], targets: vec![server] })
    }

    /// Opens the live view on the targets, in a terminal of this size.
    pub(crate) fn view(&self, name: &str, size: (u16, u16), cast: &Cast, args: &[&str]) -> Result<View> {
        let pids: String = cast.pids().map(|pid| format!(" --pid {pid}")).collect();
        let tracer = toolchain::tracer(true);
        let command = format!("exec '{}' attach{pids} {}", tracer.display(), args.join(" "));
        let terminal =
            Terminal::start(Path::new(FOLDER).join(format!("{name}.tmux")), size.0, size.1, &command)
                .context("failed to start tmux")?;
        terminal.wait_until("the live view", OPEN_LIMIT, |screen| {
            screen.contains(" Sites ") || screen.contains(" Processes")
        })?;
        Ok(View { terminal, opened_at: Instant::now() })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let folder = Path::new(FOLDER);
        let removed = fs::remove_dir_all(folder);
        let restored = self.kept.as_ref().map_or(Ok(()), |kept| fs::rename(kept, folder));
        if let Err(error) = removed.and(restored) {
            crate::process::say(&format!("{FOLDER} is not as it was: {error}"));
        }
    }
}

impl Cast {
    pub(crate) fn of(targets: Vec<Program>) -> Self {
        Self { _load: Vec::new(), targets }
    }

    /// Of the programs that are traced.
    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> {
        self.targets.iter().map(Program::pid)
    }
}

impl View {
    /// Waits until it has been open for so many seconds.
    pub(crate) fn wait(&self, seconds: u64) {
        thread::sleep(Duration::from_secs(seconds).saturating_sub(self.opened_at.elapsed()));
    }

    pub(crate) fn keys(&self, keys: &[&str]) -> Result<()> {
        Ok(self.terminal.keys(keys)?)
    }

    /// The screen with the escape sequences of its colours, as soon as it has answered the last key.
    pub(crate) fn settled(&self) -> Result<String> {
        thread::sleep(Duration::from_millis(500));
        Ok(self.terminal.tmux(&["capture-pane", "-p", "-e", "-N"])?)
    }

    /// Writes what is shown, as a user would, and reads it.
    pub(crate) fn document(&self) -> Result<String> {
        let path = format!("{FOLDER}/recorded.json");
        self.terminal.keys(&["w"])?;
        self.terminal.wait_for("write to:", ANSWER_LIMIT)?;
        self.terminal.keys(&["C-u"])?;
        self.terminal.keys(&["-l", &path])?;
        self.terminal.keys(&["Enter"])?;
        self.terminal.wait_for("wrote ", ANSWER_LIMIT)?;
        let document = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
        fs::remove_file(&path).with_context(|| format!("failed to remove {path}"))?;
        Ok(document)
    }

    /// Ends it as a user would.
    pub(crate) fn quit(self) -> Result<()> {
        self.terminal.keys(&["q"])?;
        // Its last words; or tmux's, which not every terminal shows.
        let is_over = |screen: &str| screen.contains("tracer: traced ") || screen.contains("Pane is dead");
        self.terminal.wait_until("the end of tracer", OPEN_LIMIT, is_over)?;
        Ok(())
    }
}
