//! `advice`: what `tracer advise` says of Debian's Go programs under load: the table of docs/advice.md, without the verdicts,
//! which only somebody who has read the source can give.

mod programs;

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use lexopt::{Arg, Parser, ValueExt};
use serde_json::Value;

use crate::{
    build,
    example::running::Running,
    process::{output, privileged, say},
    setup, toolchain,
};

use programs::{PROGRAMS, Program, Site};

/// From its start to its first answer.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// Caches fill and connections are made before it is looked at.
const WARM_UP: Duration = Duration::from_secs(3);
/// What tracer takes before and after its window.
const SLACK: Duration = Duration::from_secs(3);
/// Connections of each load.
const CONNECTIONS: u32 = 4;

/// A line of the table.
struct Row {
    program: &'static Program,
    version: String,
    requests_per_second: f64,
    document: Value,
}

/// `cargo xtask advice [--duration SECONDS] [PROGRAM …]`
pub(crate) fn task(mut args: Parser) -> Result<()> {
    let (mut seconds, mut wanted) = (20, Vec::new());
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("duration") => seconds = args.value()?.parse()?,
            Arg::Value(name) => wanted.push(name.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    if let Some(name) = wanted.iter().find(|name| PROGRAMS.iter().all(|program| program.name != **name)) {
        let names: Vec<_> = PROGRAMS.iter().map(|program| program.name).collect();
        bail!("{name} is not among the programs: {}", names.join(", "));
    }
    setup::prepare(setup::For::Advising)?;
    build::all(true)?;
    let folder = toolchain::target_dir().join("advice");
    let mut rows = Vec::new();
    for program in PROGRAMS {
        if wanted.is_empty() || wanted.iter().any(|name| name == program.name) {
            say(&format!("{} for {seconds} s", program.name));
            let row = look(program, &folder.join(program.name), Duration::from_secs(seconds));
            rows.push(row.with_context(|| format!("{} was not looked at", program.name))?);
        }
    }
    let text = table(&rows)?;
    println!("{text}");
    let path = folder.join("table.md");
    fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
    say(&format!("wrote {}; the advice on each program is in its folder beside it", path.display()));
    Ok(())
}

/// Starts a program in an empty folder, has it work, and asks for advice.
fn look(program: &'static Program, folder: &Path, duration: Duration) -> Result<Row> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("failed to empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let mut site = Site::new(folder, [free_port()?, free_port()?]);
    (program.prepare)(&site)?;
    let log = |name: &str| -> Result<File> {
        File::create(folder.join(name)).with_context(|| format!("failed to create {name}"))
    };
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", program.name]).args((program.arguments)(&site)).current_dir(folder);
    // What some keep in the user's home.
    command.env("HOME", folder).env("XDG_CONFIG_HOME", folder).env("XDG_DATA_HOME", folder);
    let running = Running::start(command.stdout(log("stdout.log")?).stderr(log("stderr.log")?))?;
    wait_ready(&running, site.port, folder)?;
    (program.fill)(&mut site)?;
    let limit = WARM_UP + duration + SLACK;
    let loads = (program.loads)(&site);
    let mut heys = Vec::new();
    for (at, load) in (1..).zip(&loads) {
        let mut hey = Command::new("setpriv");
        hey.args(["--pdeathsig", "TERM", "hey", "-c", &CONNECTIONS.to_string()]);
        hey.args(["-z", &format!("{}s", limit.as_secs())]).args(load).stdin(Stdio::null());
        let summary = format!("hey-{at}.txt");
        heys.push((
            Running::start(hey.stdout(log(&summary)?)).context("hey is Debian's package hey")?,
            summary,
        ));
    }
    thread::sleep(WARM_UP);
    let document = advise(running.pid(), duration, folder)?;
    let mut requests_per_second = 0.0;
    for (mut hey, summary) in heys {
        hey.wait(limit + READY_LIMIT)?;
        let text = fs::read_to_string(folder.join(&summary)).context("hey has said nothing")?;
        requests_per_second += answered(&text, limit).with_context(|| format!("hey says:\n{text}"))?;
    }
    let version = version(program);
    Ok(Row { program, version, requests_per_second, document })
}

fn advise(pid: u32, duration: Duration, folder: &Path) -> Result<Value> {
    let [json, text] = ["advice.json", "advice.txt"].map(|name| folder.join(name));
    let mut tracer = privileged(toolchain::tracer(true))?;
    tracer.args(["advise", "--pid", &pid.to_string(), "--duration", &format!("{}s", duration.as_secs())]);
    output(tracer.arg("-o").arg(&json).arg("-o").arg(&text))?;
    let bytes = fs::read(&json).with_context(|| format!("failed to read {}", json.display()))?;
    serde_json::from_slice(&bytes).context("the advice is no JSON")
}

/// A port that nobody has now.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    Ok(listener.local_addr()?.port())
}

fn wait_ready(running: &Running, port: u16, folder: &Path) -> Result<()> {
    let end = Instant::now() + READY_LIMIT;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        let is_there = Path::new(&format!("/proc/{}/exe", running.pid())).exists();
        if !is_there || Instant::now() > end {
            bail!("it does not listen on port {port}: {} may say why", folder.join("stderr.log").display());
        }
        thread::sleep(Duration::from_millis(50));
    }
    // A server that listens is not one that has begun to serve.
    thread::sleep(Duration::from_secs(1));
    Ok(())
}

/// Answers with a status of success per second. Any other status makes the load another one than it is said to be.
fn answered(summary: &str, limit: Duration) -> Result<f64> {
    let mut answers = 0_u64;
    for line in summary.lines().filter_map(|line| line.trim().strip_prefix('[')) {
        let Some((status, rest)) = line.split_once(']') else { continue };
        let Some(count) = rest.trim().strip_suffix(" responses") else { continue };
        if !status.starts_with('2') {
            bail!("{count} requests were answered by {status}");
        }
        answers += count.trim().parse::<u64>().context("no number of responses")?;
    }
    if answers == 0 {
        bail!("no request was answered");
    }
    Ok(answers as f64 / limit.as_secs_f64())
}

/// Its package's, without what Debian has added.
fn version(program: &Program) -> String {
    let query =
        output(Command::new("dpkg-query").args(["--show", "--showformat=${Version}", program.package]));
    // One that did not come by that package has none.
    let text = query.unwrap_or_default();
    match text.split(['+', '-', '~']).next() {
        None | Some("") => "(not Debian's)".to_owned(),
        Some(version) => version.to_owned(),
    }
}

fn table(rows: &[Row]) -> Result<String> {
    let mut text = String::from(
        "| program | load | requests/s | allocations/s | advice |\n| --- | --- | --: | --: | --- |\n",
    );
    for row in rows {
        let (document, program) = (&row.document, row.program);
        let seconds = document["seconds"].as_f64().context("the advice has no duration")?;
        let objects = document["looked_at"]["objects"].as_f64().context("the advice has no objects")?;
        let list = document["advice"].as_array().context("the advice is no list")?;
        let one = |advice: &Value| {
            let text = |name: &str| advice[name].as_str().unwrap_or("?").to_owned();
            format!("{} `{}:{}`", text("rule"), text("function"), advice["line"])
        };
        let advice: Vec<String> = list.iter().map(one).collect();
        let advice = if advice.is_empty() { "none".to_owned() } else { advice.join("; ") };
        text.push_str(&format!(
            "| {} {} | {} | {:.0} | {:.0} | {advice} |\n",
            program.name,
            row.version,
            program.load,
            row.requests_per_second,
            objects / seconds,
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_of_success_are_a_load() {
        let check = |summary: &str, expect: Option<f64>| {
            assert_eq!(answered(summary, Duration::from_secs(10)).ok(), expect, "{summary}");
        };
        check("Status code distribution:\n  [200]\t120 responses\n  [204]\t30 responses\n", Some(15.0));
        check("Status code distribution:\n  [200]\t120 responses\n  [500]\t1 responses\n", None);
        check("  0.003 [120]\t|■■■\n", None);
        check("", None);
    }

    #[test]
    fn a_program_that_is_not_in_the_table_is_refused() {
        let error = task(Parser::from_args(["prometeus"])).expect_err("a typo");
        assert!(error.to_string().contains("prometheus,"), "{error}");
    }
}
