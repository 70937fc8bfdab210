//! HTTP/1.1 as the outside world reads it: strict, simple, and sharing no code with the engine.
//! What this reader accepts has one possible framing, whoever parses it.

/// A start line with its fields; names in lower case.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Head {
    pub start: String,
    pub fields: Vec<(String, String)>,
}

/// How a body ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    Empty,
    Length(u64),
    Chunked,
    UntilClose,
}

/// A piece of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    Head(Head),
    /// Body bytes, to be had from [`Reader::data`].
    Data {
        from: usize,
        len: usize,
    },
    /// The message is complete; the trailers of a chunked body.
    End(Vec<(String, String)>),
}

/// What is wrong with a stream, in words.
pub type Bad = String;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Head,
    /// A head was given; the caller says how its body ends.
    Asked,
    Length(u64),
    ChunkLine,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    UntilClose,
    Finished,
    /// Bytes that are no HTTP any more.
    Raw,
}

/// Turns bytes into parts.
#[derive(Clone, Debug)]
pub struct Reader {
    buffer: Vec<u8>,
    at: usize,
    state: State,
}

impl Default for Reader {
    fn default() -> Self {
        Self { buffer: Vec::new(), at: 0, state: State::Head }
    }
}

impl Reader {
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.at == self.buffer.len() {
            self.buffer.clear();
        } else {
            self.buffer.drain(..self.at);
        }
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    pub fn data(&self, from: usize, len: usize) -> &[u8] {
        &self.buffer[from..from + len]
    }

    /// Nothing of a message has been read.
    pub fn is_between(&self) -> bool {
        self.state == State::Head && self.rest().is_empty()
    }

    /// Inside a message whose end has not been seen.
    pub fn is_inside(&self) -> bool {
        !self.is_between() && self.state != State::UntilClose && self.state != State::Raw
    }

    pub fn reads_until_close(&self) -> bool {
        self.state == State::UntilClose
    }

    /// How the body after the head just given ends.
    pub fn body(&mut self, framing: Framing) {
        debug_assert_eq!(self.state, State::Asked, "a head was given");
        self.state = match framing {
            Framing::Empty | Framing::Length(0) => State::Finished,
            Framing::Length(left) => State::Length(left),
            Framing::Chunked => State::ChunkLine,
            Framing::UntilClose => State::UntilClose,
        };
    }

    /// No message follows: the rest are bytes.
    pub fn raw(&mut self) {
        self.state = State::Raw;
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// The next part, if enough has arrived.
    pub fn next_part(&mut self) -> Result<Option<Part>, Bad> {
        match self.state {
            State::Head => self.head(),
            State::Asked => Ok(None),
            State::Length(left) => Ok(self.some_data(left, State::Length, State::Finished)),
            State::ChunkData(left) => Ok(self.some_data(left, State::ChunkData, State::ChunkEnd)),
            State::UntilClose | State::Raw => {
                let state = self.state;
                Ok(self.some_data(u64::MAX, |_| state, state))
            }
            State::ChunkLine | State::ChunkEnd => self.chunk(),
            State::Trailers => self.trailers(),
            State::Finished => {
                self.state = State::Head;
                Ok(Some(Part::End(Vec::new())))
            }
        }
    }

    fn some_data(&mut self, left: u64, more: impl Fn(u64) -> State, end: State) -> Option<Part> {
        let available = self.rest().len();
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(available);
        if len == 0 {
            return None;
        }
        let from = self.at;
        self.at += len;
        let left = left - len as u64;
        self.state = if left == 0 { end } else { more(left) };
        Some(Part::Data { from, len })
    }

    fn line(&mut self) -> Result<Option<String>, Bad> {
        let Some(end) = self.rest().iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let line = &self.rest()[..end];
        let Some(line) = line.strip_suffix(b"\r") else {
            return Err(format!("a bare line feed after {:?}", line.escape_ascii().to_string()));
        };
        if line.contains(&b'\r') {
            return Err("a bare carriage return".into());
        }
        let line = String::from_utf8(line.to_vec()).map_err(|_| "a line that is no text")?;
        self.at += end + 1;
        Ok(Some(line))
    }

    fn chunk(&mut self) -> Result<Option<Part>, Bad> {
        if self.state == State::ChunkEnd {
            let Some(line) = self.line()? else { return Ok(None) };
            if !line.is_empty() {
                return Err(format!("{line:?} after a chunk"));
            }
            self.state = State::ChunkLine;
        }
        let Some(line) = self.line()? else { return Ok(None) };
        let digits = line.split(';').next().unwrap_or("");
        let hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = u64::from_str_radix(digits, 16).ok().filter(|_| hex);
        match size {
            None => Err(format!("{line:?} as the size of a chunk")),
            Some(0) => {
                self.state = State::Trailers;
                self.trailers()
            }
            Some(size) => {
                self.state = State::ChunkData(size);
                self.next_part()
            }
        }
    }

    fn trailers(&mut self) -> Result<Option<Part>, Bad> {
        Ok(self.fields()?.map(|fields| {
            self.state = State::Head;
            Part::End(fields)
        }))
    }

    fn head(&mut self) -> Result<Option<Part>, Bad> {
        if !ends_head(self.rest()) {
            return Ok(None);
        }
        let start = self.line()?.expect("a head has lines");
        let Some(fields) = self.fields()? else { return Err("a head without an end".into()) };
        self.state = State::Asked;
        Ok(Some(Part::Head(Head { start, fields })))
    }

    /// Field lines up to the empty one; consumes nothing unless all are there.
    fn fields(&mut self) -> Result<Option<Vec<(String, String)>>, Bad> {
        let from = self.at;
        let mut fields = Vec::new();
        loop {
            let Some(line) = self.line()? else {
                self.at = from;
                return Ok(None);
            };
            if line.is_empty() {
                return Ok(Some(fields));
            }
            fields.push(field(&line)?);
        }
    }
}

fn ends_head(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|four| four == b"\r\n\r\n") || bytes.starts_with(b"\r\n")
}

fn field(line: &str) -> Result<(String, String), Bad> {
    let (name, value) = line.split_once(':').ok_or_else(|| format!("no colon: {line:?}"))?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("{name:?} as the name of a field"));
    }
    if value.bytes().any(|byte| byte < 0x20 && byte != b'\t') {
        return Err(format!("a control character in the value of {name}"));
    }
    let value = value.trim_matches([' ', '\t']);
    Ok((name.to_ascii_lowercase(), value.to_owned()))
}

impl Head {
    /// The value of a field that must be there once, or not at all.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(at, _)| at == name).map(|(_, value)| value.as_str())
    }

    pub fn count(&self, name: &str) -> usize {
        self.fields.iter().filter(|(at, _)| at == name).count()
    }

    pub fn has_token(&self, name: &str, token: &str) -> bool {
        let values = self.fields.iter().filter(|(at, _)| at == name);
        values.flat_map(|(_, value)| value.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
    }

    /// The parts of the start line.
    pub fn words(&self) -> Result<[&str; 3], Bad> {
        let mut words = self.start.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some(a), Some(b), c) if !a.is_empty() && !b.is_empty() => Ok([a, b, c.unwrap_or("")]),
            _ => Err(format!("{:?} as a start line", self.start)),
        }
    }

    /// How a body announced by this head ends; none announced is `otherwise`.
    pub fn framing(&self, otherwise: Framing) -> Result<Framing, Bad> {
        let (lengths, codings) = (self.count("content-length"), self.count("transfer-encoding"));
        match (lengths, codings) {
            (0, 0) => Ok(otherwise),
            (1, 0) => {
                let text = self.get("content-length").expect("counted above");
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let length = text.parse().ok().filter(|_| digits);
                length.map(Framing::Length).ok_or_else(|| format!("content-length: {text}"))
            }
            (0, 1) => {
                let coding = self.get("transfer-encoding").expect("counted above");
                let chunked = coding.eq_ignore_ascii_case("chunked");
                let framing = chunked.then_some(Framing::Chunked);
                framing.ok_or_else(|| format!("transfer-encoding: {coding}"))
            }
            (lengths, codings) => {
                Err(format!("{lengths} content-length and {codings} transfer-encoding"))
            }
        }
    }

    pub fn request_framing(&self) -> Result<Framing, Bad> {
        self.framing(Framing::Empty)
    }

    pub fn status(&self) -> Result<u16, Bad> {
        let [version, status, _] = self.words()?;
        if !matches!(version, "HTTP/1.1" | "HTTP/1.0") || status.len() != 3 {
            return Err(format!("{:?} as a status line", self.start));
        }
        status.parse().map_err(|_| format!("{status:?} as a status"))
    }

    /// How the body of this response to a request with `method` ends.
    pub fn response_framing(&self, method: &str) -> Result<Framing, Bad> {
        let status = self.status()?;
        let bare = method == "HEAD" || matches!(status, 100..=199 | 204 | 304);
        let framing = self.framing(Framing::UntilClose)?;
        if matches!(status, 100..=199 | 204) && framing != Framing::UntilClose {
            return Err(format!("a body announced with status {status}"));
        }
        Ok(if bare { Framing::Empty } else { framing })
    }
}

/// Bytes of a body that tell which probe and which position they belong to.
pub fn pattern(probe: u64, from: u64, out: &mut Vec<u8>, count: usize) {
    let block = block(probe);
    let mut at = usize::try_from(from % BLOCK as u64).expect("below a block");
    let mut left = count;
    while left > 0 {
        let part = left.min(BLOCK - at);
        out.extend_from_slice(&block[at..at + part]);
        left -= part;
        at = 0;
    }
}

/// Whether `bytes` are those of `probe` from position `from`.
pub fn fits_pattern(probe: u64, from: u64, bytes: &[u8]) -> bool {
    let block = block(probe);
    let mut at = usize::try_from(from % BLOCK as u64).expect("below a block");
    let mut rest = bytes;
    while !rest.is_empty() {
        let part = rest.len().min(BLOCK - at);
        if rest[..part] != block[at..at + part] {
            return false;
        }
        rest = &rest[part..];
        at = 0;
    }
    true
}

/// A prime, so that no shift by a page or a chunk goes unseen.
const BLOCK: usize = 1_009;

fn block(probe: u64) -> [u8; BLOCK] {
    let mut state = probe.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut block = [0; BLOCK];
    for eight in block.chunks_mut(8) {
        state = state.wrapping_mul(0xD129_0F51_74C4_7A25).wrapping_add(0x2545_F491_4F6C_DD1D);
        eight.copy_from_slice(&state.to_le_bytes()[..eight.len()]);
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(bytes: &[u8], step: usize) -> Result<Vec<String>, Bad> {
        let mut reader = Reader::default();
        let mut parts = Vec::new();
        for piece in bytes.chunks(step) {
            reader.feed(piece);
            while let Some(part) = reader.next_part()? {
                match part {
                    Part::Head(head) => {
                        reader.body(head.request_framing()?);
                        parts.push(head.start);
                    }
                    Part::Data { from, len } => {
                        parts.push(String::from_utf8_lossy(reader.data(from, len)).into_owned());
                    }
                    Part::End(trailers) => parts.push(format!("end {}", trailers.len())),
                }
            }
        }
        Ok(parts)
    }

    #[test]
    fn messages_are_read_however_they_are_cut() {
        let bytes = b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\
            3;x=y\r\nabc\r\n0\r\nt: 1\r\n\r\nGET /b HTTP/1.1\r\nhost: x\r\n\r\n";
        let whole = parts(bytes, bytes.len()).expect("well formed");
        let expected = ["POST /a HTTP/1.1", "abc", "end 1", "GET /b HTTP/1.1", "end 0"];
        assert_eq!(whole, expected);
        assert_eq!(parts(bytes, 1).expect("well formed").concat(), expected.concat());
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        for head in [
            "GET / HTTP/1.1\nhost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nhost : x\r\n\r\n",
            "GET / HTTP/1.1\r\n folded: x\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: +1\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        ] {
            assert!(parts(head.as_bytes(), 1_000).is_err(), "{head:?}");
        }
    }

    #[test]
    fn a_body_knows_its_probe_and_position() {
        let mut body = Vec::new();
        pattern(7, 0, &mut body, 5_000);
        assert!(fits_pattern(7, 0, &body) && fits_pattern(7, 1_500, &body[1_500..]));
        assert!(!fits_pattern(8, 0, &body) && !fits_pattern(7, 1, &body));
    }
}
