//! Noticing that configuration files changed.
//!
//! The kernel tells of most changes at once. It does not tell of those behind links and on network
//! mounts, nor of anything once the directory itself was replaced; so what the files look like from
//! outside is compared now and then as well.

use crate::files::{self, is_configuration};
use crate::slot::{Mailbox, Post};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Posts `Changed` when a file or something in a directory may have changed, until dropped.
pub(crate) struct Watch {
    _stop: Sender<()>,
}

/// Watches `path` for `back`. The second is why the kernel does not tell of changes, if so.
pub(crate) fn watch(path: &str, back: Arc<Mailbox>) -> io::Result<(Watch, Option<String>)> {
    let path = PathBuf::from(path);
    let (stop, stopped) = mpsc::channel();
    let (told, cause) = match tell(&path, back.clone()) {
        Ok(told) => (Some(told), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let looks = looks(&path);
    let look = move || compare(&path, looks, told, &back, &stopped);
    thread::Builder::new().name("watch".to_owned()).spawn(look)?;
    Ok((Watch { _stop: stop }, cause))
}

/// Has the kernel tell. What it watches is always a directory, so that a file which is replaced
/// is still seen.
fn tell(path: &Path, back: Arc<Mailbox>) -> notify::Result<RecommendedWatcher> {
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
    })?;
    let mode = if whole { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
    watcher.watch(directory, mode)?;
    Ok(watcher)
}

/// What one file looks like from outside: nothing can change its content and leave all of it.
type Look = (PathBuf, Option<[i64; 4]>);

fn looks(path: &Path) -> Vec<Look> {
    // One that is gone or may not be read looks like nothing.
    let mut found = files::list(path).unwrap_or_default();
    found.sort();
    found
        .into_iter()
        .map(|path| {
            let look = look(&path);
            (path, look)
        })
        .collect()
}

#[expect(clippy::cast_possible_wrap, reason = "they are only compared")]
fn look(path: &Path) -> Option<[i64; 4]> {
    let seen = path.metadata().ok()?;
    Some([seen.ino() as i64, seen.len() as i64, seen.ctime(), seen.ctime_nsec()])
}

/// Until the other end of `stopped` is gone.
fn compare(
    path: &Path,
    mut seen: Vec<Look>,
    mut told: Option<RecommendedWatcher>,
    back: &Arc<Mailbox>,
    stopped: &Receiver<()>,
) {
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(LOOK_EVERY) {
        let now = looks(path);
        if now == seen {
            continue;
        }
        seen = now;
        // Whatever changed may have been the directory itself, which the kernel then lost.
        told = tell(path, back.clone()).ok().or(told);
        back.post(Post::Changed);
    }
}
