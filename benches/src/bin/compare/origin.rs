//! The origin behind every proxy: reads a request, answers as many bytes as its path names.

use super::ring;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};
use std::rc::Rc;

/// Listens on the port given as the first word, until killed.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let port = words.first().map_or("0", String::as_str).to_owned();
    ring::block_on(async move {
        let listener = TcpListener::bind(format!("127.0.0.1:{port}")).map_err(|e| e.to_string())?;
        let answers = Rc::new(Answers::new());
        loop {
            let (stream, _) = listener.accept().await.map_err(|e| e.to_string())?;
            let answers = Rc::clone(&answers);
            monoio::spawn(async move {
                // Ends with its connection.
                let _ = serve(stream, &answers).await;
            });
        }
    })?
}

struct Answers {
    by_path: Vec<(&'static [u8], &'static [u8])>,
}

impl Answers {
    fn new() -> Self {
        let answer = |bytes: usize| -> &'static [u8] {
            let head = format!(
                "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: text/plain\r\nCache-Control: \
                 no-store\r\nContent-Length: {bytes}\r\n\r\n"
            );
            let mut all = head.into_bytes();
            all.resize(all.len() + bytes, b'x');
            all.leak()
        };
        let by_path: Vec<(&'static [u8], &'static [u8])> = vec![
            (b"/128 ", answer(128)),
            (b"/16384 ", answer(16 << 10)),
            (b"/1048576 ", answer(1 << 20)),
        ];
        Self { by_path }
    }

    fn of(&self, head: &[u8]) -> &'static [u8] {
        let path = head.iter().position(|byte| *byte == b' ').map_or(head, |at| &head[at + 1..]);
        let found = self.by_path.iter().find(|(known, _)| path.starts_with(known));
        found.map_or(self.by_path[0].1, |(_, answer)| answer)
    }
}

async fn serve(mut stream: TcpStream, answers: &Answers) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(256 << 10);
    loop {
        let (result, back) = stream.read(buffer).await;
        buffer = back;
        let count = result?;
        if count == 0 {
            return Ok(());
        }
        let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(());
        };
        let answer = answers.of(&buffer[..end]);
        let mut left = length(&buffer[..end]).saturating_sub(count - end - 4);
        while left > 0 {
            let (result, back) = stream.read(buffer).await;
            buffer = back;
            let count = result?;
            if count == 0 {
                return Ok(());
            }
            left = left.saturating_sub(count);
        }
        buffer.clear();
        let (result, _) = stream.write_all(answer).await;
        result?;
    }
}

/// The value of `Content-Length`, 0 if there is none.
pub(crate) fn length(head: &[u8]) -> usize {
    let text = String::from_utf8_lossy(head);
    let mut fields = text.split("\r\n").filter_map(|line| line.split_once(':'));
    fields
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}
