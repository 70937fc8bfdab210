//! TOML to a tree, by the `toml` crate's own tree with spans.

use super::{At, Broken, Entry, Kind, Scalar, Value, lead};
use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

pub(super) fn parse(text: &str) -> Result<Value, Broken> {
    let lines = Lines::of(text);
    match DeTable::parse(text) {
        Ok(table) => Ok(map(&lines, At { line: 1, column: 1 }, table.get_ref())),
        Err(error) => Err(Broken {
            at: error.span().map_or_else(At::default, |span| lines.at(span.start)),
            text: error.message().to_owned(),
        }),
    }
}

fn value(lines: &Lines<'_>, spanned: &Spanned<DeValue<'_>>) -> Value {
    let start = spanned.span().start;
    let at = lines.at(start);
    let text = match spanned.get_ref() {
        DeValue::Table(table) => return map(lines, at, table),
        DeValue::Array(items) => {
            let items = items.iter().map(|item| value(lines, item)).collect();
            return Value { at, kind: Kind::List(items) };
        }
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(integer) => match integer.radix() {
            16 => format!("0x{}", integer.as_str()),
            8 => format!("0o{}", integer.as_str()),
            2 => format!("0b{}", integer.as_str()),
            _ => integer.as_str().to_owned(),
        },
        DeValue::Float(float) => float.as_str().to_owned(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(time) => time.to_string(),
    };
    let lead = lead(lines.text, start, &text);
    Value { at, kind: Kind::Scalar(Scalar { text, lead }) }
}

fn map(lines: &Lines<'_>, at: At, table: &DeTable<'_>) -> Value {
    let mut members: Vec<_> = table.iter().collect();
    members.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, member): (&Spanned<_>, &Spanned<_>)| Entry {
        key: AsRef::<str>::as_ref(key.get_ref()).to_owned(),
        at: lines.at(key.span().start),
        value: value(lines, member),
    };
    Value { at, kind: Kind::Map(members.into_iter().map(entry).collect()) }
}

/// Byte offsets to lines and columns.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let starts = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(starts).collect() }
    }

    fn at(&self, offset: usize) -> At {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        let letters = self.text.get(start..offset).map_or(0, |before| before.chars().count());
        At { line: small(line), column: small(letters + 1) }
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
