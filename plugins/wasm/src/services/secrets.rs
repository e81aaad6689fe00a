//! Secrets in plain text, for plugins that were granted them.

use super::Services;
use crate::bindings::host::longshore::connector::secrets::Host;

impl Host for Services {
    async fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        if !self.caller.grants.reveals_secrets() {
            // I8: without the grant a plugin never sees one; `http.credential` uses it unseen.
            self.journal.denied(&self.caller.grants.deny_secrets(&key));
            return Ok(None);
        }
        let found = self.caller.secrets.get(&key);
        Ok(found.map(|secret| secret.expose().to_owned()))
    }
}
