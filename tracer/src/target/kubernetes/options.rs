//! How the API server is asked.

use std::path::PathBuf;
use std::time::Duration;

use super::select::names;

/// See above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesOptions {
    /// Name of this node: its pods are watched.
    pub node: String,
    /// Where the API server is; `None`: where a pod finds it, by its environment and its service account.
    pub api: Option<Api>,
    /// Pods that are gone stay known so long.
    pub keep: Duration,
    /// Argo's Rollouts are watched: which of their templates is the stable one.
    pub argo_rollouts: bool,
    /// Flagger's Canaries are watched: which workloads are canaries while another one of theirs serves.
    pub flagger_canaries: bool,
}

/// An API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// `https://HOST:PORT`.
    pub url: String,
    /// Who asks; it is read again when it changes.
    pub token_file: Option<PathBuf>,
    /// Who is believed to be the server (PEM); `None`: whom the machine believes.
    pub ca_file: Option<PathBuf>,
}

/// Pods that are gone stay known so long, if nothing else is said.
pub const DEFAULT_KEEP: Duration = Duration::from_secs(5 * 60);

impl KubernetesOptions {
    /// Variable that has the name of the node where nothing else says it: by custom the downward API puts it there.
    pub const NODE_VARIABLE: &str = "NODE_NAME";

    /// Whether a node may be called so.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check_node(text: &str) -> Result<(), String> {
        names::subdomain(text)
    }
}

impl Api {
    /// Whether it is the URL of a server, without anything that is told in other settings or to nobody.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check_url(text: &str) -> Result<(), String> {
        let wrong = |why: &str| Err(why.to_owned());
        let Some(rest) = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme)) else {
            return wrong("it must begin with https:// or http://, such as https://10.0.0.1:6443");
        };
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return wrong("a URL has no blanks");
        }
        if text.contains(['?', '#']) {
            return wrong("it must be the server's own address, without a query");
        }
        let authority = rest.split('/').next().unwrap_or_default();
        if authority.contains('@') {
            return wrong("it must be without a user: who asks is told by token_file");
        }
        let (host, port) = match authority.rsplit_once(':') {
            // The colons of an IPv6 address are inside of brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        if host.is_empty() {
            return wrong("it has no host");
        }
        if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
            return wrong("its port must be a number of 1 to 65535");
        }
        Ok(())
    }

    /// Whether who answers is asked who it is.
    #[must_use]
    pub fn is_secure(url: &str) -> bool {
        url.starts_with("https://")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_an_api_server_is_one_of_http() {
        let check = |text: &str, expect: Option<&str>| match (Api::check_url(text), expect) {
            (Ok(()), None) => {}
            (Err(error), Some(part)) => assert!(error.contains(part), "{text}: {error}"),
            (found, _) => panic!("{text}: {found:?}"),
        };
        check("https://10.0.0.1:6443", None);
        check("https://kubernetes.default.svc", None);
        check("http://127.0.0.1:8001/", None);
        check("https://[fd00::1]:6443", None);
        check("https://[fd00::1]", None);
        check("https://rancher.example/k8s/clusters/c-1", None);
        check("10.0.0.1:6443", Some("must begin with https://"));
        check("ftp://10.0.0.1", Some("must begin with https://"));
        check("", Some("must begin with https://"));
        check("https://", Some("no host"));
        check("https://:6443", Some("no host"));
        check("https://a:0", Some("port"));
        check("https://a:x", Some("port"));
        check("https://a:65536", Some("port"));
        check("https://u:p@a", Some("without a user"));
        check("https://a/?x=1", Some("without a query"));
        check("https://a b", Some("no blanks"));
    }
}
