//! Pages and chunks as the ring wants them, and the borrowed descriptor of an open socket. All
//! `unsafe` of the project is here.

use engine::base::page::{Chunk, Page};
use libc::iovec;
use monoio::buf::{IoBuf, IoBufMut, IoVecBuf, IoVecBufMut};
use monoio::net::TcpStream;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// The unwritten end of a page, on loan to one read.
pub(crate) struct OnePage(pub(crate) Page);

// SAFETY: a page is the only holder of its memory, which lies on the heap, is initialised, and
// neither moves nor is freed before the page is dropped; the runtime owns the page until the
// kernel is done with it.
unsafe impl IoBufMut for OnePage {
    fn write_ptr(&mut self) -> *mut u8 {
        self.0.spare_mut().as_mut_ptr()
    }

    fn bytes_total(&mut self) -> usize {
        self.0.spare()
    }

    unsafe fn set_init(&mut self, count: usize) {
        self.0.advance(count);
    }
}

/// The unwritten ends of several pages, on loan to one vectored read. Kept and reused.
#[derive(Default)]
pub(crate) struct Pages {
    pages: Vec<Page>,
    slots: Vec<iovec>,
}

impl Pages {
    pub(crate) fn fill(&mut self, pages: Vec<Page>) {
        self.pages = pages;
        self.slots.clear();
        self.slots.extend(self.pages.iter_mut().map(|page| {
            let spare = page.spare_mut();
            iovec { iov_base: spare.as_mut_ptr().cast(), iov_len: spare.len() }
        }));
    }

    /// The pages again. What is left points nowhere.
    pub(crate) fn take(&mut self) -> Vec<Page> {
        self.slots.clear();
        std::mem::take(&mut self.pages)
    }
}

// SAFETY: each slot was taken from a page that this value owns and that nobody touches while the
// value exists; memory of pages and of `slots` lies on the heap and stays when the value moves.
unsafe impl IoVecBufMut for Box<Pages> {
    fn write_iovec_ptr(&mut self) -> *mut iovec {
        self.slots.as_mut_ptr()
    }

    fn write_iovec_len(&mut self) -> usize {
        self.slots.len()
    }

    unsafe fn set_init(&mut self, mut count: usize) {
        for page in &mut self.pages {
            let here = count.min(page.spare());
            page.advance(here);
            count -= here;
        }
        debug_assert!(count == 0, "the kernel fills no more than it was lent");
    }
}

/// A chunk on loan to one write.
pub(crate) struct OneChunk(pub(crate) Chunk);

// SAFETY: a chunk shares or borrows initialised memory that nobody writes while it is shared, and
// that lives at least as long as the chunk; the runtime owns the chunk until the kernel is done.
unsafe impl IoBuf for OneChunk {
    fn read_ptr(&self) -> *const u8 {
        self.0.bytes().as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.0.len()
    }
}

/// Chunks on loan to one vectored write. Kept and reused.
#[derive(Default)]
pub(crate) struct Chunks {
    chunks: Vec<Chunk>,
    slots: Vec<iovec>,
}

impl Chunks {
    /// Swaps its empty list with the full `chunks`.
    pub(crate) fn fill(&mut self, chunks: &mut Vec<Chunk>) {
        debug_assert!(self.chunks.is_empty(), "cleared before it was kept");
        std::mem::swap(&mut self.chunks, chunks);
        self.slots.extend(self.chunks.iter().map(|chunk| {
            let bytes = chunk.bytes();
            iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
        }));
    }

    pub(crate) fn clear(&mut self) {
        self.slots.clear();
        self.chunks.clear();
    }
}

// SAFETY: each slot points into a chunk that this value owns, as for `OneChunk`; the kernel only
// reads through it; memory of `slots` lies on the heap and stays when the value moves.
unsafe impl IoVecBuf for Box<Chunks> {
    fn read_iovec_ptr(&self) -> *const iovec {
        self.slots.as_ptr()
    }

    fn read_iovec_len(&self) -> usize {
        self.slots.len()
    }
}

/// The descriptor of a socket that one task owns and that others may act on meanwhile.
pub(crate) struct Borrowable(std::cell::Cell<Option<RawFd>>);

impl Borrowable {
    pub(crate) const fn nothing() -> Self {
        Self(std::cell::Cell::new(None))
    }

    /// `stream` must come back through [`Borrowable::release`].
    pub(crate) fn lend(&self, stream: &TcpStream) {
        self.0.set(Some(stream.as_raw_fd()));
    }

    /// Runs `act` on the socket, if there is one.
    pub(crate) fn with(&self, act: impl FnOnce(BorrowedFd<'_>)) {
        if let Some(fd) = self.0.get() {
            // SAFETY: between `lend` and `release` the task that called `lend` keeps the stream
            // open; all three run on one thread and `act` cannot keep what it is given.
            act(unsafe { BorrowedFd::borrow_raw(fd) });
        }
    }

    /// Ends the loan; dropping the result closes the socket.
    pub(crate) fn release(&self, stream: TcpStream) -> OwnedFd {
        self.0.set(None);
        // SAFETY: `into_raw_fd` gives up the descriptor and checks that nothing else holds it.
        unsafe { OwnedFd::from_raw_fd(stream.into_raw_fd()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::base::page::{PageSize, Pool};

    fn pool() -> Pool {
        Pool::new(8, 4, 32, 4)
    }

    fn page(pool: &Pool, bytes: &[u8]) -> Page {
        let mut page = pool.take(PageSize::Small).expect("the pool is fresh");
        page.append(bytes);
        page
    }

    /// Plays the kernel: copies `bytes` to where the slots point.
    fn scatter(pages: &mut Box<Pages>, mut bytes: &[u8]) {
        let total = bytes.len();
        let first = pages.write_iovec_ptr();
        for at in 0..pages.write_iovec_len() {
            // SAFETY: `at` is below the number of slots.
            let slot = unsafe { first.add(at) };
            // SAFETY: as above, and slots are initialised.
            let slot = unsafe { *slot };
            let here = slot.iov_len.min(bytes.len());
            // SAFETY: the slot describes `iov_len` writable bytes of a page.
            let room = unsafe { std::slice::from_raw_parts_mut(slot.iov_base.cast(), here) };
            room.copy_from_slice(&bytes[..here]);
            bytes = &bytes[here..];
        }
        // SAFETY: `total` bytes were written above.
        unsafe { pages.set_init(total - bytes.len()) };
    }

    #[test]
    fn a_read_fills_the_unwritten_end_of_a_page() {
        let mut one = OnePage(page(&pool(), b"abc"));
        assert_eq!(one.bytes_total(), 5);
        // SAFETY: five writable bytes are behind the pointer.
        unsafe { one.write_ptr().copy_from_nonoverlapping(b"de".as_ptr(), 2) };
        // SAFETY: two bytes were written above.
        unsafe { one.set_init(2) };
        assert_eq!(one.0.bytes(), b"abcde");
    }

    #[test]
    fn a_vectored_read_fills_pages_in_order() {
        let pool = pool();
        let lent = vec![page(&pool, b"ab"), page(&pool, b""), page(&pool, b"")];
        let mut pages = Box::<Pages>::default();
        pages.fill(lent);
        scatter(&mut pages, b"cdefghijk");
        let pages = pages.take();
        let got: Vec<&[u8]> = pages.iter().map(Page::bytes).collect();
        assert_eq!(got, [&b"abcdefgh"[..], b"ijk", b""]);
    }

    #[test]
    fn a_vectored_write_shows_every_chunk_and_can_be_used_again() {
        let pool = pool();
        let mut chunks = Box::<Chunks>::default();
        for text in ["first", "second"] {
            let mut list =
                vec![Chunk::Static(text.as_bytes()), Chunk::Page(page(&pool, b"!").freeze())];
            chunks.fill(&mut list);
            assert!(list.is_empty());
            let moved = chunks;
            let mut seen: Vec<u8> = Vec::new();
            for at in 0..moved.read_iovec_len() {
                // SAFETY: `at` is below the number of slots.
                let slot = unsafe { moved.read_iovec_ptr().add(at) };
                // SAFETY: as above, and slots are initialised.
                let slot = unsafe { *slot };
                // SAFETY: the slot describes `iov_len` bytes of a chunk that `moved` owns.
                seen.extend(unsafe {
                    std::slice::from_raw_parts(slot.iov_base.cast::<u8>(), slot.iov_len)
                });
            }
            assert_eq!(seen, [text.as_bytes(), b"!"].concat());
            chunks = moved;
            chunks.clear();
        }
        assert_eq!(pool.held(PageSize::Small), 0);
    }
}
