//! The request that is asked about, as people write it.

use crate::base::id::EntryId;
use crate::view::{Offer, View};
use std::net::{IpAddr, Ipv4Addr};

/// A request that nobody has sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ask {
    pub method: String,
    pub secure: bool,
    /// Host and port; empty if none was named.
    pub authority: String,
    /// Path and query.
    pub target: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
    pub from: IpAddr,
    /// Empty to let the URL say.
    pub entry: String,
}

impl Ask {
    /// From `[METHOD] URL`, where the URL may be a path alone.
    ///
    /// # Errors
    /// What is no request.
    pub fn read(request: &str) -> Result<Self, String> {
        let mut words = request.split_whitespace();
        let (first, second) = (words.next(), words.next());
        let (method, url) = match (first, second, words.next()) {
            (Some(method), None, _) if method.bytes().all(|b| b.is_ascii_uppercase()) => {
                return Err(format!("`{method}` is asked of no URL: `{method} https://host/path`"));
            }
            (Some(url), None, _) => ("GET", url),
            (Some(method), Some(url), None) => (method, url),
            _ => return Err(format!("`{request}` is no request: write `GET https://host/path`")),
        };
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let secure = match scheme {
            "" | "http" | "ws" => false,
            "https" | "wss" => true,
            other => return Err(format!("{other}:// is not HTTP: write http:// or https://")),
        };
        let (authority, target) = match rest.find(['/', '?']) {
            _ if rest == "*" => ("", "*".to_owned()),
            Some(0) => ("", rest.to_owned()),
            Some(at) if rest[at..].starts_with('?') => (&rest[..at], format!("/{}", &rest[at..])),
            Some(at) => (&rest[..at], rest[at..].to_owned()),
            None => (rest, "/".to_owned()),
        };
        let target = target.split('#').next().unwrap_or_default().to_owned();
        if target.bytes().any(|b| !b.is_ascii_graphic()) {
            return Err(format!("{target:?} is no target: escape what is not plain ASCII"));
        }
        Ok(Self {
            method: method.to_owned(),
            secure,
            authority: authority.to_owned(),
            target,
            fields: Vec::new(),
            from: Ipv4Addr::LOCALHOST.into(),
            entry: String::new(),
        })
    }

    /// Adds a field from `Name: value`.
    ///
    /// # Errors
    /// What is no field.
    pub fn add_field(&mut self, line: &str) -> Result<(), String> {
        let (name, value) = line
            .split_once(':')
            .filter(|(name, value)| !name.is_empty() && !value.contains(['\r', '\n']))
            .ok_or_else(|| format!("`{line}` is no field: write `Name: value`"))?;
        let (name, value) = (name.trim(), value.trim());
        if name.eq_ignore_ascii_case("host") {
            value.clone_into(&mut self.authority);
        } else {
            self.fields.push((name.to_owned(), value.to_owned()));
        }
        Ok(())
    }

    /// The head that a client would send.
    pub(super) fn head(&self) -> Vec<u8> {
        let Self { method, target, authority, .. } = self;
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {authority}\r\n");
        for (name, value) in &self.fields {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    pub fn url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.target)
    }

    /// Where the request comes in: as named, or at the port of the URL, which may be that of its
    /// scheme, or at the first entry point that has routes for such clients.
    pub(super) fn entry_of(&self, view: &View) -> Result<EntryId, String> {
        let named = |name: &str| {
            let found = view.entries.iter().find(|entry| entry.settings.name == name);
            found.ok_or_else(|| {
                let names: Vec<&str> =
                    view.entries.iter().map(|entry| entry.settings.name.as_str()).collect();
                format!("there is no entry point {name}: there are {}", names.join(", "))
            })
        };
        if !self.entry.is_empty() {
            return named(&self.entry).map(|entry| entry.id);
        }
        let port = self.authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let port = port.unwrap_or(if self.secure { 443 } else { 80 });
        let at_port = view.entries.iter().find(|entry| entry.settings.address.port() == port);
        let offers = |entry: &&std::sync::Arc<crate::view::EntryView>| match &entry.offer {
            Offer::Routes(_) if self.secure => {
                entry.secure.as_ref().is_some_and(|side| side.routes.iter().next().is_some())
            }
            Offer::Routes(routes) => routes.iter().any(|route| !route.internal),
            Offer::Uplinks { .. } => false,
        };
        let found = at_port.or_else(|| view.entries.iter().find(offers));
        found
            .or_else(|| view.entries.first())
            .map(|entry| entry.id)
            .ok_or_else(|| "there is no entry point".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(request: &str, expected: Result<&str, &str>) {
        let told = Ask::read(request).map(|ask| format!("{} {}", ask.method, ask.url()));
        match (told, expected) {
            (Ok(told), Ok(expected)) => assert_eq!(told, expected),
            (Err(told), Err(expected)) => assert!(told.contains(expected), "{told}"),
            (told, expected) => panic!("{told:?} and not {expected:?}"),
        }
    }

    #[test]
    fn requests_are_read_as_people_write_them() {
        check("GET https://a.test/x?y#z", Ok("GET https://a.test/x?y"));
        check("a.test", Ok("GET http://a.test/"));
        check("PUT /x", Ok("PUT http:///x"));
        check("http://a.test?q", Ok("GET http://a.test/?q"));
        check("OPTIONS *", Ok("OPTIONS http://*"));
        check("", Err("is no request"));
        check("POST", Err("`POST` is asked of no URL"));
        check("GET / HTTP/1.1", Err("is no request"));
        check("ftp://a/", Err("ftp:// is not HTTP"));
        check("/é", Err("escape"));
    }

    #[test]
    fn a_field_needs_a_name_and_one_line() {
        let mut ask = Ask::read("/").expect("a request");
        ask.add_field("Host: b.test").expect("a field");
        ask.add_field("X-A:1").expect("a field");
        let head = String::from_utf8(ask.head()).expect("text");
        assert_eq!(head, "GET / HTTP/1.1\r\nHost: b.test\r\nX-A: 1\r\n\r\n");
        for line in ["", "X-A", ": 1", "X: a\r\nY: b"] {
            ask.add_field(line).expect_err("no field");
        }
    }
}
