//! What the gateway is handed of who somebody is: clients' certificates, lists of revoked ones, tokens and keys of an
//! identity provider, mappings, and exports of directories.

use credentials::{Clients, Mapping, Provider, is_name, looks_like_jwt, names, parse_csv, parse_ldif};
use protocol::access;

const AUTHORITY: &[u8] = include_bytes!("../../seeds/credentials/authority.pem");
const JWKS: &[u8] = include_bytes!("../../seeds/credentials/jwks");
const NOW: i64 = 1_790_000_000;

fn jwt() -> access::Jwt {
    access::Jwt {
        issuer: "i".to_owned(),
        audience: "a".to_owned(),
        algorithms: vec!["EdDSA".to_owned(), "ES256".to_owned(), "RS256".to_owned()],
        skew_s: 60,
        age_s_max: 60,
        person_claim: "sub".to_owned(),
        groups_claim: Some("groups".to_owned()),
        domains: vec!["site".to_owned()],
    }
}

pub(crate) fn run(bytes: &[u8]) {
    if let Ok(names) = names(bytes) {
        for name in names.upn.iter().chain(&names.email).chain(&names.edipi) {
            assert!(
                name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()),
                "{name:?}"
            );
        }
        assert!(names.edipi.iter().all(|number| number.len() == 10));
    }
    let set = access::Clients { required: true, revocation: true, grace_days: 1, domains: Vec::new() };
    let files = access::Files {
        client_ca: AUTHORITY.to_vec(),
        crls: vec![bytes.to_vec()],
        ..access::Files::default()
    };
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    if let Ok(clients) = Clients::new(&set, &files, provider) {
        assert!(clients.login(&[bytes.into()], NOW).is_err(), "a list is no certificate");
    }
    let _refused = Provider::new(&jwt(), bytes);
    let persons = [parse_csv(bytes), parse_ldif(bytes, Some("label"))];
    for person in persons.into_iter().flatten().flatten() {
        assert!(is_name(&person.name) && person.groups.iter().flatten().all(|group| is_name(group)));
    }
    let _refused = Mapping::parse(bytes, &[]);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(provider) = Provider::new(&jwt(), JWKS) {
        assert!(provider.verify(text, NOW).is_err(), "nobody signed anything");
        let _either = looks_like_jwt(text);
    }
}
