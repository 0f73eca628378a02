//! Certificates and key.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::reread::Reread;
use crate::serve::ServeError;

/// What a TLS server needs, as the files have it at present.
pub(super) struct Tls(Reread<Arc<ServerConfig>>);

impl Tls {
    pub(super) fn new(certificates: &Path, key: &Path) -> Result<Self, ServeError> {
        let paths = vec![certificates.to_owned(), key.to_owned()];
        let (certificates, key) = (certificates.to_owned(), key.to_owned());
        Reread::new(paths, move || read(&certificates, &key)).map(Self)
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.0.get().into()
    }
}

fn read(certificates_path: &Path, key_path: &Path) -> Result<Arc<ServerConfig>, ServeError> {
    let failed = |path: &Path, reason: String| ServeError::File { path: path.to_owned(), reason };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificates_path)
        .and_then(Iterator::collect)
        .map_err(|error| failed(certificates_path, format!("{error}: it must hold certificates in PEM")))?;
    if certificates.is_empty() {
        return Err(failed(
            certificates_path,
            "there is no certificate in it: it must hold some in PEM".to_owned(),
        ));
    }
    let key = PrivateKeyDer::from_pem_file(key_path)
        .map_err(|error| failed(key_path, format!("{error}: it must hold a private key in PEM")))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(|error| failed(key_path, format!("{error}: it must be the key of the first certificate")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
