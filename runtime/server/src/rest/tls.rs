//! https: certificates that are read again when their files change.

use crate::{
    settings::{ClientAuth, HttpsKeys, RestKeys},
    trust,
    watch::{Watch, warn_if_readable_by_all},
};
use anyhow::{Context, Result, anyhow, bail};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};
use std::{
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The TLS of the https listeners. Connections take what holds when they come.
pub(crate) struct Tls {
    files: Files,
    now: RwLock<Arc<ServerConfig>>,
    generation: AtomicU64,
}

/// Where the certificates are.
struct Files {
    https: HttpsKeys,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Tls {
    /// Reads the files.
    pub(crate) fn open(https: &HttpsKeys, rest: &RestKeys) -> Result<Arc<Self>> {
        let files = Files {
            https: https.clone(),
            certificate: rest.certificate_file.clone(),
            key: rest.key_file.clone(),
        };
        let config = files.config().context("https cannot be set up")?;
        for file in [&files.key, &files.https.keystore_location]
            .into_iter()
            .flatten()
        {
            warn_if_readable_by_all(file, "the private key of https");
        }
        Ok(Arc::new(Self {
            files,
            now: RwLock::new(Arc::new(config)),
            generation: AtomicU64::new(0),
        }))
    }
    /// Counts the changes of the files.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
    /// TLS towards the other workers, whose listeners are set up as this one's: it trusts the certificates of ssl.truststore, as in Kafka Connect;
    /// without one the system's and those of this worker's own chain. It shows this worker's certificate to those that ask for one.
    pub(crate) fn as_client(&self) -> Result<ClientConfig> {
        self.files
            .as_client()
            .context("TLS of this worker's https listeners")
    }
    /// What handshakes with the certificates of now.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&now))
    }
    /// Reads the files again whenever they change, until `stop`. Ones that cannot be used change nothing.
    pub(crate) async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        let mut watch = Watch::new(self.files.all(), LOOK_EVERY);
        loop {
            tokio::select! {
                () = watch.changed() => {}
                () = stop.cancelled() => return,
            }
            match self.files.config() {
                Ok(config) => {
                    *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                    self.generation.fetch_add(1, Ordering::AcqRel);
                    tracing::info!("certificates of https read again");
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(
                        error,
                        "the changed certificates of https are not used, the former ones hold"
                    );
                }
            }
        }
    }
}

impl Files {
    fn all(&self) -> Vec<PathBuf> {
        let https = &self.https;
        let all = [
            &self.certificate,
            &self.key,
            &https.keystore_location,
            &https.truststore_location,
        ];
        all.into_iter().flatten().cloned().collect()
    }

    fn config(&self) -> Result<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let has = |name: &str| {
            let protocols = &self.https.protocols;
            protocols.is_empty() || protocols.iter().any(|one| one == name)
        };
        let versions: Vec<_> = [("TLSv1.3", &TLS13), ("TLSv1.2", &TLS12)]
            .into_iter()
            .filter_map(|(name, version)| has(name).then_some(version))
            .collect();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)?;
        let builder = if self.https.client_auth == ClientAuth::None {
            builder.with_no_client_auth()
        } else {
            let roots = Arc::new(self.trusted()?);
            let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            if self.https.client_auth == ClientAuth::Requested {
                verifier = verifier.allow_unauthenticated();
            }
            let verifier = verifier.build().context("ssl.truststore")?;
            builder.with_client_cert_verifier(verifier)
        };
        let (chain, key) = self.identity()?;
        let mut config = builder
            .with_single_cert(chain, key)
            .context("the certificate and its key do not fit")?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn as_client(&self) -> Result<ClientConfig> {
        let (own, key) = self.identity()?;
        let https = &self.https;
        let roots =
            if https.truststore_location.is_some() || https.truststore_certificates.is_some() {
                self.trusted()?
            } else {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                roots.add_parsable_certificates(own.iter().cloned());
                roots
            };
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(own, key)
            .context("the certificate and its key do not fit")
    }

    fn identity(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            let bytes = std::fs::read(key).with_context(|| key.display().to_string())?;
            let key = private_key(&bytes).with_context(|| key.display().to_string())?;
            return Ok((trust::certificates(certificate)?, key));
        }
        if let Some(store) = &self.https.keystore_location {
            let at = || store.display().to_string();
            let bytes = std::fs::read(store).with_context(at)?;
            return Ok((
                chain(&bytes).with_context(at)?,
                private_key(&bytes).with_context(at)?,
            ));
        }
        let (Some(certificates), Some(key)) = (&self.https.certificate_chain, &self.https.key)
        else {
            bail!(
                "there is no certificate: set listeners.https.ssl.keystore.location to a PEM file with a private key and its certificates"
            );
        };
        let chain = chain(certificates.as_bytes()).context("ssl.keystore.certificate.chain")?;
        let key = private_key(key.expose().as_bytes()).context("ssl.keystore.key")?;
        Ok((chain, key))
    }

    fn trusted(&self) -> Result<RootCertStore> {
        let certificates = match (
            &self.https.truststore_location,
            &self.https.truststore_certificates,
        ) {
            (Some(file), _) => trust::certificates(file)?,
            (None, Some(text)) => chain(text.as_bytes()).context("ssl.truststore.certificates")?,
            (None, None) => bail!("ssl.truststore.location is missing"),
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots
                .add(certificate)
                .context("ssl.truststore: a certificate cannot be used")?;
        }
        Ok(roots)
    }
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| anyhow!("expected PEM certificates: {error}"))?;
    if chain.is_empty() {
        bail!(
            "expected PEM certificates, found none (a JKS or PKCS12 store has to be converted: openssl pkcs12 -in STORE.p12 -nodes -out STORE.pem)"
        );
    }
    Ok(chain)
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>> {
    const ENCRYPTED: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    if pem.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED) {
        bail!(
            "the private key is encrypted: decrypt it with openssl pkey -in KEY.pem -out PLAIN.pem, readable by the worker alone"
        );
    }
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|error| anyhow!("expected a PEM private key: {error}"))
}
