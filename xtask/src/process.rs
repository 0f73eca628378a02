//! Running other programs: said before, checked after, never left behind.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// Says on stderr what happens next.
pub(crate) fn say(step: &str) {
    eprintln!("xtask: {step}");
}

/// A command as it would be typed, without its environment.
pub(crate) fn shown(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Runs a command to its end; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("failed to start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status}); its own message is above", shown(command));
    }
    Ok(())
}

/// What a command prints on stdout, if it can be started and succeeds.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.output().with_context(|| format!("failed to start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Is there a program of this name on the PATH?
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Are we root?
pub(crate) fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// A command that needs root: directly if we are, else by sudo.
pub(crate) fn privileged(program: impl AsRef<OsStr>) -> Result<Command> {
    if is_root() {
        return Ok(Command::new(program));
    }
    if !on_path("sudo") {
        bail!("`{}` needs root: run this as root, or install sudo", program.as_ref().to_string_lossy());
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    Ok(command)
}

/// Runs a command, hands every line of its stdout over, and ends it with all its children after `limit`.
///
/// `None` is a command that had to be ended.
pub(crate) fn stream(
    command: &mut Command,
    limit: Duration,
    mut line: impl FnMut(&str),
) -> Result<Option<ExitStatus>> {
    let shown = shown(command);
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("failed to start `{shown}`"))?;
    let stdout = child.stdout.take().context("the child has no stdout although it was asked for")?;
    let (sender, receiver) = mpsc::channel();
    // Not joined: a grandchild that outlives the command may hold the pipe open.
    thread::spawn(move || {
        for bytes in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&bytes).into_owned()).is_err() {
                return;
            }
        }
    });
    let end = Instant::now() + limit;
    loop {
        match receiver.recv_timeout(Duration::from_millis(100)) {
            Ok(text) => line(&text),
            Err(RecvTimeoutError::Disconnected) => thread::sleep(Duration::from_millis(10)),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(status) = child.try_wait()? {
            while let Ok(text) = receiver.recv_timeout(Duration::from_millis(100)) {
                line(&text);
            }
            return Ok(Some(status));
        }
        if Instant::now() > end {
            kill_tree(child.id());
            child.wait()?;
            return Ok(None);
        }
    }
}

/// Ends a process that we started and everything below it, by pid.
fn kill_tree(root: u32) {
    let mut doomed = vec![root];
    let parents = parents();
    let mut next = 0;
    while let Some(&parent) = doomed.get(next) {
        doomed.extend(parents.iter().filter(|&(_, above)| *above == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    let pids = doomed.iter().map(u32::to_string);
    // A pid that is already gone makes kill complain; that is what was wanted.
    let _gone = Command::new("kill").arg("-KILL").args(pids).stderr(Stdio::null()).status();
}

/// Every process and its parent, from /proc.
fn parents() -> HashMap<u32, u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name in parentheses may hold anything: the fields start after the last one.
            let (_, fields) = stat.rsplit_once(')')?;
            Some((pid, fields.split_whitespace().nth(1)?.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn every_line_of_a_command_arrives_before_its_status() {
        let mut lines = Vec::new();
        let status = stream(&mut shell("echo one; echo two; exit 3"), Duration::from_secs(20), |line| {
            lines.push(line.to_owned());
        });
        assert_eq!(status.expect("sh runs").and_then(|status| status.code()), Some(3));
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn a_command_that_hangs_is_ended_with_its_children() {
        let mut child = None;
        let begin = Instant::now();
        let status = stream(&mut shell("sleep 600 & echo $!; wait"), Duration::from_secs(2), |line| {
            child = line.parse::<u32>().ok();
        });
        assert!(status.expect("sh runs").is_none());
        assert!(begin.elapsed() < Duration::from_secs(20));
        let stat = format!("/proc/{}/stat", child.expect("sh said the pid"));
        // Gone, or dead and not yet reaped by whoever inherited it; the signal takes a moment.
        let dead = || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        while !dead() {
            assert!(begin.elapsed() < Duration::from_secs(20), "the child still runs");
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_command_that_fails_is_an_error_that_names_it() {
        let error = run(&mut shell("exit 7")).expect_err("exit 7 is no success");
        assert!(error.to_string().contains("sh -c exit 7"), "{error}");
    }
}
