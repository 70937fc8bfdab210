//! Middlewares that change paths, and what expressions and their replacements may say.

use crate::base::diag::Diagnostic;
use crate::config::fields::{Fields, bad_value};
use crate::config::typed::{MiddlewareKind, Rewrite, StripPrefix};
use crate::rule::{Pattern, Replacement};

pub(super) fn add_prefix(fields: Fields<'_>) -> MiddlewareKind {
    let prefix = fields.parsed("prefix", path_text).unwrap_or_default();
    fields.demand("prefix", "addPrefix has a prefix");
    fields.close();
    MiddlewareKind::AddPrefix { prefix }
}

pub(super) fn strip_prefix(fields: Fields<'_>) -> MiddlewareKind {
    fields.requires("prefixes");
    let prefixes = fields.strings("prefixes").unwrap_or_default();
    if prefixes.is_empty() {
        fields.error("prefixes", "missing", "stripPrefix has prefixes");
    }
    let force_slash = fields.flag("forceSlash").unwrap_or(false);
    if fields.present("forceSlash") {
        let text = "Traefik will drop forceSlash; it only matters to middlewares behind this one";
        fields.warning("forceSlash", "deprecated", text);
    }
    fields.close();
    MiddlewareKind::StripPrefix(StripPrefix { prefixes, force_slash })
}

/// What stands before a path: with a leading slash, and only what a request line may carry.
fn path_text(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) || text.contains(['?', '#']) {
        return Err("expected a path; other letters are percent-encoded".to_owned());
    }
    let slash = if text.starts_with('/') { "" } else { "/" };
    Ok(format!("{slash}{text}"))
}

pub(super) fn strip_prefix_regex(fields: Fields<'_>) -> MiddlewareKind {
    let mut patterns = Vec::new();
    fields.requires("regex");
    let texts = fields.texts("regex").unwrap_or_default();
    if texts.is_empty() {
        fields.error("regex", "missing", "stripPrefixRegex has expressions");
    }
    for (at, text) in texts {
        match Pattern::new(text.trim()) {
            Ok(pattern) => patterns.push(pattern),
            Err(why) => bad_value(fields.report, at, &fields.path_of("regex"), text, &why),
        }
    }
    fields.close();
    MiddlewareKind::StripPrefixRegex { patterns }
}

pub(super) fn replace_path(fields: Fields<'_>) -> MiddlewareKind {
    let path = fields.parsed("path", path_text).unwrap_or_default();
    fields.demand("path", "replacePath has a path");
    fields.close();
    MiddlewareKind::ReplacePath { path }
}

pub(super) fn replace_path_regex(fields: Fields<'_>) -> Option<MiddlewareKind> {
    let rewrite = rewrite(&fields, "replacePathRegex");
    if let Some(rewrite) = &rewrite
        && rewrite.replacement.texts().any(|text| text.contains(['?', '#']))
    {
        let text = "a path has neither ? nor #; the query stays as it is";
        fields.error("replacement", "bad-value", text);
    }
    fields.close();
    rewrite.map(MiddlewareKind::ReplacePathRegex)
}

/// `regex` and `replacement`.
pub(super) fn rewrite(fields: &Fields<'_>, kind: &str) -> Option<Rewrite> {
    for (key, article) in [("regex", "an expression"), ("replacement", "a replacement")] {
        fields.demand(key, &format!("{kind} has {article}"));
    }
    let pattern = fields.parsed("regex", |text| Pattern::new(text.trim()));
    let text = fields.parsed("replacement", visible);
    let pattern = pattern?;
    let replacement = Replacement::new(&text?, &pattern);
    for name in replacement.unknown() {
        let text = format!("the expression has no group `{name}`: nothing will stand there");
        let path = fields.path_of("replacement");
        let problem = Diagnostic::warning("unknown-group", path, text);
        fields.report.add(fields.place_of("replacement"), problem.help(braces(name, &pattern)));
    }
    Some(Rewrite { pattern, replacement })
}

/// `$1x` is the group `1x`; most who write it mean `${1}x`.
fn braces(name: &str, pattern: &Pattern) -> String {
    let digits = name.len() - name.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = name.split_at(digits);
    if rest.is_empty() || pattern.group(number).is_none() {
        return String::new();
    }
    format!("write ${{{number}}}{rest}")
}

fn visible(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("blanks and non-ASCII letters are percent-encoded".to_owned())
    }
}
