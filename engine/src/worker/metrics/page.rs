//! The text format of Prometheus: families of rows, labels escaped, numbers without floats.

use crate::base::text::{number, padded};

#[derive(Debug, Default)]
pub(super) struct Page {
    out: Vec<u8>,
    name: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Summary,
}

/// A row whose value is still to come.
#[derive(Debug)]
pub(super) struct Row<'a>(&'a mut Vec<u8>);

pub(super) type Labels<'a> = [(&'static str, &'a str)];

impl Page {
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, about: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
        };
        self.name = name;
        for part in ["# HELP ", name, " ", about, "\n# TYPE ", name, " ", kind, "\n"] {
            self.out.extend_from_slice(part.as_bytes());
        }
    }

    /// A row of the family that was begun last.
    pub(super) fn row(&mut self, labels: &Labels<'_>) -> Row<'_> {
        self.row_of("", labels, &[])
    }

    /// As [`Page::row`], with a suffix to the name and further labels.
    pub(super) fn row_of(
        &mut self,
        suffix: &str,
        labels: &Labels<'_>,
        more: &Labels<'_>,
    ) -> Row<'_> {
        self.out.extend_from_slice(self.name.as_bytes());
        self.out.extend_from_slice(suffix.as_bytes());
        let mut before = b'{';
        for (name, value) in labels.iter().chain(more) {
            self.out.push(before);
            before = b',';
            self.out.extend_from_slice(name.as_bytes());
            self.out.extend_from_slice(b"=\"");
            escape(value, &mut self.out);
            self.out.push(b'"');
        }
        if before == b',' {
            self.out.push(b'}');
        }
        self.out.push(b' ');
        Row(&mut self.out)
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }
}

impl Row<'_> {
    pub(super) fn number(self, value: u64) {
        number(value, self.0);
        self.0.push(b'\n');
    }

    /// Nanoseconds, shown as seconds.
    pub(super) fn seconds(self, nanos: u64) {
        self.fraction(nanos / 1_000_000_000, nanos % 1_000_000_000, 9);
    }

    /// `part / whole` to four places; no whole counts as one.
    pub(super) fn ratio(self, part: u64, whole: u64) {
        let scaled = u128::from(part) * 10_000 / u128::from(whole.max(1));
        let scaled = u64::try_from(scaled).unwrap_or(u64::MAX);
        self.fraction(scaled / 10_000, scaled % 10_000, 4);
    }

    fn fraction(self, whole: u64, part: u64, digits: usize) {
        number(whole, self.0);
        if part > 0 {
            self.0.push(b'.');
            padded(part, digits, self.0);
            while self.0.last() == Some(&b'0') {
                self.0.pop();
            }
        }
        self.0.push(b'\n');
    }
}

fn escape(value: &str, out: &mut Vec<u8>) {
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            byte => out.push(byte),
        }
    }
}

/// Microseconds as seconds, for the label of a bucket.
pub(super) fn bound(micros: u64) -> String {
    let mut out = Vec::new();
    Row(&mut out).fraction(micros / 1_000_000, micros % 1_000_000, 6);
    out.pop();
    String::from_utf8(out).expect("digits and a point")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_escaped_labels_and_exact_numbers() {
        let mut page = Page::default();
        page.family("x_total", Kind::Counter, "All x.");
        page.row(&[]).number(3);
        page.row(&[("a", "q\"b\\s\nn"), ("b", "")]).seconds(1_250_000_000);
        page.row_of("_sum", &[("a", "b")], &[("le", "+Inf")]).seconds(7_000_000_000);
        page.row(&[]).ratio(1, 3);
        page.row(&[]).ratio(1, 0);
        let text = String::from_utf8(page.finish()).expect("text");
        assert_eq!(
            text,
            "# HELP x_total All x.\n# TYPE x_total counter\nx_total 3\n\
             x_total{a=\"q\\\"b\\\\s\\nn\",b=\"\"} 1.25\n\
             x_total_sum{a=\"b\",le=\"+Inf\"} 7\nx_total 0.3333\nx_total 1\n"
        );
    }

    #[test]
    fn bounds_read_as_seconds() {
        for (micros, text) in
            [(100_000, "0.1"), (1_200_000, "1.2"), (5_000_000, "5"), (1, "0.000001")]
        {
            assert_eq!(bound(micros), text);
        }
    }
}
