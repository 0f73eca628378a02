//! `image`: the whole content of the container image, in a folder: the program and what it cannot start without.

mod content;

use std::path::PathBuf;

use anyhow::{Context, Result};
use lexopt::{Arg, Parser};

use crate::{build, process::say, setup, toolchain};

/// `cargo xtask image --root DIR [--program FILE]`
pub(crate) fn task(mut args: Parser) -> Result<()> {
    let (mut root, mut program) = (None, None);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("root") => root = Some(PathBuf::from(args.value()?)),
            Arg::Long("program") => program = Some(PathBuf::from(args.value()?)),
            other => return Err(other.unexpected().into()),
        }
    }
    let root = root.context("--root DIR is missing: the folder that becomes the image's root")?;
    // Before what takes minutes.
    content::refuse_what_is_not_empty(&root)?;
    let program = match program {
        Some(program) => program,
        None => {
            setup::prepare(setup::For::Building)?;
            build::all(true)?;
            toolchain::tracer(true)
        }
    };
    let put = content::fill(&program, toolchain::repository(), &root)?;
    for (path, bytes) in &put {
        say(&format!("{bytes:>10}  {}", path.display()));
    }
    let total: u64 = put.iter().map(|(_, bytes)| bytes).sum();
    say(&format!("{total:>10}  bytes in {} files and folders below {}", put.len(), root.display()));
    Ok(())
}
