//! What the suite leaves out of h2spec: the plain use of every frame, every way to write a field
//! (RFC 7541 §6), and blocks of fields that cannot be read. Written out in bytes.

use crate::transport::HOST;

pub struct Case {
    pub name: &'static str,
    /// Sent at once, after the preface and empty settings.
    pub bytes: Vec<u8>,
    pub wants: Want,
}

/// What must come; the connection must then still answer a ping, unless it must end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// The server's own settings.
    Settings,
    /// As many acknowledgements of settings.
    Acks(usize),
    /// These eight bytes again.
    Pong([u8; 8]),
    /// 200 on this stream, to its end.
    Answer(u32),
    /// No more than that the connection lives.
    Life,
    /// The connection ends with COMPRESSION_ERROR.
    Garbled,
}

pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const WEIGHED: u8 = 0x20;

/// RFC 9113 §4.1.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a case is short").to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

const GET: u8 = 0x82;
const POST: u8 = 0x83;

/// Fields of a request, each from the static table but the authority, which is written out.
fn request(method: u8, secure: bool) -> Vec<u8> {
    let scheme = if secure { 0x87 } else { 0x86 };
    let mut block = vec![method, scheme, 0x84];
    block.extend(literal(0x01, HOST));
    block
}

/// A value after the first byte of its field.
fn literal(first: u8, value: &str) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend(text(value));
    bytes
}

fn text(value: &str) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(value.len()).expect("short enough for one byte")];
    bytes.extend(value.as_bytes());
    bytes
}

fn headers(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    frame(kind::HEADERS, flags | END_HEADERS, stream, block)
}

fn get(stream: u32, secure: bool) -> Vec<u8> {
    headers(END_STREAM, stream, &request(GET, secure))
}

fn post(stream: u32, secure: bool) -> Vec<u8> {
    headers(0, stream, &request(POST, secure))
}

/// A GET with more fields.
fn get_with(secure: bool, more: &[u8]) -> Vec<u8> {
    headers(END_STREAM, 1, &[request(GET, secure), more.to_vec()].concat())
}

fn window(stream: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &100_u32.to_be_bytes())
}

fn priority(stream: u32, depends: u32, weight: u8) -> Vec<u8> {
    let payload = [&depends.to_be_bytes()[..], &[weight]].concat();
    frame(kind::PRIORITY, 0, stream, &payload)
}

fn reset(stream: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    let payload = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(kind::SETTINGS, 0, 0, &payload)
}

/// Everything, for a connection that is encrypted or not.
pub fn cases(secure: bool) -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |name, frames: &[Vec<u8>], wants| {
        all.push(Case { name, bytes: frames.concat(), wants });
    };
    streams(secure, &mut add);
    frames(secure, &mut add);
    settings(&mut add);
    messages(secure, &mut add);
    fields(secure, &mut add);
    garbled(secure, &mut add);
    all
}

type Add<'a> = dyn FnMut(&'static str, &[Vec<u8>], Want) + 'a;

/// RFC 9113 §3.4 and §5.1: what every state of a stream takes.
fn streams(secure: bool, add: &mut Add<'_>) {
    let get = get(1, secure);
    add("a connection begins with settings", &[], Want::Settings);
    add("an idle stream takes PRIORITY", &[priority(1, 0, 16), get.clone()], Want::Answer(1));
    add("an ended request takes WINDOW_UPDATE", &[get.clone(), window(1)], Want::Answer(1));
    add("an ended request takes PRIORITY", &[get.clone(), priority(1, 0, 16)], Want::Answer(1));
    add("an ended request takes RST_STREAM", &[get.clone(), reset(1)], Want::Life);
    let late = [get.clone(), reset(1), priority(1, 0, 16)];
    add("a closed stream takes PRIORITY", &late, Want::Life);
    add("a closed stream takes WINDOW_UPDATE", &[get, reset(1), window(1)], Want::Life);
}

/// RFC 9113 §6: each frame as it is meant.
fn frames(secure: bool, add: &mut Add<'_>) {
    let (get, post) = (get(1, secure), post(1, secure));
    let data = |flags, payload: &[u8]| frame(kind::DATA, flags, 1, payload);
    let end = data(END_STREAM, b"test");
    add("DATA", &[post.clone(), end.clone()], Want::Answer(1));
    add("DATA twice", &[post.clone(), data(0, b"test"), end], Want::Answer(1));
    let padded = data(END_STREAM | PADDED, b"\x06test\0\0\0\0\0\0");
    add("DATA with padding", &[post, padded], Want::Answer(1));
    add("HEADERS", std::slice::from_ref(&get), Want::Answer(1));
    let block = request(GET, secure);
    let padded = [&[6][..], &block, &[0; 6]].concat();
    let padded = headers(END_STREAM | PADDED, 1, &padded);
    add("HEADERS with padding", &[padded], Want::Answer(1));
    let weighed = [&[0, 0, 0, 0, 255][..], &block].concat();
    let weighed = headers(END_STREAM | WEIGHED, 1, &weighed);
    add("HEADERS with priority", &[weighed], Want::Answer(1));
    add("PRIORITY of the least weight", &[priority(1, 0, 0), get.clone()], Want::Answer(1));
    add("PRIORITY of the greatest weight", &[priority(1, 0, 255), get.clone()], Want::Answer(1));
    add("PRIORITY on another stream", &[priority(3, 1, 16), get.clone()], Want::Answer(1));
    let alone = priority(1, 1 << 31, 16);
    add("PRIORITY that is exclusive", &[alone, get.clone()], Want::Answer(1));
    add("PRIORITY of a stream that never is", &[priority(9, 0, 16), get.clone()], Want::Answer(1));
    add("RST_STREAM", &[get.clone(), reset(1)], Want::Life);
    let ping = *b"h2spec-1";
    add("PING", &[frame(kind::PING, 0, 0, &ping)], Want::Pong(ping));
    let leaving = frame(kind::GOAWAY, 0, 0, &[0; 8]);
    add("GOAWAY ends no request", &[get.clone(), leaving], Want::Answer(1));
    add("WINDOW_UPDATE of the connection", &[window(0), get.clone()], Want::Answer(1));
    add("WINDOW_UPDATE of a stream", &[get, window(1)], Want::Answer(1));
    let piece = |flags, bytes: &[u8]| frame(kind::CONTINUATION, flags, 1, bytes);
    let open = frame(kind::HEADERS, END_STREAM, 1, &block[..1]);
    let once = [open.clone(), piece(END_HEADERS, &block[1..])];
    add("CONTINUATION", &once, Want::Answer(1));
    let twice = [open, piece(0, &block[1..4]), piece(END_HEADERS, &block[4..])];
    add("CONTINUATION twice", &twice, Want::Answer(1));
}

/// RFC 9113 §6.5.2: each setting, and one that nobody knows.
fn settings(add: &mut Add<'_>) {
    let mut each = |name, id, value| add(name, &[setting(id, value)], Want::Acks(2));
    each("SETTINGS of the table's size", 1, 0);
    each("SETTINGS of pushing", 2, 0);
    each("SETTINGS of streams", 3, 100);
    each("SETTINGS of the window", 4, 0x7fff_ffff);
    each("SETTINGS of the frame's size", 5, 16_384);
    each("SETTINGS of the list's size", 6, 65_536);
    each("SETTINGS that nobody knows", 0xff, 1);
}

/// RFC 9113 §8.1.
fn messages(secure: bool, add: &mut Add<'_>) {
    add("GET", &[get(1, secure)], Want::Answer(1));
    let mut head = literal(0x02, "HEAD");
    head.extend(&request(GET, secure)[1..]);
    add("HEAD", &[headers(END_STREAM, 1, &head)], Want::Answer(1));
    let data = |flags| frame(kind::DATA, flags, 1, b"test");
    add("POST", &[post(1, secure), data(END_STREAM)], Want::Answer(1));
    let trailer = headers(END_STREAM, 1, &[literal(0x00, "x-test"), text("ok")].concat());
    add("POST with trailers", &[post(1, secure), data(0), trailer], Want::Answer(1));
    let two = [get(1, secure), get(3, secure)];
    add("two requests at once", &two, Want::Answer(3));
}

/// RFC 7541 §6.1 to §6.3.
fn fields(secure: bool, add: &mut Add<'_>) {
    let mut each = |name, more: &[u8]| add(name, &[get_with(secure, more)], Want::Answer(1));
    // 58 is `user-agent` in the static table.
    each("a field of the static table", &[0x90]);
    each("a value that is remembered", &literal(0x40 | 58, "test"));
    each("name and value that are remembered", &[literal(0x40, "x-test"), text("test")].concat());
    each("a field remembered and used", &[literal(0x40 | 58, "test"), vec![0xbe]].concat());
    // 58 does not fit into four bits.
    let after = |first: u8| [vec![first | 0x0f, 58 - 15], text("test")].concat();
    each("a value that is not remembered", &after(0x00));
    each("name and value that are not", &[literal(0x00, "x-test"), text("test")].concat());
    each("a value that is never remembered", &after(0x10));
    each("name and value that never are", &[literal(0x10, "x-test"), text("test")].concat());
    // RFC 7541 C.4.1: `www.example.com` by Huffman's code.
    let coded = [0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
    each("a value by Huffman's code", &[&[0x40 | 58][..], &coded].concat());
    let mut smaller = vec![0x20];
    smaller.extend(request(GET, secure));
    add("a smaller table", &[headers(END_STREAM, 1, &smaller)], Want::Answer(1));
    let mut twice = vec![0x20, 0x3f, 0xe1, 0x1f];
    twice.extend(request(GET, secure));
    add("a table cleared and whole again", &[headers(END_STREAM, 1, &twice)], Want::Answer(1));
}

/// RFC 7541 §2.3.3, §4.2, §5.2, §6.1 and §6.3: what no decoder may take.
fn garbled(secure: bool, add: &mut Add<'_>) {
    let mut each = |name, more: &[u8]| add(name, &[get_with(secure, more)], Want::Garbled);
    each("a field beyond the tables", &[0xff, 0x00]);
    each("a name beyond the tables", &literal(0x7f, "test"));
    each("field nought", &[0x80]);
    each("a change of the table behind a field", &[0x20]);
    each("padding of more than seven bits", &[0x40 | 58, 0x82, 0x1f, 0xff]);
    each("padding that is not of ones", &[0x40 | 58, 0x81, 0x18]);
    each("the end of text within a text", &[0x40 | 58, 0x84, 0xff, 0xff, 0xff, 0xff]);
    let mut greedy = vec![0x3f, 0xe2, 0x1f];
    greedy.extend(request(GET, secure));
    add("a table beyond what was granted", &[headers(END_STREAM, 1, &greedy)], Want::Garbled);
}
