//! The kernel's short name of a process.

use std::fmt;

use tracer_ebpf::abi::COMM_BYTES;

/// The name of a process's main thread: at most 15 bytes, which need not be text (`TASK_COMM_LEN`, proc(5)).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Comm([u8; COMM_BYTES]);

impl Comm {
    /// The name that the kernel makes of a longer one: its first 15 bytes.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let mut bytes = [0; COMM_BYTES];
        let kept = name.iter().position(|&byte| byte == 0).unwrap_or(name.len()).min(COMM_BYTES - 1);
        bytes[..kept].copy_from_slice(&name[..kept]);
        Self(bytes)
    }

    /// The present name of a process; `None` if it is gone.
    #[must_use]
    pub fn of_process(pid: u32) -> Option<Self> {
        let text = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
        // The name itself may hold a newline.
        Some(Self::of(text.strip_suffix(b"\n").unwrap_or(&text)))
    }
}

impl fmt::Display for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(String::from_utf8_lossy(&self.0).trim_end_matches('\0'))
    }
}

impl fmt::Debug for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Comm({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_name_is_its_first_fifteen_bytes() {
        let check = |name: &[u8], expect: &str| assert_eq!(Comm::of(name).to_string(), expect);
        check(b"redis-server", "redis-server");
        check(b"exactly15bytes.", "exactly15bytes.");
        check(b"more-than-15-bytes", "more-than-15-by");
        check(b"from the kernel\0", "from the kernel");
        check(b"short\0\0\0\0\0\0\0\0\0\0\0", "short");
        check(b"", "");
        assert_eq!(Comm::of(b"more-than-15-bytes"), Comm::of(b"more-than-15-by\0"));
        assert_ne!(Comm::of(b"Redis"), Comm::of(b"redis"));
    }

    #[test]
    fn this_process_has_a_name() {
        let name = Comm::of_process(std::process::id()).expect("this process runs");
        assert!(!name.to_string().is_empty());
    }
}
