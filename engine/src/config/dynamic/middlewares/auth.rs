//! Middlewares that ask who it is that asks.

use crate::base::diag::Diagnostic;
use crate::config::document::At;
use crate::config::dynamic::health::is_token;
use crate::config::fields::{Fields, bad_value};
use crate::config::typed::{Credentials, MiddlewareKind};
use crate::config::users::{is_digest, is_known_hash};
use std::sync::Arc;

pub(super) fn basic_auth(fields: Fields<'_>) -> MiddlewareKind {
    MiddlewareKind::BasicAuth(credentials(fields, user))
}

pub(super) fn digest_auth(fields: Fields<'_>) -> MiddlewareKind {
    let realm = fields.parsed("realm", realm).unwrap_or_else(|| REALM.to_owned());
    MiddlewareKind::DigestAuth(credentials(fields, |fields, at, text| {
        digested(fields, at, text, &realm)
    }))
}

const REALM: &str = "traefik";

type Line = (String, String);

fn credentials(
    fields: Fields<'_>,
    line: impl Fn(&Fields<'_>, At, &str) -> Option<Line>,
) -> Credentials {
    let mut users: Vec<Line> = Vec::new();
    for (at, text) in fields.texts("users").unwrap_or_default() {
        let Some((name, hash)) = line(&fields, at, text) else { continue };
        if users.iter().any(|(other, _)| *other == name) {
            let path = fields.path_of("users");
            fields.report.error("repeated-key", at, &path, format!("{name} is here twice"));
        }
        users.push((name, hash));
    }
    let users_file = fields.text("usersFile").filter(|path| !path.is_empty());
    if !fields.present("users") && users_file.is_none() {
        fields.error("users", "missing", "without users nobody would pass");
    }
    let credentials = Credentials {
        users,
        users_file: users_file.map(Arc::from),
        realm: fields.parsed("realm", realm).unwrap_or_else(|| REALM.to_owned()),
        remove_header: fields.flag("removeHeader").unwrap_or(false),
        header_field: fields.parsed("headerField", field_name),
    };
    fields.close();
    credentials
}

/// A line of htdigest.
fn digested(fields: &Fields<'_>, at: At, text: &str, realm: &str) -> Option<Line> {
    let path = fields.path_of("users");
    let mut parts = text.rsplitn(3, ':');
    let (digest, of, name) = (parts.next(), parts.next(), parts.next());
    let (Some(digest), Some(of), Some(name)) = (digest.filter(|it| is_digest(it)), of, name) else {
        let shown = text.split_once(':').map_or("", |(name, _)| name);
        bad_value(
            fields.report,
            at,
            &path,
            shown,
            "expected a line of htdigest: name:realm:digest",
        );
        return None;
    };
    if of != realm {
        let text = format!("the line of {name} is for the realm {of}, and this one is {realm}");
        fields.report.error("bad-value", at, &path, text);
        return None;
    }
    Some((name.to_owned(), digest.to_ascii_lowercase()))
}

/// A line of htpasswd.
fn user(fields: &Fields<'_>, at: At, text: &str) -> Option<Line> {
    let wanted = "expected a line of htpasswd, such as al:$2y$10$...";
    let path = fields.path_of("users");
    // What is wrong with it is said without showing it.
    let shown = text.split_once(':').map_or("", |(name, _)| name);
    let visible = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    let Some((name, hash)) =
        text.split_once(':').filter(|(name, hash)| visible(name) && visible(hash))
    else {
        bad_value(fields.report, at, &path, shown, wanted);
        return None;
    };
    if hash.starts_with("$$") {
        let text = format!("the hash of {name} begins with $$");
        let help = "in a file a $ is written once; it is doubled only for docker compose";
        fields.report.add(at, Diagnostic::error("bad-value", path, text).help(help));
        return None;
    }
    if !is_known_hash(hash) {
        let text =
            format!("what is stored of the password of {name} is no hash that is known here");
        let help = "bcrypt ($2y$), MD5 ($apr1$) and {SHA} are, as htpasswd writes them";
        fields.report.add(at, Diagnostic::error("bad-value", path, text).help(help));
        return None;
    }
    Some((name.to_owned(), hash.to_owned()))
}

fn realm(text: &str) -> Result<String, String> {
    if text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\') {
        return Ok(text.to_owned());
    }
    Err("expected letters without quotes and backslashes".to_owned())
}

pub(super) fn field_name(text: &str) -> Result<String, String> {
    if is_token(text) { Ok(text.to_owned()) } else { Err("expected a field name".to_owned()) }
}
