//! A connection's TLS: the session, and what it has sealed and is not written yet.

use super::inbox::Inbox;
use super::outbox::{NoPage, Outbox};
use crate::base::page::{Page, Pool};
use crate::tls::{Session, Trouble};
use std::io;

/// Sealed bytes that may wait: enough for a write to be worth its while.
const SEALED_MAX: usize = 64 * 1024;

#[derive(Debug)]
pub struct Secure {
    pub session: Session,
    pub sealed: Outbox,
    /// The handshake is over, and whoever waits for that was told.
    pub agreed: bool,
}

impl Secure {
    pub fn new(session: Session) -> Self {
        Self { session, sealed: Outbox::default(), agreed: false }
    }

    /// Opens what arrived, into `inbox`.
    pub fn open(&mut self, pages: &[Page], inbox: &mut Inbox, pool: &Pool) -> Result<(), Trouble> {
        let mut page: Option<Page> = None;
        let mut sink = |mut bytes: &[u8]| {
            while !bytes.is_empty() {
                if page.as_ref().is_none_or(|page| page.spare() == 0) {
                    inbox.extend(page.take());
                    page = pool.take_for(bytes.len());
                }
                let Some(page) = &mut page else { return false };
                let count = page.append(bytes);
                bytes = &bytes[count..];
            }
            true
        };
        let mut opened = Ok(());
        for bytes in pages.iter().map(Page::bytes) {
            if opened.is_ok() {
                opened = self.session.feed(bytes, &mut sink);
            }
        }
        inbox.extend(page);
        opened
    }

    /// Seals what waits in `plain`, as far as it is worth while.
    pub fn seal(&mut self, plain: &mut Outbox, pool: &Pool) -> Result<(), NoPage> {
        self.flush(pool)?;
        while !plain.is_empty() && self.sealed.bytes() < SEALED_MAX && self.session.is_ready() {
            let count = self.session.seal(plain.pieces());
            plain.sent(count);
            self.flush(pool)?;
            if count == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Says that nothing more comes.
    pub fn close(&mut self, pool: &Pool) -> Result<(), NoPage> {
        self.session.close();
        self.flush(pool)
    }

    fn flush(&mut self, pool: &Pool) -> Result<(), NoPage> {
        let mut pages = Pages { out: &mut self.sealed, pool };
        self.session.write_to(&mut pages).map_err(|_| NoPage)
    }
}

/// Writes into pages.
struct Pages<'a> {
    out: &'a mut Outbox,
    pool: &'a Pool,
}

impl io::Write for Pages<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes, self.pool);
        written.map(|()| bytes.len()).map_err(|NoPage| io::ErrorKind::OutOfMemory.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
