//! A server that is asked: one request, one answer, each within a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::options::UsageError;

/// For a connection to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// Of an answer: a document with some hundred thousand call sites.
const MAX_ANSWER_BYTES: usize = 512 << 20;

/// Where a server is, and how it is asked.
#[derive(Clone, Debug)]
pub(super) struct Server {
    url: String,
    host: String,
    port: u16,
    is_tls: bool,
    /// What stands before every path.
    prefix: String,
    token: Option<HeaderValue>,
    ca_file: Option<PathBuf>,
    patience: Duration,
}

/// What a server said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

impl Server {
    /// The server of an option's URL.
    pub(super) fn of(option: &str, url: &str, patience: Duration) -> Result<Self, UsageError> {
        let wrong = |why: &str| {
            UsageError(format!(
                "{option} {url}: {why}. Use a URL such as http://127.0.0.1:9090 or https://metrics.example"
            ))
        };
        let uri: Uri = url.parse().map_err(|error| wrong(&format!("{error}")))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) | None => return Err(wrong("it begins with neither http:// nor https://")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("a user in it would be seen by all: give a token by a file"));
        }
        if uri.query().is_some() {
            return Err(wrong("it has a query: what is asked is added here"));
        }
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            host: authority.host().to_owned(),
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            is_tls,
            prefix: uri.path().trim_end_matches('/').to_owned(),
            token: None,
            ca_file: None,
            patience,
        })
    }

    /// With a token, and trusted by these certificates.
    pub(super) fn with(
        mut self,
        token_file: Option<&Path>,
        ca_file: Option<&Path>,
    ) -> Result<Self, UsageError> {
        if let Some(path) = token_file {
            let wrong =
                |why: String| UsageError(format!("failed to read the token from {}: {why}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
            let header = HeaderValue::from_str(&format!("Bearer {}", text.trim()));
            let mut header = header.map_err(|_| wrong("it must be one line of text".to_owned()))?;
            header.set_sensitive(true);
            self.token = Some(header);
        }
        self.ca_file = ca_file.map(Path::to_owned);
        Ok(self)
    }

    /// As it was given.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Asks for a path, which may have a query.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) fn get(&self, path: &str) -> Result<Answer, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let answered = runtime.block_on(async {
            match tokio::time::timeout(self.patience, self.ask(path)).await {
                Ok(answer) => answer,
                Err(_) => Err(format!("no answer within {} s", self.patience.as_secs())),
            }
        });
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        answered
    }

    async fn ask(&self, path: &str) -> Result<Answer, String> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let connected = tokio::time::timeout(CONNECT, TcpStream::connect((host, self.port))).await;
        let stream = match connected {
            Ok(stream) => stream.map_err(|error| error.to_string())?,
            Err(_) => return Err(format!("no connection within {} s", CONNECT.as_secs())),
        };
        if !self.is_tls {
            return self.talk(TokioIo::new(stream), path).await;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let stream =
            self.connector()?.connect(name, stream).await.map_err(|error| format!("TLS: {error}"))?;
        self.talk(TokioIo::new(stream), path).await
    }

    fn connector(&self) -> Result<TlsConnector, String> {
        let mut roots = RootCertStore::empty();
        if let Some(path) = &self.ca_file {
            let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let certificates = read
                .map_err(|error| format!("failed to read certificates from {}: {error}", path.display()))?;
            roots.add_parsable_certificates(certificates);
        } else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        if roots.is_empty() {
            return Err("there is no certificate to trust it by: give --ca-file".to_owned());
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    async fn talk(
        &self,
        stream: impl Read + Write + Unpin + Send + 'static,
        path: &str,
    ) -> Result<Answer, String> {
        let said = |error: hyper::Error| format!("it speaks no HTTP/1.1, or the connection broke: {error}");
        let (mut sender, connection) = http1::handshake(stream).await.map_err(said)?;
        let connection = tokio::spawn(connection);
        let mut request = Request::get(format!("{}{path}", self.prefix))
            .header(HOST, format!("{}:{}", self.host, self.port))
            .header(ACCEPT, "application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        if let Some(token) = &self.token {
            request.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        let response = sender.send_request(request).await.map_err(said)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| format!("its answer broke off: {error}"))?.to_bytes().to_vec();
        connection.abort();
        Ok(Answer { status, body })
    }
}

impl Answer {
    /// The first line of its text, as far as it is one.
    pub(super) fn sentence(&self) -> String {
        const MOST: usize = 300;
        let text = String::from_utf8_lossy(&self.body);
        let line: String = text.lines().next().unwrap_or_default().chars().take(MOST).collect();
        if line.trim().is_empty() {
            self.status.to_string()
        } else {
            format!("{}: {}", self.status, line.trim())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_cannot_be_asked_is_refused() {
        let check = |url: &str, expect: &str| {
            let error = Server::of("--prometheus", url, CONNECT).unwrap_err().to_string();
            assert!(error.contains(expect) && error.starts_with("--prometheus "), "{url}: {error}");
        };
        check("127.0.0.1:9090", "neither http:// nor https://");
        check("localhost", "neither http:// nor https://");
        check("ftp://a/b", "neither http:// nor https://");
        check("http://user:secret@a/", "would be seen by all");
        check("http://a/?query=1", "it has a query");
        check("http://", "Use a URL such as");
    }

    #[test]
    fn a_url_is_taken_apart() {
        let check = |url: &str, expect: (&str, u16, bool, &str)| {
            let server = Server::of("--daemon", url, CONNECT).unwrap();
            assert_eq!((&*server.host, server.port, server.is_tls, &*server.prefix), expect, "{url}");
        };
        check("http://127.0.0.1:9464", ("127.0.0.1", 9464, false, ""));
        check("https://metrics.example/prom/", ("metrics.example", 443, true, "/prom"));
        check("http://[::1]/", ("[::1]", 80, false, ""));
    }
}
