//! The user's files: which are processes, which dynamic files are whose, and which process is
//! which child.

use engine::boundary::Document;
use engine::config::fixed::{Authority, Fixed};
use engine::config::{Part, fixed_from_file, part};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// One process as its files say.
#[derive(Clone, Debug)]
pub struct Written {
    /// `parent`, or as the parent calls it.
    pub name: String,
    /// Path of the static document.
    pub file: String,
    pub fixed: Fixed,
    /// The files of its provider.
    pub dynamic: Vec<Document>,
    /// By child of this process: which of the processes it is; nobody's documents if none.
    pub children: Vec<Option<usize>>,
}

/// Everything that was read; the first process is the one that clients talk to.
#[derive(Clone, Debug)]
pub struct Documents {
    pub processes: Vec<Written>,
}

impl Documents {
    /// The same, where entry points speak no TLS.
    pub(super) fn in_the_clear(&self) -> Self {
        let mut all = self.clone();
        let entries = all.processes.iter_mut().flat_map(|it| &mut it.fixed.entry_points);
        entries.for_each(|entry| entry.tls = None);
        all
    }
}

/// Endings of configuration files.
const ENDINGS: [&str; 3] = ["yml", "yaml", "toml"];

/// Reads files and everything below folders. Every problem at once.
pub fn read(paths: &[String]) -> Result<Documents, Vec<String>> {
    let mut files = Vec::new();
    let mut wrong = Vec::new();
    for path in paths {
        gather(Path::new(path), true, &mut files, &mut wrong);
    }
    let mut processes: Vec<Written> = Vec::new();
    for path in &files {
        let shown = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) if part(&shown, &text) != Part::Dynamic => match process(path, &text) {
                Ok(written) => processes.push(written),
                Err(problems) => wrong.extend(problems),
            },
            Ok(_) => {}
            Err(error) => wrong.push(format!("{shown}: {error}")),
        }
    }
    if processes.is_empty() && wrong.is_empty() {
        wrong.push("there is no static document among the files".to_owned());
    }
    if wrong.is_empty() { relate(processes).map_err(|problem| vec![problem]) } else { Err(wrong) }
}

fn gather(path: &Path, named: bool, files: &mut Vec<PathBuf>, wrong: &mut Vec<String>) {
    if path.is_dir() {
        let Ok(entries) = fs::read_dir(path) else {
            return wrong.push(format!("{}: cannot be read", path.display()));
        };
        let mut inside: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        inside.sort();
        inside.iter().for_each(|path| gather(path, false, files, wrong));
    } else if named || ENDINGS.iter().any(|end| path.extension().is_some_and(|it| it == *end)) {
        files.push(path.to_owned());
    }
}

fn process(path: &Path, text: &str) -> Result<Written, Vec<String>> {
    let file = path.display().to_string();
    let (fixed, problems) = fixed_from_file(&file, text);
    let errors = problems.iter().filter(|problem| problem.is_error());
    let mut wrong: Vec<String> = errors.map(ToString::to_string).collect();
    let mut dynamic = Vec::new();
    if let Some(provider) = &fixed.file {
        match provider_files(path, &provider.path) {
            Ok(files) => dynamic = files,
            Err(why) => wrong.push(format!("{file}: providers.file: {}: {why}", provider.path)),
        }
    }
    let children = fixed.multicluster.as_ref().map_or(0, |it| it.children.len());
    let written =
        Written { name: String::new(), file, fixed, dynamic, children: vec![None; children] };
    if wrong.is_empty() { Ok(written) } else { Err(wrong) }
}

/// As the process would find them: from where it is started, which is here or beside its file.
fn provider_files(by: &Path, named: &str) -> Result<Vec<Document>, String> {
    let beside = by.parent().unwrap_or_else(|| Path::new("")).join(named);
    let at = if beside.exists() { beside } else { PathBuf::from(named) };
    let mut files = Vec::new();
    let mut wrong = Vec::new();
    if !at.exists() {
        return Err("no such file, neither here nor beside the static document".to_owned());
    }
    gather(&at, true, &mut files, &mut wrong);
    let document = |path: PathBuf| Document {
        text: fs::read_to_string(&path).map_err(|error| error.to_string()),
        path: path.display().to_string(),
    };
    Ok(files.into_iter().filter(|path| path.as_path() != by).map(document).collect())
}

/// Finds out who is whose child, by address, and puts the root first.
fn relate(mut processes: Vec<Written>) -> Result<Documents, String> {
    let mut parents: Vec<Option<(usize, usize)>> = vec![None; processes.len()];
    for parent in 0..processes.len() {
        for child in 0..processes[parent].children.len() {
            let found = child_process(&processes, parent, child)?;
            processes[parent].children[child] = found;
            let Some(found) = found else { continue };
            // What is simulated is a tree.
            if parents[found].replace((parent, child)).is_some() {
                return Err(format!("{} is a child in two places", processes[found].file));
            }
        }
    }
    let roots: Vec<usize> = (0..processes.len()).filter(|at| parents[*at].is_none()).collect();
    let &[root] = roots.as_slice() else {
        let list: Vec<&str> = roots.iter().map(|at| &*processes[*at].file).collect();
        return Err(format!(
            "one process must be nobody's child, and these are: {} (a child is found by the \
             address that its parent has for it)",
            list.join(", ")
        ));
    };
    // With one parent each, who does not come down from the root goes round in a circle.
    let mut below = vec![root];
    let mut at = 0;
    while let Some(process) = below.get(at) {
        below.extend(processes[*process].children.iter().flatten());
        at += 1;
    }
    if let Some(lost) = (0..processes.len()).find(|at| !below.contains(at)) {
        return Err(format!("{} is a child of its own children", processes[lost].file));
    }
    for (at, above) in parents.iter().enumerate() {
        processes[at].name = match above {
            Some((parent, child)) => child_of(&processes[*parent].fixed, *child).0.to_owned(),
            None => "parent".to_owned(),
        };
    }
    processes.swap(0, root);
    let moved = |at: usize| match at {
        0 => root,
        at if at == root => 0,
        at => at,
    };
    for child in processes.iter_mut().flat_map(|process| &mut process.children) {
        *child = child.map(moved);
    }
    Ok(Documents { processes })
}

/// Name and address of a child.
pub(super) fn child_of(fixed: &Fixed, child: usize) -> (&str, &Authority) {
    let children = fixed.multicluster.as_ref().map_or(&[][..], |it| &it.children);
    (&children[child].name, &children[child].address)
}

fn child_process(all: &[Written], parent: usize, child: usize) -> Result<Option<usize>, String> {
    let (name, address) = child_of(&all[parent].fixed, child);
    let literal: Option<IpAddr> = address.host.parse().ok();
    let listens = |written: &Written| {
        written.fixed.uplink_entry_points.iter().any(|entry| {
            let there = entry.address.ip();
            let same = literal.is_none_or(|ip| there.is_unspecified() || there == ip);
            entry.address.port() == address.port && same
        })
    };
    let others = all.iter().enumerate().filter(|(at, it)| *at != parent && listens(it));
    let found: Vec<usize> = others.map(|(at, _)| at).collect();
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        many => {
            // Many clusters with one port: the name decides.
            let named = |at: &&usize| all[**at].file.contains(name);
            let mut by_name = many.iter().filter(named);
            match (by_name.next(), by_name.next()) {
                (Some(one), None) => Ok(Some(*one)),
                _ => Err(format!(
                    "child {name} at port {} could be any of {}: let the path of one contain {name}",
                    address.port,
                    many.iter().map(|at| &*all[*at].file).collect::<Vec<_>>().join(", ")
                )),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that listens for parents at the first port and has children at the others.
    fn written(file: &str, port: u16, children: &[u16]) -> Written {
        let mut text =
            format!("hub: {{uplinkEntryPoints: {{up: {{address: '127.0.0.1:{port}'}}}}, ");
        text.push_str("providers: {multicluster: {children: {");
        for port in children {
            text.push_str(&format!("to-{port}: {{address: 'http://127.0.0.1:{port}'}}, "));
        }
        text.push_str("}}}}");
        process(Path::new(&format!("{file}.yml")), &text).expect("it is sound")
    }

    #[track_caller]
    fn check(all: &[(&str, u16, &[u16])], expected: Result<&str, &str>) {
        let all = all.iter().map(|(file, port, children)| written(file, *port, children));
        let found = relate(all.collect());
        let found = found.map(|found| {
            let names = found.processes.iter().map(|process| process.name.as_str());
            names.collect::<Vec<_>>().join(" ")
        });
        assert_eq!(found.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn processes_are_one_tree_or_refused() {
        check(&[("b", 2, &[]), ("a", 1, &[2, 9])], Ok("parent to-2"));
        check(&[("a", 1, &[2]), ("b", 2, &[3]), ("c", 3, &[])], Ok("parent to-2 to-3"));
        let none = "one process must be nobody's child, and these are: ";
        let by = " (a child is found by the address that its parent has for it)";
        check(&[("a", 1, &[2]), ("b", 2, &[1])], Err(&format!("{none}{by}")));
        check(&[("a", 1, &[]), ("b", 2, &[])], Err(&format!("{none}a.yml, b.yml{by}")));
        check(
            &[("a", 1, &[2]), ("b", 2, &[3]), ("c", 3, &[2])],
            Err("b.yml is a child in two places"),
        );
        let circle = Err("b.yml is a child of its own children");
        check(&[("a", 1, &[]), ("b", 2, &[3]), ("c", 3, &[2])], circle);
    }
}
