//! TLS towards others: whose certificates are trusted, and which one is shown.

use anyhow::{Context, Result, anyhow, bail};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{path::Path, sync::Arc};

/// A certificate and its key that are shown to servers which ask for one.
pub(crate) struct Shown<'a> {
    pub(crate) certificate: &'a Path,
    pub(crate) key: &'a Path,
}

/// TLS that trusts the certificates of `ca`, or the system's without one. Where no TLS will be spoken nothing is read: the system's take a while.
pub(crate) fn client(
    https: bool,
    ca: Option<&Path>,
    shown: Option<Shown<'_>>,
) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).with_context(|| {
                    format!("a certificate of {} cannot be used", file.display())
                })?;
            }
        }
        None if https => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                bail!(
                    "this system has no trusted certificates: name a PEM file with those to trust"
                );
            }
        }
        None => {}
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .context("TLS cannot be set up")?
        .with_root_certificates(roots);
    let Some(Shown { certificate, key }) = shown else {
        return Ok(config.with_no_client_auth());
    };
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| anyhow!("{} has no PEM private key: {error}", key.display()))?;
    config
        .with_client_auth_cert(certificates(certificate)?, key)
        .with_context(|| format!("{} and its key cannot be used", certificate.display()))
}

/// The certificates of a PEM file; at least one.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| anyhow!("{} has no PEM certificates: {error}", file.display()))?;
    if found.is_empty() {
        bail!("{} has no PEM certificates", file.display());
    }
    Ok(found)
}
