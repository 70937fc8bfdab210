//! Configuration files: one, or a tree of them.

use engine::boundary::Document;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Directories below one another that are followed.
const DEPTH_MAX: usize = 32;

/// A file, or every configuration file below a directory, sorted by path.
pub(crate) fn load(path: &str) -> Result<Vec<Document>, String> {
    let mut found = list(Path::new(path)).map_err(|error| error.to_string())?;
    found.sort();
    Ok(found.iter().map(|path| read(path)).collect())
}

/// Which files those are, in any order.
pub(crate) fn list(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if fs::metadata(path)?.is_dir() {
        walk(path, &mut Vec::new(), &mut found)?;
    } else {
        found.push(path.to_owned());
    }
    Ok(found)
}

/// `above` are the directories that lead here, so that a loop of links is walked once.
fn walk(directory: &Path, above: &mut Vec<(u64, u64)>, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let metadata = fs::metadata(directory)?;
    let this = (metadata.dev(), metadata.ino());
    if above.len() == DEPTH_MAX || above.contains(&this) {
        return Ok(());
    }
    above.push(this);
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        // Links are followed: a mounted config map is made of them. Its hidden folders hold the
        // same files once more.
        if is_hidden(&path) {
            continue;
        }
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => walk(&path, above, found)?,
            _ if is_configuration(&path) => found.push(path),
            _ => {}
        }
    }
    above.pop();
    Ok(())
}

fn read(path: &Path) -> Document {
    let text = content(path).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
    });
    let text = text.map_err(|error| error.to_string());
    Document { path: path.to_string_lossy().into_owned(), text }
}

/// What is in a file. Pipes and devices are none: to read one may take for ever.
pub(crate) fn content(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    fs::read(path)
}

pub(crate) fn is_configuration(path: &Path) -> bool {
    path.extension()
        .and_then(OsStr::to_str)
        .is_some_and(|extension| matches!(extension, "yml" | "yaml" | "toml"))
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_directory_is_read_recursively_and_in_order() {
        let root = std::env::temp_dir().join(format!("tieline-files-{}", std::process::id()));
        fs::create_dir_all(root.join("b/deep")).expect("a fresh directory");
        fs::create_dir_all(root.join("..hidden")).expect("a fresh directory");
        let files = ["c.toml", "b/deep/x.yaml", "a.yml", "notes.txt", "..hidden/a.yml"];
        for file in files {
            fs::write(root.join(file), file).expect("a writable directory");
        }
        let loaded = load(root.to_str().expect("a plain path")).expect("the directory is there");
        let texts: Vec<_> = loaded.into_iter().map(|one| one.text.expect("readable")).collect();
        assert_eq!(texts, ["a.yml", "b/deep/x.yaml", "c.toml"]);
        for link in ["loop", "b/again"] {
            symlink(&root, root.join(link)).expect("a writable directory");
        }
        let again = load(root.to_str().expect("a plain path")).expect("loops are no error");
        assert_eq!(again.len(), 3);
        fs::remove_dir_all(&root).expect("it was made above");
        load(root.to_str().expect("a plain path")).expect_err("the directory is gone");
    }
}
