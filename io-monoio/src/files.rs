//! Configuration files: one, or a tree of them.

use engine::boundary::Document;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Directories below one another that are followed; a deeper one is a loop of links.
const DEPTH_MAX: usize = 32;

/// A file, or every configuration file below a directory, sorted by path.
pub(crate) fn load(path: &str) -> Result<Vec<Document>, String> {
    let about = |error: std::io::Error| format!("{path}: {error}");
    let metadata = fs::metadata(path).map_err(about)?;
    let mut found = Vec::new();
    if metadata.is_dir() {
        walk(Path::new(path), DEPTH_MAX, &mut found).map_err(about)?;
        found.sort();
    } else {
        found.push(PathBuf::from(path));
    }
    Ok(found.iter().map(|path| read(path)).collect())
}

fn walk(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        // Links are followed: a mounted config map is made of them. Its hidden folders hold the
        // same files once more.
        if is_hidden(&path) {
            continue;
        }
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() && depth > 0 => walk(&path, depth - 1, found)?,
            Ok(metadata) if metadata.is_dir() => {}
            _ if is_configuration(&path) => found.push(path),
            _ => {}
        }
    }
    Ok(())
}

fn read(path: &Path) -> Document {
    let text = fs::read_to_string(path).map_err(|error| error.to_string());
    Document { path: path.to_string_lossy().into_owned(), text }
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
        fs::remove_dir_all(&root).expect("it was made above");
        load(root.to_str().expect("a plain path")).expect_err("the directory is gone");
    }
}
