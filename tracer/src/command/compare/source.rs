//! What a side is given as: files, pids, or the labels of a daemon's processes.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::labels::Matchers;
use crate::options::UsageError;

/// Where a side comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Saved profiles, or folders of them.
    Files(Vec<PathBuf>),
    /// Processes of this machine.
    Pids(BTreeSet<u32>),
    /// Processes of a daemon.
    Labels(Matchers),
}

impl Source {
    /// Of `a.json,b.pb.gz`, `pid:1,2`, `1,2`, `{service="x"}`.
    pub(super) fn of(text: &str) -> Result<Self, UsageError> {
        let text = text.trim();
        if text.starts_with('{') {
            return Matchers::of(text).map(Self::Labels);
        }
        let is_pids = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
        if let Some(pids) = text.strip_prefix("pid:").or_else(|| Some(text).filter(|text| is_pids(text))) {
            return pids_of(text, pids).map(Self::Pids);
        }
        let paths: Vec<PathBuf> = text.split(',').map(str::trim).map(PathBuf::from).collect();
        if paths.iter().any(|path| path.as_os_str().is_empty()) {
            return Err(UsageError(format!(
                "{text:?}: a file has no name. Use files with a comma between them, pid:PID or {{label=\"value\"}}"
            )));
        }
        Ok(Self::Files(paths))
    }
}

fn pids_of(text: &str, pids: &str) -> Result<BTreeSet<u32>, UsageError> {
    let pid = |pid: &str| match pid.trim().parse() {
        Ok(pid) if pid > 0 => Ok(pid),
        _ => Err(UsageError(format!(
            "{text:?}: {pid:?} is no pid. Use pid:12,34; a file of that name is ./{text}"
        ))),
    };
    pids.split(',').map(pid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_is_what_its_text_looks_like() {
        let check = |text: &str, expect: &str| {
            let shown = match Source::of(text) {
                Ok(Source::Files(paths)) => format!("files {paths:?}"),
                Ok(Source::Pids(pids)) => format!("pids {pids:?}"),
                Ok(Source::Labels(matchers)) => format!("labels {}", matchers.text()),
                Err(error) => error.to_string(),
            };
            assert!(shown.contains(expect), "{text}: {shown}");
        };
        check("a.json", "files [\"a.json\"]");
        check("a.json,runs/", "files [\"a.json\", \"runs/\"]");
        check("./12", "files [\"./12\"]");
        check("12", "pids {12}");
        check("12,7", "pids {7, 12}");
        check("pid:12, 7", "pids {7, 12}");
        check("{service=\"x\"}", "labels service=\"x\"");
        check("pid:x", "\"x\" is no pid. Use pid:12,34");
        check("0", "\"0\" is no pid");
        check("", "\"\" is no pid");
        check("a.json,,b.json", "a file has no name");
    }
}
