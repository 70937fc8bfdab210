//! Fixed-size buffers without `unsafe`: unique means writable, shared means readable, and the last
//! holder to drop a page puts it back on its pool's free list.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Range;
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// The sizes of page. How many bytes each holds is the pool's business.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageSize {
    /// For idle connections: a few hundred bytes.
    Small,
    /// For what outgrew a small one: the head of a stream, frames that wait to be written.
    Middle,
    /// For heads and bodies: a response of 16 KiB fits with its head.
    Large,
}

/// The pages of one machine.
#[derive(Clone, Debug)]
pub struct Pool(Rc<Shelves>);

#[derive(Debug)]
struct Shelves {
    small: Shelf,
    middle: Shelf,
    large: Shelf,
}

#[derive(Debug)]
struct Shelf {
    page_bytes: u32,
    pages_max: u32,
    /// Pages in existence, free or held.
    made: Cell<u32>,
    free: RefCell<Vec<Rc<Mem>>>,
}

#[derive(Debug)]
struct Mem {
    bytes: Box<[u8]>,
    size: PageSize,
    home: Weak<Shelves>,
}

/// A page that nobody else can see: writable at its end.
pub struct Page {
    mem: Option<Rc<Mem>>,
    len: u32,
}

/// A view of a page that others may see too. Cloning counts a reference.
pub struct Slice {
    mem: Option<Rc<Mem>>,
    start: u32,
    end: u32,
}

/// A piece of what is to be written.
#[derive(Clone, Debug)]
pub enum Chunk {
    Page(Slice),
    Static(&'static [u8]),
    Shared { bytes: Arc<[u8]>, start: u32, end: u32 },
}

impl Pool {
    /// A pool of two sizes.
    pub fn new(small_bytes: u32, small_max: u32, large_bytes: u32, large_max: u32) -> Self {
        Self::of_three([(small_bytes, small_max), (large_bytes, 0), (large_bytes, large_max)])
    }

    /// For each size, from the smallest, the bytes of a page and the most pages.
    pub fn of_three([small, middle, large]: [(u32, u32); 3]) -> Self {
        Self(Rc::new(Shelves {
            small: Shelf::new(small.0, small.1),
            middle: Shelf::new(middle.0, middle.1),
            large: Shelf::new(large.0, large.1),
        }))
    }

    /// A page of the smallest size that holds so many bytes, of another one if there is none.
    pub fn take_for(&self, bytes: usize) -> Option<Page> {
        let fits = |size| bytes <= self.page_bytes(size) as usize;
        let order = if fits(PageSize::Small) {
            [PageSize::Small, PageSize::Middle, PageSize::Large]
        } else if fits(PageSize::Middle) {
            [PageSize::Middle, PageSize::Large, PageSize::Small]
        } else {
            [PageSize::Large, PageSize::Middle, PageSize::Small]
        };
        order.into_iter().find_map(|size| self.take(size))
    }

    /// An empty page, or nothing when the pool is at its limit. Allocates only until the pool has
    /// grown to what the load needs.
    pub fn take(&self, size: PageSize) -> Option<Page> {
        let shelf = self.0.shelf(size);
        if let Some(mem) = shelf.free.borrow_mut().pop() {
            return Some(Page { mem: Some(mem), len: 0 });
        }
        if shelf.made.get() == shelf.pages_max {
            return None;
        }
        shelf.made.set(shelf.made.get() + 1);
        let bytes = vec![0; shelf.page_bytes as usize].into_boxed_slice();
        let mem = Rc::new(Mem { bytes, size, home: Rc::downgrade(&self.0) });
        Some(Page { mem: Some(mem), len: 0 })
    }

    /// Bytes a page of this size holds.
    pub fn page_bytes(&self, size: PageSize) -> u32 {
        self.0.shelf(size).page_bytes
    }

    /// Pages somebody holds.
    pub fn held(&self, size: PageSize) -> u32 {
        let shelf = self.0.shelf(size);
        let free = u32::try_from(shelf.free.borrow().len()).expect("a shelf is bounded by u32");
        shelf.made.get() - free
    }

    /// Pages that could still be taken.
    pub fn available(&self, size: PageSize) -> u32 {
        self.0.shelf(size).pages_max - self.held(size)
    }

    /// Bytes of all pages in existence, free or held.
    pub fn resident_bytes(&self) -> u64 {
        [&self.0.small, &self.0.middle, &self.0.large]
            .iter()
            .map(|shelf| u64::from(shelf.made.get()) * u64::from(shelf.page_bytes))
            .sum()
    }
}

impl Shelves {
    fn shelf(&self, size: PageSize) -> &Shelf {
        match size {
            PageSize::Small => &self.small,
            PageSize::Middle => &self.middle,
            PageSize::Large => &self.large,
        }
    }
}

impl Shelf {
    fn new(page_bytes: u32, pages_max: u32) -> Self {
        assert!(page_bytes > 0, "a page holds at least one byte");
        Self { page_bytes, pages_max, made: Cell::new(0), free: RefCell::new(Vec::new()) }
    }
}

/// Puts the memory back if `mem` is its last holder.
fn release(mem: &mut Option<Rc<Mem>>) {
    let Some(mem) = mem.take() else { return };
    if Rc::strong_count(&mem) > 1 {
        return;
    }
    if let Some(home) = mem.home.upgrade() {
        home.shelf(mem.size).free.borrow_mut().push(mem);
    }
}

impl Page {
    pub fn len(&self) -> usize {
        self.len as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn capacity(&self) -> usize {
        self.mem().bytes.len()
    }

    pub fn spare(&self) -> usize {
        self.capacity() - self.len()
    }

    pub fn bytes(&self) -> &[u8] {
        &self.mem().bytes[..self.len()]
    }

    /// The unwritten rest of the page. The memory is initialised; its contents mean nothing.
    pub fn spare_mut(&mut self) -> &mut [u8] {
        let len = self.len();
        let mem = self.mem.as_mut().expect("a page has its memory until it is dropped");
        &mut Rc::get_mut(mem).expect("a page is unique").bytes[len..]
    }

    /// Declares the next `count` bytes written.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.spare(), "cannot write beyond a page");
        self.len += u32::try_from(count).expect("a page is below 4 GiB");
    }

    /// Copies as much of `bytes` as fits; returns how much.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.spare());
        self.spare_mut()[..count].copy_from_slice(&bytes[..count]);
        self.advance(count);
        count
    }

    /// Forgets the contents.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Gives up writing: from now on the bytes are shared and fixed.
    pub fn freeze(mut self) -> Slice {
        Slice { mem: self.mem.take(), start: 0, end: self.len }
    }

    fn mem(&self) -> &Mem {
        self.mem.as_ref().expect("a page has its memory until it is dropped")
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        release(&mut self.mem);
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Page({} of {})", self.len(), self.capacity())
    }
}

impl Slice {
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub fn bytes(&self) -> &[u8] {
        let mem = self.mem.as_ref().expect("a slice has its memory until it is dropped");
        &mem.bytes[self.start as usize..self.end as usize]
    }

    /// The part of this slice at `range`, counted from its start.
    pub fn part(&self, range: Range<usize>) -> Self {
        assert!(
            range.start <= range.end && range.end <= self.len(),
            "a part lies within its whole"
        );
        let offset = |at: usize| self.start + u32::try_from(at).expect("a page is below 4 GiB");
        Self { mem: self.mem.clone(), start: offset(range.start), end: offset(range.end) }
    }

    /// Drops the first `count` bytes from view.
    pub fn skip(&mut self, count: usize) {
        assert!(count <= self.len(), "cannot skip beyond a slice");
        self.start += u32::try_from(count).expect("a page is below 4 GiB");
    }

    /// The page again, if nobody else holds it: its bytes from the start up to the slice's end are
    /// kept, so only a slice that was never skipped gives back what it shows.
    pub fn thaw(mut self) -> Result<Page, Self> {
        let mut mem = self.mem.take().expect("a slice has its memory until it is dropped");
        if Rc::get_mut(&mut mem).is_some() {
            return Ok(Page { mem: Some(mem), len: self.end });
        }
        self.mem = Some(mem);
        Err(self)
    }
}

impl Clone for Slice {
    fn clone(&self) -> Self {
        Self { mem: self.mem.clone(), start: self.start, end: self.end }
    }
}

impl Drop for Slice {
    fn drop(&mut self) {
        release(&mut self.mem);
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slice({})", self.len())
    }
}

impl Chunk {
    pub fn shared(bytes: Arc<[u8]>) -> Self {
        let end = u32::try_from(bytes.len()).expect("a prepared body is below 4 GiB");
        Self::Shared { bytes, start: 0, end }
    }

    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Page(slice) => slice.bytes(),
            Self::Static(bytes) => bytes,
            Self::Shared { bytes, start, end } => &bytes[*start as usize..*end as usize],
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Page(slice) => slice.len(),
            Self::Static(bytes) => bytes.len(),
            Self::Shared { start, end, .. } => (end - start) as usize,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `count` bytes.
    pub fn part(&self, count: usize) -> Self {
        assert!(count <= self.len(), "a part lies within its whole");
        match self {
            Self::Page(slice) => Self::Page(slice.part(0..count)),
            Self::Static(bytes) => Self::Static(&bytes[..count]),
            Self::Shared { bytes, start, .. } => {
                let end = start + u32::try_from(count).expect("a prepared body is below 4 GiB");
                Self::Shared { bytes: Arc::clone(bytes), start: *start, end }
            }
        }
    }

    /// Drops the first `count` bytes from view.
    pub fn skip(&mut self, count: usize) {
        assert!(count <= self.len(), "cannot skip beyond a chunk");
        match self {
            Self::Page(slice) => slice.skip(count),
            Self::Static(bytes) => *bytes = &bytes[count..],
            Self::Shared { start, .. } => {
                *start += u32::try_from(count).expect("a prepared body is below 4 GiB");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_holder_puts_the_page_back() {
        let pool = Pool::new(8, 1, 64, 2);
        let mut page = pool.take(PageSize::Small).expect("one small page");
        assert!(pool.take(PageSize::Small).is_none());
        assert_eq!(page.append(b"0123456789"), 8);
        let whole = page.freeze();
        let part = whole.part(2..5);
        drop(whole);
        assert_eq!(part.bytes(), b"234");
        assert_eq!(pool.held(PageSize::Small), 1);
        drop(part);
        assert_eq!(pool.held(PageSize::Small), 0);
        assert!(pool.take(PageSize::Small).expect("the page came back").is_empty());
    }

    #[test]
    fn a_page_is_as_small_as_its_content_allows_and_there_are() {
        let pool = Pool::of_three([(4, 1), (8, 1), (16, 1)]);
        let capacity = |bytes| pool.take_for(bytes).map(|page| page.capacity());
        assert_eq!([4, 5, 8, 9, 99].map(capacity), [4, 8, 8, 16, 16].map(Some));
        let _middle = pool.take(PageSize::Middle).expect("one page of each size");
        assert_eq!(capacity(5), Some(16));
        let _large = pool.take(PageSize::Large).expect("one page of each size");
        assert_eq!(capacity(5), Some(4));
        let _small = pool.take(PageSize::Small).expect("one page of each size");
        assert_eq!((capacity(1), pool.resident_bytes()), (None, 28));
    }

    #[test]
    fn a_slice_thaws_only_when_alone() {
        let pool = Pool::new(8, 1, 64, 1);
        let mut page = pool.take(PageSize::Large).expect("one large page");
        page.append(b"abc");
        let (one, two) = {
            let s = page.freeze();
            (s.clone(), s)
        };
        let one = one.thaw().expect_err("shared");
        drop(two);
        assert_eq!(one.thaw().expect("alone").bytes(), b"abc");
    }

    #[test]
    fn a_page_may_outlive_its_pool() {
        let pool = Pool::new(8, 1, 64, 1);
        let page = pool.take(PageSize::Small).expect("one small page");
        drop(pool);
        drop(page);
    }
}
