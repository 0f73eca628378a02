//! What the BPF maps take of the kernel's memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// How the kernel names the descriptor of a map (`bpf_map_new_fd` in kernel/bpf/syscall.c).
const MAP: &str = "anon_inode:bpf-map";

/// Bytes that the kernel counts for the maps whose descriptors this process holds (`memlock` of their fdinfo, which
/// is what they really use since Linux 6.4, commit 90a5527d7686, and their size by calculation before); `None`
/// where /proc does not say it.
#[must_use]
pub fn map_bytes() -> Option<u64> {
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd").ok()?.flatten() {
        // A descriptor may be closed meanwhile. Most are links and files: their fdinfo is long, and not looked at.
        let is_map = fs::read_link(entry.path()).is_ok_and(|name| name.as_os_str() == MAP);
        if !is_map {
            continue;
        }
        let info = Path::new("/proc/self/fdinfo").join(entry.file_name());
        if let Some((id, bytes)) = fs::read_to_string(info).ok().as_deref().and_then(map) {
            maps.insert(id, bytes);
        }
    }
    (!maps.is_empty()).then(|| maps.values().sum())
}

/// Id and bytes, if it is a map.
fn map(fdinfo: &str) -> Option<(u64, u64)> {
    let field = |name: &str| {
        let value = fdinfo.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim().parse().ok()
    };
    Some((field("map_id:")?, field("memlock:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_maps_count() {
        let array =
            "pos:\t0\nflags:\t02000002\nmap_type:\t2\nmax_entries:\t256\nmemlock:\t81920\nmap_id:\t7\n";
        assert_eq!(map(array), Some((7, 81_920)));
        assert_eq!(map("pos:\t0\nflags:\t02\nprog_type:\t2\nmemlock:\t4096\nprog_id:\t7\n"), None);
        assert_eq!(map(""), None);
    }
}
