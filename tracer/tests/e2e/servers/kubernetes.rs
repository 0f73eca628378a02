//! An API server of Kubernetes as far as watchers know it: lists and watches over HTTP/1.1 and TLS, with a token and an
//! authority of its own, in threads of the test.
//!
//! It answers `GET` of pods, of Argo's Rollouts and of Flagger's Canaries, of all namespaces, as the real one does: pages
//! (`limit`, `continue`), `fieldSelector`, `resourceVersion`, `watch` with its JSON lines, bookmarks, `timeoutSeconds`, 410 for
//! versions that are too old, 401 without the token. See <https://kubernetes.io/docs/reference/using-api/api-concepts/>.
//!
//! ```ignore
//! let api = FakeApi::start();
//! api.apply(PodSpec::new("shop", "api-1").node("node-1").container("app", "app:1", &[&id]).json());
//! let options = api.options("node-1");        // for `watch::start`
//! let toml = api.config("node-1");            // for `tracer daemon --config`
//! api.delete(Objects::Pods, "shop", "api-1");
//! api.stop();                                 // connections are cut, the port is closed
//! api.restart();                              // the same port, authority, token and objects
//! ```
//!
//! What it is told holds at once; what was asked is in [`FakeApi::requests`]. It leaves nothing behind when it is dropped.

mod answer;
mod listen;
mod pods;
mod store;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::Value;
use tempfile::TempDir;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tracer::target::kubernetes::{Api, DEFAULT_KEEP, KubernetesOptions};

use listen::Listener;
pub(crate) use pods::{PodSpec, canary, rollout};
pub(crate) use store::Objects;
use store::Store;

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This status, with the body that the API server gives it.
    Status(u16),
    /// Nothing comes, ever; the connection stays open.
    Silent,
    /// It looks well, and a watch says nothing and does not end.
    SilentWatch,
    /// It looks well, and a watch ends at once.
    ShortWatch,
    /// A line without an end.
    Endless,
    /// What no API server says.
    Garbage,
}

/// A request, as it was answered.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `/api/v1/pods`
    pub(crate) path: String,
    /// `limit` and so on, decoded.
    pub(crate) query: BTreeMap<String, String>,
    /// What it was answered with; 0 if with nothing.
    pub(crate) status: u16,
}

impl Asked {
    /// Whether it is a watch, and no list.
    pub(crate) fn is_watch(&self) -> bool {
        self.query.contains_key("watch")
    }

    /// A parameter; empty if it has none.
    pub(crate) fn value(&self, key: &str) -> &str {
        self.query.get(key).map_or("", String::as_str)
    }
}

/// What tests change and connections read.
struct Shared {
    store: Mutex<Store>,
    control: Mutex<Control>,
    /// Something has changed: watches look again.
    changed: tokio::sync::watch::Sender<u64>,
}

struct Control {
    token: String,
    tls: Arc<ServerConfig>,
    faults: BTreeMap<Objects, Fault>,
    /// The next event of a watch is cut in its middle, and the connection with it.
    cuts: usize,
    requests: Vec<Asked>,
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("no holder panics")
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().expect("no holder panics")
    }

    fn wake(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

/// See above.
pub(crate) struct FakeApi {
    shared: Arc<Shared>,
    listener: Mutex<Option<Listener>>,
    port: u16,
    folder: TempDir,
    authority: Mutex<String>,
}

impl FakeApi {
    /// Listens on a free port of loopback, with a token and an authority that its files hold. It has no objects.
    pub(crate) fn start() -> Self {
        let (authority, tls) = authority();
        let control =
            Control { token: String::new(), tls, faults: BTreeMap::new(), cuts: 0, requests: Vec::new() };
        let shared = Arc::new(Shared {
            store: Mutex::new(Store::new()),
            control: Mutex::new(control),
            changed: tokio::sync::watch::Sender::new(0),
        });
        let listener = Listener::start(0, Arc::clone(&shared));
        let api = Self {
            port: listener.port(),
            shared,
            listener: Mutex::new(Some(listener)),
            folder: tempfile::tempdir().expect("a folder"),
            authority: Mutex::new(authority),
        };
        api.set_token("first");
        api.write_token("first");
        api.write_ca();
        api
    }

    /// `https://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Where the token is, for whoever asks.
    pub(crate) fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    /// Where the authority is.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// To watch the pods of a node, and nothing else.
    pub(crate) fn options(&self, node: &str) -> KubernetesOptions {
        KubernetesOptions {
            node: node.to_owned(),
            api: Some(Api {
                url: self.url(),
                token_file: Some(self.token_file()),
                ca_file: Some(self.ca_file()),
            }),
            keep: DEFAULT_KEEP,
            argo_rollouts: false,
            flagger_canaries: false,
        }
    }

    /// The same as the table `[kubernetes]` of a configuration; other keys may follow.
    pub(crate) fn config(&self, node: &str) -> String {
        let (token, ca) = (self.token_file(), self.ca_file());
        format!(
            "[kubernetes]\nnode = {node:?}\napi = {:?}\ntoken_file = {token:?}\nca_file = {ca:?}\n",
            self.url()
        )
    }

    /// Makes an object, or changes the one with its namespace and name. Its `kind` says what it is; a pod without one is a pod.
    pub(crate) fn apply(&self, object: Value) {
        self.shared.store().apply(object);
        self.shared.wake();
    }

    /// Many at once.
    pub(crate) fn apply_all(&self, objects: impl IntoIterator<Item = Value>) {
        let mut store = self.shared.store();
        objects.into_iter().for_each(|object| store.apply(object));
        drop(store);
        self.shared.wake();
    }

    /// Deletes an object that is there.
    #[track_caller]
    pub(crate) fn delete(&self, objects: Objects, namespace: &str, name: &str) {
        assert!(self.shared.store().delete(objects, namespace, name), "there is no {namespace}/{name}");
        self.shared.wake();
    }

    /// Deletes an object, and no watch ever hears of it: only another list shows it.
    #[track_caller]
    pub(crate) fn delete_unseen(&self, objects: Objects, namespace: &str, name: &str) {
        assert!(self.shared.store().remove(objects, namespace, name), "there is no {namespace}/{name}");
    }

    /// Every version that was given so far is too old to watch from: with the status 410, or with an event that says it.
    pub(crate) fn forget_history(&self, is_told_by_event: bool) {
        self.shared.store().forget_history(is_told_by_event);
    }

    /// Sends each watch that wants them a bookmark: where it is now.
    pub(crate) fn bookmark(&self) {
        self.shared.store().bookmark();
        self.shared.wake();
    }

    /// Takes this token only, from now on. The file still holds the one before.
    pub(crate) fn set_token(&self, token: &str) {
        self.shared.control().token = token.to_owned();
    }

    /// Puts a token in the file, as `kubectl create token` writes it.
    pub(crate) fn write_token(&self, token: &str) {
        std::fs::write(self.token_file(), format!("{token}\n")).expect("a file");
    }

    /// Has another authority and another certificate, for connections from now on. The file still holds the one before.
    pub(crate) fn change_ca(&self) {
        let (authority, tls) = authority();
        *self.authority.lock().expect("no holder panics") = authority;
        self.shared.control().tls = tls;
    }

    /// Puts the authority in the file.
    pub(crate) fn write_ca(&self) {
        let authority = self.authority.lock().expect("no holder panics").clone();
        std::fs::write(self.ca_file(), authority).expect("a file");
    }

    /// What is wrong with answers about such objects, until it is told otherwise.
    pub(crate) fn set_fault(&self, objects: Objects, fault: Option<Fault>) {
        let mut control = self.shared.control();
        match fault {
            Some(fault) => control.faults.insert(objects, fault),
            None => control.faults.remove(&objects),
        };
    }

    /// Cuts the next event of a watch in its middle, and closes the connection.
    pub(crate) fn cut_next_event(&self) {
        self.shared.control().cuts += 1;
    }

    /// Resets every connection; new ones are taken.
    pub(crate) fn break_streams(&self) {
        if let Some(listener) = &*self.listener.lock().expect("no holder panics") {
            listener.break_streams();
        }
    }

    /// Ends: every connection is cut, and the port refuses.
    pub(crate) fn stop(&self) {
        drop(self.listener.lock().expect("no holder panics").take());
    }

    /// Listens on its port again, with everything that it knew.
    pub(crate) fn restart(&self) {
        self.stop();
        let listener = Listener::start(self.port, Arc::clone(&self.shared));
        *self.listener.lock().expect("no holder panics") = Some(listener);
    }

    /// What was asked so far, in its order.
    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.shared.control().requests.clone()
    }

    /// How many lists and how many watches of such objects were asked for.
    pub(crate) fn counts(&self, objects: Objects) -> (usize, usize) {
        let asked = self.requests().into_iter().filter(|asked| asked.path == objects.path());
        let (watches, lists): (Vec<_>, Vec<_>) = asked.partition(Asked::is_watch);
        (lists.len(), watches.len())
    }
}

/// An authority (PEM), and a server that it vouches for.
fn authority() -> (String, Arc<ServerConfig>) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "kubernetes");
    let key = KeyPair::generate().expect("a key");
    let root = params.self_signed(&key).expect("a certificate").pem();
    let issuer = Issuer::new(params, key);
    let leaf_key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
    let leaf: CertificateDer<'static> = leaf.signed_by(&leaf_key, &issuer).expect("a certificate").into();
    let key = PrivateKeyDer::try_from(leaf_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf], key)
        .expect("they belong together");
    (root, Arc::new(config))
}
