//! Saved profiles, each a run or a window of one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::documents::Document;
use crate::command::Failure;
use crate::options::UsageError;
use crate::view::{Format, read};

/// Reads the files, and those of the folders.
pub(super) fn read_all(paths: &[PathBuf]) -> Result<Vec<Document>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() { files.extend(of_folder(path)?) } else { files.push(path.clone()) }
    }
    let mut seen = BTreeSet::new();
    for file in &files {
        // What does not exist is said where it is read.
        if !seen.insert(fs::canonicalize(file).unwrap_or_else(|_| file.clone())) {
            let file = file.display();
            return Err(UsageError(format!(
                "{file} is given twice, and would count as two runs: give it once"
            ))
            .into());
        }
    }
    files.iter().map(|file| one(file)).collect()
}

fn one(path: &Path) -> Result<Document, Failure> {
    let name = path.display().to_string();
    let bytes = fs::read(path).with_context(|| format!("failed to read {name}"))?;
    let snapshot = read::open(&bytes).with_context(|| format!("failed to read {name}"))?;
    Ok(Document { name, snapshot })
}

/// The profiles of a folder, by name.
fn of_folder(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let shown = folder.display();
    let entries = fs::read_dir(folder).with_context(|| format!("failed to read {shown}"))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("failed to read {shown}"))?.path();
        let is_profile = matches!(Format::from_suffix(&path), Some(Format::Json | Format::Pprof));
        if is_profile && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Failure::NotFound(format!(
            "{shown} has no profile: no file in it ends with .json, .pb.gz or .pprof"
        )));
    }
    files.sort();
    Ok(files)
}
