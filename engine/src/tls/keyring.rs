//! Certificates, keys and roots as their files are now, or as they last were when they were good.

use super::crypto::Crypto;
use super::der::CertificateInfo;
use super::keys::{Identity, Roots, certificates};
use super::workload::{SPIFFE, Svid};
use crate::base::secret::Secret;
use crate::base::spiffe::TrustDomain;
use crate::config::spiffe::Source;
use crate::config::tls::{KeyPair, Pem, SYSTEM_ROOTS};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug)]
pub struct Keyring {
    pub crypto: Crypto,
    files: BTreeMap<Arc<str>, Result<Secret, String>>,
    pairs: BTreeMap<KeyPair, Held<Identity>>,
    roots: BTreeMap<Vec<Pem>, Held<Roots>>,
    system: Held<Roots>,
    /// What the Workload API said last.
    workload: Option<Result<Secret, String>>,
    svid: Held<Svid>,
    generated: Option<Identity>,
}

/// What some files hold.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// The last that was good.
    pub good: Option<T>,
    /// Why what is there now cannot be used; empty if it can.
    pub trouble: String,
}

#[derive(Debug)]
struct Held<T> {
    found: Found<T>,
    /// What it was read from last.
    from: Vec<Option<Secret>>,
    wanted: bool,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        let found = Found { good: None, trouble: String::new() };
        Self { found, from: Vec::new(), wanted: true }
    }
}

impl<T: Clone> Held<T> {
    fn refresh(
        &mut self,
        from: Vec<Option<Secret>>,
        read: impl FnOnce() -> Result<T, String>,
    ) -> Found<T> {
        self.wanted = true;
        let unread = self.from.is_empty() || self.from.iter().any(Option::is_none);
        if unread || self.from != from {
            self.from = from;
            match read() {
                Ok(good) => self.found = Found { good: Some(good), trouble: String::new() },
                Err(why) => self.found.trouble = why,
            }
        }
        self.found.clone()
    }
}

/// A certificate in use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Where it comes from.
    pub label: Arc<str>,
    pub role: Role,
    pub info: Arc<CertificateInfo>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Shown to whoever asks who we are.
    Identity,
    /// Trusted to sign.
    Root,
}

impl Role {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Root => "root",
        }
    }
}

impl Keyring {
    pub fn new(crypto: Crypto) -> Self {
        Self {
            crypto,
            files: BTreeMap::new(),
            pairs: BTreeMap::new(),
            roots: BTreeMap::new(),
            system: Held::default(),
            workload: None,
            svid: Held::default(),
            generated: None,
        }
    }

    /// Takes over what reading a file gave; true if that is news.
    pub fn set_file(&mut self, path: &Arc<str>, content: Result<Secret, String>) -> bool {
        let old = self.files.get(path);
        if old == Some(&content) {
            return false;
        }
        self.files.insert(Arc::clone(path), content);
        true
    }

    /// Takes over what the Workload API told, or why it tells nothing; true if that is news.
    pub fn set_workload(&mut self, told: Result<Secret, String>) -> bool {
        let told = Some(told);
        let news = self.workload != told;
        self.workload = told;
        news
    }

    /// Whether the Workload API has told anything, good or bad.
    pub fn has_heard(&self) -> bool {
        self.workload.is_some()
    }

    /// Whether some of these files were never read.
    pub fn awaits(&self, files: &BTreeSet<Arc<str>>) -> bool {
        files.iter().any(|path| !self.files.contains_key(path))
    }

    fn content(&self, pem: &Pem) -> Result<Secret, String> {
        match pem {
            Pem::Inline(text) => Ok(Secret::new(text.as_bytes())),
            Pem::File(path) => {
                let unread = || Err("it was not read yet".to_owned());
                let content = self.files.get(path).cloned().unwrap_or_else(unread);
                content.map_err(|why| format!("{path}: {why}"))
            }
        }
    }

    /// What a file holds that is no certificate.
    pub fn plain(&self, path: &Arc<str>) -> Result<Secret, String> {
        self.content(&Pem::File(Arc::clone(path)))
    }

    pub fn identity(&mut self, pair: &KeyPair) -> Found<Identity> {
        let (cert, key) = (self.content(&pair.cert), self.content(&pair.key));
        let from = vec![cert.clone().ok(), key.clone().ok()];
        let held = self.pairs.entry(pair.clone()).or_default();
        held.refresh(from, || {
            let (cert, key) = (cert?, key?);
            Identity::read(&self.crypto, cert.reveal(), key.reveal())
                .map_err(|why| format!("{} and {}: {why}", pair.cert.label(), pair.key.label()))
        })
    }

    pub fn roots(&mut self, pems: &[Pem]) -> Found<Roots> {
        let contents: Vec<_> = pems.iter().map(|pem| self.content(pem)).collect();
        let from = contents.iter().map(|content| content.clone().ok()).collect();
        let held = self.roots.entry(pems.to_vec()).or_default();
        held.refresh(from, || {
            let mut texts = Vec::new();
            for (content, pem) in contents.into_iter().zip(pems) {
                let content = content?;
                // One by one first, so that the one that is wrong is named.
                Roots::read(std::iter::once(content.reveal()))
                    .map_err(|why| format!("{}: {why}", pem.label()))?;
                texts.push(content);
            }
            Roots::read(texts.iter().map(Secret::reveal))
        })
    }

    /// Whom the system trusts.
    pub fn system_roots(&mut self) -> Found<Roots> {
        let files = SYSTEM_ROOTS.iter().filter_map(|path| self.files.get(*path));
        let content = files.filter_map(|content| content.as_ref().ok()).next().cloned();
        self.system.refresh(vec![content.clone()], || match content {
            Some(content) => Roots::of_system(content.reveal()),
            None => Err("no bundle of roots is where systems have them; name rootCAs".to_owned()),
        })
    }

    /// Who we are by SPIFFE, and whose bundles are known.
    pub fn svid(&mut self, source: &Source) -> Found<Svid> {
        match source {
            Source::Workload(_) => {
                let unheard = || Err("the Workload API has not told yet".to_owned());
                let told = self.workload.clone().unwrap_or_else(unheard);
                self.svid.refresh(vec![told.clone().ok()], || {
                    let what = |why| format!("what the Workload API told is of no use: {why}");
                    Svid::read(&self.crypto, told?.reveal()).map_err(what)
                })
            }
            Source::Files { pair, bundles } => {
                let contents =
                    bundles.iter().flat_map(|(_, pems)| pems).chain([&pair.cert, &pair.key]);
                let from = contents.map(|pem| self.content(pem).ok()).collect();
                let mut held = std::mem::take(&mut self.svid);
                let found = held.refresh(from, || self.read_svid(pair, bundles));
                self.svid = held;
                found
            }
        }
    }

    fn read_svid(
        &self,
        pair: &KeyPair,
        bundles: &[(TrustDomain, Vec<Pem>)],
    ) -> Result<Svid, String> {
        let (cert, key) = (self.content(&pair.cert)?, self.content(&pair.key)?);
        let told = |why| format!("{} and {}: {why}", pair.cert.label(), pair.key.label());
        let identity = Identity::read(&self.crypto, cert.reveal(), key.reveal()).map_err(told)?;
        if identity.info.spiffe_id().is_none() {
            return Err(format!("{}: it has not exactly one SPIFFE id", pair.cert.label()));
        }
        let mut all = Vec::new();
        for (domain, pems) in bundles {
            for pem in pems {
                let roots = certificates(self.content(pem)?.reveal());
                let roots = roots.map_err(|why| format!("{}: {why}", pem.label()))?;
                all.push((domain.clone(), roots));
            }
        }
        Ok(Svid { identity, bundles: Roots::of_bundles(all.into_iter())? })
    }

    /// The certificate for clients that no other is for.
    pub fn generated(&mut self) -> Result<Identity, String> {
        if let Some(identity) = &self.generated {
            return Ok(identity.clone());
        }
        let identity = super::generated(&self.crypto)?;
        self.generated = Some(identity.clone());
        Ok(identity)
    }

    /// Before everything that is wanted is asked for again.
    pub fn begin(&mut self) {
        self.pairs.values_mut().for_each(|held| held.wanted = false);
        self.roots.values_mut().for_each(|held| held.wanted = false);
    }

    /// Afterwards: forgets what nobody asked for.
    pub fn end(&mut self, files: &BTreeSet<Arc<str>>) {
        self.pairs.retain(|_, held| held.wanted);
        self.roots.retain(|_, held| held.wanted);
        self.files.retain(|path, _| files.contains(path));
    }

    /// Every certificate in use, by where it comes from.
    pub fn listed(&self) -> Vec<Listed> {
        let mut all = Vec::new();
        for (pair, held) in &self.pairs {
            let label = pair.cert.label().into();
            let list = held.found.good.iter().map(|identity| Arc::clone(&identity.info));
            all.extend(list.map(|info| Listed {
                label: Arc::clone(&label),
                role: Role::Identity,
                info,
            }));
        }
        for (pems, held) in &self.roots {
            let labels: Vec<&str> = pems.iter().map(Pem::label).collect();
            let label: Arc<str> = labels.join(", ").into();
            let infos = held.found.good.iter().flat_map(|roots| roots.infos.iter().cloned());
            all.extend(infos.map(|info| Listed {
                label: Arc::clone(&label),
                role: Role::Root,
                info,
            }));
        }
        if let Some(svid) = &self.svid.found.good {
            let label: Arc<str> = SPIFFE.into();
            let of = |role| move |info| (role, info);
            let own = std::iter::once(Arc::clone(&svid.identity.info)).map(of(Role::Identity));
            let roots = svid.bundles.infos.iter().cloned().map(of(Role::Root));
            all.extend(own.chain(roots).map(|(role, info)| Listed {
                label: Arc::clone(&label),
                role,
                info,
            }));
        }
        if let Some(identity) = &self.generated {
            let info = Arc::clone(&identity.info);
            all.push(Listed { label: "generated".into(), role: Role::Identity, info });
        }
        all
    }
}
