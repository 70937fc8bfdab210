//! `rateLimit.redis`: where gateways count together.

use crate::base::secret::Secret;
use crate::config::fixed::{Authority, Transport};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redis {
    /// With the scheme of TLS if that is spoken.
    pub endpoint: Authority,
    /// Empty for none.
    pub username: String,
    pub password: Secret,
    pub db: u32,
    pub transport: Transport,
}

impl Redis {
    /// Host and port, as configuration spells them.
    pub fn address(&self) -> String {
        let whole = self.endpoint.to_string();
        whole.split_once("://").map(|(_, address)| address.to_owned()).unwrap_or_default()
    }
}
