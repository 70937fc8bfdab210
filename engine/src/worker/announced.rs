//! Connections from balancers that say first, in the PROXY protocol, who they are from. The header
//! comes before everything else, TLS included.

use super::conn::Role;
use super::{Worker, key_of};
use crate::base::id::ConnId;
use crate::base::mark::Mark;
use crate::base::page::{Page, PageSize};
use crate::boundary::{Close, Fault, Lent};
use crate::net::proxied::{Announced, read};
use crate::net::wire::Cover;

impl Worker {
    /// Reads who a connection is from, and gives back what comes behind that.
    pub(super) fn introduce(&mut self, id: ConnId, lent: Lent) -> Option<Lent> {
        let conn = self.conns.get_mut(key_of(id))?;
        let Cover::Announced(seen) = &mut conn.wire.cover else { return Some(lent) };
        let ended = lent.bytes() == 0;
        let pages = match &lent {
            Lent::One(page) => std::slice::from_ref(page),
            Lent::Many(pages) => pages,
        };
        pages.iter().for_each(|page| seen.extend_from_slice(page.bytes()));
        let seen = std::mem::take(seen);
        let behind = match read(&seen) {
            Announced::Partial if !ended => {
                conn.wire.cover = Cover::Announced(seen);
                return None;
            }
            Announced::Malformed => {
                self.mark(Mark::AnnouncedWrongly);
                self.end(id, Close::Abort);
                return None;
            }
            Announced::By { from, bytes } => {
                if let (Some(from), Role::Client(client)) = (from, &mut conn.role) {
                    client.peer = from;
                }
                self.mark(Mark::Announced);
                bytes
            }
            Announced::Nothing | Announced::Partial => 0,
        };
        let conn = self.conns.get_mut(key_of(id))?;
        let Role::Client(client) = &conn.role else { return Some(lent) };
        let speaks_tls = self.view.entries[usize::from(client.entry.0)].secure.is_some();
        conn.wire.cover = if speaks_tls { Cover::Unseen } else { Cover::Clear };
        if behind == 0 && seen.len() == lent.bytes() {
            return Some(lent);
        }
        self.lend_back(id, lent, &seen[behind..])
    }

    /// The pages of a read with other bytes in them; nothing if there are none.
    fn lend_back(&mut self, id: ConnId, lent: Lent, mut bytes: &[u8]) -> Option<Lent> {
        let mut pages: Vec<Page> = match lent {
            Lent::One(page) => vec![page],
            Lent::Many(pages) => pages,
        };
        pages.iter_mut().for_each(Page::clear);
        for page in &mut pages {
            let taken = page.append(bytes);
            bytes = &bytes[taken..];
        }
        while !bytes.is_empty() {
            let Some(mut page) = self.pool.take(PageSize::Large) else {
                self.lose(id, Fault::NoPages);
                return None;
            };
            let taken = page.append(bytes);
            bytes = &bytes[taken..];
            pages.push(page);
        }
        pages.retain(|page| !page.is_empty());
        match pages.len() {
            0 => None,
            1 => pages.pop().map(Lent::One),
            _ => Some(Lent::Many(pages)),
        }
    }
}
