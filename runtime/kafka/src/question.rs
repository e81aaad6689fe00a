//! A client for one question to a cluster's controller or brokers.

use crate::{
    client::{ClientSettings, Properties, Role},
    errors, oauth,
};
use longshore_sdk::Result;
use rdkafka::{admin::AdminClient, client::DefaultClientContext};

/// Short-lived: its log lines are drained by nobody. Its end takes a tenth of a second, for which nobody should wait.
pub(crate) struct Asked(Option<AdminClient<DefaultClientContext>>);

impl Asked {
    pub(crate) fn open(settings: &ClientSettings) -> Result<Self> {
        let mut resolved = settings.resolve(Role::Admin, &Properties::new())?;
        resolved.quick_to_connect();
        let config = resolved.config();
        let client: AdminClient<DefaultClientContext> = config
            .create()
            .map_err(|error| errors::from_client("open", error))?;
        oauth::arm(&config, client.inner().native_ptr());
        Ok(Self(Some(client)))
    }
    pub(crate) fn client(&self) -> &AdminClient<DefaultClientContext> {
        self.0.as_ref().expect("present until dropped")
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let client = self.0.take();
        let spawned = std::thread::Builder::new()
            .name("kafka drop".to_owned())
            .spawn(move || drop(client));
        drop(spawned);
    }
}
