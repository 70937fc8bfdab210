//! Where the documents of a world come from: what they define is named after that. A world is
//! played on one thread, so a word of the thread says it.

use std::cell::Cell;

/// A provider.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Home {
    /// Files.
    #[default]
    File,
    /// A server that is asked again and again.
    Http,
}

thread_local! {
    static HOME: Cell<Home> = const { Cell::new(Home::File) };
}

/// The world that this thread plays from now on has its documents from there.
pub fn settle(home: Home) {
    HOME.set(home);
}

/// What names of definitions end with.
pub fn suffix() -> &'static str {
    match HOME.get() {
        Home::File => "@file",
        Home::Http => "@http",
    }
}

/// A name as a document has it.
pub fn bare(name: &str) -> &str {
    name.strip_suffix(suffix()).unwrap_or(name)
}
