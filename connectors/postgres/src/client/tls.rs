//! TLS as libpq's modes have it, by rustls with a provider of its own.

use super::{connection::SslMode, target::TlsChoice};
use longshore_sdk::{Error, Result};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as Tls, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// A certificate file is a few kilobytes, a bundle of authorities some hundred (I6).
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What encrypts connections of this choice. Reads its files: call it off the runtime's threads. Errors of kind Config name the key.
pub(super) fn connector(choice: &TlsChoice) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::bug("connect", format!("no TLS version: {error}")))?;
    let verifier: Arc<dyn ServerCertVerifier> = match choice.mode() {
        SslMode::Disable | SslMode::Prefer | SslMode::Require => Arc::new(Encrypts(provider)),
        SslMode::VerifyCa => Arc::new(AnyHost(by_authority(choice, provider)?)),
        SslMode::VerifyFull => by_authority(choice, provider)?,
    };
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match (&choice.cert, &choice.key) {
        (Some(cert), Some(key)) => {
            let cert = certificates("connection.ssl.cert", cert)?;
            let key = private_key(key.expose())?;
            builder.with_client_auth_cert(cert, key).map_err(|error| {
                let text =
                    format!("connection.ssl.cert and connection.ssl.key do not fit: {error}");
                Error::config("connect", text)
            })?
        }
        _ => builder.with_no_client_auth(),
    };
    if choice.direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(MakeRustlsConnect::new(config))
}

fn by_authority(
    choice: &TlsChoice,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    match &choice.root_cert {
        Some(text) => {
            for cert in certificates("connection.ssl.root.cert", text)? {
                roots.add(cert).map_err(|error| {
                    let text =
                        format!("connection.ssl.root.cert: a certificate cannot be used: {error}");
                    Error::config("connect", text)
                })?;
            }
        }
        None => {
            // The machine's bundle may hold a few that nobody can read; the others count.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| {
            let text = format!(
                "no authority to check the server's certificate by ({error}): set connection.ssl.root.cert"
            );
            Error::config("connect", text)
        })
}

fn certificates(key: &str, text: &str) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = content(key, text)?;
    if !is_pem(&bytes) {
        return Ok(vec![CertificateDer::from(bytes)]);
    }
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match read {
        Ok(certs) if !certs.is_empty() => Ok(certs),
        _ => Err(Error::config(
            "connect",
            format!("{key}: no certificate in PEM is found in it"),
        )),
    }
}

fn private_key(text: &str) -> Result<PrivateKeyDer<'static>> {
    let key = "connection.ssl.key";
    let bytes = content(key, text)?;
    let refused = |what: &str| Error::config("connect", format!("{key}: {what}"));
    if is_pem(&bytes) {
        if memchr::memmem::find(&bytes, b"ENCRYPTED").is_some() {
            return Err(refused(
                "the key is encrypted: decrypt it once (openssl pkcs8 -topk8 -nocrypt)",
            ));
        }
        return PrivateKeyDer::from_pem_slice(&bytes)
            .map_err(|_| refused("no private key in PEM is found in it"));
    }
    PrivateKeyDer::try_from(bytes)
        .map_err(|_| refused("it is neither PEM nor a private key in DER (PKCS#8, not encrypted)"))
}

fn is_pem(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"-----BEGIN").is_some()
}

/// The text itself where it is PEM, else the file that it names.
fn content(key: &str, text: &str) -> Result<Vec<u8>> {
    if is_pem(text.as_bytes()) {
        return Ok(text.as_bytes().to_vec());
    }
    let read = || -> std::io::Result<Vec<u8>> {
        let size = std::fs::metadata(text)?.len();
        if size > FILE_BYTES_MAX {
            return Err(std::io::Error::other("it is larger than 4 MB"));
        }
        std::fs::read(text)
    };
    read().map_err(|error| {
        // The key's text may be a secret: a value that is no path is not shown.
        let text = format!("{key}: its file cannot be read: {error}");
        Error::config("connect", text)
    })
}

/// Takes every certificate: `require` encrypts, it does not prove. Signatures are checked all the same: channel binding rests on them.
#[derive(Debug)]
struct Encrypts(Arc<CryptoProvider>);

impl ServerCertVerifier for Encrypts {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Tls> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Tls> {
        verify_tls12_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Tls> {
        verify_tls13_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A certificate of a known authority, for whatever host: `verify-ca`.
#[derive(Debug)]
struct AnyHost(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        cert: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Tls> {
        match self.0.verify_server_cert(cert, between, host, ocsp, now) {
            // The chain is judged before the name.
            Err(Tls::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Tls> {
        self.0.verify_tls12_signature(message, cert, signed)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Tls> {
        self.0.verify_tls13_signature(message, cert, signed)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
