//! A document as a tree that remembers where everything stands, whatever language it was written
//! in. Scalars stay text: the field that reads one decides what it must be.

use super::report::Report;

mod toml;
mod yaml;

/// Larger files are not configuration. A hundred thousand routers take a third of it.
const BYTES_MAX: usize = 64 << 20;

/// 1-based; zero when unknown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct At {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Value {
    pub(crate) at: At,
    pub(crate) kind: Kind,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Kind {
    /// Stands for the absence of the key.
    Null,
    Scalar(Scalar),
    List(Vec<Value>),
    /// In the order of the document. Repeated keys are all there: whoever reads the mapping
    /// reports them.
    Map(Vec<Entry>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Columns from the start of the value to its first letter, if the letters stand in the
    /// document as they are here: then a problem inside can be pointed at.
    pub(crate) lead: Option<u32>,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: At,
    pub(crate) value: Value,
}

impl Value {
    pub(crate) fn empty_map(at: At) -> Self {
        Self { at, kind: Kind::Map(Vec::new()) }
    }

    pub(crate) fn scalar(at: At, text: impl Into<String>) -> Self {
        Self { at, kind: Kind::Scalar(Scalar { text: text.into(), lead: None }) }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }

    /// What it is, for "found …".
    pub(crate) fn noun(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Scalar(_) => "a value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

/// The languages a document may be written in, by the ending of its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Language {
    Yaml,
    Toml,
}

impl Language {
    pub(crate) fn of(path: &str) -> Option<Self> {
        let file = path.rsplit('/').next().unwrap_or(path);
        match file.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "yaml" | "yml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }
}

/// Reads a whole document. `None` after reporting why it cannot be read.
pub(crate) fn read(path: &str, text: &str, report: &Report) -> Option<Value> {
    read_as(Language::of(path), text, report)
}

/// The same, in a language that its name does not tell.
pub(crate) fn read_as(language: Option<Language>, text: &str, report: &Report) -> Option<Value> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > BYTES_MAX {
        report.error("syntax", At::default(), "", format!("more than {BYTES_MAX} bytes"));
        return None;
    }
    let parsed = match language {
        Some(Language::Yaml) => yaml::parse(text),
        Some(Language::Toml) => toml::parse(text),
        None => Err(Broken {
            at: At::default(),
            text: "the name ends in none of .yaml, .yml and .toml".to_owned(),
        }),
    };
    parsed
        .map_err(|broken| report.error("syntax", broken.at, "", broken.text))
        .ok()
        .map(|root| if root.is_null() { Value::empty_map(root.at) } else { root })
}

/// The keys at the root of a document; `None` if it is not one.
pub(crate) fn root_keys(path: &str, text: &str) -> Option<Vec<String>> {
    match read(path, text, &Report::new(path))?.kind {
        Kind::Map(entries) => Some(entries.into_iter().map(|entry| entry.key).collect()),
        Kind::Null | Kind::Scalar(_) | Kind::List(_) => None,
    }
}

/// Why a text is not a document.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Broken {
    at: At,
    text: String,
}

/// Whether `text` stands in `source` at byte `start`, behind quotes at most.
fn lead(source: &str, start: usize, text: &str) -> Option<u32> {
    if text.contains('\n') {
        return None;
    }
    let here = source.get(start..)?;
    let quotes = |count: u32| {
        let quoted = here.get(count as usize..)?;
        let led = here[..count as usize].bytes().all(|b| matches!(b, b'"' | b'\''));
        (led && quoted.starts_with(text)).then_some(count)
    };
    [0, 1, 3].into_iter().find_map(quotes)
}

#[cfg(test)]
mod tests;
