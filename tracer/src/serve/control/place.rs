//! Where the control socket lies: in a folder that nobody else can write to, and never over that of another daemon.

use std::fs::{DirBuilder, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::serve::ServeError;

/// The socket file; it is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    /// Device and inode: another daemon's socket of the same name stays.
    file: (u64, u64),
}

impl Place {
    /// Listens there.
    pub(super) fn take(path: &Path) -> Result<(Self, UnixListener), ServeError> {
        let failed = |reason: String| ServeError::Socket { path: path.to_owned(), reason };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        own_folder(folder).map_err(failed)?;
        remove_stale(path).map_err(failed)?;
        let listener = UnixListener::bind(path).map_err(|error| failed(error.to_string()))?;
        let place = || -> io::Result<Self> {
            std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
            Ok(Self { path: path.to_owned(), file: identity(&std::fs::symlink_metadata(path)?) })
        };
        Ok((place().map_err(|error| failed(error.to_string()))?, listener))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|file| identity(&file) == self.file) {
            // What cannot be removed is stale for the next daemon.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Makes the folder if it is missing. Else nobody but this user and root may be able to change what is in it.
fn own_folder(folder: &Path) -> Result<(), String> {
    match DirBuilder::new().recursive(true).mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) => return Err(format!("failed to make the folder {}: {error}", folder.display())),
    }
    let found = std::fs::metadata(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let own = rustix::process::geteuid().as_raw();
    if found.uid() != own && found.uid() != 0 {
        return Err(format!(
            "the folder {} belongs to user {}, who could put another socket there: choose a folder of user {own}",
            folder.display(),
            found.uid()
        ));
    }
    if found.mode() & 0o022 != 0 {
        return Err(format!(
            "others can write to the folder {}, and could put another socket there: `chmod go-w` it, or choose another",
            folder.display()
        ));
    }
    Ok(())
}

/// Removes a socket on which nobody answers.
fn remove_stale(path: &Path) -> Result<(), String> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    if !found.file_type().is_socket() {
        return Err("there is a file that is no socket: choose another path".to_owned());
    }
    match UnixStream::connect(path) {
        Ok(_) => {
            Err("another daemon runs and answers on it: stop that one, or choose another path".to_owned())
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| format!("failed to remove a stale socket: {error}"))
        }
        Err(error) => Err(format!("failed to see whether another daemon answers on it: {error}")),
    }
}
