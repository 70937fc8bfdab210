//! Files of users: lines of htpasswd or htdigest, and the users that a middleware has by them.

/// A name with what is stored of its password.
pub type Line = (String, String);

/// What the lines of a file are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Format {
    Htpasswd,
    /// For this realm.
    Htdigest(String),
}

/// The users of a file. Empty lines and those that begin with `#` say nothing. One that is wrong
/// spoils all of it, and is named by its number: what it says is not shown.
pub fn parse(text: &[u8], format: &Format) -> Result<Vec<Line>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not text".to_owned())?;
    let mut users: Vec<Line> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let user = match format {
            Format::Htpasswd => htpasswd(line),
            Format::Htdigest(realm) => htdigest(line, realm),
        };
        let user = user.map_err(|why| format!("line {number}: {why}"))?;
        if users.iter().any(|(name, _)| *name == user.0) {
            return Err(format!("line {number}: {} is here twice", user.0));
        }
        users.push(user);
    }
    Ok(users)
}

/// Those of a file and those beside it, which count where both know a name.
pub fn merged(of_file: &[Line], beside: &[Line]) -> Vec<Line> {
    let known = |name: &String| beside.iter().any(|(other, _)| other == name);
    of_file.iter().filter(|(name, _)| !known(name)).chain(beside).cloned().collect()
}

fn htpasswd(line: &str) -> Result<Line, String> {
    let visible = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    let (name, hash) = line
        .split_once(':')
        .filter(|(name, hash)| visible(name) && visible(hash))
        .ok_or_else(|| "expected a line of htpasswd".to_owned())?;
    if !is_known_hash(hash) {
        return Err(format!("the hash of {name} is of no kind that is known here"));
    }
    Ok((name.to_owned(), hash.to_owned()))
}

fn htdigest(line: &str, realm: &str) -> Result<Line, String> {
    let mut parts = line.rsplitn(3, ':');
    let (digest, of, name) = (parts.next(), parts.next(), parts.next());
    let (Some(digest), Some(of), Some(name)) = (digest.filter(|it| is_digest(it)), of, name) else {
        return Err("expected a line of htdigest".to_owned());
    };
    if of != realm {
        return Err(format!("{name} is for the realm {of}, and this one is {realm}"));
    }
    Ok((name.to_owned(), digest.to_ascii_lowercase()))
}

pub fn is_digest(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// bcrypt, MD5 as htpasswd has it, or `{SHA}`.
pub fn is_known_hash(hash: &str) -> bool {
    let bcrypt = ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|it| hash.starts_with(it));
    let md5 = ["$apr1$", "$1$"].iter().filter_map(|it| hash.strip_prefix(it)).any(|rest| {
        rest.split_once('$').is_some_and(|(salt, digest)| salt.len() <= 8 && digest.len() == 22)
    });
    let sha = hash.strip_prefix("{SHA}").is_some_and(|digest| digest.len() == 28);
    bcrypt && hash.len() == 60 || md5 || sha
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$apr1$abcdefgh$T64oOxnD8c28.dQa.2Lty1";
    const DIGEST: &str = "939e7578ed9e3c518a452acee763bce9";

    #[track_caller]
    fn check(text: &str, format: &Format, expected: &str) {
        let text = text.replace("HASH", HASH).replace("DIGEST", DIGEST);
        let shown = match parse(text.as_bytes(), format) {
            Ok(users) => users.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" "),
            Err(why) => why,
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn lines_of_files() {
        let (basic, digest) = (Format::Htpasswd, Format::Htdigest("shop".to_owned()));
        check("", &basic, "");
        check("# staff\n\nal:HASH\r\n  bo:HASH\n", &basic, "al bo");
        check("al", &basic, "line 1: expected a line of htpasswd");
        check("\nal:plain", &basic, "line 2: the hash of al is of no kind that is known here");
        check("al:HASH\nal:HASH", &basic, "line 2: al is here twice");
        check("al:shop:DIGEST", &digest, "al");
        check(
            "al:other:DIGEST",
            &digest,
            "line 1: al is for the realm other, and this one is shop",
        );
        check("al:shop:short", &digest, "line 1: expected a line of htdigest");
        assert_eq!(parse(b"\xff", &basic), Err("it is not text".to_owned()));
    }

    #[test]
    fn what_stands_beside_a_file_counts() {
        let line = |name: &str, hash: &str| (name.to_owned(), hash.to_owned());
        let merged = merged(&[line("al", "1"), line("bo", "2")], &[line("al", "3")]);
        assert_eq!(merged, [line("bo", "2"), line("al", "3")]);
    }
}
