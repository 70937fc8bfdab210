//! Why a handshake or a connection was given up, in words for the operator and a stable word for
//! machines.

use rustls::{AlertDescription, CertificateError, Error, OtherError, PeerIncompatible};
use std::fmt;
use std::sync::Arc;

macro_rules! refusals {
    ($($name:ident $code:literal $text:literal)*) => {
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Refusal {
            $($name,)*
        }

        impl Refusal {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// For machines: labels of metrics, codes of diagnostics.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

refusals! {
    AlertOther "alert" "the other side gave up the handshake"
    AlertBadCertificate "alert-bad-certificate" "the other side did not accept our certificate"
    AlertExpired "alert-expired" "the other side found our certificate out of date"
    AlertNoCertificate "alert-certificate-required" "the other side demands a client certificate"
    AlertNoCipher "alert-handshake-failure" "the other side found nothing in common"
    AlertNoProtocol "alert-no-application-protocol" "the other side shares no application protocol"
    AlertUnknownCa "alert-unknown-ca" "the other side does not know who signed our certificate"
    AlertUnknownName "alert-unrecognized-name" "the other side has no certificate for this name"
    AlertVersion "alert-protocol-version" "the other side speaks no version of TLS that is allowed"
    BadCertificate "bad-certificate" "the certificate is malformed or meant for something else"
    BadSignature "bad-signature" "a signature does not fit its certificate"
    Cut "handshake-cut" "the other side closed the connection during the handshake"
    Expired "certificate-expired" "the certificate has expired"
    Garbage "not-tls" "what arrived is not TLS, or breaks its rules"
    Identity "wrong-identity" "the certificate is valid, but its identity is not an allowed one"
    NoBundle "unknown-trust-domain" "no bundle vouches for the trust domain of the certificate"
    NoCertificate "no-client-certificate" "no certificate was presented"
    NoCipher "no-common-cipher" "no cipher suite or curve in common"
    NoProtocol "no-common-protocol" "no application protocol in common"
    NoSvid "no-svid" "the certificate is no SVID: it has not exactly one SPIFFE id"
    NotOffered "not-offered" "no certificate or no usable options for this name"
    NotYetValid "certificate-not-yet-valid" "the certificate is not valid yet"
    Other "tls" "the handshake failed"
    TimedOut "handshake-timeout" "the handshake took too long"
    TrustDomain "wrong-trust-domain" "the certificate is of a trust domain that is not an allowed one"
    UnknownCa "unknown-ca" "the certificate is signed by nobody that is trusted here"
    Version "no-common-version" "no version of TLS in common"
    WrongName "wrong-name" "the certificate is for another name"
}

impl std::error::Error for Refusal {}

impl Refusal {
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => of_certificate(error),
            Error::AlertReceived(alert) => of_alert(*alert),
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::NoApplicationProtocol => Self::NoProtocol,
            Error::PeerIncompatible(why) => of_incompatible(why),
            Error::General(_) => Self::NotOffered,
            Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::InvalidMessage(_)
            | Error::DecryptError
            | Error::PeerSentOversizedRecord
            | Error::PeerMisbehaved(_) => Self::Garbage,
            _ => Self::Other,
        }
    }
}

/// As a verifier has to say it.
impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
    }
}

fn of_certificate(error: &CertificateError) -> Refusal {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Refusal::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Refusal::NotYetValid
        }
        CertificateError::UnknownIssuer => Refusal::UnknownCa,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Refusal::WrongName
        }
        CertificateError::BadSignature => Refusal::BadSignature,
        CertificateError::ApplicationVerificationFailure => Refusal::Identity,
        CertificateError::Other(OtherError(why)) => {
            why.downcast_ref().copied().unwrap_or(Refusal::BadCertificate)
        }
        _ => Refusal::BadCertificate,
    }
}

fn of_alert(alert: AlertDescription) -> Refusal {
    match alert {
        AlertDescription::UnknownCA => Refusal::AlertUnknownCa,
        AlertDescription::CertificateRequired => Refusal::AlertNoCertificate,
        AlertDescription::CertificateExpired => Refusal::AlertExpired,
        AlertDescription::HandshakeFailure => Refusal::AlertNoCipher,
        AlertDescription::ProtocolVersion => Refusal::AlertVersion,
        AlertDescription::NoApplicationProtocol => Refusal::AlertNoProtocol,
        AlertDescription::UnrecognisedName => Refusal::AlertUnknownName,
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => Refusal::AlertBadCertificate,
        _ => Refusal::AlertOther,
    }
}

fn of_incompatible(why: &PeerIncompatible) -> Refusal {
    match why {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic => Refusal::Version,
        _ => Refusal::NoCipher,
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
