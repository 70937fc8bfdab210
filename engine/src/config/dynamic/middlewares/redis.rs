//! `rateLimit.redis`, as it is written.

use super::forward::client_tls;
use crate::base::secret::Secret;
use crate::base::time::Span;
use crate::config::address::endpoint;
use crate::config::fields::Fields;
use crate::config::fixed::{Authority, Scheme, Transport};
use crate::config::typed::Redis;
use std::sync::Arc;

/// Where Redis listens unless something else is said.
const PORT: u16 = 6379;

pub(super) fn redis(fields: Fields<'_>) -> Redis {
    let timeout = |key, seconds| fields.lasting(key).unwrap_or_else(|| Span::secs(seconds));
    let mut transport = Transport {
        dial_timeout: timeout("dialTimeout", 5),
        read_timeout: timeout("readTimeout", 3),
        write_timeout: timeout("writeTimeout", 3),
        multiplexes: false,
        ..Transport::default()
    };
    let mut scheme = Scheme::Http;
    if let Some(section) = fields.section("tls") {
        scheme = Scheme::Https;
        transport.tls = Some(Arc::new(client_tls(&section)));
        section.close();
    }
    let (host, port) = address(&fields);
    let password = fields.text("password").unwrap_or_default();
    let username = fields.text("username").unwrap_or_default();
    if !username.is_empty() && password.is_empty() {
        fields.error("username", "missing", "a user name has a password");
    }
    let db = fields.number("db", 0..=i64::from(i32::MAX)).and_then(|n| u32::try_from(n).ok());
    for key in ["poolSize", "minIdleConns", "maxActiveConns"] {
        fields.reads_over(key);
        if fields.number(key, 0..=i64::MAX).is_some() {
            let text = "each worker asks over one connection, one question behind another";
            fields.warning(key, "no-effect", text);
        }
    }
    fields.close();
    Redis {
        endpoint: Authority { scheme, host, port },
        username,
        password: Secret::new(password.into_bytes()),
        db: db.unwrap_or(0),
        transport,
    }
}

fn address(fields: &Fields<'_>) -> (String, u16) {
    let texts = fields.texts("endpoints").unwrap_or_default();
    if texts.len() > 1 {
        let text = "several endpoints are a Redis Cluster, which is not supported";
        let help = "name one address: of one Redis, or of what stands in front of several";
        fields.error_with_help("endpoints", "unsupported", text, help);
    }
    let Some((at, text)) = texts.first() else { return ("localhost".to_owned(), PORT) };
    match endpoint(text) {
        Ok((host, port)) => (host, port.unwrap_or(PORT)),
        Err(wanted) => {
            let path = fields.path_of("endpoints");
            crate::config::fields::bad_value(fields.report, *at, &path, text, &wanted);
            (String::new(), PORT)
        }
    }
}
