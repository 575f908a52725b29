//! A site's authorities, made by rcgen: only the right certificates enter.

use credentials::{Clients, Refused, tls};
use protocol::access;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
    SerialNumber,
};
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;

/// 2026-06-01, a day in the certificates' time.
const NOW: i64 = 1_780_272_000;
const DAY: i64 = 86_400;
const UPN: [u64; 10] = [1, 3, 6, 1, 4, 1, 311, 20, 2, 3];

fn at(unix_s: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(unix_s).unwrap()
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str, above: Option<&Authority>) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (at(NOW - 900 * DAY), at(NOW + 900 * DAY));
    let key = KeyPair::generate().unwrap();
    match above {
        None => Authority::self_signed(params, key).unwrap(),
        Some(above) => Authority::signed_by(params, key, above).unwrap(),
    }
}

/// Ada's certificate, before it is signed; its common name is somebody else's.
fn ada() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "root");
    params.subject_alt_names = vec![SanType::OtherName((UPN.to_vec(), "ada@site.example".into()))];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.serial_number = Some(SerialNumber::from(7_u64));
    (params.not_before, params.not_after) = (at(NOW - 10 * DAY), at(NOW + 10 * DAY));
    params
}

fn signed(params: &CertificateParams, by: &Authority) -> CertificateDer<'static> {
    params.signed_by(&KeyPair::generate().unwrap(), by).unwrap().der().clone()
}

fn crl(of: &Authority, revoked: &[u64], next: i64) -> Vec<u8> {
    let params = CertificateRevocationListParams {
        this_update: at(next - 7 * DAY),
        next_update: at(next),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: revoked
            .iter()
            .map(|serial| RevokedCertParams {
                serial_number: SerialNumber::from(*serial),
                revocation_time: at(next - 8 * DAY),
                reason_code: None,
                invalidity_date: None,
            })
            .collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(of).unwrap().der().to_vec()
}

/// A site with a root, one authority under it, and fresh lists of both.
struct Site {
    root: Authority,
    middle: Authority,
    crls: Vec<Vec<u8>>,
    grace_days: u32,
}

impl Site {
    fn new() -> Site {
        let root = authority("Site Root", None);
        let middle = authority("Site Persons", Some(&root));
        let crls = vec![crl(&root, &[], NOW + DAY), crl(&middle, &[], NOW + DAY)];
        Site { root, middle, crls, grace_days: 0 }
    }

    fn login(&self, chain: &[CertificateDer<'_>]) -> Result<String, Refused> {
        let set = access::Clients {
            required: true,
            revocation: true,
            grace_days: self.grace_days,
            domains: vec!["site.example".to_owned()],
        };
        let files = access::Files {
            client_ca: self.root.pem().into_bytes(),
            crls: self.crls.clone(),
            mapping: b"email clerk@elsewhere.example bob\n".to_vec(),
            ..access::Files::default()
        };
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let clients = Clients::new(&set, &files, provider).unwrap();
        clients.login(chain, NOW).and_then(|(_, person)| person)
    }

    /// The same of a certificate that the middle authority signs.
    fn login_of(&self, params: &CertificateParams) -> Result<String, Refused> {
        self.login(&[signed(params, &self.middle), self.middle.der().clone()])
    }
}

#[test]
fn the_right_one_names_its_person() {
    let site = Site::new();
    assert_eq!(site.login_of(&ada()).as_deref(), Ok("ada"));
    let mut mail = ada();
    mail.subject_alt_names = vec![SanType::Rfc822Name("clerk@elsewhere.example".try_into().unwrap())];
    assert_eq!(site.login_of(&mail).as_deref(), Ok("bob"));
    mail.subject_alt_names.extend(ada().subject_alt_names);
    assert_eq!(site.login_of(&mail), Err(Refused::Several));
}

#[test]
fn each_wrong_one_has_its_reason() {
    let site = Site::new();
    type Change = fn(&mut CertificateParams);
    let cases: [(&str, Change, Refused); 9] = [
        ("expired", |ada| ada.not_after = at(NOW - 1), Refused::Expired),
        ("to come", |ada| ada.not_before = at(NOW + 1), Refused::NotYet),
        ("no extended usage", |ada| ada.extended_key_usages.clear(), Refused::Usage),
        (
            "for servers",
            |ada| ada.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
            Refused::Usage,
        ),
        ("for anything", |ada| ada.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any], Refused::Usage),
        (
            "key that only agrees on keys",
            |ada| ada.key_usages = vec![KeyUsagePurpose::KeyAgreement],
            Refused::Usage,
        ),
        ("an authority", |ada| ada.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), Refused::Path),
        ("common name only", |ada| ada.subject_alt_names.clear(), Refused::Nobody),
        (
            "another domain",
            |ada| ada.subject_alt_names = vec![SanType::OtherName((UPN.to_vec(), "ada@evil.example".into()))],
            Refused::Nobody,
        ),
    ];
    for (name, change, reason) in cases {
        let mut params = ada();
        change(&mut params);
        assert_eq!(site.login_of(&params), Err(reason), "{name}");
    }
    // The same names, of an authority that is called the same, and of one that is not.
    let look_alike = Site::new();
    let foreign = signed(&ada(), &look_alike.middle);
    assert_eq!(site.login(&[foreign.clone(), look_alike.middle.der().clone()]), Err(Refused::Signature));
    assert_eq!(site.login(&[foreign, site.middle.der().clone()]), Err(Refused::Signature));
    assert_eq!(site.login(&[signed(&ada(), &authority("Another Root", None))]), Err(Refused::Issuer));
    // Without what lies between, there is no path.
    assert_eq!(site.login(&[signed(&ada(), &site.middle)]), Err(Refused::Issuer));
    assert_eq!(site.login(&[]), Err(Refused::Absent));
    assert_eq!(site.login(&[CertificateDer::from(vec![0x30, 0])]), Err(Refused::Malformed));
    let self_signed = ada().self_signed(&KeyPair::generate().unwrap()).unwrap();
    assert_eq!(site.login(&[self_signed.der().clone()]), Err(Refused::Issuer));
}

#[test]
fn revocation_fails_closed() {
    let lists = |root: Vec<u8>, middle: Vec<u8>| vec![root, middle];
    let mut site = Site::new();
    site.crls = lists(crl(&site.root, &[], NOW + DAY), crl(&site.middle, &[7], NOW + DAY));
    assert_eq!(site.login_of(&ada()), Err(Refused::Revoked));
    // A list that is late says who is revoked all the same.
    site.crls = lists(crl(&site.root, &[], NOW + DAY), crl(&site.middle, &[7], NOW - 9 * DAY));
    assert_eq!(site.login_of(&ada()), Err(Refused::Revoked));
    site.crls = lists(crl(&site.root, &[], NOW + DAY), crl(&site.middle, &[], NOW - 2 * DAY));
    assert_eq!(site.login_of(&ada()), Err(Refused::CrlStale));
    site.grace_days = 1;
    assert_eq!(site.login_of(&ada()), Err(Refused::CrlStale));
    site.grace_days = 2;
    assert_eq!(site.login_of(&ada()).as_deref(), Ok("ada"));
    site.grace_days = 0;
    // One for each authority of the path.
    site.crls = vec![crl(&site.middle, &[], NOW + DAY)];
    assert_eq!(site.login_of(&ada()), Err(Refused::CrlMissing));
    site.crls = vec![crl(&site.root, &[], NOW + DAY)];
    assert_eq!(site.login_of(&ada()), Err(Refused::CrlMissing));
    // A list that somebody else signed in the authority's name.
    let impostor = authority("Site Persons", None);
    site.crls = lists(crl(&site.root, &[], NOW + DAY), crl(&impostor, &[], NOW + DAY));
    assert_eq!(site.login_of(&ada()), Err(Refused::CrlInvalid));
    // From the future.
    site.crls = lists(crl(&site.root, &[], NOW + DAY), crl(&site.middle, &[], NOW + 30 * DAY));
    assert_eq!(site.login_of(&ada()), Err(Refused::CrlStale));
    // A revoked authority.
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Site Others");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.serial_number = Some(SerialNumber::from(99_u64));
    (params.not_before, params.not_after) = (at(NOW - 900 * DAY), at(NOW + 900 * DAY));
    site.middle = Authority::signed_by(params, KeyPair::generate().unwrap(), &site.root).unwrap();
    site.crls = lists(crl(&site.root, &[99], NOW + DAY), crl(&site.middle, &[], NOW + DAY));
    assert_eq!(site.login_of(&ada()), Err(Refused::Revoked));
}

/// What `cloisterd config check` says of a server's certificate.
#[test]
fn a_servers_certificate_is_looked_at_before_it_serves() {
    let root = authority("Site Root", None);
    let check = |change: fn(&mut CertificateParams), other_key: bool| {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![
            SanType::DnsName("cloister.site".try_into().unwrap()),
            SanType::IpAddress("10.0.0.5".parse().unwrap()),
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = (at(NOW - 10 * DAY), at(NOW + 10 * DAY));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &root).unwrap().pem().into_bytes();
        let key = if other_key { KeyPair::generate().unwrap() } else { key };
        let set = access::Tls {
            key: key.serialize_pem().into_bytes(),
            hosts: Vec::new(),
            tls_1_2: false,
            clients: None,
        };
        let files = access::Files { certificate, ..access::Files::default() };
        tls::Server::new(&set, &files, NOW)
            .map(|server| server.hosts().to_vec())
            .map_err(|error| error.to_string())
    };
    assert_eq!(check(|_| {}, false).unwrap(), ["cloister.site", "10.0.0.5"]);
    type Case<'a> = (fn(&mut CertificateParams), bool, &'a str);
    let cases: [Case<'_>; 5] = [
        (|params| params.not_after = at(NOW - 1), false, "expired"),
        (|params| params.not_before = at(NOW + DAY), false, "not valid before"),
        (|params| params.subject_alt_names.clear(), false, "alternative name"),
        (
            |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
            false,
            "serverAuth",
        ),
        (|_| {}, true, "does not belong"),
    ];
    for (change, other_key, expected) in cases {
        let error = check(change, other_key).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
