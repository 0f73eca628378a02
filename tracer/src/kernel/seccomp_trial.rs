//! Whether a return probe kills a process under a seccomp filter here: tried on a helper of our own.
//!
//! Linux 6.11 made return probes a system call of the target, which a filter may forbid (kernel commits
//! ff474a78cef5, and cf6cb56ef244 for the fix in 6.12.14, 6.13.3 and 6.14).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use aya::EbpfLoader;
use aya::programs::UProbe;
use aya::programs::uprobe::{UProbeAttachLocation, UProbeScope};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use super::attach::Kind;
use super::{KernelError, OBJECT, chain, load_error};
use crate::target::mappings::{FileCache, Mappings};

/// First argument of this program as the helper.
pub const ARGUMENT: &str = "__seccomp-trial";

/// Whether a return probe under a filter is harmless.
///
/// # Errors
///
/// The trial itself failed.
pub fn return_probe_is_safe(kind: Kind) -> Result<bool, KernelError> {
    let failed = |what: String| KernelError::Load {
        reason: format!("a return probe under a seccomp filter could not be tried: {what}"),
    };
    let exe = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let mut helper = Command::new(exe)
        .arg(ARGUMENT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let outcome = try_on(&mut helper, kind);
    // It ends by itself when its stdin closes; if not, it is ours to stop.
    let _ = helper.kill();
    let _ = helper.wait();
    outcome.map_err(failed)
}

fn try_on(helper: &mut Child, kind: Kind) -> Result<bool, String> {
    let (Some(mut stdin), Some(stdout)) = (helper.stdin.take(), helper.stdout.take()) else {
        return Err("the helper has no pipes".to_owned());
    };
    let mut line = String::new();
    let mut stdout = BufReader::new(stdout);
    stdout.read_line(&mut line).map_err(|error| error.to_string())?;
    let address: u64 = line.trim().parse().map_err(|_| format!("the helper said {line:?}"))?;
    let mut files = FileCache::default();
    let mappings = Mappings::read(helper.id(), &mut files).map_err(|error| error.to_string())?;
    let mapping = mappings.find(address).ok_or("the helper's code is not mapped")?;
    let offset = address - mapping.start + mapping.file_offset;
    let file = match &mapping.backing {
        crate::target::mappings::Backing::File(file) => &file.file,
        _ => return Err("the helper's code is not in a file".to_owned()),
    };
    let ebpf = attach_return(file, offset, helper.id(), kind).map_err(|error| error.to_string())?;
    stdin.write_all(b"go\n").map_err(|error| error.to_string())?;
    drop(stdin);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).map_err(|error| error.to_string())?;
    let status = helper.wait().map_err(|error| error.to_string())?;
    drop(ebpf);
    Ok(status.success() && rest.trim() == "alive")
}

fn attach_return(file: &File, offset: u64, pid: u32, kind: Kind) -> Result<aya::Ebpf, KernelError> {
    use std::os::fd::AsRawFd;
    let mut ebpf = EbpfLoader::new()
        .map_max_entries("LIVE", 1)
        .override_global(aya_log::LEVEL, &0_u8, true)
        .load(OBJECT)
        .map_err(|error| load_error(&error))?;
    let name = if kind == Kind::Multi { "live_leave" } else { "live_leave_perf" };
    let program: &mut UProbe = ebpf
        .program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| load_error(&std::io::Error::other(format!("the BPF object has no program {name}"))))?;
    program.load().map_err(|error| load_error(&error))?;
    let refused = |reason| KernelError::Attach { object: "this program".to_owned(), reason, gone: false };
    let scope = UProbeScope::OneProcess(
        std::num::NonZeroU32::new(pid).ok_or_else(|| refused("the helper has no pid".to_owned()))?,
    );
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    program
        .attach([UProbeAttachLocation::AbsoluteOffset(offset)], path, scope)
        .map_err(|error| refused(chain(&error)))?;
    Ok(ebpf)
}

/// The helper: says where its function is, filters its system calls, waits, calls the function.
#[must_use]
pub fn child() -> u8 {
    let mut out = std::io::stdout();
    let address = probed as fn(u64) -> u64 as usize;
    let mut line = String::new();
    if writeln!(out, "{address}").is_err()
        || out.flush().is_err()
        || filter().and_then(|filter| seccompiler::apply_filter(&filter).ok()).is_none()
        || std::io::stdin().read_line(&mut line).is_err()
    {
        return 1;
    }
    let sum: u64 = (0..3).map(|number| std::hint::black_box(probed)(number)).sum();
    if sum == 3 && out.write_all(b"alive\n").is_ok() { 0 } else { 1 }
}

#[inline(never)]
fn probed(number: u64) -> u64 {
    std::hint::black_box(number)
}

/// Allows what the helper needs, and ends it at anything else.
fn filter() -> Option<BpfProgram> {
    let allowed = [
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_munmap,
        libc::SYS_mmap,
        libc::SYS_brk,
        libc::SYS_futex,
    ];
    let rules = allowed.map(|number| (number, Vec::new()));
    let filter = SeccompFilter::new(
        BTreeMap::from(rules),
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into().ok()?,
    );
    filter.ok()?.try_into().ok()
}
