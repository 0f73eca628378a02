//! Kernel headers for programs that compile their BPF code when they start.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// Headers that such a program finds by itself.
pub(super) fn are_installed() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    Path::new("/sys/kernel/kheaders.tar.xz").exists()
        || Path::new("/lib/modules").join(release).join("build").exists()
}

/// Those of another kernel, for tools that read no more of it than the registers; `None` if there are none.
///
/// Debian splits them into two folders; `BCC_KERNEL_SOURCE` takes one, so this one leads to both.
pub(super) fn of_another_kernel() -> Result<Option<TempDir>> {
    let Some((common, machine)) = debian() else { return Ok(None) };
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    for part in ["include", "arch/x86/include"] {
        let target = folder.path().join(part);
        fs::create_dir_all(&target)?;
        for source in [&common, &machine] {
            let source = source.join(part);
            for entry in
                fs::read_dir(&source).with_context(|| format!("failed to list {}", source.display()))?
            {
                let entry = entry?;
                // What both have is the first one's; it does not happen.
                drop(symlink(entry.path(), target.join(entry.file_name())));
            }
        }
    }
    Ok(Some(folder))
}

fn debian() -> Option<(PathBuf, PathBuf)> {
    let entries = fs::read_dir("/usr/src").ok()?.flatten();
    let mut folders = entries.filter_map(|entry| {
        let common = entry.path();
        let machine = format!("{}-amd64", common.to_str()?.strip_suffix("-common")?);
        Path::new(&machine).is_dir().then(|| (common, machine.into()))
    });
    folders.next()
}
