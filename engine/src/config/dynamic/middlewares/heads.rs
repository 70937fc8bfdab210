//! Middlewares that put into heads what only the gateway can know, or that only browsers need.

use crate::config::fields::{Fields, bad_value};
use crate::config::typed::{CertificateFacts, GrpcWeb, MiddlewareKind, NamePart, PassClientCert};
use crate::http::fields::is_value;

pub(super) fn content_type(fields: Fields<'_>) -> MiddlewareKind {
    let detects = fields.flag("autoDetect");
    if detects.is_some() {
        let text = "that the middleware is there says it already";
        fields.warning("autoDetect", "deprecated", text);
    }
    fields.close();
    MiddlewareKind::ContentType { detects }
}

pub(super) fn pass_client_cert(fields: Fields<'_>) -> MiddlewareKind {
    let mark = fields.report.mark();
    let pass = PassClientCert {
        pem: fields.flag("pem").unwrap_or(false),
        facts: fields.section("info").map(facts),
    };
    let nothing = pass.facts.as_ref().is_none_or(|facts| *facts == CertificateFacts::default());
    if !pass.pem && nothing && fields.report.errors_since(mark).is_empty() {
        fields.warning("pem", "no-effect", "nothing of the certificate is passed on");
    }
    fields.close();
    MiddlewareKind::PassClientCert(pass)
}

fn facts(fields: Fields<'_>) -> CertificateFacts {
    let wants = |key| fields.flag(key).unwrap_or(false);
    let facts = CertificateFacts {
        not_after: wants("notAfter"),
        not_before: wants("notBefore"),
        sans: wants("sans"),
        serial_number: wants("serialNumber"),
        subject: parts(&fields, "subject", &NamePart::ALL),
        issuer: parts(&fields, "issuer", &NamePart::OF_ISSUERS),
    };
    fields.close();
    facts
}

fn parts(fields: &Fields<'_>, key: &'static str, known: &[NamePart]) -> Vec<NamePart> {
    let Some(section) = fields.section(key) else { return Vec::new() };
    let wants = |part: &&NamePart| section.flag(part.key()).unwrap_or(false);
    let wanted = known.iter().filter(wants).copied().collect();
    section.close();
    wanted
}

pub(super) fn grpc_web(fields: Fields<'_>) -> MiddlewareKind {
    let mut origins = Vec::new();
    for (at, text) in fields.texts("allowOrigins").unwrap_or_default() {
        if is_value(text.as_bytes()) && !text.is_empty() {
            origins.push(text.to_owned());
        } else {
            let wanted = "expected an origin such as https://app.example.com, or *";
            bad_value(fields.report, at, &fields.path_of("allowOrigins"), text, wanted);
        }
    }
    fields.close();
    MiddlewareKind::GrpcWeb(GrpcWeb { origins })
}
