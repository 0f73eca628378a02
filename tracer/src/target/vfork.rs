//! Whether a process may still be in its parent's memory: between `vfork` and `exec`.

use std::fs;

use super::selection;

/// `vfork`, and `clone` and `clone3` with `CLONE_VFORK`: other clones return at once and are never seen waiting.
///
/// Source: the kernel's arch/x86/entry/syscalls/syscall_64.tbl, and `kernel_clone` in kernel/fork.c.
const WAITING: [&str; 3] = ["58", "56", "435"];

/// Whether a thread of the process's parent waits for a child to execute or end: it lends that child its memory meanwhile. It
/// may be another child's turn; so this is to be asked again, and not for ever.
#[must_use]
pub fn is_possible(pid: u32) -> bool {
    let Some(parent) = selection::parent_of(pid) else { return false };
    let threads = fs::read_dir(format!("/proc/{parent}/task"));
    threads.into_iter().flatten().flatten().any(|thread| {
        let call = fs::read_to_string(thread.path().join("syscall")).unwrap_or_default();
        call.split_whitespace().next().is_some_and(|number| WAITING.contains(&number))
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    /// Runs a program of Python's, which prints the pid of its child and waits for a line.
    fn child_of(script: &str) -> (std::process::Child, u32) {
        use std::io::{BufRead, BufReader};
        let mut parent = Command::new("python3")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is there");
        let mut line = String::new();
        let output = parent.stdout.as_mut().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("its child says its pid");
        (parent, line.trim().parse().expect("a pid"))
    }

    #[test]
    fn a_vforked_child_is_told_from_a_forked_one() {
        let check = |function: &str, expect: bool| {
            let script = format!(
                "import ctypes, os, sys\nlibc = ctypes.CDLL(None)\nif libc.{function}() == 0:\n    os.write(1, b'%d\\n' % \
                 libc.getpid()); libc.getchar(); os._exit(0)\nos.wait()"
            );
            let (mut parent, child) = child_of(&script);
            let begin = Instant::now();
            while is_possible(child) != expect && begin.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(5));
            }
            assert_eq!(is_possible(child), expect, "{function}");
            // Python does not survive that its stack was another's: it ends first, and its child at the end of its input.
            parent.kill().expect("our child");
            drop(parent.stdin.take());
            parent.wait().expect("our child");
        };
        check("fork", false);
        check("vfork", true);
    }
}
