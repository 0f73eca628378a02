//! TLS and the token.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tracer::serve::http::{self, HttpOptions};
use tracer::serve::shared::{Refusal, Shared};

use super::rig::{Rig, node, options, reply};

struct Files {
    folder: tempfile::TempDir,
    certificate: CertificateDer<'static>,
}

impl Files {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { folder, certificate: made.cert.der().clone() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self) -> HttpOptions {
        HttpOptions { tls: Some((self.path("cert.pem"), self.path("key.pem"))), ..options() }
    }

    fn client(&self) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap()
    }
}

fn failure(options: HttpOptions) -> String {
    http::start(options, Arc::new(Shared::new(|_| false))).unwrap_err().to_string()
}

#[test]
fn requests_are_answered_over_tls() {
    let files = Files::new();
    let rig = Rig::new(files.options());
    rig.shared.publish(node(&[Default::default()]));
    let mut stream = StreamOwned::new(files.client(), rig.connect());
    for (path, expect) in [("/livez", "lives"), ("/sd/pprof", "https")] {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let reply = reply(&mut stream, false).expect("an answer");
        assert!(reply.text().contains(expect), "{}", reply.text());
    }
}

#[test]
fn what_is_not_tls_is_refused() {
    let files = Files::new();
    let rig = Rig::new(HttpOptions { timeout: Duration::from_millis(500), ..files.options() });
    // Who only looks whether the port is open has asked for nothing.
    drop(rig.connect());
    let mut stream = rig.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    rig.expect_refused(Refusal::Malformed, 1);
    let rig = Rig::new(HttpOptions { timeout: Duration::from_millis(500), ..files.options() });
    let mut silent = rig.connect();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    rig.expect_refused(Refusal::Timeout, 1);
}

#[test]
fn certificates_that_cannot_be_used_are_an_error_at_the_start() {
    let (files, others) = (Files::new(), Files::new());
    std::fs::write(files.path("empty.pem"), "").unwrap();
    for (certificate, key, expect) in [
        (files.path("none.pem"), files.path("key.pem"), "none.pem"),
        (files.path("empty.pem"), files.path("key.pem"), "certificate"),
        (files.path("cert.pem"), files.path("cert.pem"), "must hold a private key"),
        (files.path("cert.pem"), others.path("key.pem"), "must be the key of the first certificate"),
    ] {
        let message = failure(HttpOptions { tls: Some((certificate, key)), ..options() });
        assert!(message.contains(expect), "{message}");
    }
}

#[test]
fn without_the_token_only_probes_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    assert!(
        failure(HttpOptions { token_file: Some(path.clone()), ..options() }).contains("must hold the token")
    );
    std::fs::write(&path, " \n").unwrap();
    assert!(failure(HttpOptions { token_file: Some(path.clone()), ..options() }).contains("it is empty"));
    std::fs::write(&path, "s3cret\n").unwrap();
    let rig = Rig::new(HttpOptions { token_file: Some(path), ..options() });
    rig.shared.publish(node(&[]));
    let get = |path: &str, authorization: &str| {
        rig.request(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n{authorization}Connection: close\r\n\r\n"))
    };
    let bears = |token: &str| get("/metrics", &format!("Authorization: {token}\r\n")).status;
    assert_eq!((bears("Bearer s3cret"), bears("bearer s3cret")), (200, 200));
    for wrong in ["Bearer s3cre", "Bearer s3crets", "Bearer ", "Basic s3cret", "s3cret", "Bearer"] {
        assert_eq!(bears(wrong), 401, "{wrong}");
    }
    let reply = get("/", "");
    assert_eq!((reply.status, reply.header("www-authenticate")), (401, "Bearer"));
    assert_eq!(get("/canary", "").status, 401);
    assert_eq!(get("/nothing", "").status, 401, "what is there is no secret that is told");
    assert_eq!((get("/livez", "").status, get("/readyz", "").status), (200, 200));
    rig.expect_refused(Refusal::Unauthorized, 9);
}
