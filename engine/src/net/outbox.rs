//! Bytes that wait to be written: small ones gathered in a page of their own, large ones as the
//! pages they arrived in.

use super::fifo::Fifo;
use crate::base::page::{Chunk, Page, Pool};
use crate::boundary::Batch;

/// Up to this size copying costs less than one more piece in the write.
const COPY_MAX: usize = 1024;
/// Memory that is not asked for before it is needed.
const MIDDLE_MAX: usize = 2048;

#[derive(Debug, Default)]
pub struct Outbox {
    chunks: Fifo<Chunk>,
    /// Ours alone, behind all chunks, still writable.
    tail: Option<Page>,
    bytes: usize,
}

/// The pool has no page to write to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoPage;

impl Outbox {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Appends a copy. On [`NoPage`] a part may have been appended; the connection is then lost.
    pub fn write(&mut self, mut bytes: &[u8], pool: &Pool) -> Result<(), NoPage> {
        while !bytes.is_empty() {
            if self.tail.as_ref().is_none_or(|page| page.spare() == 0) {
                self.freeze();
                // Where much waits already, more is to be expected.
                let room = bytes.len().max(self.bytes.min(MIDDLE_MAX));
                self.tail = Some(pool.take_for(room).ok_or(NoPage)?);
            }
            let tail = self.tail.as_mut().expect("a tail was just made");
            let count = tail.append(bytes);
            self.bytes += count;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Appends a chunk; a small one by copy, where there is room.
    pub fn push(&mut self, chunk: Chunk) {
        if chunk.is_empty() {
            return;
        }
        self.bytes += chunk.len();
        if let Some(tail) = self.tail.as_mut()
            && chunk.len() <= tail.spare().min(COPY_MAX)
        {
            tail.append(chunk.bytes());
            return;
        }
        self.freeze();
        self.chunks.push(chunk);
    }

    /// Takes the oldest bytes that lie together, at most `limit` of them.
    pub fn take(&mut self, limit: usize) -> Option<Chunk> {
        if self.chunks.is_empty() {
            self.freeze();
        }
        let front = self.chunks.front_mut()?;
        if front.len() <= limit {
            self.bytes -= front.len();
            return self.chunks.pop();
        }
        let part = front.part(limit);
        front.skip(limit);
        self.bytes -= limit;
        Some(part)
    }

    /// Clones what the next write offers: at most `limit` chunks.
    pub fn gather(&mut self, limit: usize, out: &mut Batch) {
        self.freeze();
        out.extend(self.chunks.iter().take(limit).cloned());
    }

    /// What waits, piece by piece.
    pub fn pieces(&mut self) -> impl Iterator<Item = &[u8]> {
        self.freeze();
        self.chunks.iter().map(Chunk::bytes)
    }

    /// Forgets `count` bytes that were written.
    pub fn sent(&mut self, mut count: usize) {
        debug_assert!(count <= self.bytes, "no more is written than was offered");
        self.bytes -= count;
        while count > 0 {
            let front = self.chunks.front_mut().expect("written bytes were gathered from chunks");
            if front.len() > count {
                front.skip(count);
                return;
            }
            count -= front.len();
            self.chunks.pop();
        }
    }

    /// Pieces that there is memory for.
    pub fn room(&self) -> usize {
        self.chunks.room()
    }

    pub fn clear(&mut self) {
        self.chunks.clear();
        self.tail = None;
        self.bytes = 0;
    }

    pub fn check(&self) {
        let tail = self.tail.as_ref().map_or(0, Page::len);
        assert_eq!(self.bytes, self.chunks.iter().map(Chunk::len).sum::<usize>() + tail);
    }

    fn freeze(&mut self) {
        if let Some(page) = self.tail.take() {
            self.chunks.push(Chunk::Page(page.freeze()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::page::PageSize;
    use std::sync::Arc;

    fn gathered(outbox: &mut Outbox, limit: usize) -> Vec<u8> {
        let mut batch = Batch::new();
        outbox.gather(limit, &mut batch);
        batch.iter().flat_map(|chunk| chunk.bytes().to_vec()).collect()
    }

    #[test]
    fn short_writes_go_on_where_they_stopped() {
        let pool = Pool::new(8, 9, 16, 9);
        let mut outbox = Outbox::default();
        outbox.write(b"head of ten ", &pool).expect("pages");
        outbox.push(Chunk::Static(b"bo"));
        outbox.push(Chunk::shared(Arc::from(*b"dy and more")));
        let mut all = Vec::new();
        while !outbox.is_empty() {
            outbox.check();
            let offered = gathered(&mut outbox, 2);
            all.extend_from_slice(&offered[..offered.len().min(3)]);
            outbox.sent(offered.len().min(3));
        }
        assert_eq!(all, b"head of ten body and more");
        assert_eq!((pool.held(PageSize::Small), pool.held(PageSize::Large)), (0, 0));
    }

    #[test]
    fn what_was_gathered_stays_as_it_was() {
        let pool = Pool::new(64, 9, 64, 9);
        let mut outbox = Outbox::default();
        outbox.write(b"one", &pool).expect("pages");
        let mut batch = Batch::new();
        outbox.gather(9, &mut batch);
        outbox.write(b"two", &pool).expect("pages");
        assert_eq!(batch[0].bytes(), b"one");
        assert_eq!(gathered(&mut outbox, 9), b"onetwo");
    }

    #[test]
    fn an_empty_pool_is_reported() {
        let pool = Pool::new(2, 1, 3, 1);
        let mut outbox = Outbox::default();
        assert_eq!(outbox.write(b"abcdef", &pool), Err(NoPage));
        outbox.clear();
        assert_eq!(outbox.write(b"abcde", &pool), Ok(()));
    }
}
