//! `install`: the program, its man page and its completions where the system looks for them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use lexopt::{Arg, Parser};

use crate::{
    build, no_more,
    process::{output, say},
    setup, toolchain,
};

/// What the program prints about itself, and where that belongs below the root.
const GENERATED: &[(&[&str], &str)] = &[
    (&["man"], "share/man/man1/tracer.1"),
    (&["completions", "bash"], "share/bash-completion/completions/tracer"),
    (&["completions", "zsh"], "share/zsh/site-functions/_tracer"),
    (&["completions", "fish"], "share/fish/vendor_completions.d/tracer.fish"),
];

/// `cargo xtask install [--root DIR]`
pub(crate) fn task(mut args: Parser) -> Result<()> {
    let mut root = PathBuf::from("/usr/local");
    match args.next()? {
        Some(Arg::Long("root")) => root = args.value()?.into(),
        Some(other) => return Err(other.unexpected().into()),
        None => {}
    }
    no_more(args)?;
    setup::prepare(setup::For::Building)?;
    build::all(true)?;
    into(&toolchain::tracer(true), &root)
}

fn into(program: &Path, root: &Path) -> Result<()> {
    let bytes = fs::read(program).with_context(|| format!("failed to read {}", program.display()))?;
    let installed = root.join("bin/tracer");
    put(&installed, &bytes)?;
    let permissions = fs::metadata(program)?.permissions();
    fs::set_permissions(&installed, permissions)
        .with_context(|| format!("failed to make {} executable", installed.display()))?;
    for (args, place) in GENERATED {
        let text = output(Command::new(program).args(*args))?;
        put(&root.join(place), text.as_bytes())?;
    }
    Ok(())
}

/// Writes beside and renames, so that a running tracer keeps its file.
fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    let beside = path.with_added_extension("new");
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&beside, bytes))
        .and_then(|()| fs::rename(&beside, path))
        .with_context(|| {
            format!("failed to write {}; run this as root, or give a folder by --root", path.display())
        })?;
    say(&format!("wrote {}", path.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_program_and_what_it_says_about_itself_land_below_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        // echo stands for the program: it prints its arguments. (One written here could be busy when it is started.)
        into(Path::new("/bin/echo"), &root).unwrap();
        let installed = fs::metadata(root.join("bin/tracer")).unwrap();
        assert_eq!(installed.permissions().mode() & 0o777, 0o755);
        let zsh = fs::read_to_string(root.join("share/zsh/site-functions/_tracer")).unwrap();
        assert_eq!(zsh, "completions zsh\n");
        assert_eq!(fs::read_to_string(root.join("share/man/man1/tracer.1")).unwrap(), "man\n");
    }
}
