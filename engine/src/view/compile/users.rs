//! Users that middlewares have from files: those of the last reading that was good.

use super::Compiler;
use crate::base::diag::Diagnostic;
use crate::base::mark::Mark;
use crate::base::name::own;
use crate::config::typed::Credentials;
use crate::config::users::{Format, Line, merged, parse};
use std::collections::BTreeMap;
use std::sync::Arc;

/// By file and what its lines are.
#[derive(Debug, Default)]
pub(super) struct UsersFiles(BTreeMap<(Arc<str>, Format), Held>);

#[derive(Debug, Default)]
struct Held {
    /// Nobody's, until a reading was good.
    users: Option<Vec<Line>>,
    /// Why what is there now cannot be used.
    trouble: String,
}

impl Compiler {
    /// Credentials with the users of their file.
    pub(super) fn with_users(&mut self, credentials: &Credentials, format: Format) -> Credentials {
        let mut all = credentials.clone();
        let Some(path) = &credentials.users_file else { return all };
        let read = self.secure.keyring.plain(path);
        let read = read
            .and_then(|text| parse(text.reveal(), &format).map_err(|why| format!("{path}: {why}")));
        let held = self.users.0.entry((Arc::clone(path), format)).or_default();
        match read {
            Ok(users) => *held = Held { users: Some(users), trouble: String::new() },
            Err(trouble) => {
                if held.users.is_some() {
                    self.stats.control.marks.hit(Mark::LastGoodFileUsed);
                }
                held.trouble = trouble;
            }
        }
        all.users = merged(held.users.as_deref().unwrap_or_default(), &credentials.users);
        all
    }

    /// Says which files cannot be used, and forgets those that nobody names.
    pub(super) fn explain_users(&mut self) {
        let all = &self.dynamic.middlewares;
        let named = |path: &Arc<str>| all.iter().any(|it| it.kind.users_file() == Some(path));
        self.users.0.retain(|(path, _), _| named(path));
        for middleware in all {
            let Some(file) = middleware.kind.users_file() else { continue };
            let mut held = self.users.0.iter().filter(|((path, _), _)| path == file);
            let Some((_, held)) = held.find(|(_, held)| !held.trouble.is_empty()) else { continue };
            let then = match held.users {
                Some(_) => "the users of its last good reading stay",
                None => "nobody of it passes",
            };
            let name = own(&middleware.name);
            let path = format!("http.middlewares.{name}.usersFile");
            let problem =
                Diagnostic::error("users-file", path, format!("{}; {then}", held.trouble));
            let place = &middleware.place;
            self.secure.problems.push(problem.at(&place.file, place.line, place.column));
        }
    }
}
