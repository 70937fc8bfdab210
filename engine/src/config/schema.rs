//! JSON Schemas (draft 2020-12) of both kinds of documents, for editors. They are made of what the
//! readers ask for; descriptions and defaults come from the reference in `docs/`.

use super::document::Value as Tree;
use super::dynamic::{self, DYNAMIC_ROOTS, STATIC_ROOTS};
use super::fields::join;
use super::outline::{ANY_NAME, Asked, Form, Mapping};
use super::report::Report;
use super::startup;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Of a static document.
pub fn static_schema() -> String {
    Writer::new(startup::outline, STATIC_REFERENCE).write("Static configuration", &DYNAMIC_ROOTS)
}

/// Of a dynamic document.
pub fn dynamic_schema() -> String {
    Writer::new(dynamic::outline, DYNAMIC_REFERENCE).write("Dynamic configuration", &STATIC_ROOTS)
}

const STATIC_REFERENCE: &str = include_str!("../../../docs/reference/static.md");
const DYNAMIC_REFERENCE: &str = include_str!("../../../docs/reference/dynamic.md");

/// Numbers beyond it are not exact everywhere that reads JSON.
const EXACT_MAX: i64 = 1 << 53;

struct Writer {
    mappings: BTreeMap<String, Mapping>,
    /// Default and meaning by path.
    told: BTreeMap<String, (&'static str, &'static str)>,
}

impl Writer {
    fn new(outline: fn(&Report, &Tree), reference: &'static str) -> Self {
        let report = Report::listening();
        outline(&report, &super::outline::NOTHING);
        let rows = reference.lines().filter_map(row);
        let told = rows.map(|(key, default, meaning)| (key.to_owned(), (default, meaning)));
        Self { mappings: report.into_outline(), told: told.collect() }
    }

    fn write(&self, title: &str, other_roots: &[&str]) -> String {
        let mut root = self.mapping("");
        // Both parts may share a document.
        if let Some(Value::Object(properties)) = root.get_mut("properties") {
            for key in other_roots {
                properties.entry(*key).or_insert(Value::Bool(true));
            }
        }
        let schema = "https://json-schema.org/draft/2020-12/schema";
        root.insert("$schema".to_owned(), schema.into());
        root.insert("title".to_owned(), title.into());
        format!("{:#}", Value::Object(root))
    }

    fn mapping(&self, path: &str) -> Map<String, Value> {
        let asked = self.mappings.get(path).map_or(&[][..], |mapping| &mapping.asked);
        let mut properties = Map::new();
        for asked in asked {
            properties.insert(asked.key.to_owned(), self.key(path, asked));
        }
        let mut schema = Map::new();
        schema.insert("type".to_owned(), json!(["object", "boolean", "null"]));
        schema.insert("properties".to_owned(), Value::Object(properties));
        schema.insert("additionalProperties".to_owned(), false.into());
        let named = |pick: fn(&Asked) -> bool| -> Vec<&str> {
            asked.iter().filter(|asked| pick(asked)).map(|asked| asked.key).collect()
        };
        let required = named(|asked| asked.required);
        if !required.is_empty() {
            schema.insert("required".to_owned(), required.into());
        }
        let one_of = named(|asked| asked.alternative);
        if !one_of.is_empty() {
            let each = one_of.iter().map(|key| json!({ "required": [key] }));
            schema.insert("oneOf".to_owned(), each.collect());
        }
        schema
    }

    fn key(&self, path: &str, asked: &Asked) -> Value {
        let path = join(path, asked.key);
        let mut schema = self.form(&path, &asked.form);
        if let Some((default, meaning)) = self.told_of(&path) {
            if !meaning.is_empty() {
                schema.insert("description".to_owned(), meaning.into());
            }
            if let Some(default) = default_of(default, &asked.form) {
                schema.insert("default".to_owned(), default);
            }
        }
        Value::Object(schema)
    }

    fn form(&self, path: &str, form: &Form) -> Map<String, Value> {
        let schema = match form {
            Form::Anything => json!({}),
            Form::Text => scalar(),
            Form::Flag => json!({
                "type": ["boolean", "string", "integer", "null"],
                "pattern": "^([tTfF01]|true|True|TRUE|false|False|FALSE)$",
                "minimum": 0, "maximum": 1,
            }),
            Form::Span => json!({
                "type": ["string", "integer", "null"],
                "pattern": r"^[-+]?([0-9]+|([0-9]*\.?[0-9]*(ns|us|µs|μs|ms|s|m|h))+)$",
                "minimum": 0,
            }),
            Form::Number(range) => number(*range.start(), *range.end()),
            Form::Word(words) => word(words),
            Form::Texts => json!({
                "type": ["array", "string", "number", "boolean", "null"],
                "items": scalar(),
            }),
            Form::Section => return self.mapping(path),
            Form::Named => json!({
                "type": ["object", "null"],
                "additionalProperties": self.mapping(&join(path, ANY_NAME)),
            }),
            Form::Pairs => json!({
                "type": ["object", "null"],
                "additionalProperties": scalar(),
            }),
            Form::List => json!({
                "type": ["array", "null"],
                "items": self.mapping(&format!("{path}[0]")),
            }),
            Form::NoEffect => json!({
                "deprecated": true,
                "description": "Not supported yet: it has no effect.",
            }),
            Form::Unsupported => json!({
                "enum": [false, "false", null],
                "deprecated": true,
                "description": "Not supported by this version, which refuses it.",
            }),
        };
        let Value::Object(schema) = schema else { unreachable!("every form is an object") };
        schema
    }

    fn told_of(&self, path: &str) -> Option<(&'static str, &'static str)> {
        let path = path.replace("[0]", "[]");
        let alike = path.replacen("hub.uplinkEntryPoints.", "entryPoints.", 1);
        self.told.get(&path).or_else(|| self.told.get(&alike)).copied()
    }
}

fn scalar() -> Value {
    json!({ "type": ["string", "number", "boolean", "null"] })
}

fn number(low: i64, high: i64) -> Value {
    let mut schema = json!({
        "type": ["integer", "string", "null"],
        "pattern": "^[-+]?(0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+|[0-9][0-9_]*)$",
    });
    for (bound, value) in [("minimum", low), ("maximum", high)] {
        if value.unsigned_abs() <= EXACT_MAX.unsigned_abs() {
            schema[bound] = value.into();
        }
    }
    schema
}

/// The usual spelling is what an editor offers; others are fine too.
fn word(words: &[&'static str]) -> Value {
    let mut usual: Vec<Value> = words.iter().map(|word| (*word).into()).collect();
    usual.push(Value::Null);
    let any_case: Vec<String> = words.iter().map(|word| in_any_case(word)).collect();
    json!({
        "anyOf": [
            { "enum": usual },
            { "type": "string", "pattern": format!("^({})$", any_case.join("|")) },
        ],
    })
}

fn in_any_case(word: &str) -> String {
    word.chars()
        .map(|c| match c {
            c if c.is_ascii_alphabetic() => {
                format!("[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase())
            }
            '.' => r"\.".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

/// Key, default and meaning of a row of the reference.
fn row(line: &'static str) -> Option<(&'static str, &'static str, &'static str)> {
    let cells: Vec<&str> = line.trim_end_matches('|').split(" | ").map(str::trim).collect();
    let [key, _, default, meaning] = cells.as_slice() else { return None };
    let key = key.strip_prefix("| `")?.strip_suffix('`')?;
    Some((key, default, meaning))
}

/// As JSON has it, where the reference writes one value.
fn default_of(cell: &str, form: &Form) -> Option<Value> {
    let text = cell.strip_prefix('`')?.strip_suffix('`')?;
    match form {
        Form::Flag => text.parse().ok().map(Value::Bool),
        Form::Number(_) => text.parse().ok().map(|number: i64| number.into()),
        Form::Span | Form::Word(_) => Some(text.into()),
        Form::Text => Some(text.trim_matches('"').into()),
        Form::Texts if text == "[]" => Some(json!([])),
        Form::Texts
        | Form::Anything
        | Form::Section
        | Form::Named
        | Form::Pairs
        | Form::List
        | Form::NoEffect
        | Form::Unsupported => None,
    }
}
