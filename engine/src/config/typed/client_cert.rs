//! What servers are told of a client's certificate.

/// `passTLSClientCert`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PassClientCert {
    pub pem: bool,
    pub facts: Option<CertificateFacts>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CertificateFacts {
    pub not_after: bool,
    pub not_before: bool,
    pub sans: bool,
    pub serial_number: bool,
    pub subject: Vec<NamePart>,
    pub issuer: Vec<NamePart>,
}

/// A part of a distinguished name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NamePart {
    DomainComponent,
    Country,
    Province,
    Locality,
    Organization,
    OrganizationalUnit,
    SerialNumber,
    CommonName,
}

impl NamePart {
    /// In the order in which they are told.
    pub const ALL: [Self; 8] = [
        Self::DomainComponent,
        Self::Country,
        Self::Province,
        Self::Locality,
        Self::Organization,
        Self::OrganizationalUnit,
        Self::SerialNumber,
        Self::CommonName,
    ];
    pub const OF_ISSUERS: [Self; 7] = [
        Self::DomainComponent,
        Self::Country,
        Self::Province,
        Self::Locality,
        Self::Organization,
        Self::SerialNumber,
        Self::CommonName,
    ];

    pub const fn key(self) -> &'static str {
        match self {
            Self::DomainComponent => "domainComponent",
            Self::Country => "country",
            Self::Province => "province",
            Self::Locality => "locality",
            Self::Organization => "organization",
            Self::OrganizationalUnit => "organizationalUnit",
            Self::SerialNumber => "serialNumber",
            Self::CommonName => "commonName",
        }
    }

    pub const fn short(self) -> &'static str {
        match self {
            Self::DomainComponent => "DC",
            Self::Country => "C",
            Self::Province => "ST",
            Self::Locality => "L",
            Self::Organization => "O",
            Self::OrganizationalUnit => "OU",
            Self::SerialNumber => "SN",
            Self::CommonName => "CN",
        }
    }
}
