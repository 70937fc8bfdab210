//! Where the static configuration comes from: flags and environment become the same tree as a
//! document, and the places where a file is looked for.

use super::document::{At, Entry, Kind, Value};
use super::dynamic::STATIC_ROOTS;
use super::fields::suggestion;
use super::report::Report;
use crate::base::diag::Diagnostic;
use crate::base::nearest::nearest;

const FILE_FLAG: &str = "configFile";
const PREFIXES: [&str; 2] = ["TIELINE_", "TRAEFIK_"];
const NOWHERE: At = At { line: 0, column: 0 };

/// Longer lists come in files.
const INDEX_MAX: usize = 1_000;

/// Steps from the root to a value. The dialect has eight.
const STEPS_MAX: usize = 32;

/// Files to try in order when no flag names one. The first that exists is the configuration.
pub fn search_paths(xdg_config_home: Option<&str>, home: Option<&str>) -> Vec<String> {
    let mut paths = Vec::new();
    let mut add = |folder: &str, own: bool| {
        for name in ["tieline", "traefik"] {
            let folder = if own { format!("{folder}/{name}") } else { folder.to_owned() };
            paths.extend(["toml", "yaml", "yml"].map(|end| format!("{folder}/{name}.{end}")));
        }
    };
    add("/etc", true);
    if let Some(folder) = xdg_config_home {
        add(folder, false);
    }
    if let Some(home) = home {
        add(&format!("{home}/.config"), false);
    }
    add(".", false);
    paths
}

/// The file that `--configFile` names.
pub fn file_flag(arguments: &[String]) -> Option<String> {
    pairs(arguments).find(Flag::is_file).map(|flag| flag.value.to_owned())
}

/// The arguments without `--configFile`.
pub(super) fn without_file_flag(arguments: &[String]) -> Vec<String> {
    pairs(arguments).filter(|flag| !flag.is_file()).flat_map(|flag| flag.words.to_vec()).collect()
}

/// One flag with its value, which may be the next argument. Alone it says `true`.
struct Flag<'a> {
    name: &'a str,
    value: &'a str,
    words: &'a [String],
}

impl Flag<'_> {
    fn is_file(&self) -> bool {
        self.name.eq_ignore_ascii_case(FILE_FLAG)
    }
}

fn pairs(mut arguments: &[String]) -> impl Iterator<Item = Flag<'_>> {
    std::iter::from_fn(move || {
        let (first, rest) = arguments.split_first()?;
        let text =
            first.strip_prefix('-').map_or("", |text| text.strip_prefix('-').unwrap_or(text));
        let (name, value, taken) = match text.split_once('=') {
            Some((name, value)) => (name, value, 1),
            None => match rest.first().filter(|next| !next.starts_with('-') && !text.is_empty()) {
                Some(next) => (text, next.as_str(), 2),
                None => (text, "true", 1),
            },
        };
        let (words, rest) = arguments.split_at(taken);
        arguments = rest;
        Some(Flag { name, value, words })
    })
}

/// `--entryPoints.web.address=:80`, `--list[0].key value`, `--ping`.
pub(super) fn from_flags(arguments: &[String], report: &Report) -> Value {
    let mut root = Value::empty_map(NOWHERE);
    for flag in pairs(arguments) {
        let path = steps(flag.name);
        let set = path.and_then(|path| put(&mut root, &path, flag.value));
        if set.is_none() {
            let wrong = "is not of the form --a.b=value, or contradicts another flag";
            let text = format!("`{}` {wrong}", flag.words[0]);
            report.error("bad-flag", NOWHERE, "", text);
        }
    }
    root
}

/// `TRAEFIK_ENTRYPOINTS_WEB_ADDRESS=:80`: names are in lower case and have no underscore.
pub(super) fn from_env(variables: &[(String, String)], report: &Report) -> Value {
    let mut root = Value::empty_map(NOWHERE);
    let mut sorted: Vec<_> = variables.iter().collect();
    sorted.sort();
    for (name, value) in sorted {
        let rest = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
        let Some(rest) = rest else { continue };
        let lower = rest.to_ascii_lowercase();
        let path: Vec<Step<'_>> = lower.split('_').map(Step::Key).collect();
        let first = lower.split('_').next().unwrap_or_default();
        if !STATIC_ROOTS.iter().any(|root| root.eq_ignore_ascii_case(first)) {
            unknown_variable(report, name, first);
        } else if path.len() > STEPS_MAX
            || path.contains(&Step::Key(""))
            || put(&mut root, &path, value).is_none()
        {
            let text = format!("the variable {name} contradicts another one or is misspelt");
            report.error("bad-variable", NOWHERE, "", text);
        }
    }
    root
}

/// Orchestrators set variables for each service, and one may be called like this program; only a
/// slip of the keyboard is worth a word.
fn unknown_variable(report: &Report, name: &str, first: &str) {
    let roots = || STATIC_ROOTS.into_iter().filter(|root| *root != "ports");
    if nearest(first, roots()).is_some() {
        let text = format!("the variable {name} is not read: there is no root key `{first}`");
        let problem = Diagnostic::warning("unknown-root", "", text);
        report.add(NOWHERE, problem.help(suggestion(first, roots())));
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// `a.b[0].c` in steps.
fn steps(name: &str) -> Option<Vec<Step<'_>>> {
    let mut steps = Vec::new();
    if name.split(['.', '[']).nth(STEPS_MAX).is_some() {
        return None;
    }
    for part in name.split('.') {
        let (key, mut indices) = part.find('[').map_or((part, ""), |at| part.split_at(at));
        if key.is_empty() {
            return None;
        }
        steps.push(Step::Key(key));
        while !indices.is_empty() {
            let (index, rest) = indices.strip_prefix('[')?.split_once(']')?;
            let index = index.parse().ok().filter(|index| *index < INDEX_MAX)?;
            steps.push(Step::Index(index));
            indices = rest;
        }
    }
    Some(steps)
}

/// Sets a value deep in the tree. `None` if something else stands in the way. A section that was
/// switched on with `true` may get members; a value that comes again becomes a list.
fn put(at: &mut Value, path: &[Step<'_>], value: &str) -> Option<()> {
    let Some((first, rest)) = path.split_first() else {
        match &mut at.kind {
            Kind::Null => *at = Value::scalar(NOWHERE, value),
            Kind::Scalar(scalar) => {
                scalar.text.push(',');
                scalar.text.push_str(value);
            }
            Kind::Map(_) if value == "true" => {}
            Kind::Map(_) | Kind::List(_) => return None,
        }
        return Some(());
    };
    let empty = || Value { at: NOWHERE, kind: Kind::Null };
    let switched_on = matches!(&at.kind, Kind::Scalar(scalar) if scalar.text == "true");
    if at.is_null() || switched_on {
        at.kind = match first {
            Step::Key(_) => Kind::Map(Vec::new()),
            Step::Index(_) => Kind::List(Vec::new()),
        };
    }
    let next = match (&mut at.kind, first) {
        (Kind::Map(entries), Step::Key(key)) => {
            let found = entries.iter().position(|entry| entry.key.eq_ignore_ascii_case(key));
            let found = found.unwrap_or_else(|| {
                entries.push(Entry { key: (*key).to_owned(), at: NOWHERE, value: empty() });
                entries.len() - 1
            });
            &mut entries[found].value
        }
        (Kind::List(items), Step::Index(index)) => {
            while items.len() <= *index {
                items.push(empty());
            }
            &mut items[*index]
        }
        _ => return None,
    };
    put(next, rest, value)
}
