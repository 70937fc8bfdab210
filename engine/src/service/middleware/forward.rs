//! `forwardAuth`: another server says whether a request may pass, and what of its answer goes along
//! with the request.

use super::headers;
use super::{Step, decides_request};
use crate::base::id::TargetId;
use crate::config::typed::ForwardAuth;
use crate::http::fields::{self, Field, Known};

/// Who is asked, and about what.
#[derive(Debug)]
pub struct Forward {
    pub target: TargetId,
    pub auth: ForwardAuth,
}

/// What an answer lets a request take along.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The step that asked.
    pub step: u16,
    /// Field lines for the server.
    fields: Vec<(String, Vec<u8>)>,
    /// Values of `Set-Cookie` for the client.
    cookies: Vec<Vec<u8>>,
    /// Who asks, if the answer says so.
    pub user: String,
}

impl Forward {
    /// Whether a field of this name comes from the answer alone. A name in the spelling of another
    /// programme's variables is the same name.
    pub fn owns(&self, name: &[u8]) -> bool {
        let same = |listed: &String| {
            let plain = |b: u8| if b == b'_' { b'-' } else { b.to_ascii_lowercase() };
            listed.bytes().map(plain).eq(name.iter().copied().map(plain))
        };
        let matches = |name: &[u8]| {
            let pattern = self.auth.response_pattern.as_ref();
            pattern.is_some_and(|pattern| pattern.is_match(&canonical(name)))
        };
        self.auth.response_fields.iter().any(same) || matches(name)
    }

    /// Whether a field of this name is handed on to who is asked.
    pub fn hands_on(&self, name: &str) -> bool {
        let listed = &self.auth.request_fields;
        listed.is_empty() || listed.iter().any(|it| it.eq_ignore_ascii_case(name))
    }

    /// Path and query of the question.
    pub fn question(&self) -> (&'static str, &str) {
        let path = self.auth.url.path.as_str();
        (if path.starts_with('/') { "" } else { "/" }, path)
    }

    /// What an answer with these fields grants.
    pub fn grant(&self, step: u16, answer: &[Field<'_>]) -> Grant {
        let told = answer
            .iter()
            .filter(|it| Known::of(it.name).is_none() && self.owns(it.name.as_bytes()));
        let cookies = fields::all(answer, "set-cookie").filter(|it| self.gives_cookie(it));
        let user = self.auth.header_field.as_deref().and_then(|name| fields::first(answer, name));
        Grant {
            step,
            fields: told.map(|it| (it.name.to_owned(), it.value.to_vec())).collect(),
            cookies: cookies.map(<[u8]>::to_vec).collect(),
            user: user.map(|it| String::from_utf8_lossy(it).into_owned()).unwrap_or_default(),
        }
    }

    fn gives_cookie(&self, cookie: &[u8]) -> bool {
        let name = cookie.split(|b| matches!(b, b'=' | b';')).next().unwrap_or_default();
        let name = fields::trim(name);
        self.auth.cookies.iter().any(|it| it.as_bytes() == name)
    }
}

impl Grant {
    /// The first value of a field.
    pub(super) fn first(&self, name: &str) -> Option<&[u8]> {
        let found = self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_slice())
    }
}

/// The fields that the server gets by what was granted, unless a step behind decides otherwise.
pub fn granted<'a>(
    steps: &'a [Step],
    grants: &'a [Grant],
) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    grants.iter().flat_map(move |grant| {
        let behind = steps.get(usize::from(grant.step) + 1..).unwrap_or_default();
        let fields = grant.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        fields.filter(move |(name, _)| !decides_request(behind, name.as_bytes()))
    })
}

/// The cookies that the client gets by what was granted, unless a step in front takes them off.
pub fn granted_cookies<'a>(
    steps: &'a [Step],
    grants: &'a [Grant],
) -> impl Iterator<Item = &'a [u8]> {
    grants.iter().flat_map(move |grant| {
        let front = steps.get(..usize::from(grant.step)).unwrap_or_default();
        let taken = headers::decides_cookies(front);
        let cookies = grant.cookies.iter().map(Vec::as_slice);
        cookies.filter(move |_| !taken)
    })
}

/// Whether a cookie of the server is replaced by one that was granted.
pub fn replaces_cookie(steps: &[Step], grants: &[Grant], cookie: &[u8]) -> bool {
    grants.iter().filter(|grant| !grant.cookies.is_empty()).any(|grant| {
        let step = steps.get(usize::from(grant.step));
        matches!(step, Some(Step::ForwardAuth(forward)) if forward.gives_cookie(cookie))
    })
}

/// A name as expressions are written for: each word begins with a capital letter.
fn canonical(name: &[u8]) -> Vec<u8> {
    let mut begins = true;
    let letter = |b: &u8| {
        let now = std::mem::replace(&mut begins, *b == b'-');
        if now { b.to_ascii_uppercase() } else { b.to_ascii_lowercase() }
    };
    name.iter().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::address::Url;
    use crate::config::fixed::Transport;
    use crate::rule::Pattern;

    fn forward(change: impl FnOnce(&mut ForwardAuth)) -> Forward {
        let url = Url::parse("http://judge?by=us").expect("a URL");
        let mut auth = ForwardAuth {
            address: String::new(),
            url,
            transport: Transport::default(),
            trust_forwarded: false,
            response_fields: vec!["X-User-Id".to_owned()],
            response_pattern: None,
            request_fields: Vec::new(),
            cookies: vec!["sid".to_owned()],
            header_field: None,
            forward_body: false,
            body_bytes_max: None,
            response_bytes_max: None,
            preserve_location: false,
            preserve_method: false,
            signin_url: String::new(),
        };
        change(&mut auth);
        Forward { target: TargetId(0), auth }
    }

    #[test]
    fn fields_of_the_answer_are_known_in_every_spelling() {
        let listed = forward(|_| {});
        for name in ["X-User-Id", "x-user-id", "X_User_Id", "X-USER_ID"] {
            assert!(listed.owns(name.as_bytes()), "{name}");
        }
        assert!(!listed.owns(b"X-User") && !listed.owns(b"X-User-Ids"));
        let pattern = Pattern::new("^X-Auth-[A-Z]").expect("an expression");
        let matched = forward(|auth| auth.response_pattern = Some(pattern));
        for name in ["X-Auth-Role", "x-auth-role", "X-AUTH-ROLE"] {
            assert!(matched.owns(name.as_bytes()), "{name}");
        }
        assert!(!matched.owns(b"X-Auth-1"));
    }

    #[test]
    fn a_grant_has_what_was_asked_for_and_nothing_that_frames() {
        let forward = forward(|auth| {
            auth.response_fields.push("Content-Length".to_owned());
            auth.header_field = Some("X-User-Id".to_owned());
        });
        let field = |name, value: &'static [u8]| Field { name, value };
        let answer = [
            field("x-user-id", b"7"),
            field("Content-Length", b"0"),
            field("X-Other", b"1"),
            field("Set-Cookie", b"sid=1; Path=/"),
            field("Set-Cookie", b"sidecar=1"),
        ];
        let grant = forward.grant(2, &answer);
        assert_eq!(grant.fields, [("x-user-id".to_owned(), b"7".to_vec())]);
        assert_eq!(grant.cookies, [b"sid=1; Path=/".to_vec()]);
        assert_eq!((grant.user.as_str(), grant.step), ("7", 2));
        assert_eq!(forward.question(), ("/", "?by=us"));
    }
}
