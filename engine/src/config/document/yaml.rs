//! YAML to a tree, from the events of the parser below `serde-saphyr`. Anchors, aliases and merge
//! keys are resolved here, within a budget.

use super::{At, Broken, Entry, Kind, Scalar, Value, lead};
use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};
use std::collections::{BTreeMap, BTreeSet};

/// Values that aliases may add to a document: enough to share settings among ten thousand
/// services, too little for a bomb.
const COPIES_MAX: usize = 1 << 18;

pub(super) fn parse(text: &str) -> Result<Value, Broken> {
    let mut builder = Builder { text, ..Builder::default() };
    for next in Parser::new_from_str(text) {
        let (event, span) = next.map_err(|error| Broken {
            at: place(error.marker()),
            text: error.kind().to_string(),
        })?;
        builder.take(event, span)?;
    }
    Ok(builder.root.unwrap_or_else(|| Value::empty_map(At { line: 1, column: 1 })))
}

#[derive(Default)]
struct Builder<'a> {
    text: &'a str,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Value>,
    copies: usize,
    root: Option<Value>,
    documents: u32,
}

/// A collection whose end has not come yet.
struct Open {
    at: At,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Value>),
    Map { entries: Vec<Entry>, merges: Vec<Value>, key: Option<Key> },
}

struct Key {
    text: String,
    at: At,
    merges: bool,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Broken> {
        let at = place(&span.start);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                let text = "a second document starts here; only one is read per file";
                if self.documents > 1 { Err(broken(at, text)) } else { Ok(()) }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                check_tag(at, tag.as_deref())?;
                self.scalar(&text, plain, at, anchor, &span)
            }
            Event::SequenceStart(_, anchor, tag) => {
                check_tag(at, tag.as_deref())?;
                self.open.push(Open { at, anchor, kind: OpenKind::List(Vec::new()) });
                Ok(())
            }
            Event::MappingStart(_, anchor, tag) => {
                check_tag(at, tag.as_deref())?;
                let kind = OpenKind::Map { entries: Vec::new(), merges: Vec::new(), key: None };
                self.open.push(Open { at, anchor, kind });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor, at),
            // Aliases without an anchor are errors of the parser, and comments are off.
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentEnd
            | Event::Anchor(..)
            | Event::UnresolvedAlias(_)
            | _ => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        plain: bool,
        at: At,
        anchor: usize,
        span: &Span,
    ) -> Result<(), Broken> {
        if let Some(OpenKind::Map { key: key @ None, .. }) =
            self.open.last_mut().map(|o| &mut o.kind)
        {
            *key = Some(Key { text: text.to_owned(), at, merges: plain && text == "<<" });
            if anchor != 0 {
                self.anchors.insert(anchor, Value::scalar(at, text));
            }
            return Ok(());
        }
        let null = plain && matches!(text, "" | "~" | "null" | "Null" | "NULL");
        let kind = if null {
            Kind::Null
        } else {
            let lead = span.start.byte_offset().and_then(|start| lead(self.text, start, text));
            Kind::Scalar(Scalar { text: text.to_owned(), lead })
        };
        self.value(Value { at, kind }, anchor)
    }

    fn close(&mut self) -> Result<(), Broken> {
        let open = self.open.pop().expect("the parser ends only what it started");
        let kind = match open.kind {
            OpenKind::List(items) => Kind::List(items),
            OpenKind::Map { mut entries, merges, .. } => {
                merge(&mut entries, merges)?;
                Kind::Map(entries)
            }
        };
        self.value(Value { at: open.at, kind }, open.anchor)
    }

    fn alias(&mut self, anchor: usize, at: At) -> Result<(), Broken> {
        let Some(value) = self.anchors.get(&anchor) else {
            return Err(broken(at, "an alias stands inside of what it names"));
        };
        self.copies += size(value);
        if self.copies > COPIES_MAX {
            return Err(broken(at, format!("aliases add more than {COPIES_MAX} values")));
        }
        let value = Value { at, kind: value.kind.clone() };
        self.value(value, 0)
    }

    /// Puts a finished value where it belongs.
    fn value(&mut self, value: Value, anchor: usize) -> Result<(), Broken> {
        if anchor != 0 {
            self.copies += size(&value);
            if self.copies > COPIES_MAX {
                return Err(broken(
                    value.at,
                    format!("anchors hold more than {COPIES_MAX} values"),
                ));
            }
            self.anchors.insert(anchor, value.clone());
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(value),
            Some(OpenKind::List(items)) => items.push(value),
            Some(OpenKind::Map { entries, merges, key }) => match key.take() {
                Some(key) if key.merges => merges.push(value),
                Some(key) => entries.push(Entry { key: key.text, at: key.at, value }),
                None => {
                    return Err(broken(value.at, "a key is a plain word here, not a collection"));
                }
            },
        }
        Ok(())
    }
}

/// Adds what `<<` names, unless the mapping says it itself. The first of a list wins.
fn merge(entries: &mut Vec<Entry>, merges: Vec<Value>) -> Result<(), Broken> {
    for value in merges {
        match value.kind {
            Kind::Null => {}
            Kind::List(items) => merge(entries, items)?,
            Kind::Map(more) => {
                let own: BTreeSet<String> = entries.iter().map(|own| own.key.clone()).collect();
                entries.extend(more.into_iter().filter(|entry| !own.contains(&entry.key)));
            }
            Kind::Scalar(_) => {
                return Err(broken(value.at, "<< takes a mapping or an alias of one"));
            }
        }
    }
    Ok(())
}

fn size(value: &Value) -> usize {
    match &value.kind {
        Kind::Null | Kind::Scalar(_) => 1,
        Kind::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Kind::Map(entries) => 1 + entries.iter().map(|entry| size(&entry.value)).sum::<usize>(),
    }
}

/// Tags of YAML's own schema say what the field says anyway.
fn check_tag(at: At, tag: Option<&Tag>) -> Result<(), Broken> {
    let known = |tag: &Tag| {
        matches!(tag.core_suffix(), Some("str" | "int" | "bool" | "float" | "null" | "map" | "seq"))
    };
    match tag {
        Some(tag) if !known(tag) => Err(broken(at, format!("the tag {tag} is not supported"))),
        _ => Ok(()),
    }
}

fn broken(at: At, text: impl Into<String>) -> Broken {
    Broken { at, text: text.into() }
}

fn place(marker: &Marker) -> At {
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    At { line: small(marker.line()), column: small(marker.col()).saturating_add(1) }
}
