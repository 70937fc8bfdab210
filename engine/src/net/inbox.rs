//! Bytes that arrived and nobody has used yet: pages in order, and a head that outgrew its page.

use super::fifo::Fifo;
use crate::base::page::{Page, Slice};
use crate::boundary::Lent;

#[derive(Debug, Default)]
pub struct Inbox {
    slices: Fifo<Slice>,
    bytes: usize,
}

impl Inbox {
    /// Takes what a read delivered. `spare` gets back the vector of a read into many pages.
    pub fn push(&mut self, lent: Lent, spare: &mut Vec<Vec<Page>>) {
        match lent {
            Lent::One(page) => self.push_page(page),
            Lent::Many(mut pages) => {
                for page in pages.drain(..) {
                    self.push_page(page);
                }
                spare.push(pages);
            }
        }
    }

    /// Takes a page that was filled here.
    pub fn extend(&mut self, page: Option<Page>) {
        if let Some(page) = page {
            self.push_page(page);
        }
    }

    fn push_page(&mut self, page: Page) {
        if !page.is_empty() {
            self.bytes += page.len();
            self.slices.push(page.freeze());
        }
    }

    /// Takes bytes that arrived inside of another stream.
    pub fn push_slice(&mut self, slice: Slice) {
        if !slice.is_empty() {
            self.bytes += slice.len();
            self.slices.push(slice);
        }
    }

    /// Pages that are held, whole or in part.
    pub fn pieces(&self) -> usize {
        self.slices.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The oldest bytes that lie together.
    pub fn front(&self) -> Option<&Slice> {
        self.slices.front()
    }

    /// Takes the oldest bytes that lie together, at most `limit` of them.
    pub fn take(&mut self, limit: usize) -> Option<Slice> {
        let front = self.slices.front_mut()?;
        if front.len() <= limit {
            self.bytes -= front.len();
            return self.slices.pop();
        }
        let part = front.part(0..limit);
        self.bytes -= limit;
        front.skip(limit);
        Some(part)
    }

    /// Drops the oldest `count` bytes.
    pub fn skip(&mut self, mut count: usize) {
        while count > 0 {
            let slice = self.take(count).expect("no more is skipped than is there");
            count -= slice.len();
        }
    }

    /// Copies small pieces together, so that they hold no more pages than they fill. Where there
    /// are no pages, it leaves them as they are.
    pub fn compact(&mut self, mut page: impl FnMut() -> Option<Page>) {
        let mut joined = Fifo::default();
        let mut last: Option<Page> = None;
        for slice in self.slices.iter() {
            let mut rest = slice.bytes();
            while !rest.is_empty() {
                if last.as_ref().is_none_or(|last| last.spare() == 0)
                    && let Some(full) = std::mem::replace(&mut last, page())
                {
                    joined.push(full.freeze());
                }
                let Some(last) = &mut last else { return };
                let count = last.append(rest);
                rest = &rest[count..];
            }
        }
        if let Some(last) = last {
            joined.push(last.freeze());
        }
        self.slices = joined;
    }

    /// Pieces that there is memory for.
    pub fn room(&self) -> usize {
        self.slices.room()
    }

    pub fn clear(&mut self) {
        self.slices.clear();
        self.bytes = 0;
    }

    pub fn check(&self) {
        assert_eq!(self.bytes, self.slices.iter().map(Slice::len).sum::<usize>());
        assert!(self.slices.iter().all(|slice| !slice.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::page::{PageSize, Pool};

    #[test]
    fn bytes_leave_in_the_order_in_which_they_came() {
        let pool = Pool::new(4, 8, 64, 1);
        let mut inbox = Inbox::default();
        let page = |bytes: &[u8]| {
            let mut page = pool.take(PageSize::Small).expect("a page");
            page.append(bytes);
            page
        };
        let mut spare = Vec::new();
        inbox.push(Lent::One(page(b"abc")), &mut spare);
        inbox.push(Lent::Many(vec![page(b"defg"), page(b"h"), page(b"")]), &mut spare);
        assert_eq!((inbox.bytes(), spare.len()), (8, 1));
        assert_eq!(inbox.take(2).expect("bytes").bytes(), b"ab");
        inbox.skip(2);
        assert_eq!(inbox.take(99).expect("bytes").bytes(), b"efg");
        inbox.check();
        inbox.skip(1);
        assert!(inbox.is_empty() && inbox.take(1).is_none());
        assert_eq!(pool.held(PageSize::Small), 0);
    }

    /// An inbox of pieces of two bytes, compacted into `pages` pages of eight.
    #[track_caller]
    fn check_compacted(pieces: usize, pages: usize, expected: &[&str]) {
        let pool = Pool::new(2, 8, 8, 2);
        let mut inbox = Inbox::default();
        for _ in 0..pieces {
            let mut page = pool.take(PageSize::Small).expect("a page");
            page.append(b"ab");
            inbox.push_slice(page.freeze());
        }
        let mut left = pages;
        inbox.compact(|| {
            left = left.checked_sub(1)?;
            pool.take(PageSize::Large)
        });
        inbox.check();
        assert_eq!((inbox.bytes(), inbox.pieces()), (2 * pieces, expected.len()), "{pieces}");
        for piece in expected {
            assert_eq!(inbox.take(99).expect("a piece").bytes(), piece.as_bytes(), "{pieces}");
        }
        assert_eq!(pool.held(PageSize::Small) + pool.held(PageSize::Large), 0);
    }

    #[test]
    fn small_pieces_are_copied_into_as_many_pages_as_they_fill() {
        check_compacted(0, 2, &[]);
        check_compacted(3, 2, &["ababab"]);
        check_compacted(4, 2, &["abababab"]);
        check_compacted(5, 2, &["abababab", "ab"]);
        check_compacted(5, 1, &["ab", "ab", "ab", "ab", "ab"]);
        check_compacted(2, 0, &["ab", "ab"]);
    }
}
