//! Processes of a running daemon, by their labels.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::documents::Document;
use super::http::Server;
use super::labels::Matchers;
use super::settings::Settings;
use super::source::Source;
use super::window;
use crate::command::Failure;
use crate::command::messages::Messages;
use crate::model::snapshot::{CallSite, Snapshot};
use crate::view::{frame, json};

/// Groups of labels that are named where nothing fits.
const NAMED: usize = 5;
/// The daemon itself waits some seconds for the names of a profile; those of a large program may take it longer.
const NAMES_WITHIN: Duration = Duration::from_secs(60);
const NAMES_EVERY: Duration = Duration::from_millis(200);

/// What `/targets` lists, as far as it is needed here.
#[derive(Debug, Deserialize)]
struct List {
    targets: Vec<Listed>,
}

#[derive(Clone, Debug, Deserialize)]
struct Listed {
    id: String,
    pid: u32,
    comm: String,
    #[serde(default)]
    rule: String,
    #[serde(default)]
    exe: String,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    pod: Option<Pod>,
}

#[derive(Clone, Debug, Deserialize)]
struct Pod {
    name: String,
}

/// Reads what each side's labels fit.
pub(super) fn read(
    settings: &Settings,
    documents: &mut [Vec<Document>; 2],
    messages: &Messages,
) -> Result<(), Failure> {
    let matchers = settings.sources.each_ref().map(|source| match source {
        Source::Labels(matchers) => Some(matchers),
        Source::Files(_) | Source::Pids(_) => None,
    });
    if matchers.iter().all(Option::is_none) {
        return Ok(());
    }
    let server = &settings.daemon;
    let listed = list(server)?;
    let mut chosen = [Vec::new(), Vec::new()];
    for (matchers, chosen) in matchers.into_iter().zip(&mut chosen) {
        if let Some(matchers) = matchers {
            *chosen = fitting(&listed, matchers, server)?;
        }
    }
    let [base, canary] = &chosen;
    if let Some(both) = base.iter().find(|one| canary.iter().any(|other| one.id == other.id)) {
        return Err(Failure::NotFound(format!(
            "{} fits the labels of both sides: give labels that tell them apart, such as canary_group",
            name(both)
        )));
    }
    let Some(duration) = settings.duration else {
        return take(server, &chosen, documents, messages);
    };
    let mut earlier = [Vec::new(), Vec::new()];
    take(server, &chosen, &mut earlier, messages)?;
    let progress =
        messages.spinner(&format!("waiting {} s for the second reading", duration.as_secs_f64().ceil()));
    sleep(duration);
    drop(progress);
    let mut later = [Vec::new(), Vec::new()];
    take(server, &chosen, &mut later, messages)?;
    for ((earlier, later), documents) in earlier.iter().zip(later).zip(documents) {
        documents.extend(windows(earlier, later, messages));
    }
    Ok(())
}

/// What each process did between its readings.
fn windows(earlier: &[Document], later: Vec<Document>, messages: &Messages) -> Vec<Document> {
    let mut windows = Vec::new();
    for document in later {
        let Some(before) = earlier.iter().find(|before| before.name == document.name) else { continue };
        match window::between(&before.snapshot, document.snapshot) {
            Some(snapshot) => windows.push(Document { name: document.name, snapshot }),
            None => messages
                .warn(&format!("{} is left out: the daemon has begun to count it anew", document.name)),
        }
    }
    windows
}

fn list(server: &Server) -> Result<Vec<Listed>, Failure> {
    let url = server.url();
    let failed = |why: String| {
        Failure::Failed(anyhow::anyhow!(
            "failed to ask the daemon at {url} for its processes: {why}. Is it `tracer daemon`, and --daemon its address?"
        ))
    };
    let answer = server.get("/targets").map_err(failed)?;
    if !answer.status.is_success() {
        return Err(failed(answer.sentence()));
    }
    let list: List = serde_json::from_slice(&answer.body).map_err(|error| failed(error.to_string()))?;
    Ok(list.targets)
}

/// The processes that are wanted.
fn fitting(listed: &[Listed], matchers: &Matchers, server: &Server) -> Result<Vec<Listed>, Failure> {
    let fitting: Vec<Listed> = listed.iter().filter(|one| matchers.wants(&labels(one))).cloned().collect();
    if !fitting.is_empty() {
        return Ok(fitting);
    }
    let mut there: Vec<String> = listed.iter().map(|one| shown(&one.labels)).collect();
    there.sort();
    there.dedup();
    let more = there.len().saturating_sub(NAMED);
    there.truncate(NAMED);
    if more > 0 {
        there.push(format!("and {more} more"));
    }
    let there = if there.is_empty() { "none at all".to_owned() } else { there.join(", ") };
    Err(Failure::NotFound(format!(
        "no process of the daemon at {} has the labels {{{}}}; there are {there}",
        server.url(),
        matchers.text()
    )))
}

/// The labels of its series, and what else it can be asked by.
fn labels(listed: &Listed) -> BTreeMap<String, String> {
    let mut labels = listed.labels.clone();
    let pod = listed.pod.as_ref().map_or("", |pod| &pod.name);
    let others = [("comm", &*listed.comm), ("exe", &*listed.exe), ("rule", &*listed.rule), ("pod", pod)];
    for (name, value) in others {
        labels.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    labels.entry("pid".to_owned()).or_insert_with(|| listed.pid.to_string());
    labels
}

fn shown(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    frame::printable(&format!("{{{}}}", pairs.join(",")))
}

fn name(listed: &Listed) -> String {
    let pod = listed.pod.as_ref().map(|pod| format!("{}/", pod.name)).unwrap_or_default();
    frame::printable(&format!("{pod}{}-{}", listed.comm, listed.pid))
}

/// Reads the chosen processes of both sides.
fn take(
    server: &Server,
    chosen: &[Vec<Listed>; 2],
    documents: &mut [Vec<Document>; 2],
    messages: &Messages,
) -> Result<(), Failure> {
    for (chosen, documents) in chosen.iter().zip(documents) {
        for listed in chosen {
            match snapshot(server, listed)? {
                Some(snapshot) => documents.push(Document { name: name(listed), snapshot }),
                None => messages.warn(&format!("{} has ended meanwhile and is left out", name(listed))),
            }
        }
    }
    Ok(())
}

/// The document of a process with its names; `None` if it has ended.
fn snapshot(server: &Server, listed: &Listed) -> Result<Option<Snapshot>, Failure> {
    let failed = |why: String| {
        let (name, url) = (name(listed), server.url());
        Failure::Failed(anyhow::anyhow!("failed to read {name} from the daemon at {url}: {why}. Ask again"))
    };
    let until = Instant::now() + NAMES_WITHIN;
    loop {
        let answer = server.get(&format!("/targets/{}/snapshot", listed.id)).map_err(failed)?;
        if answer.status.as_u16() == 404 {
            return Ok(None);
        }
        if !answer.status.is_success() {
            return Err(failed(answer.sentence()));
        }
        let snapshot = json::read(&mut answer.body.as_slice()).map_err(|error| failed(error.to_string()))?;
        if !snapshot.sites.iter().any(CallSite::awaits_names) {
            return Ok(Some(snapshot));
        }
        if Instant::now() >= until {
            return Err(failed("its symbols are still being read".to_owned()));
        }
        sleep(NAMES_EVERY);
    }
}
