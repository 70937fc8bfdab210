//! Documents that are read from files as a user's are.

use sim::foresight::documents::{Documents, read};
use std::fs;

/// What these files of a folder say, by their names; the folder is gone afterwards. `name` is
/// nobody else's.
pub(crate) fn documents(name: &str, files: &[(&str, &str)]) -> Documents {
    let folder = std::env::temp_dir().join(format!("tieline-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    for (file, text) in files {
        fs::write(folder.join(file), text).expect("written");
    }
    let read = read(&[folder.display().to_string()]).expect("sound documents");
    fs::remove_dir_all(folder).expect("it is ours");
    read
}
