//! Which unit of systemd a process belongs to, by its control group: `/system.slice/api.service`,
//! `/user.slice/user-1000.slice/user@1000.service/app.slice/app.service`.

use crate::target::cgroup;

/// What the names of units end in that are control groups (systemd.unit(5)), the ones that say most of a process first.
pub const UNIT_SUFFIXES: [&str; 6] = [".service", ".scope", ".socket", ".mount", ".swap", ".slice"];

/// The unit that names what a process runs as: the last service of its control group's path, else the last scope, …, else
/// the last slice. What a container lies in does not count. `None` if there is none, or the process is gone.
#[must_use]
pub fn unit_of(pid: u32) -> Option<String> {
    unit(&text_of(pid)?).map(str::to_owned)
}

/// Every unit that a process belongs to, the outermost first; none if it is gone.
#[must_use]
pub fn units_of(pid: u32) -> Vec<String> {
    let text = text_of(pid).unwrap_or_default();
    text.lines().flat_map(units_of_line).map(str::to_owned).collect()
}

/// The units that a line of `/proc/PID/cgroup` names, the outermost first; none if systemd does not write its hierarchy.
pub fn units_of_line(text: &str) -> impl Iterator<Item = &str> {
    units_of_path(path(text).unwrap_or_default())
}

fn text_of(pid: u32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()
}

/// The path of a line, where the hierarchy is that of version 2 or systemd's own of version 1.
fn path(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(':')?;
    let (names, path) = rest.split_once(':')?;
    matches!(names, "" | "name=systemd").then_some(path)
}

fn units_of_path(path: &str) -> impl Iterator<Item = &str> {
    // systemd puts `_` before a name that the kernel could take for a file of its own.
    let names = path.split('/').map(|name| name.strip_prefix('_').unwrap_or(name));
    names
        .filter(|name| UNIT_SUFFIXES.iter().any(|suffix| name.len() > suffix.len() && name.ends_with(suffix)))
}

fn unit(text: &str) -> Option<&str> {
    let inside = |path| match cgroup::container_id(path) {
        Some((_, end)) => &path[end..],
        None => path,
    };
    let units: Vec<_> = text.lines().filter_map(path).flat_map(|path| units_of_path(inside(path))).collect();
    UNIT_SUFFIXES.iter().find_map(|suffix| units.iter().rev().find(|unit| unit.ends_with(suffix))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn the_unit_is_the_last_service_of_the_path() {
        let check = |text: &str, expect: Option<&str>| assert_eq!(unit(text), expect, "{text}");
        let user = "/user.slice/user-1000.slice";
        check("0::/system.slice/api.service\n", Some("api.service"));
        check("0::/system.slice/system-api.slice/api@1.service\n", Some("api@1.service"));
        check("0::/system.slice/api.service/workers\n", Some("api.service"));
        check(&format!("0::{user}/user@1000.service/app.slice/app.service\n"), Some("app.service"));
        check(&format!("0::{user}/user@1000.service/init.scope\n"), Some("user@1000.service"));
        check(&format!("0::{user}/session-3.scope\n"), Some("session-3.scope"));
        check("0::/batch.slice\n", Some("batch.slice"));
        check("0::/system.slice/api.socket\n", Some("api.socket"));
        check("0::/system.slice/_cgroup.service\n", Some("cgroup.service"));
        check("0::/\n", None);
        check("0::/.service\n", None);
        check("0::/docker/api\n", None);
        check("no line of that kind", None);
        check(
            "4:memory:/system.slice/api.service\n1:name=systemd:/system.slice/b.service\n0::/\n",
            Some("b.service"),
        );
        check("4:memory:/system.slice/api.service\n", None);
    }

    #[test]
    fn the_unit_around_a_container_says_nothing_of_what_runs_in_it() {
        let check = |text: String, expect: Option<&str>| assert_eq!(unit(&text), expect, "{text}");
        check(format!("0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-{ID}.scope\n"), None);
        check(format!("0::/system.slice/containerd.service/kubepods-x.slice:cri-containerd:{ID}\n"), None);
        check(
            format!("0::/system.slice/docker-{ID}.scope/system.slice/nginx.service\n"),
            Some("nginx.service"),
        );
    }

    #[test]
    fn all_units_of_a_line_are_found_from_the_outermost_on() {
        let line = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app.service";
        let units: Vec<_> = units_of_line(line).collect();
        assert_eq!(units, ["user.slice", "user-1000.slice", "user@1000.service", "app.slice", "app.service"]);
        assert_eq!(units_of_line("4:memory:/system.slice/api.service").count(), 0);
    }

    #[test]
    fn a_process_that_is_gone_has_no_unit() {
        assert_eq!(unit_of(1 << 30), None);
        assert!(units_of(1 << 30).is_empty());
    }
}
