//! Whether a password is the one that a stored hash was made of. The formats are those of htpasswd:
//! bcrypt, MD5 in the manner of Apache, SHA-1.

use engine::base::base64;
use engine::base::md5::Md5;
use sha1::{Digest, Sha1};

/// False too for a hash that is none of these.
pub(crate) fn is_right(hash: &str, password: &[u8]) -> bool {
    if let Some(stored) = hash.strip_prefix("{SHA}") {
        let mut decoded = Vec::new();
        return base64::decode(stored.as_bytes(), &mut decoded)
            && same(&decoded, Sha1::digest(password).as_slice());
    }
    for magic in ["$apr1$", "$1$"] {
        if let Some((salt, stored)) = hash.strip_prefix(magic).and_then(|it| it.split_once('$')) {
            return same(stored.as_bytes(), &crypt_md5(magic, salt.as_bytes(), password));
        }
    }
    bcrypt::verify(password, hash).unwrap_or(false)
}

/// Takes as long whatever differs.
fn same(one: &[u8], two: &[u8]) -> bool {
    one.len() == two.len() && one.iter().zip(two).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// A thousand rounds of MD5, each fed in an order of its own.
fn crypt_md5(magic: &str, salt: &[u8], password: &[u8]) -> Vec<u8> {
    let twice = Md5::default().write(password).write(salt).write(password).finish();
    let mut first = Md5::default().write(password).write(magic.as_bytes()).write(salt);
    for at in (0..password.len()).step_by(twice.len()) {
        first = first.write(&twice[..twice.len().min(password.len() - at)]);
    }
    let mut bits = password.len();
    while bits > 0 {
        let letter = if bits & 1 == 1 { 0 } else { password[0] };
        first = first.write(&[letter]);
        bits >>= 1;
    }
    let mut digest = first.finish();
    for round in 0..1000 {
        let (one, other): (&[u8], &[u8]) =
            if round % 2 == 1 { (password, &digest) } else { (&digest, password) };
        let mut next = Md5::default().write(one);
        if round % 3 != 0 {
            next = next.write(salt);
        }
        if round % 7 != 0 {
            next = next.write(password);
        }
        digest = next.write(other).finish();
    }
    spelled(&digest)
}

/// Six bits to a letter, in the order that crypt has.
fn spelled(digest: &[u8; 16]) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut out = Vec::with_capacity(22);
    let mut put = |bytes: [usize; 3], letters: usize| {
        let mut value = bytes[0] << 16 | bytes[1] << 8 | bytes[2];
        for _ in 0..letters {
            out.push(LETTERS[value & 63]);
            value >>= 6;
        }
    };
    let at = |index: usize| usize::from(digest[index]);
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        put([at(a), at(b), at(c)], 4);
    }
    put([0, 0, at(11)], 2);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hash: &str, password: &str) {
        assert!(is_right(hash, password.as_bytes()), "{hash} is of {password}");
        assert!(!is_right(hash, format!("{password}x").as_bytes()), "{hash} is of {password}");
    }

    #[test]
    fn hashes_of_other_programs_are_understood() {
        check("$apr1$abcdefgh$T64oOxnD8c28.dQa.2Lty1", "open sesame");
        check("$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/", "myPassword");
        check("$1$abcdefgh$9qMkHazuSy1Q8myEum7yb/", "open sesame");
        check("{SHA}W8r/fyL/UzygmbNAjq2HbA67qac=", "open sesame");
        check("$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe", "a");
        check("$2y$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe", "a");
    }

    #[test]
    fn what_is_no_hash_is_nobody_s() {
        for hash in ["", "plain", "$apr1$", "$apr1$salt$", "{SHA}", "{SHA}!", "$2y$", "$9$a$b"] {
            assert!(!is_right(hash, b""), "{hash}");
            assert!(!is_right(hash, hash.as_bytes()), "{hash}");
        }
    }
}
