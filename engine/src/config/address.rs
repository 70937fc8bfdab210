//! Addresses: authorities of URLs, and what an entry point listens on.

use super::fixed::{Authority, Scheme};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The parts of a server's URL.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Url {
    pub authority: Authority,
    /// With leading slash and query, or empty.
    pub path: String,
}

impl Url {
    /// `http://host:port/path`. The error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| "a URL starts with http://, https:// or h2c://".to_owned())?;
        let scheme = Scheme::parse(scheme)
            .ok_or_else(|| format!("`{scheme}` is not one of http, https and h2c"))?;
        let (authority, path) =
            rest.find(['/', '?', '#']).map_or((rest, ""), |at| rest.split_at(at));
        if authority.contains('@') {
            return Err("a user name in a URL is not supported".to_owned());
        }
        if path.contains('#') {
            return Err("a server's URL has no fragment".to_owned());
        }
        let visible = |text: &str| text.bytes().all(|b| (0x21..0x7f).contains(&b));
        if !visible(path) {
            return Err("blanks and non-ASCII letters of a path are percent-encoded".to_owned());
        }
        let (host, port) = host_and_port(authority)?;
        if host.is_empty() {
            return Err("the URL names no host".to_owned());
        }
        let port = port.unwrap_or_else(|| scheme.default_port());
        Ok(Self { authority: Authority { scheme, host, port }, path: path.to_owned() })
    }
}

impl Scheme {
    pub fn parse(text: &str) -> Option<Self> {
        let all = [("http", Self::Http), ("https", Self::Https), ("h2c", Self::H2c)];
        all.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, scheme)| scheme)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
        }
    }

    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http | Self::H2c => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{}{close}:{}", self.scheme.name(), self.host, self.port)
    }
}

/// Splits `host`, `host:port` or `[v6]:port`; the host comes without brackets, in lower case.
fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, after) =
            rest.split_once(']').ok_or_else(|| "the bracket is not closed".to_owned())?;
        host.parse::<Ipv6Addr>().map_err(|_| format!("`{host}` is not an IPv6 address"))?;
        let port = after.strip_prefix(':');
        if port.is_none() && !after.is_empty() {
            return Err(format!("`{after}` after the bracket is not a port"));
        }
        (host, port)
    } else {
        let (host, port) = text.split_once(':').map_or((text, None), |(h, p)| (h, Some(p)));
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._*".contains(&b);
        if !host.bytes().all(allowed) {
            return Err(format!("`{host}` is not a host name"));
        }
        (host, port)
    };
    let port = port.map(parse_port).transpose()?;
    Ok((host.to_ascii_lowercase(), port))
}

fn parse_port(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let port = if digits { text.parse().ok() } else { None };
    port.ok_or_else(|| format!("`{text}` is not a port between 0 and 65535"))
}

/// `host` or `host:port`, where something listens.
pub(crate) fn endpoint(text: &str) -> Result<(String, Option<u16>), String> {
    match host_and_port(text)? {
        (host, _) if host.is_empty() => Err("expected a host, or a host and a port".to_owned()),
        (_, Some(0)) => Err("nobody listens on port 0".to_owned()),
        found => Ok(found),
    }
}

/// What an entry point listens on: `:9443`, `host:port`, each with `/tcp` or without. Without a
/// host it is every address of both families.
pub fn listen_addr(text: &str) -> Result<SocketAddr, String> {
    let text = match text.split_once('/') {
        Some((address, "tcp")) => address,
        Some((_, "udp")) => return Err("UDP entry points are not supported".to_owned()),
        Some((_, other)) => return Err(format!("`{other}` is not tcp")),
        None => text,
    };
    let (host, port) = host_and_port(text)?;
    let port = port.ok_or_else(|| "the port is missing; write `:80` or `host:80`".to_owned())?;
    let addr = match host.as_str() {
        "" => Ipv6Addr::UNSPECIFIED.into(),
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        host => host.parse::<IpAddr>().map_err(|_| {
            format!("`{host}` is not an address of this machine; write `127.0.0.1` or `[::1]`")
        })?,
    };
    Ok(SocketAddr::new(addr, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn url(text: &str, expected: &str) {
        let shown = match Url::parse(text) {
            Ok(url) => format!("{} {}", url.authority, url.path),
            Err(error) => error,
        };
        assert_eq!(shown.trim_end(), expected, "{text}");
    }

    #[test]
    fn server_urls() {
        url("http://127.0.0.1:8080", "http://127.0.0.1:8080");
        url("http://Shop.example.com/base?x=1", "http://shop.example.com:80 /base?x=1");
        url("https://[::1]", "https://[::1]:443");
        url("H2C://a:1/", "h2c://a:1 /");
        url("a:1", "a URL starts with http://, https:// or h2c://");
        url("ftp://a", "`ftp` is not one of http, https and h2c");
        url("http://", "the URL names no host");
        url("http://u:p@a/", "a user name in a URL is not supported");
        url("http://a:99999", "`99999` is not a port between 0 and 65535");
        url("http://a b", "`a b` is not a host name");
        url("http://[::1", "the bracket is not closed");
        url("http://a/x y", "blanks and non-ASCII letters of a path are percent-encoded");
    }

    #[track_caller]
    fn listen(text: &str, expected: &str) {
        let shown = listen_addr(text).map_or_else(|error| error, |addr| addr.to_string());
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn entry_point_addresses() {
        listen(":9443", "[::]:9443");
        listen("127.0.0.1:80/tcp", "127.0.0.1:80");
        listen("[::1]:80", "[::1]:80");
        listen(":53/udp", "UDP entry points are not supported");
        listen("example.com", "the port is missing; write `:80` or `host:80`");
        listen(
            "example.com:80",
            "`example.com` is not an address of this machine; write `127.0.0.1` or `[::1]`",
        );
    }
}
