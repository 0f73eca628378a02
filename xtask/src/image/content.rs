//! What an image consists of. It knows nothing of the tasks, so that the end-to-end tests run what is shipped.
//!
//! No shell, no package manager, no users (`runAsUser: 0` is a number), no certificates (a service account brings its own).

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

/// Folders that it needs, and their permissions: for the configuration, the control socket, temporary files.
const FOLDERS: [(&str, u32); 3] = [("etc/tracer", 0o755), ("run/tracer", 0o700), ("tmp", 0o1777)];
/// Where the licences lie.
const DOCUMENTS: &str = "usr/share/doc";

/// What was put there, and how many bytes it has; a folder has none.
pub(crate) type Put = Vec<(PathBuf, u64)>;

/// That a folder is not there yet, or holds nothing.
pub(crate) fn refuse_what_is_not_empty(root: &Path) -> Result<()> {
    let is_empty = match fs::read_dir(root) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", root.display())),
    };
    ensure!(
        is_empty,
        "{} is not empty: give a new folder, everything in it becomes the image",
        root.display()
    );
    Ok(())
}

/// Makes an empty folder the root of an image with this program. The repository has the licences.
pub(crate) fn fill(program: &Path, repository: &Path, root: &Path) -> Result<Put> {
    refuse_what_is_not_empty(root)?;
    let mut put = Put::new();
    copy(program, root, Path::new("usr/bin/tracer"), 0o755, &mut put)?;
    for library in needed(program)? {
        let place = library.strip_prefix("/").unwrap_or(&library).to_owned();
        copy(&library, root, &place, 0o755, &mut put)?;
        if let Some((package, licence)) = licence_of(&library) {
            let place = Path::new(DOCUMENTS).join(package).join("copyright");
            if !root.join(&place).exists() {
                copy(&licence, root, &place, 0o644, &mut put)?;
            }
        }
    }
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        let place = Path::new(DOCUMENTS).join("tracer").join(licence);
        copy(&repository.join(licence), root, &place, 0o644, &mut put)?;
    }
    for (folder, permissions) in FOLDERS {
        let path = root.join(folder);
        fs::create_dir_all(&path)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(permissions)))
            .with_context(|| format!("failed to make {}", path.display()))?;
        put.push((folder.into(), 0));
    }
    Ok(put)
}

fn copy(from: &Path, root: &Path, place: &Path, permissions: u32, put: &mut Put) -> Result<()> {
    let to = root.join(place);
    let folder = to.parent().unwrap_or(root);
    let copied = fs::create_dir_all(folder).and_then(|()| fs::copy(from, &to)).and_then(|bytes| {
        fs::set_permissions(&to, fs::Permissions::from_mode(permissions))?;
        Ok(bytes)
    });
    let bytes = copied.with_context(|| format!("failed to copy {} to {}", from.display(), to.display()))?;
    put.push((place.to_owned(), bytes));
    Ok(())
}

/// The loader of a program and the libraries that it loads, by the paths at which they are looked for; none of a static one.
pub(crate) fn needed(program: &Path) -> Result<Vec<PathBuf>> {
    let bytes = fs::read(program).with_context(|| format!("failed to read {}", program.display()))?;
    let interpreter = interpreter(&bytes)
        .with_context(|| format!("{} is no 64-bit little-endian ELF program", program.display()))?;
    let Some(loader) = interpreter else { return Ok(Vec::new()) };
    // The loader itself knows best, asked as it will be in the image: there is no cache, and nobody's variables.
    let mut list = Command::new(&loader);
    list.arg("--inhibit-cache").arg("--list").arg(program);
    for variable in ["LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT", "GLIBC_TUNABLES"] {
        list.env_remove(variable);
    }
    let output = list.output().with_context(|| format!("failed to start {}", loader.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!(
            "{} finds not all libraries of {} where every system looks for them: {text}{}",
            loader.display(),
            program.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let mut found = listed(&text)?;
    if !found.contains(&loader) {
        found.push(loader);
    }
    Ok(found)
}

/// The paths in what a loader lists: `libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f…)`, or a path alone.
fn listed(text: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in text.lines() {
        if line.ends_with("=> not found") {
            bail!("a library is missing: {}", line.trim());
        }
        let named = line.split_once(" => ").map_or(line, |(_, path)| path);
        let path = named.trim().split(" (").next().map(PathBuf::from).filter(|path| path.is_absolute());
        // The vDSO is in the kernel.
        found.extend(path);
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// What loads a program (`PT_INTERP`, elf(5)); nothing loads a static one. `None` if this is no such file.
#[expect(clippy::option_option, reason = "what is no program is not what has no loader")]
fn interpreter(bytes: &[u8]) -> Option<Option<PathBuf>> {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, length: usize| {
        let mut word = [0; 8];
        word[..length].copy_from_slice(bytes.get(at..at.checked_add(length)?)?);
        Some(u64::from_le_bytes(word))
    };
    let place = |number: u64| usize::try_from(number).ok();
    // Class 2 is 64 bits, data 1 little-endian.
    if bytes.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (table, size, count) = (place(number(0x20, 8)?)?, place(number(0x36, 2)?)?, number(0x38, 2)?);
    for index in 0..place(count)? {
        let entry = table.checked_add(index.checked_mul(size)?)?;
        if number(entry, 4)? == PT_INTERP {
            let (at, length) = (place(number(entry + 8, 8)?)?, place(number(entry + 32, 8)?)?);
            let text = bytes.get(at..at.checked_add(length)?)?.strip_suffix(b"\0")?;
            return Some(Some(PathBuf::from(std::str::from_utf8(text).ok()?)));
        }
    }
    Some(None)
}

/// The package of a library and its licence, where Debian's database knows it.
fn licence_of(library: &Path) -> Option<(String, PathBuf)> {
    // By either name: /lib is a link to /usr/lib, and packages name the one or the other.
    let names = [Some(library.to_owned()), fs::canonicalize(library).ok()];
    let owner = |name: PathBuf| {
        let output = Command::new("dpkg-query").arg("--search").arg(name).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        Some(text.split(':').next().filter(|package| !package.is_empty())?.to_owned())
    };
    let package = names.into_iter().flatten().find_map(owner)?;
    let licence = Path::new("/").join(DOCUMENTS).join(&package).join("copyright");
    licence.is_file().then_some((package, licence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_what_a_program_needs_and_the_licences() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let put = fill(Path::new("/bin/sh"), repository, &root).unwrap();
        for (path, bytes) in &put {
            let found = fs::metadata(root.join(path)).unwrap();
            assert!(found.is_dir() || found.len() == *bytes, "{}: {bytes}", path.display());
        }
        let has = |part: &str| put.iter().any(|(path, _)| path.to_string_lossy().contains(part));
        for part in
            ["usr/bin/tracer", "libc.so", "ld-linux", "LICENSE-MIT", "etc/tracer", "run/tracer", "tmp"]
        {
            assert!(has(part), "{part} in {put:?}");
        }
        let again = fill(Path::new("/bin/sh"), repository, &root).expect_err("it is full");
        assert!(again.to_string().contains("not empty"), "{again}");
    }

    #[test]
    fn the_loader_of_a_program_is_read_from_its_header() {
        let loader = interpreter(&fs::read("/bin/sh").unwrap()).unwrap().unwrap();
        assert!(loader.is_file() && loader.to_string_lossy().contains("ld-"), "{}", loader.display());
        // A header and no segments: static.
        let mut bytes = b"\x7fELF\x02\x01".to_vec();
        bytes.resize(64, 0);
        assert_eq!(interpreter(&bytes), Some(None));
        assert_eq!(interpreter(&bytes[..40]), None);
        assert_eq!(interpreter(b"#!/bin/sh\n"), None);
        assert_eq!(interpreter(b""), None);
    }

    #[test]
    fn every_path_that_a_loader_lists_is_taken_and_a_missing_one_is_an_error() {
        let text = "\tlinux-vdso.so.1 (0x00007ffe)\n\tlibm.so.6 => /lib/libm.so.6 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let paths = ["/lib/libm.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(listed(text).unwrap(), paths);
        assert!(listed("\tlibx.so.1 => not found\n").is_err());
    }
}
