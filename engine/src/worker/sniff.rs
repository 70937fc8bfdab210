//! Responses that do not say what their content is, and routes that want it said.

use super::exchange::Exchange;
use crate::http::fields;
use crate::http::framing::Framing;
use crate::http::head::ResponseHead;
use crate::service::middleware::sniff::{BYTES_MAX, media_type};
use crate::service::middleware::{Step, decides_response};

impl Exchange {
    /// How much of a response has to be here before it is known what it is; less is enough if
    /// nothing more comes at once.
    pub(super) fn enough_to_sniff(&self, head: &ResponseHead<'_>) -> u64 {
        if self.lacks_kind(head) { BYTES_MAX as u64 } else { 0 }
    }

    /// What the content that is held back is, if nobody says it.
    pub(super) fn sniffed(&self, head: &ResponseHead<'_>) -> Option<&'static str> {
        let held = self.held.as_ref().filter(|held| held.bytes > 0 && self.lacks_kind(head))?;
        let mut first = [0; BYTES_MAX];
        let mut len = 0;
        for chunk in &held.chunks {
            let count = chunk.len().min(BYTES_MAX - len);
            first[len..len + count].copy_from_slice(&chunk.bytes()[..count]);
            len += count;
        }
        Some(media_type(&first[..len]))
    }

    fn lacks_kind(&self, head: &ResponseHead<'_>) -> bool {
        let steps = self.steps();
        steps.iter().any(|step| matches!(step, Step::ContentType))
            && head.framing != Framing::Tunnel
            && fields::first(head.fields, "content-type").is_none()
            && fields::first(head.fields, "content-encoding").is_none()
            && !decides_response(steps, self.told(), b"content-type")
    }
}
