//! `record`: the documents that the tests of the screens are drawn from, out of real runs of the live view.

use std::fs;

use anyhow::{Context, Result, bail};
use lexopt::Parser;

use crate::{
    build, no_more,
    process::say,
    setup,
    stage::{Cast, Stage},
    toolchain,
};

const DATA: &str = "tracer/tests/it/data";
const SIZE: (u16, u16) = (160, 50);
/// Of a document: the repository keeps them.
const BYTES_MAX: usize = 200_000;

/// A run of the live view, and the documents that come out of it.
struct Recording {
    name: &'static str,
    cast: fn(&Stage) -> Result<Cast>,
    args: &'static [&'static str],
    /// After so many seconds, under this name.
    documents: &'static [(u64, &'static str)],
}

/// They run side by side. One takes more than a minute, so that what looks back a minute is full.
const RECORDINGS: [Recording; 5] = [
    Recording {
        name: "leaky",
        cast: |stage| Ok(Cast::of(vec![stage.leaky_service("leaky-service", &[])?])),
        args: &[],
        documents: &[(40, "live-leaky-earlier"), (66, "live-leaky")],
    },
    Recording {
        name: "sampled",
        cast: |stage| Ok(Cast::of(vec![stage.leaky_service("leaky-service", &[])?])),
        args: &["--sample-bytes", "64KiB"],
        documents: &[(20, "live-sampled")],
    },
    Recording {
        name: "redis",
        cast: |stage| stage.redis("redis", "set", 200),
        args: &["--mode", "alloc"],
        documents: &[(15, "alloc-redis")],
    },
    Recording {
        name: "several",
        cast: |stage| {
            Ok(Cast::of(vec![
                stage.leaky_service("leaky-service", &[])?,
                stage.long_names("fleet-index", &[])?,
                stage.long_names("nightly-import", &["12"])?,
            ]))
        },
        args: &[],
        documents: &[(20, "live-several")],
    },
    Recording {
        name: "names",
        cast: |stage| Ok(Cast::of(vec![stage.long_names("fleet-index", &[])?])),
        args: &["--by-thread"],
        documents: &[(16, "live-threads")],
    },
];

/// `cargo xtask record`
pub(crate) fn task(args: Parser) -> Result<()> {
    no_more(args)?;
    setup::prepare(setup::For::Testing)?;
    build::all(true)?;
    let stage = Stage::set()?;
    say("recording for a minute");
    let mut running = Vec::new();
    for recording in &RECORDINGS {
        let cast = (recording.cast)(&stage)?;
        let view = stage.view(recording.name, SIZE, &cast, recording.args)?;
        running.push((recording, view, cast));
    }
    let mut wanted: Vec<(u64, usize, &str)> = (0..)
        .zip(&RECORDINGS)
        .flat_map(|(at, recording)| {
            recording.documents.iter().map(move |&(seconds, name)| (seconds, at, name))
        })
        .collect();
    wanted.sort_unstable();
    for (seconds, at, name) in wanted {
        running[at].1.wait(seconds);
        save(name, &running[at].1.document()?)?;
    }
    for (recording, view, _cast) in running {
        view.quit().with_context(|| format!("the live view of {} does not end", recording.name))?;
    }
    Ok(())
}

/// Keeps a document, unless something is in it that only this machine has.
fn save(name: &str, document: &str) -> Result<()> {
    if let Some(path) = private(document) {
        bail!("{name} would hold {path}, which only this machine has");
    }
    if document.len() > BYTES_MAX {
        bail!("{name} has {} bytes, more than a test needs", document.len());
    }
    let path = toolchain::repository().join(DATA).join(format!("{name}.json"));
    fs::write(&path, document).with_context(|| format!("failed to write {}", path.display()))?;
    say(&format!("wrote {} ({} bytes)", path.display(), document.len()));
    Ok(())
}

/// A folder in the document that is none of Debian's.
fn private(document: &str) -> Option<String> {
    let repository = toolchain::repository().display().to_string();
    let home = std::env::var("HOME").unwrap_or_default();
    let folders = [repository, home, "/home/".to_owned(), "/tmp/".to_owned()];
    folders.into_iter().find(|folder| folder.len() > 1 && document.contains(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_this_machine_are_found() {
        let ours = format!("\"exe\": \"{}/target/demo\"", toolchain::repository().display());
        assert!(private(&ours).is_some());
        assert_eq!(private("\"exe\": \"/home/me/demo\"").as_deref(), Some("/home/"));
        assert_eq!(private("\"exe\": \"/srv/demo/leaky-service\""), None);
    }

    #[test]
    fn no_two_documents_have_one_name() {
        let mut names: Vec<&str> =
            RECORDINGS.iter().flat_map(|recording| recording.documents).map(|(_, name)| *name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
