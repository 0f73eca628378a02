//! How requests reach the API server: with the token and the authority that the files hold now.
//!
//! kube reads both files again after a minute; here they are looked at before each request, so that one that was put in the
//! place of another counts at once, and what is watched goes on where it was.

use std::error::Error;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Uri};
use kube::Client;
use kube::client::Body;
use tokio::time::{Instant, sleep_until, timeout};
use tower_service::Service;

use super::body::Bounded;
use super::troubles::{Problem, Troubles};
use super::{Patience, WatchError};
use crate::target::kubernetes::Api;
use crate::target::kubernetes::book::Kind;

/// Where a pod finds the API server:
/// <https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/#directly-accessing-the-rest-api>.
const HOST: &str = "KUBERNETES_SERVICE_HOST";
const PORT: &str = "KUBERNETES_SERVICE_PORT";
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// A token has about 1 KiB, a bundle of authorities some hundred.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// A server that ends each watch at once is asked again so often.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// A watch ends by itself; only if it does not, it is given up.
const WATCH_MARGIN: Duration = Duration::from_secs(3);

/// An API server, and who asks it.
pub(super) struct Connection {
    url: String,
    uri: Uri,
    token_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    answer: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What the files held when they were looked at last.
    seen: Option<Result<Files, String>>,
    /// How often that was something else than before.
    generation: u64,
    /// Made with what they held when they could be read last.
    client: Option<(Files, Client)>,
}

impl State {
    fn see(&mut self, read: &Result<Files, String>) {
        if self.seen.as_ref() != Some(read) {
            self.seen = Some(read.clone());
            self.generation += 1;
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Files {
    token: Option<String>,
    authorities: Option<Vec<u8>>,
}

impl Connection {
    /// To the one that is given, or to the one of this pod.
    pub(super) fn new(api: Option<&Api>, patience: Patience) -> Result<Self, WatchError> {
        let api = match api {
            Some(api) => api.clone(),
            None => of_this_pod(|variable| std::env::var(variable).ok().filter(|value| !value.is_empty()))?,
        };
        let uri = checked(&api).map_err(|why| WatchError::Url { url: api.url.clone(), why })?;
        Ok(Self {
            url: api.url,
            uri,
            token_file: api.token_file,
            ca_file: api.ca_file,
            answer: patience.answer,
            state: Mutex::default(),
        })
    }

    /// Where it is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Of what the files hold now: another number whenever that is something else, for everybody who remembers the one before.
    pub(super) fn generation(&self) -> u64 {
        let read = self.read();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.see(&read);
        state.generation
    }

    fn read(&self) -> Result<Files, String> {
        let token = self.token_file.as_deref().map(|path| {
            let text =
                String::from_utf8(file(path)?).map_err(|_| format!("{} is no text", path.display()))?;
            // `kubectl create token` ends it with a new line, which no header may have.
            let token = text.trim();
            if token.is_empty() { Err(format!("{} is empty", path.display())) } else { Ok(token.to_owned()) }
        });
        let authorities = self.ca_file.as_deref().map(file);
        Ok(Files { token: token.transpose()?, authorities: authorities.transpose()? })
    }

    /// A client with what the files hold now. If one of them is gone for a moment, the one before serves.
    fn client(&self) -> Result<Client, Problem> {
        let read = self.read();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.see(&read);
        let files = match (read, &state.client) {
            (Ok(files), Some((of, client))) if *of == files => return Ok(client.clone()),
            (Ok(files), _) => files,
            (Err(_), Some((_, client))) => return Ok(client.clone()),
            (Err(why), None) => return Err(Problem::Files(why)),
        };
        let client = self.build(&files).map_err(|error| Problem::Files(error.to_string()))?;
        state.client = Some((files, client.clone()));
        Ok(client)
    }

    fn build(&self, files: &Files) -> Result<Client, kube::Error> {
        let mut config = kube::Config::new(self.uri.clone());
        // Sooner than an answer is given up: no connection is another trouble than silence.
        config.connect_timeout = Some(self.answer * 2 / 3);
        // Each failure is counted and said; kube would try again without a word.
        config.default_retry = false;
        config.auth_info.token = files.token.clone().map(Into::into);
        if self.ca_file.is_some() {
            // Nobody but the file's authorities, also where the machine has no list of its own.
            config.root_cert = Some(Vec::new());
            config.root_cert_file.clone_from(&self.ca_file);
        }
        Client::try_from(config)
    }
}

fn of_this_pod(variable: impl Fn(&str) -> Option<String>) -> Result<Api, WatchError> {
    let value = |name: &'static str| variable(name).ok_or(WatchError::NoApi { variable: name });
    let (host, port) = (value(HOST)?, value(PORT)?);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Ok(Api {
        url: format!("https://{host}:{port}"),
        token_file: Some(Path::new(ACCOUNT).join("token")),
        ca_file: Some(Path::new(ACCOUNT).join("ca.crt")),
    })
}

fn checked(api: &Api) -> Result<Uri, String> {
    let uri: Uri = api.url.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
    if uri.host().is_none_or(str::is_empty) {
        return Err("it names no host".to_owned());
    }
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if api.token_file.is_none() => Ok(uri),
        Some("http") => Err("the token would go over the network for everybody to read".to_owned()),
        _ => Err("it does not begin with https://".to_owned()),
    }
}

fn file(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("failed to read {}: {error}", path.display());
    // What is no file could keep its reader waiting.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// The requests for one kind of object.
#[derive(Clone)]
pub(super) struct Transport {
    connection: Arc<Connection>,
    troubles: Arc<Troubles>,
    kind: Kind,
    patience: Patience,
    last_watch: Arc<Mutex<Option<Instant>>>,
}

impl Transport {
    pub(super) fn new(
        connection: &Arc<Connection>,
        troubles: &Arc<Troubles>,
        kind: Kind,
        patience: Patience,
    ) -> Self {
        let (connection, troubles) = (Arc::clone(connection), Arc::clone(troubles));
        Self { connection, troubles, kind, patience, last_watch: Arc::default() }
    }

    async fn ask(self, request: Request<Body>) -> Result<Response<Bounded>, Box<dyn Error + Send + Sync>> {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        if is_watch {
            self.pause().await;
        }
        let answer = self.patience.answer;
        let client = self.connection.client()?;
        let response = timeout(answer, client.send(request))
            .await
            .map_err(|_| Problem::Silent { seconds: answer.as_secs() })??;
        if response.status().is_success() {
            self.troubles.answered(self.kind);
        }
        Ok(match is_watch && response.status().is_success() {
            true => response.map(|body| {
                let patience = self.patience.watch + WATCH_MARGIN;
                Bounded::new(body, patience, Some((Arc::clone(&self.troubles), self.kind)))
            }),
            false => response.map(|body| Bounded::new(body, answer, None)),
        })
    }

    async fn pause(&self) {
        let last = *self.last_watch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last {
            sleep_until(last + WATCH_EVERY).await;
        }
        *self.last_watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Bounded>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().ask(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_finds_the_api_server_by_its_environment() {
        let check = |host: Option<&str>, port: Option<&str>, expect: Result<&str, &str>| {
            let found = of_this_pod(|name| if name == HOST { host } else { port }.map(str::to_owned));
            let found = found.map(|api| api.url).map_err(|error| error.to_string());
            match expect {
                Ok(url) => assert_eq!(found.as_deref(), Ok(url)),
                Err(word) => assert!(found.as_ref().is_err_and(|text| text.contains(word)), "{found:?}"),
            }
        };
        check(Some("10.0.0.1"), Some("443"), Ok("https://10.0.0.1:443"));
        check(Some("fd00::1"), Some("6443"), Ok("https://[fd00::1]:6443"));
        check(None, Some("443"), Err(HOST));
        check(Some("10.0.0.1"), None, Err(PORT));
    }

    #[test]
    fn what_is_no_address_of_an_api_server_is_an_error_at_the_start() {
        let check = |url: &str, has_token: bool, expect: Option<&str>| {
            let token_file = has_token.then(|| PathBuf::from("/token"));
            let api = Api { url: url.to_owned(), token_file, ca_file: None };
            let error = Connection::new(Some(&api), Patience::default()).err().map(|error| error.to_string());
            match expect {
                None => assert_eq!(error, None, "{url}"),
                Some(word) => assert!(error.as_ref().is_some_and(|text| text.contains(word)), "{error:?}"),
            }
        };
        check("https://10.0.0.1:6443", true, None);
        check("https://[fd00::1]:6443/prefix", true, None);
        check("http://127.0.0.1:8001", false, None);
        check("http://127.0.0.1:8001", true, Some("for everybody to read"));
        check("10.0.0.1:6443", true, Some("https://"));
        check("/run/api", true, Some("no host"));
        check("unix:///run/api", true, Some("must be like"));
        check("https://a b", true, Some("must be like"));
        check("", true, Some("must be like"));
    }
}
