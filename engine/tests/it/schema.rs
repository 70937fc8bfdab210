//! The schemas for editors against documents: those of the tree are valid, misspelt ones are not.

use engine::config::{self, Part};
use regex::Regex;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

fn schemas() -> &'static [Value; 2] {
    static SCHEMAS: OnceLock<[Value; 2]> = OnceLock::new();
    SCHEMAS.get_or_init(|| {
        [config::static_schema(), config::dynamic_schema()]
            .map(|text| serde_json::from_str(&text).expect("a schema is JSON"))
    })
}

/// What is wrong with `value`, by path. Knows the keywords that the schemas use, and no others.
fn problems(schema: &Value, value: &Value, path: &str, out: &mut Vec<String>) {
    let Some(schema) = schema.as_object() else {
        assert_eq!(schema, &Value::Bool(true), "a schema is a mapping or true");
        return;
    };
    for (keyword, wanted) in schema {
        let good = match keyword.as_str() {
            "$schema" | "title" | "description" | "default" | "deprecated" => true,
            "type" => has_type(wanted, value),
            "enum" => wanted.as_array().expect("a list").contains(value),
            "pattern" => value.as_str().is_none_or(|text| matches(wanted, text)),
            "minimum" => value.as_i64().is_none_or(|n| Some(n) >= wanted.as_i64()),
            "maximum" => value.as_i64().is_none_or(|n| Some(n) <= wanted.as_i64()),
            "required" => {
                let keys = wanted.as_array().expect("a list").iter().filter_map(Value::as_str);
                value.as_object().is_none_or(|map| keys.clone().all(|key| map.contains_key(key)))
            }
            "anyOf" => count(wanted, value) > 0,
            "oneOf" => value.as_object().is_none() || count(wanted, value) == 1,
            "properties" | "additionalProperties" => {
                members(schema, value, path, keyword, out);
                true
            }
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    problems(wanted, item, &format!("{path}[{at}]"), out);
                }
                true
            }
            other => panic!("the keyword {other} is not known here"),
        };
        if !good {
            out.push(format!("{path}: {keyword}"));
        }
    }
}

fn members(
    schema: &Map<String, Value>,
    value: &Value,
    path: &str,
    keyword: &str,
    out: &mut Vec<String>,
) {
    let own = schema.get("properties").and_then(Value::as_object);
    for (key, member) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        match (keyword, own.and_then(|own| own.get(key)), &schema[keyword]) {
            ("additionalProperties", None, Value::Bool(false)) => {
                out.push(format!("{path}: unknown"));
            }
            ("properties", Some(schema), _) | ("additionalProperties", None, schema) => {
                problems(schema, member, &path, out);
            }
            _ => {}
        }
    }
}

fn count(schemas: &Value, value: &Value) -> usize {
    let holds = |schema: &&Value| {
        let mut found = Vec::new();
        problems(schema, value, "", &mut found);
        found.is_empty()
    };
    schemas.as_array().expect("a list").iter().filter(holds).count()
}

fn matches(pattern: &Value, text: &str) -> bool {
    Regex::new(pattern.as_str().expect("a text")).expect("an expression").is_match(text)
}

fn has_type(wanted: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("there is no type {other}"),
    };
    let several = wanted.as_array().map_or_else(|| std::slice::from_ref(wanted), Vec::as_slice);
    several.iter().any(|name| is(name.as_str().expect("the name of a type")))
}

fn tree(path: &str, text: &str) -> Value {
    if Path::new(path).extension().is_some_and(|end| end == "toml") {
        toml::from_str(text).unwrap_or_else(|error| panic!("{path}: {error}"))
    } else {
        serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

fn found(path: &str, text: &str) -> Vec<String> {
    let [fixed, dynamic] = schemas();
    let schema = match config::part(path, text) {
        Part::Static => fixed,
        Part::Dynamic => dynamic,
        Part::Both => panic!("{path} is of both kinds"),
    };
    let mut found = Vec::new();
    problems(schema, &tree(path, text), "", &mut found);
    found
}

fn documents(folder: &Path, out: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("the folder is readable");
    for entry in entries.map(|entry| entry.expect("an entry is readable").path()) {
        let end = entry.extension().and_then(|end| end.to_str());
        if entry.is_dir() {
            documents(&entry, out);
        } else if matches!(end, Some("yml" | "yaml" | "toml")) {
            out.push(entry);
        }
    }
}

#[test]
fn every_example_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut paths = Vec::new();
    documents(&root, &mut paths);
    assert!(paths.len() > 60, "the examples are found: {}", paths.len());
    for path in paths {
        let text = fs::read_to_string(&path).expect("the document is readable");
        let path = path.to_str().expect("a name in ASCII");
        assert_eq!(found(path, &text), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn every_key_of_the_reference_is_in_its_schema() {
    let pages = ["static", "dynamic"].map(|page| {
        let path = format!("{}/../docs/reference/{page}.md", env!("CARGO_MANIFEST_DIR"));
        fs::read_to_string(path).expect("the page is readable")
    });
    for (schema, page) in schemas().iter().zip(pages) {
        let keys = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let keys: Vec<&str> = keys.filter(|key| key.contains('.')).collect();
        assert!(keys.len() > 55, "the tables are read: {}", keys.len());
        for key in keys {
            assert!(at(schema, key).is_some(), "{key}");
        }
    }
}

/// The schema of a key as the reference writes it.
fn at<'s>(schema: &'s Value, key: &str) -> Option<&'s Value> {
    key.split('.').try_fold(schema, |schema, part| match part {
        _ if part.starts_with('<') => schema.get("additionalProperties"),
        _ => {
            let (own, list) = part.strip_suffix("[]").map_or((part, false), |own| (own, true));
            let named = schema.get("properties").and_then(|members| members.get(own));
            let schema = named.or_else(|| schema.get("additionalProperties"))?;
            if list { schema.get("items") } else { Some(schema) }
        }
    })
}

#[test]
fn a_key_is_described_as_in_the_reference() {
    let [fixed, dynamic] = schemas();
    let timeout = "entryPoints.<name>.transport.respondingTimeouts.readTimeout";
    for key in [timeout.to_owned(), format!("hub.{}", timeout.replacen('e', "uplinkE", 1))] {
        let schema = at(fixed, &key).expect("the key is there");
        assert_eq!(schema["default"], "60s", "{key}");
        let meaning = "for a whole request, body included; 0 is none";
        assert_eq!(schema["description"], meaning, "{key}");
    }
    let pass = "http.services.<name>.loadBalancer.passHostHeader";
    assert_eq!(at(dynamic, pass).expect("the key is there")["default"], json!(true));
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(found("a.yml", text), expected, "{text}");
}

#[test]
fn what_is_wrong_with_a_document_is_found() {
    for (text, expected) in [
        ("http: {routers: {r: {rule: a, service: s}}}", &[][..]),
        ("http: {routers: {r: {rule: a, servce: s}}}", &[".http.routers.r.servce: unknown"]),
        ("http: {routers: {r: {service: s}}}", &[".http.routers.r: required"]),
        ("http: {routes: {}}", &[".http.routes: unknown"]),
        ("htp: {}", &[".htp: unknown"]),
        ("http: {routers: {r: {rule: a, priority: high}}}", &[".http.routers.r.priority: pattern"]),
        ("http: {services: {s: {}}}", &[".http.services.s: oneOf"]),
        (
            "http: {services: {s: {loadBalancer: {}, weighted: {services: [{name: a}]}}}}",
            &[".http.services.s: oneOf"],
        ),
        (
            "http: {services: {s: {loadBalancer: {servers: [{uri: http://a}]}}}}",
            &[
                ".http.services.s.loadBalancer.servers[0].uri: unknown",
                ".http.services.s.loadBalancer.servers[0]: required",
            ],
        ),
        (
            "http: {services: {s: {loadBalancer: {passHostHeader: no way}}}}",
            &[".http.services.s.loadBalancer.passHostHeader: pattern"],
        ),
        (
            "http: {services: {s: {loadBalancer: {strategy: p2d}}}}",
            &[".http.services.s.loadBalancer.strategy: anyOf"],
        ),
        (
            "http: {services: {s: {loadBalancer: {strategy: P2C, healthCheck: {interval: 1m30s}}}}}",
            &[],
        ),
        (
            "http: {services: {s: {loadBalancer: {healthCheck: {interval: soon}}}}}",
            &[".http.services.s.loadBalancer.healthCheck.interval: pattern"],
        ),
        ("http: {middlewares: {m: {stripPrefix: {prefixes: /a}}}}", &[]),
        (
            "http: {middlewares: {m: {stripPrefx: {prefixes: /a}}}}",
            &[".http.middlewares.m.stripPrefx: unknown", ".http.middlewares.m: oneOf"],
        ),
        ("entryPoints: {web: {address: ':80', adress: x}}", &[".entryPoints.web.adress: unknown"]),
        ("log: {level: DEBUG}", &[]),
        ("log: {level: loud}", &[".log.level: anyOf"]),
    ] {
        check(text, expected);
    }
}
