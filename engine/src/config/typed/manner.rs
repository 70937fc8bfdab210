//! How a service chooses among its members.

use crate::base::secret::Secret;
use std::sync::Arc;

/// As a definition asks for it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Manner {
    pub strategy: Strategy,
    pub sticky: Option<StickyCookie>,
}

impl Manner {
    pub const RENDEZVOUS: Self = Self { strategy: Strategy::Hrw, sticky: None };

    /// The kind of a service over services, and where it lists them.
    pub fn kind(&self) -> &'static str {
        if self.strategy == Strategy::Hrw { "highestRandomWeight" } else { "weighted" }
    }

    pub fn members_key(&self) -> String {
        format!("{}.services", self.kind())
    }

    /// The file that its cookie's keys come from.
    pub fn key_file(&self) -> Option<&Arc<str>> {
        match &self.sticky.as_ref()?.signed_by {
            Some(KeyFrom::File(path)) => Some(path),
            Some(KeyFrom::Inline(_)) | None => None,
        }
    }

    /// By turns and nothing else.
    pub fn is_plain(&self) -> bool {
        self.strategy == Strategy::Wrr && self.sticky.is_none()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Strategy {
    /// By turns.
    #[default]
    Wrr,
    /// The less busy of two that chance names.
    P2c,
    /// By the client's address.
    Hrw,
    /// Who is quick and not busy.
    LeastTime,
}

impl Strategy {
    pub const ALL: [(&'static str, Self); 4] = [
        ("wrr", Self::Wrr),
        ("p2c", Self::P2c),
        ("hrw", Self::Hrw),
        ("leasttime", Self::LeastTime),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, one)| *one == self).map_or("", |(name, _)| name)
    }
}

/// The cookie of one level of services.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StickyCookie {
    /// Effective: as set, with what a name cannot have replaced, or made of the service's name.
    pub name: String,
    pub secure: bool,
    pub http_only: bool,
    pub same_site: Option<SameSite>,
    /// In seconds; 0 is until the browser closes, less is at once.
    pub max_age: i64,
    pub path: String,
    /// Empty for the host that was asked.
    pub domain: String,
    /// It is about all levels, and signed with this key: `tieline.allLevels`.
    pub signed_by: Option<KeyFrom>,
}

/// Where a key comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyFrom {
    Inline(Secret),
    /// A key a line: the first signs, each is believed.
    File(Arc<str>),
}

impl KeyFrom {
    pub const BYTES_MIN: usize = 16;
}

impl Default for StickyCookie {
    fn default() -> Self {
        Self {
            name: String::new(),
            secure: false,
            http_only: false,
            same_site: None,
            max_age: 0,
            path: "/".to_owned(),
            domain: String::new(),
            signed_by: None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SameSite {
    None,
    Lax,
    Strict,
}

impl SameSite {
    pub const ALL: [(&'static str, Self); 3] =
        [("none", Self::None), ("lax", Self::Lax), ("strict", Self::Strict)];

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, one)| *one == self).map_or("", |(name, _)| name)
    }
}
