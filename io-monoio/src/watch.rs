//! Noticing that configuration files changed.

use crate::files::is_configuration;
use crate::slot::{Mailbox, Post};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::path::Path;
use std::sync::Arc;

/// Posts `Changed` to `back` when the file or directory may have changed, until dropped. What is
/// watched is always a directory, so that a file which is replaced is still seen.
pub(crate) fn watch(path: &str, back: Arc<Mailbox>) -> Result<RecommendedWatcher, String> {
    let about = |error: notify::Error| format!("cannot watch {path}: {error}");
    let path = Path::new(path);
    let whole = path.is_dir();
    let (directory, file) = match (whole, path.parent(), path.file_name()) {
        (false, Some(parent), Some(name)) if parent.as_os_str().is_empty() => {
            (Path::new("."), Some(name.to_owned()))
        }
        (false, Some(parent), Some(name)) => (parent, Some(name.to_owned())),
        _ => (path, None),
    };
    let concerns = move |event: &Event| {
        !matches!(event.kind, EventKind::Access(_))
            && event.paths.iter().any(|changed| match (&file, changed.file_name()) {
                (_, None) => true,
                // The link that a mounted config map swaps.
                (_, Some(name)) if name == "..data" => true,
                (Some(file), Some(name)) => file == name,
                (None, Some(_)) => is_configuration(changed) || changed.extension().is_none(),
            })
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // An error is a lost event, so something may have changed.
        if event.as_ref().map_or(true, &concerns) {
            back.post(Post::Changed);
        }
    })
    .map_err(about)?;
    let mode = if whole { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
    watcher.watch(directory, mode).map_err(about)?;
    Ok(watcher)
}
