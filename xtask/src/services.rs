//! Keeps what a package brings from starting by itself: a test starts its own redis, nobody wants another.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};

use crate::process::{on_path, privileged, run, say};

/// What maintainer scripts ask before they start a service; 101 is no.
///
/// Source: Debian's `invoke-rc.d(8)`, "policy-rc.d".
const POLICY: &str = "/usr/sbin/policy-rc.d";
const REFUSAL: &str = "#!/bin/sh\nexit 101\n";
/// Packages with a service, and its unit.
const SERVICES: [(&str, &str); 13] = [
    ("caddy", "caddy.service"),
    ("docker-registry", "docker-registry.service"),
    ("etcd-server", "etcd.service"),
    ("nats-server", "nats-server.service"),
    ("nginx-light", "nginx.service"),
    ("postgresql", "postgresql.service"),
    ("prometheus", "prometheus.service"),
    ("prometheus-alertmanager", "prometheus-alertmanager.service"),
    ("prometheus-blackbox-exporter", "prometheus-blackbox-exporter.service"),
    ("prometheus-node-exporter", "prometheus-node-exporter.service"),
    ("prometheus-pushgateway", "prometheus-pushgateway.service"),
    ("redis-server", "redis-server.service"),
    ("webhook", "webhook.service"),
];

/// While it lives, no installed service starts; when it ends, none of them starts with the machine either.
pub(crate) struct Silence {
    units: Vec<&'static str>,
    is_ours: bool,
}

impl Silence {
    /// Before these packages are installed.
    pub(crate) fn begin(packages: &[&str]) -> Result<Self> {
        let units = units(packages);
        // A policy that is there already is somebody's will.
        let is_ours = !units.is_empty() && on_path("invoke-rc.d") && !Path::new(POLICY).exists();
        if is_ours {
            say(&format!("{} will not be started: {POLICY} says no for the moment", units.join(", ")));
            let script = format!("printf '%s' '{REFUSAL}' > {POLICY} && chmod 755 {POLICY}");
            run(privileged("sh")?.args(["-c", &script])).context("failed to keep services from starting")?;
        }
        Ok(Self { units, is_ours })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let undo = |command: Result<Command>, arguments: &[&str]| {
            command.and_then(|mut command| run(command.args(arguments)))
        };
        if self.is_ours
            && let Err(error) = undo(privileged("rm"), &["--force", POLICY])
        {
            say(&format!("{POLICY} is still there and lets no service start; remove it: {error:#}"));
        }
        if !self.units.is_empty() && on_path("systemctl") {
            let arguments = [&["disable", "--quiet"], self.units.as_slice()].concat();
            if let Err(error) = undo(privileged("systemctl"), &arguments) {
                say(&format!("{} will start with the machine: {error:#}", self.units.join(", ")));
            }
        }
    }
}

fn units(packages: &[&str]) -> Vec<&'static str> {
    let ours = SERVICES.iter().filter(|(package, _)| packages.contains(package));
    ours.map(|(_, unit)| *unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packages_with_a_service_are_kept_silent() {
        assert_eq!(units(&["gcc", "redis-server", "redis-tools"]), ["redis-server.service"]);
        assert!(units(&["gcc", "redis-tools"]).is_empty());
    }
}
