//! The worker's way to the network: whom its plugins trust, through which proxy they go, who resolves names.

use super::{
    HttpLimits, HttpSettings, Resolver, failure,
    resolve::{Lookups, Names, SystemNames},
};
use crate::bindings::host::longshore::connector::types::Error as GuestError;
use longshore_sdk::{Error, Secret};
use reqwest::{Proxy, Url};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::OnceCell;

const CA: &str = "longshore.wasm.http.ca";
const PROXY: &str = "longshore.wasm.http.proxy";
const OP: &str = "config";

pub(in crate::services) struct Network {
    own: Vec<CertificateDer<'static>>,
    /// The system's certificates take a while: they are read for the first plugin that speaks TLS.
    tls: OnceCell<ClientConfig>,
    plain: ClientConfig,
    proxy: Option<(Proxy, Url)>,
    names: Arc<dyn Names>,
    /// By plugin: as many as there are plugins.
    lookups: Mutex<BTreeMap<String, Lookups>>,
    limits: HttpLimits,
    cut: AtomicBool,
}

impl Network {
    /// Err (Config): the CA file or the proxy cannot be used.
    pub(in crate::services) fn new(settings: HttpSettings) -> Result<Self, Error> {
        let own = settings.names.clone().map(|Resolver(names)| names);
        let names = own.unwrap_or_else(|| Arc::new(SystemNames::default()));
        Self::with(settings, names)
    }
    pub(super) fn with(settings: HttpSettings, names: Arc<dyn Names>) -> Result<Self, Error> {
        let own = settings.ca.as_deref().map(certificates).transpose()?;
        Ok(Self {
            own: own.unwrap_or_default(),
            tls: OnceCell::new(),
            plain: config(RootCertStore::empty())?,
            proxy: settings.proxy.as_ref().map(proxy).transpose()?,
            names,
            lookups: Mutex::default(),
            limits: settings.limits,
            cut: AtomicBool::new(false),
        })
    }
    /// Whether nothing can be reached.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
    pub(in crate::services) fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }
    pub(super) fn limits(&self) -> &HttpLimits {
        &self.limits
    }
    /// The plugin's way to learn what a name stands for; that of all its tasks.
    pub(super) fn lookups(&self, plugin: &str) -> Lookups {
        let mut lookups = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Lookups::new(self.names.clone());
        lookups.entry(plugin.to_owned()).or_insert_with(new).clone()
    }
    pub(super) fn proxy(&self) -> Option<&(Proxy, Url)> {
        self.proxy.as_ref()
    }
    /// What a client speaks TLS with; one that speaks none trusts nobody.
    pub(super) async fn tls(&self, https: bool) -> Result<ClientConfig, GuestError> {
        let proxied = matches!(&self.proxy, Some((_, url)) if url.scheme() == "https");
        if !https && !proxied {
            return Ok(self.plain.clone());
        }
        let found = self.tls.get_or_try_init(|| async {
            let own = self.own.clone();
            tokio::task::spawn_blocking(move || system_and(own))
                .await
                .unwrap_or_else(|_| Err(Error::bug(OP, "the certificates cannot be read")))
        });
        let found = found.await;
        found
            .cloned()
            .map_err(|error| failure::config(error.message().to_owned()))
    }
}

fn system_and(own: Vec<CertificateDer<'static>>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    // They were looked at when they were read.
    roots.add_parsable_certificates(own);
    if roots.is_empty() {
        return Err(Error::config(
            OP,
            format!(
                "this system has no trusted certificates: name a PEM file with those to trust by {CA}"
            ),
        ));
    }
    config(roots)
}

fn config(roots: RootCertStore) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::bug(OP, "no TLS").because(error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unusable = |why: &str| Error::config(OP, format!("{CA}: {} {why}", file.display()));
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| unusable("has no PEM certificates").because(error))?;
    let mut roots = RootCertStore::empty();
    for certificate in &found {
        roots
            .add(certificate.clone())
            .map_err(|error| unusable("holds a certificate that cannot be used").because(error))?;
    }
    if found.is_empty() {
        return Err(unusable("has no PEM certificates"));
    }
    Ok(found)
}

/// I8: its URL may hold a password and stays out of the message.
fn proxy(url: &Secret) -> Result<(Proxy, Url), Error> {
    let advice = "is no URL of an HTTP proxy such as http://proxy.example.com:3128";
    let parsed = Url::parse(url.expose().trim()).ok();
    let parsed = parsed.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let parsed = parsed.ok_or_else(|| Error::config(OP, format!("{PROXY} {advice}")))?;
    let proxy =
        Proxy::all(parsed.clone()).map_err(|_| Error::config(OP, format!("{PROXY} {advice}")))?;
    Ok((proxy, parsed))
}
