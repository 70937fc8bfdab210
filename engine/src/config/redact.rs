//! Documents without what they hold of secrets, as JSON, which is YAML too: what they decide stays
//! as it is.

use super::Setting;
use super::document::{Kind, Value};
use super::dynamic::tree;
use super::report::Report;
use crate::base::sip::SipKey;
use crate::http::discreet::{Veil, is_secret, is_shown, put_url};
use crate::rule::{Matcher, Node, Rule, Syntax};
use serde_json::{Map, json};

/// What hides secrets.
#[derive(Clone, Copy, Debug)]
pub enum Cover {
    /// A word that is the same for all.
    NoKey,
    /// A hash, so that what was alike still is, and rules match what they matched.
    Keyed(SipKey),
}

/// Stands for what is hidden without a key.
const HIDDEN: &str = "~hidden";
/// As long as what middlewares accept.
const HASH: &str = "{SHA}0000000000000000000000000000";
const DIGEST: &str = "00000000000000000000000000000000";

/// Keys of this name, or with one of these in it, have secrets for values.
const SECRET_KEYS: [&str; 6] =
    ["password", "secret", "token", "credential", "apikey", "privatekey"];

/// The text of a document without its secrets. Nothing if it is not a document.
pub fn text(path: &str, text: &str, key: SipKey, setting: &Setting) -> Option<String> {
    let root = tree(path, text, setting, &mut Report::new(path))?;
    Some(document(&root, &Cover::Keyed(key), setting.syntax))
}

pub(super) fn document(root: &Value, cover: &Cover, syntax: Syntax) -> String {
    Redactor { cover, syntax }.value(root, "", "").to_string()
}

struct Redactor<'a> {
    cover: &'a Cover,
    /// Of rules that do not say theirs.
    syntax: Syntax,
}

impl Redactor<'_> {
    /// `key` is what the value is of, and `above` what that is in.
    fn value(&self, value: &Value, key: &str, above: &str) -> serde_json::Value {
        match &value.kind {
            Kind::Null => serde_json::Value::Null,
            Kind::Scalar(scalar) => json!(self.scalar(&scalar.text, key, above)),
            Kind::List(items) => items.iter().map(|item| self.value(item, key, above)).collect(),
            Kind::Map(entries) => {
                let mut map = Map::new();
                for entry in entries {
                    let name = entry.key.to_ascii_lowercase();
                    let named = names_fields(key, above);
                    let told = match (&entry.value.kind, named) {
                        (Kind::Scalar(scalar), true) if !is_shown(&entry.key) => {
                            json!(self.hidden(&scalar.text))
                        }
                        _ => self.value(&entry.value, &name, key),
                    };
                    map.insert(entry.key.clone(), told);
                }
                self.cover_rule(&mut map);
                serde_json::Value::Object(map)
            }
        }
    }

    fn scalar(&self, text: &str, key: &str, above: &str) -> String {
        let is_users = key == "users";
        match (text.split_once(':'), above) {
            (Some((name, _)), "basicauth") if is_users => return format!("{name}:{HASH}"),
            (Some((name, rest)), "digestauth") if is_users => {
                let realm = rest.split_once(':').map_or("", |(realm, _)| realm);
                return format!("{name}:{realm}:{DIGEST}");
            }
            _ if is_users => return self.hidden(text),
            _ => {}
        }
        let is_secret = key == "key" || SECRET_KEYS.iter().any(|it| key.contains(it));
        let is_material = text.contains("-----BEGIN");
        let is_flag = matches!(text, "true" | "false");
        if is_material || is_secret && !is_flag {
            return self.hidden(text);
        }
        let target = text.split_once("://").map_or("", |(_, rest)| rest);
        let authority = target.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') || matches!(key, "url" | "address") && text.contains('?') {
            return match self.cover {
                Cover::Keyed(key) => put_url(Veil::new(*key), text),
                Cover::NoKey => HIDDEN.to_owned(),
            };
        }
        text.to_owned()
    }

    fn hidden(&self, text: &str) -> String {
        match self.cover {
            Cover::Keyed(key) => Veil::new(*key).hidden(text),
            Cover::NoKey => HIDDEN.to_owned(),
        }
    }

    /// A rule that compares with a secret compares with what stands for it, in its old place.
    fn cover_rule(&self, map: &mut Map<String, serde_json::Value>) {
        let find = |map: &Map<String, serde_json::Value>, key: &str| {
            map.keys().find(|name| name.eq_ignore_ascii_case(key)).cloned()
        };
        let Some(key) = find(map, "rule") else { return };
        let Some(text) = map[&key].as_str().map(str::to_owned) else { return };
        let own = find(map, "ruleSyntax").and_then(|key| map[&key].as_str().map(str::to_owned));
        let syntax = match own.as_deref() {
            Some("v2") => Syntax::V2,
            Some(_) => Syntax::V3,
            None => self.syntax,
        };
        let Ok(rule) = Rule::parse_as(&text, syntax) else {
            // It takes no request, and nobody can say what is in it.
            map.insert(key, json!(self.hidden(&text)));
            return;
        };
        let mut root = rule.ast().clone();
        if !self.cover_node(&mut root) {
            return;
        }
        map.insert(key, json!(root.to_string()));
        map.insert(find(map, "ruleSyntax").unwrap_or_else(|| "ruleSyntax".to_owned()), json!("v3"));
        let priority = find(map, "priority").unwrap_or_else(|| "priority".to_owned());
        let unset = map.get(&priority).is_none_or(|it| it.is_null() || *it == json!("0"));
        if unset {
            map.insert(priority, json!(rule.default_priority().to_string()));
        }
    }

    /// True if there was anything to hide.
    fn cover_node(&self, node: &mut Node) -> bool {
        match node {
            Node::Match(
                Matcher::Header { name, value } | Matcher::Query { key: name, value: Some(value) },
            ) if is_secret(name) => {
                *value = self.hidden(value);
                true
            }
            Node::Match(_) => false,
            Node::Not(inner) => self.cover_node(inner),
            Node::And(parts) | Node::Or(parts) => {
                // Each of them, whatever the first had.
                parts.iter_mut().filter_map(|part| self.cover_node(part).then_some(())).count() > 0
            }
        }
    }
}

/// Whether the entries of a mapping are header fields.
fn names_fields(key: &str, above: &str) -> bool {
    matches!(key, "customrequestheaders" | "customresponseheaders")
        || key == "headers" && above == "healthcheck"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;
    use crate::config::{dynamic, fixed_from_file};

    fn key() -> SipKey {
        SipKey::new(&mut Prng::new(1))
    }

    const SECRETS: &str = r#"
http:
  routers:
    a: {rule: "Host(`a.test`) && Header(`X-Api-Key`, `hush-1`)", service: s, middlewares: [b, d, h, f]}
    q: {rule: "Query(`token`, `hush-2`) || Header(`Host`, `b.test`)", priority: 7, service: s}
    v: {rule: "Headers(`X-Password`, `hush-3`)", ruleSyntax: v2, service: s}
    n: {rule: "Path(`/open`)", service: s}
    x: {rule: "Header(`X-Api-Key`, `hush-4`", service: s}
  middlewares:
    b: {basicAuth: {users: ["al:$apr1$hush5567$hush5hush5hush5hush5hu"]}}
    d: {digestAuth: {realm: shop, users: ["al:shop:00112233445566778899aabbccddee66"]}}
    h: {headers: {customRequestHeaders: {Authorization: hush-7, X-Forwarded-Proto: https}}}
    f: {forwardAuth: {address: "http://u:hush-8@127.0.0.1:1/x?key=hush-9"}}
  services:
    s:
      loadBalancer:
        servers: [{url: "http://127.0.0.1:2"}]
        healthCheck: {path: /, headers: {X-Probe: hush-10}}
"#;

    #[test]
    fn no_secret_is_left_and_the_document_is_still_one() {
        let text = text("d.yml", SECRETS, key(), &Setting::default()).expect("it is a document");
        for secret in ["hush", "$apr1$", "00112233", "hush-10"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        let (before, after) = (dynamic(&[("d.yml", SECRETS)]), dynamic(&[("d.yml", &text)]));
        let routers = |reading: &crate::config::Reading| -> Vec<(String, bool)> {
            let all = reading.dynamic.routers.iter();
            all.map(|router| (router.name.clone(), router.rule.is_some())).collect()
        };
        assert_eq!(routers(&before), routers(&after));
        let errors: Vec<_> = after.diagnostics.iter().filter(|it| it.is_error()).collect();
        let [broken] = errors.as_slice() else { panic!("{errors:?}") };
        assert_eq!(broken.path, "http.routers.x.rule");
        assert_eq!(before.dynamic.services.len(), after.dynamic.services.len());
        assert_eq!(before.dynamic.middlewares.len(), after.dynamic.middlewares.len());
        let own = |reading: &crate::config::Reading, name: &str| {
            let all = &reading.dynamic.routers;
            all.iter().find(|it| it.name.starts_with(name)).map(|it| it.priority)
        };
        for name in ["a", "q", "v", "n"] {
            assert_eq!(own(&before, name), own(&after, name), "{name}");
        }
    }

    #[test]
    fn what_hides_nothing_is_unchanged() {
        let text = text("d.yml", SECRETS, key(), &Setting::default()).expect("it is a document");
        assert!(text.contains("Path(`/open`)") && text.contains("\"X-Forwarded-Proto\":\"https\""));
        assert!(text.contains("http://127.0.0.1:1/x?key=~"), "{text}");
    }

    #[test]
    fn a_static_document_reads_as_before() {
        let text = "
entryPoints: {web: {address: ':80'}}
providers: {file: {filename: x.yml}}
hub: {token: hush, providers: {multicluster: {children: {eu: {address: 'http://eu.test:1'}}}}}
tieline: {instance: edge, recording: false}
";
        let (fixed, problems) = fixed_from_file("s.yml", text);
        let written = fixed.written.0.to_string();
        assert!(!written.contains("hush"), "{written}");
        let (again, other) = fixed_from_file("s.yml", &written);
        assert_eq!(problems.len(), other.len(), "{other:?}");
        assert_eq!(fixed, again);
    }
}
