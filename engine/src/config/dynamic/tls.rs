//! The root key `tls`: certificates, the default one, and options.

use crate::config::fields::{Fields, Named};
use crate::config::report::Report;
use crate::config::tls::{Certificate, ClientAuth, DEFAULT, Demand, Protocol, ServerTls};
use crate::config::transport::{curves, pair, pems, terms};

/// Certificates in the order in which they stand. One with an error is left out.
pub(super) fn certificates(tls: &Fields<'_>) -> Vec<Certificate> {
    let mut found = Vec::new();
    for (path, value) in tls.list("certificates").unwrap_or_default() {
        let Some(member) = Fields::open(tls.report, &path, value) else { continue };
        let other = |name: &String| name != DEFAULT;
        if member.strings("stores").unwrap_or_default().iter().any(other) {
            let text = "only the store `default` is used; this certificate is in it";
            member.warning("stores", "no-effect", text);
        }
        let place = tls.report.place(value.at);
        found.extend(pair(&member).map(|pair| Certificate { place, path, pair }));
        member.close();
    }
    found
}

/// The certificate for clients that name no host, or one that no other certificate is for.
pub(super) fn default_certificate(tls: &Fields<'_>) -> Option<Certificate> {
    let mut found = None;
    for member in tls.named("stores") {
        let Some(store) = Fields::open(tls.report, &member.path, member.value) else { continue };
        if member.name != DEFAULT {
            let text = "only the store `default` is used";
            tls.report.warning("no-effect", member.at, &member.path, text);
        }
        if store.has("defaultGeneratedCert") {
            let text = "certificates are not obtained by this version";
            store.error("defaultGeneratedCert", "unsupported", text);
        }
        if let Some(section) = store.section("defaultCertificate") {
            let (place, path) = (tls.report.place(section.at), section.path.clone());
            let pair = pair(&section);
            section.close();
            if member.name == DEFAULT {
                found = pair.map(|pair| Certificate { place, path, pair });
            }
        }
        store.close();
    }
    found
}

/// The full name of options: `default` belongs to no provider.
pub(crate) fn options_name(report: &Report, name: &str) -> String {
    if name.is_empty() || name == DEFAULT { DEFAULT.to_owned() } else { report.qualified(name) }
}

/// The section `tls` of a router or an entry point: the options that it names.
pub(crate) fn router_tls(fields: &Fields<'_>) -> Option<String> {
    if fields.has("certResolver") {
        let text =
            "certificates are not obtained by this version; name them under tls.certificates";
        fields.error("certResolver", "unsupported", text);
    }
    // Which names to obtain certificates for.
    fields.without_effect(&["domains"]);
    fields.text("options").map(|name| options_name(fields.report, &name))
}

/// Options with an error refuse every handshake that would need them.
pub(super) fn options(report: &Report, member: &Named<'_>, name: &str) -> ServerTls {
    let mark = report.mark();
    let mut options = ServerTls { place: report.place(member.at), ..ServerTls::new(name) };
    if let Some(mut fields) = Fields::open(report, &member.path, member.value) {
        fields.at = member.at;
        options.terms = terms(&fields);
        options.terms.curves = curves(&fields);
        if let Some(section) = fields.section("clientAuth") {
            options.clients = client_auth(&section);
            section.close();
        }
        options.sni_strict = fields.flag("sniStrict").unwrap_or(false);
        options.tickets = !fields.flag("disableSessionTickets").unwrap_or(false);
        protocols(&fields, &mut options);
        if fields.present("preferServerCipherSuites") {
            let text = "the client's order is followed; this has no effect in the dialect either";
            fields.warning("preferServerCipherSuites", "no-effect", text);
        }
        fields.close();
    }
    options.broken = report.errors_since(mark);
    options
}

/// What is spoken besides is left to others: a list that has nothing of ours cannot be honoured.
fn protocols(fields: &Fields<'_>, options: &mut ServerTls) {
    const KEY: &str = "alpnProtocols";
    let Some(named) = fields.texts(KEY) else { return };
    options.protocols.clear();
    for (at, name) in named {
        match name {
            "h2" => options.protocols.push(Protocol::H2),
            "http/1.1" => options.protocols.push(Protocol::Http11),
            _ => {
                let text = format!("{name} is not spoken, and is left out");
                fields.report.warning("no-effect", at, &fields.path_of(KEY), text);
            }
        }
    }
    if options.protocols.is_empty() {
        fields.error_with_help(KEY, "unsupported", "none of these is spoken", "h2 or http/1.1");
    }
}

fn client_auth(fields: &Fields<'_>) -> ClientAuth {
    let words = [
        ("NoClientCert", Demand::Nothing),
        ("RequestClientCert", Demand::Request),
        ("RequireAnyClientCert", Demand::RequireAny),
        ("VerifyClientCertIfGiven", Demand::VerifyIfGiven),
        ("RequireAndVerifyClientCert", Demand::RequireAndVerify),
    ];
    let roots = pems(fields, "caFiles");
    let implied = if roots.is_empty() { Demand::Nothing } else { Demand::RequireAndVerify };
    let demand = fields.word("clientAuthType", &words).unwrap_or(implied);
    if demand.verifies() && roots.is_empty() {
        let text = "to verify certificates it must be said who signs them";
        fields.error_with_help("clientAuthType", "missing", text, "name caFiles");
    }
    ClientAuth { demand, roots, spiffe: None }
}
