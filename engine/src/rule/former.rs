//! Matchers of the second version of the language, in terms of the third: several arguments are
//! alternatives, and `{name:pattern}` in a host or a path is a regular expression.

use super::RuleError;
use super::ast::{Matcher, Node};
use super::lex::Spanned;
use super::parse::{Argument, Known, one_or};
use super::pattern::Pattern;
use crate::base::nearest::nearest;

const MANY: usize = usize::MAX;

pub(super) const MATCHERS: [Known; 10] = [
    ("ClientIP", 1, MANY),
    ("Headers", 2, MANY),
    ("HeadersRegexp", 2, MANY),
    ("Host", 1, MANY),
    ("HostHeader", 1, MANY),
    ("HostRegexp", 1, MANY),
    ("Method", 1, MANY),
    ("Path", 1, MANY),
    ("PathPrefix", 1, MANY),
    ("Query", 1, MANY),
];

/// Names of the third version, and what to write in the second.
const LATER: [(&str, &str); 4] = [
    ("Header", "write Headers, or take out ruleSyntax: v2"),
    ("HeaderRegexp", "write HeadersRegexp, or take out ruleSyntax: v2"),
    ("PathRegexp", "write Path(`/{name:pattern}`), or take out ruleSyntax: v2"),
    ("QueryRegexp", "write Query(`key={name:pattern}`), or take out ruleSyntax: v2"),
];

pub(super) fn unknown(name: &str, at: &Spanned) -> RuleError {
    let error =
        RuleError::new(at.start, at.end, format!("there is no matcher `{name}` in rules of v2"));
    if let Some((_, help)) = LATER.iter().find(|(later, _)| later.eq_ignore_ascii_case(name)) {
        return error.help(*help);
    }
    let near = nearest(name, MATCHERS.iter().map(|(name, _, _)| *name));
    error.help(near.map(|near| format!("did you mean {near}?")).unwrap_or_default())
}

pub(super) fn node(name: &str, arguments: &[Argument]) -> Result<Node, RuleError> {
    let one = |argument: &Argument| -> Result<Node, RuleError> {
        Ok(Node::Match(match name {
            "Host" | "HostHeader" => Matcher::Host(argument.host()?),
            "HostRegexp" => host_pattern(argument)?,
            "Path" => path_pattern(argument, Reach::Whole)?,
            "PathPrefix" => path_pattern(argument, Reach::Beginning)?,
            "Method" => Matcher::Method(argument.text.to_uppercase()),
            "ClientIP" => Matcher::ClientIp(argument.range()?),
            "Query" => query(argument)?,
            name => unreachable!("{name} takes pairs"),
        }))
    };
    match name {
        "Headers" | "HeadersRegexp" => Ok(one_or(pairs(name, arguments)?, Node::And)),
        "Query" => {
            let all = arguments.iter().map(one).collect::<Result<Vec<_>, _>>()?;
            Ok(one_or(all, Node::And))
        }
        _ => {
            let any = arguments.iter().map(one).collect::<Result<Vec<_>, _>>()?;
            Ok(one_or(any, Node::Or))
        }
    }
}

/// Names and values in turn, all of which must match.
fn pairs(name: &str, arguments: &[Argument]) -> Result<Vec<Node>, RuleError> {
    let mut nodes = Vec::new();
    for pair in arguments.chunks(2) {
        let [field, value] = pair else {
            let error = pair[0].wrong(format!("{name} takes names and values in turn"));
            return Err(error.help("the last name has no value"));
        };
        let field = field.text.clone();
        nodes.push(Node::Match(match name {
            "HeadersRegexp" => Matcher::HeaderRegexp { name: field, pattern: value.pattern()? },
            _ => Matcher::Header { name: field, value: value.text.clone() },
        }));
    }
    Ok(nodes)
}

/// What a template has to reach.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Whole,
    Beginning,
}

fn path_pattern(argument: &Argument, reach: Reach) -> Result<Matcher, RuleError> {
    let path = argument.path()?;
    if !path.contains(['{', '}']) {
        return Ok(match reach {
            Reach::Whole => Matcher::Path(path),
            Reach::Beginning => Matcher::PathPrefix(path),
        });
    }
    Ok(Matcher::PathRegexp(template(argument, &path, "[^/]+", reach)?))
}

fn host_pattern(argument: &Argument) -> Result<Matcher, RuleError> {
    let text = argument.ascii()?.to_owned();
    Ok(Matcher::HostRegexp(template(argument, &text, "[^.]+", Reach::Whole)?))
}

fn query(argument: &Argument) -> Result<Matcher, RuleError> {
    let (key, value) = argument.text.split_once('=').unwrap_or((&argument.text, ""));
    if key.is_empty() {
        return Err(argument.wrong("a query is key=value").help("the key is missing"));
    }
    let key = key.to_owned();
    if value.is_empty() {
        let pattern = Pattern::new("").map_err(|why| argument.wrong(why))?;
        return Ok(Matcher::QueryRegexp { key, pattern });
    }
    if !value.contains(['{', '}']) {
        return Ok(Matcher::Query { key, value: Some(value.to_owned()) });
    }
    let pattern = template(argument, value, ".*", Reach::Whole)?;
    Ok(Matcher::QueryRegexp { key, pattern })
}

/// Text with `{name}` and `{name:pattern}` in it.
fn template(
    argument: &Argument,
    text: &str,
    usual: &str,
    reach: Reach,
) -> Result<Pattern, RuleError> {
    let mut source = String::from("^");
    let mut rest = text;
    while let Some(open) = rest.find(['{', '}']) {
        plain(&rest[..open], &mut source);
        let inside = rest[open..].strip_prefix('{').and_then(|inside| {
            let end = closing(inside)?;
            Some((&inside[..end], &inside[end + 1..]))
        });
        let Some((inside, after)) = inside else {
            let error = argument.wrong("the braces in this template do not match");
            return Err(error.help("write {name} or {name:pattern}"));
        };
        let (name, pattern) = inside.split_once(':').unwrap_or((inside, usual));
        if name.is_empty() || pattern.is_empty() {
            let error = argument.wrong(format!("{{{inside}}} lacks a name or a pattern"));
            return Err(error.help("write {name} or {name:pattern}"));
        }
        source.push_str(&format!("(?:{pattern})"));
        rest = after;
    }
    plain(rest, &mut source);
    if reach == Reach::Whole {
        source.push('$');
    }
    Pattern::new(&source).map_err(|why| {
        argument
            .wrong(format!("this template makes no regular expression: {why}"))
            .help("the syntax is RE2's: no look-around, no backreferences")
    })
}

/// Where the brace that is open already closes.
fn closing(inside: &str) -> Option<usize> {
    let mut depth = 0u32;
    for (at, letter) in inside.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// What stands for itself.
fn plain(text: &str, source: &mut String) {
    for letter in text.chars() {
        if letter.is_ascii_punctuation() && !matches!(letter, '/' | '-' | '_') {
            source.push('\\');
        }
        source.push(letter);
    }
}

#[cfg(test)]
mod tests {
    use crate::rule::{Rule, Syntax};

    #[track_caller]
    fn check(rule: &str, expected: &str) {
        let shown = match Rule::parse_as(rule, Syntax::V2) {
            Ok(rule) => rule.ast().to_string(),
            Err(error) => format!("{}..{} {}; {}", error.start, error.end, error.text, error.help),
        };
        assert_eq!(shown, expected, "{rule}");
    }

    #[test]
    fn rules_of_the_second_version_are_said_in_the_third() {
        check("Host(`A.test`, `b.test`)", "Host(`a.test`) || Host(`b.test`)");
        check("HostHeader(`a.test`) && Method(`get`)", "Host(`a.test`) && Method(`GET`)");
        check("!Path(`/a`, `/b`)", "!(Path(`/a`) || Path(`/b`))");
        check("PathPrefix(`/a`)", "PathPrefix(`/a`)");
        check("PathPrefix(`/v{n:[0-9]+}/x`)", r"PathRegexp(`^/v(?:[0-9]+)/x`)");
        check("Path(`/{who}/a.b`)", r"PathRegexp(`^/(?:[^/]+)/a\.b$`)");
        check("Path(`/{n:[0-9]{2,3}}`)", r"PathRegexp(`^/(?:[0-9]{2,3})$`)");
        check("HostRegexp(`{sub:[a-z]+}.a.test`)", r"HostRegexp(`^(?:[a-z]+)\.a\.test$`)");
        check("HostRegexp(`a.{any}`)", r"HostRegexp(`^a\.(?:[^.]+)$`)");
        check("Headers(`X-A`, `1`)", "Header(`X-A`, `1`)");
        check("Headers(`X-A`, `1`, `X-B`, `2`)", "Header(`X-A`, `1`) && Header(`X-B`, `2`)");
        check("HeadersRegexp(`X-A`, `^1`)", "HeaderRegexp(`X-A`, `^1`)");
        check("Query(`a=1`, `b=2`)", "Query(`a`, `1`) && Query(`b`, `2`)");
        check("Query(`a=`)", "QueryRegexp(`a`, ``)");
        check("Query(`a={n:[0-9]}`)", "QueryRegexp(`a`, `^(?:[0-9])$`)");
        check("ClientIP(`10.0.0.0/8`, `::1`)", "ClientIP(`10.0.0.0/8`) || ClientIP(`::1/128`)");
    }

    #[test]
    fn what_the_second_version_does_not_know_is_told() {
        check(
            "PathRegexp(`^/a`)",
            "0..10 there is no matcher `PathRegexp` in rules of v2; \
             write Path(`/{name:pattern}`), or take out ruleSyntax: v2",
        );
        check(
            "Headers(`a`, `b`, `c`)",
            "18..21 Headers takes names and values in turn; the last name has no value",
        );
        check(
            "Path(`/{a`)",
            "5..10 the braces in this template do not match; write {name} or {name:pattern}",
        );
        check(
            "Path(`/{:x}`)",
            "5..12 {:x} lacks a name or a pattern; write {name} or {name:pattern}",
        );
        check("Path(`a`)", "5..8 a path starts with /; write `/a`");
        check("Query(`=a`)", "6..10 a query is key=value; the key is missing");
    }
}
