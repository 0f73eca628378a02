//! The paths that runtimes, drivers and service managers give groups, and what is read out of each.

use std::path::Path;

use super::{Container, Hierarchies, container, container_id, processes};
use crate::target::labels::units_of_line;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const OUTER_ID: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
const UID: &str = "8ae4e8a5-1f34-4a52-9f84-2d4e1ad0dc5e";
/// As systemd's driver writes it.
const UNDERSCORED: &str = "8ae4e8a5_1f34_4a52_9f84_2d4e1ad0dc5e";
/// Of a pod of a file: the hash of its configuration.
const STATIC: &str = "9f3fb6d3c1f0a4b5e6d7c8b9a0f1e2d3";

/// The container of a process with this text, and the pod that the path names.
fn read(text: &str) -> Option<(String, Option<String>)> {
    let found = container(text, &Hierarchies::default());
    found.map(|Container { id, pod_uid, .. }| (id, pod_uid))
}

#[track_caller]
fn check(text: &str, expect: Option<(&str, Option<&str>)>) {
    let expect = expect.map(|(id, uid)| (id.to_owned(), uid.map(ToOwned::to_owned)));
    assert_eq!(read(text), expect, "{text}");
}

/// In a container of this pod.
const IN_POD: Option<(&str, Option<&str>)> = Some((ID, Some(UID)));
/// In a container of none.
const ALONE: Option<(&str, Option<&str>)> = Some((ID, None));

#[test]
fn systemd_as_the_driver_names_container_and_pod() {
    let burstable =
        format!("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UNDERSCORED}.slice");
    let best_effort =
        format!("kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{UNDERSCORED}.slice");
    let guaranteed = format!("kubepods.slice/kubepods-pod{UNDERSCORED}.slice");
    for pod in [&burstable, &best_effort, &guaranteed] {
        check(&format!("0::/{pod}/cri-containerd-{ID}.scope\n"), IN_POD);
        check(&format!("0::/{pod}/crio-{ID}.scope\n"), IN_POD);
        check(&format!("0::/{pod}/crio-{ID}.scope/container\n"), IN_POD);
        check(&format!("0::/{pod}/crio-conmon-{ID}.scope\n"), None);
        check(&format!("0::/{pod}/docker-{ID}.scope\n"), IN_POD);
        check(&format!("0::/{pod}\n"), None);
        check(&format!("0::/kubelet.slice/kubelet-{pod}/cri-containerd-{ID}.scope\n"), IN_POD);
    }
    let of_file = format!("0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{STATIC}.slice");
    check(&format!("{of_file}/cri-containerd-{ID}.scope\n"), Some((ID, Some(STATIC))));
}

#[test]
fn cgroupfs_as_the_driver_names_container_and_pod() {
    check(&format!("0::/kubepods/burstable/pod{UID}/{ID}\n"), IN_POD);
    check(&format!("0::/kubepods/besteffort/pod{UID}/{ID}\n"), IN_POD);
    check(&format!("0::/kubepods/pod{UID}/{ID}\n"), IN_POD);
    check(&format!("0::/kubepods/pod{UID}/crio-{ID}\n"), IN_POD);
    check(&format!("0::/kubepods/pod{UID}/crio-conmon-{ID}\n"), None);
    check(&format!("0::/kubepods/burstable/pod{STATIC}/{ID}\n"), Some((ID, Some(STATIC))));
}

/// Check the driver of one kind under a runtime of the other, a cluster in a container, and a container in one.
#[test]
fn odd_mixes_and_nested_containers_are_the_innermost_one() {
    let mixed = format!("kubepods-burstable-pod{UNDERSCORED}.slice:cri-containerd:{ID}");
    check(&format!("0::/system.slice/containerd.service/{mixed}\n"), IN_POD);
    check(&format!("4:memory:/system.slice/containerd.service/{mixed}\n"), IN_POD);
    check(&format!("0::/system.slice/crio.service/kubepods-pod{UNDERSCORED}.slice:crio:{ID}\n"), IN_POD);
    let kind = format!("docker/{OUTER_ID}/kubelet/kubepods/burstable/pod{UID}/{ID}");
    check(&format!("0::/{kind}\n"), IN_POD);
    let of_systemd = format!("kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{UNDERSCORED}.slice");
    let node = format!("0::/system.slice/docker-{OUTER_ID}.scope");
    check(&format!("{node}/{of_systemd}/cri-containerd-{ID}.scope\n"), IN_POD);
    check(&format!("0::/docker/{OUTER_ID}/docker/{ID}\n"), ALONE);
    check(&format!("0::/kubepods/pod{STATIC}/{OUTER_ID}/kubepods/pod{UID}/{ID}\n"), IN_POD);
}

/// Check version 1, where each hierarchy has a line, and both versions together.
#[test]
fn every_version_names_container_and_pod() {
    let path = format!("/kubepods/burstable/pod{UID}/{ID}");
    let lines =
        ["12:pids", "11:cpu,cpuacct", "4:memory", "1:name=systemd"].map(|of| format!("{of}:{path}\n"));
    check(&lines.concat(), IN_POD);
    check(&format!("{}0::/\n", lines.concat()), IN_POD);
    check(&format!("1:name=systemd:{path}\n0::/\n"), IN_POD);
    check(&format!("9:rdma:/\n4:memory:{path}\n"), IN_POD);
    check(&format!("12:pids:/docker/{ID}\n4:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}\n"), ALONE);
}

/// Check what a daemon in a container of its own reads of others.
#[test]
fn a_private_namespace_hides_no_container() {
    check(&format!("0::/../../../burstable/pod{UID}/{ID}\n"), IN_POD);
    check(&format!("0::/../../pod{UID}/{ID}\n"), IN_POD);
    check(&format!("0::/../{ID}\n"), ALONE);
    check(&format!("0::/../cri-containerd-{ID}.scope\n"), ALONE);
    let slice = format!("kubepods-burstable-pod{UNDERSCORED}.slice");
    check(&format!("0::/../../{slice}/cri-containerd-{ID}.scope\n"), IN_POD);
    check("0::/\n", None);
    check("0::/../../../../system.slice/api.service\n", None);
}

#[test]
fn what_is_no_container_has_no_id() {
    check(&format!("0::/system.slice/docker-{ID}.scope\n"), ALONE);
    check("0::/system.slice/api.service\n", None);
    check("0::/system.slice/containerd.service\n", None);
    check("0::/user.slice/user-1000.slice/session-1.scope\n", None);
    check("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-podman.scope\n", None);
    check(&format!("0::/docker/{ID}0\n"), None);
    check(&format!("0::/docker/{}\n", &ID[1..]), None);
    check(&format!("0::/docker/{}\n", ID.to_uppercase()), None);
    check("no line of that kind", None);
    check("", None);
}

/// Check the uid alone: what looks like one and is too short or too long is none.
#[test]
fn the_uid_of_a_pod_has_the_length_of_one() {
    let check = |group: &str, expect: Option<&str>| check(&format!("0::/{group}/{ID}\n"), Some((ID, expect)));
    check(&format!("pod{UID}"), Some(UID));
    check(&format!("pod{UNDERSCORED}"), Some(UID));
    check(&format!("pod{STATIC}"), Some(STATIC));
    check(&format!("pod{UID}a"), None);
    check(&format!("pod{}", &UID[1..]), None);
    check("podman", None);
    check("kubepods", None);
}

/// Check that units are told from such paths also where they lead up first.
#[test]
fn units_are_read_from_a_private_namespace_as_from_outside() {
    let check = |line: &str, expect: &[&str]| {
        let units: Vec<_> = units_of_line(line).collect();
        assert_eq!(units, expect, "{line}");
    };
    check("0::/../../../../system.slice/api.service", &["system.slice", "api.service"]);
    check("1:name=systemd:/../../system.slice/api.service/workers", &["system.slice", "api.service"]);
    check("0::/../../../burstable/pod-1/container", &[]);
    check("0::/..", &[]);
}

/// Check where the container's own group ends: what it makes below is its own affair.
#[test]
fn the_group_of_a_container_ends_with_its_id() {
    let path = format!("/kubepods/pod{UID}/crio-{ID}.scope/container/workers");
    let (id, end) = container_id(&path).expect("it has one");
    assert_eq!((id, &path[..end]), (ID, format!("/kubepods/pod{UID}/crio-{ID}.scope").as_str()));
}

#[test]
fn a_group_that_is_not_there_has_no_processes() {
    assert!(processes(Path::new("/nowhere/at/all")).is_empty());
}
