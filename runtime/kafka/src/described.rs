//! What topics and brokers are configured to.

use crate::{
    admin::Admin,
    errors,
    question::{Asked, Attempts},
};
use longshore_sdk::Result;
use rdkafka::admin::{AdminOptions, OwnedResourceSpecifier, ResourceSpecifier};

impl Admin {
    /// `None` = the broker does not tell us.
    pub(crate) async fn config_value(
        &self,
        resource: ResourceSpecifier<'_>,
        key: &str,
    ) -> Result<Option<String>> {
        Ok(self.config_values(&[resource], key).await?.pop().flatten())
    }

    /// The same of several, in one question: values stand in the order of `resources`.
    pub(crate) async fn config_values(
        &self,
        resources: &[ResourceSpecifier<'_>],
        key: &str,
    ) -> Result<Vec<Option<String>>> {
        let mut attempts = Attempts::new();
        let results = loop {
            let options = AdminOptions::new().request_timeout(Some(attempts.max()));
            let asked = Asked::open(&self.settings)?;
            match asked.client().describe_configs(resources, &options).await {
                Ok(results) => break results,
                Err(error) if attempts.again(&error).await => {}
                Err(error) => return Err(errors::from_client("describe_configs", error)),
            }
        };
        let mut values = vec![None; resources.len()];
        for result in results {
            match result {
                Ok(told) => {
                    let mut asked = resources.iter();
                    let place = asked.position(|asked| told.specifier == owned(asked));
                    let entry = told.entry_map().get(key).copied();
                    if let (Some(place), Some(entry)) = (place, entry) {
                        values[place].clone_from(&entry.value);
                    }
                }
                Err(code) => {
                    tracing::warn!(key, code = ?code, "a broker's or topic's config cannot be checked");
                }
            }
        }
        Ok(values)
    }
}

fn owned(resource: &ResourceSpecifier<'_>) -> OwnedResourceSpecifier {
    match resource {
        ResourceSpecifier::Topic(name) => OwnedResourceSpecifier::Topic((*name).to_owned()),
        ResourceSpecifier::Group(name) => OwnedResourceSpecifier::Group((*name).to_owned()),
        ResourceSpecifier::Broker(id) => OwnedResourceSpecifier::Broker(*id),
    }
}
