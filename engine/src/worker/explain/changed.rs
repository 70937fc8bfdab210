//! A request as it comes to a router under another.

use super::Asked;
use crate::h1::parse::{self, Parsed, Progress, Scratch};
use crate::http::alias::Aliases;
use crate::http::request::RequestInfo;
use crate::http::target::{self, Rewritten};
use crate::service::middleware::{Step, path};
use crate::worker::descend::{Way, write_changed};
use crate::worker::fields::put_field;
use crate::worker::pass::write_target;

/// Memory for what the middlewares made.
#[derive(Default)]
pub(in crate::worker) struct Changed {
    path: String,
    noted: Vec<u8>,
    head: Vec<u8>,
    rewritten: Rewritten,
    memory: path::Memory,
}

impl Changed {
    /// Nothing if it is no request any more.
    pub(in crate::worker) fn read<T>(
        &mut self,
        asked: &Asked<'_>,
        steps: &[Step],
        then: impl FnOnce(&RequestInfo<'_>) -> T,
    ) -> Option<T> {
        write_target(&mut self.path, asked.target);
        let noted = &mut self.noted;
        let note = |name: &'static str, value: &str| put_field(noted, name, value.as_bytes());
        path::rewrite(steps, &mut self.path, &mut self.memory, note).ok()?;
        let way = Way { steps, grants: &[], path: &self.path, noted: &self.noted, chain: None };
        write_changed(&mut self.head, asked.head, asked.target, &way);
        let mut scratch = Scratch::new();
        let bounds = parse::Bounds::again(Aliases::KEPT);
        let parsed =
            parse::request_head(&self.head, &mut Progress::default(), bounds, &mut scratch);
        let Ok(Parsed::Complete { head, .. }) = parsed else { return None };
        let reading = asked.view.entries[usize::from(asked.entry.0)].settings.reading;
        let target = target::read_as(&head, &mut self.rewritten, reading).ok()?;
        Some(then(&RequestInfo::new(&head, &target, asked.peer())))
    }
}
