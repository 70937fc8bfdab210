//! Where a check's path or a redirect leads: references resolved against a path (RFC 3986 §5).

/// A reference after resolution.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// Scheme as written, lower case, if there is one.
    pub scheme: Option<String>,
    /// Host and port as written, if there are any.
    pub authority: Option<String>,
    /// Path and query, ready for a request line.
    pub target: String,
}

/// Resolves `reference` against the path and query `base`. `None` if it cannot stand in a request
/// line.
pub fn resolve(base: &str, reference: &str) -> Option<Resolved> {
    let reference = reference.split('#').next().unwrap_or_default();
    if !reference.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let (scheme, rest) = split_scheme(reference);
    let (authority, rest) = split_authority(rest);
    if scheme.is_some() && authority.is_none() {
        return None;
    }
    let target = if authority.is_some() { from_root(rest) } else { relative(base, rest) };
    let scheme = scheme.map(str::to_ascii_lowercase);
    Some(Resolved { scheme, authority: authority.map(str::to_owned), target })
}

fn split_scheme(reference: &str) -> (Option<&str>, &str) {
    let Some((scheme, rest)) = reference.split_once(':') else { return (None, reference) };
    let starts = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let fine = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    if starts && scheme.chars().all(fine) { (Some(scheme), rest) } else { (None, reference) }
}

fn split_authority(rest: &str) -> (Option<&str>, &str) {
    let Some(rest) = rest.strip_prefix("//") else { return (None, rest) };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    (Some(&rest[..end]), &rest[end..])
}

fn from_root(path_and_query: &str) -> String {
    let (path, query) = split_query(path_and_query);
    join(&without_dots(if path.is_empty() { "/" } else { path }), query)
}

fn relative(base: &str, reference: &str) -> String {
    let (base_path, base_query) = split_query(base);
    let (path, query) = split_query(reference);
    if path.is_empty() {
        let path = if base_path.is_empty() { "/" } else { base_path };
        return join(path, query.or(base_query));
    }
    if path.starts_with('/') {
        return join(&without_dots(path), query);
    }
    let folder = base_path.rfind('/').map_or("/", |slash| &base_path[..=slash]);
    join(&without_dots(&format!("{folder}{path}")), query)
}

fn split_query(text: &str) -> (&str, Option<&str>) {
    text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)))
}

fn join(path: &str, query: Option<&str>) -> String {
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

/// RFC 3986 §5.2.4 for a path that starts with a slash.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut folder = false;
    for segment in path.split('/').skip(1) {
        folder = matches!(segment, "" | "." | "..");
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    // A path that ends in a dot segment names a folder.
    if folder && kept.last().is_none_or(|last| !last.is_empty()) {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(base: &str, reference: &str, expected: &str) {
        let found = resolve(base, reference).map(|found| {
            let scheme = found.scheme.map(|scheme| format!("{scheme}:")).unwrap_or_default();
            let authority = found.authority.map(|host| format!("//{host}")).unwrap_or_default();
            format!("{scheme}{authority}{}", found.target)
        });
        let found = found.unwrap_or_else(|| "nothing".to_owned());
        assert_eq!(found, expected, "{reference:?} against {base:?}");
    }

    #[test]
    fn references_resolve_as_the_rfc_says() {
        for (base, reference, expected) in [
            ("", "/health", "/health"),
            ("", "health", "/health"),
            ("", "", "/"),
            ("/a/b", "health?x=1", "/a/health?x=1"),
            ("/a/b/", "health", "/a/b/health"),
            ("/a/b", "?x=1", "/a/b?x=1"),
            ("/a/b?q", "", "/a/b?q"),
            ("/a/b?q", "#top", "/a/b?q"),
            ("/b/c/d", "../g", "/b/g"),
            ("/b/c/d", "../../../g", "/g"),
            ("/b/c/d", "./g/.", "/b/c/g/"),
            ("/b/c/d", "..", "/b/"),
            ("/b/c/d", "/./g//h", "/g//h"),
            ("/b", "//other/x", "//other/x"),
            ("/b", "http://other:81", "http://other:81/"),
            ("/b", "HTTPS://o?q", "https://o/?q"),
            ("/b", "mailto:a", "nothing"),
            ("/b", "a b", "nothing"),
            ("/b", "/a\r\nX: y", "nothing"),
            ("/b", "/:80", "/:80"),
        ] {
            check(base, reference, expected);
        }
    }
}
