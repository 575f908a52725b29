//! Keys, authorities and signers for the tests.

use oms::{KeySigner, Manifest, Resource, Serialization, Signature, Trust, Verified};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};

/// A moment at which all certificates here are valid, but for those that are made otherwise.
pub(crate) const NOW: u64 = 1_790_000_000;

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "Example");
    (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(2035, 1, 1));
    params.use_authority_key_identifier_extension = true;
    params
}

pub(crate) fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

pub(crate) fn signer_params() -> CertificateParams {
    let mut params = params("Ada");
    params.subject_alt_names = vec![
        rcgen::SanType::Rfc822Name("ada@example.org".try_into().unwrap()),
        rcgen::SanType::DnsName("models.example.org".try_into().unwrap()),
        rcgen::SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], "ada@corp".into())),
    ];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    params
}

/// What a chain is made of: a root, one authority under it, and a signer.
pub(crate) struct Plan {
    pub(crate) root: (CertificateParams, KeyPair),
    pub(crate) middle: (CertificateParams, KeyPair),
    pub(crate) signer: (CertificateParams, KeyPair),
}

pub(crate) struct Chain {
    pub(crate) root: Authority,
    pub(crate) middle: Authority,
    /// PEM: the signer's certificate, and the one above it.
    pub(crate) pem: String,
    pub(crate) signer: KeyPair,
    pub(crate) signer_pem: String,
}

impl Plan {
    pub(crate) fn new() -> Plan {
        Plan {
            root: (authority_params("Root"), key()),
            middle: (authority_params("Middle"), key()),
            signer: (signer_params(), key()),
        }
    }

    /// The same, where the signer is an authority too.
    pub(crate) fn of_authority() -> Plan {
        let mut plan = Plan::new();
        plan.signer.0.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        plan
    }

    pub(crate) fn build(self) -> Chain {
        let root = CertifiedIssuer::self_signed(self.root.0, self.root.1).unwrap();
        let middle = CertifiedIssuer::signed_by(self.middle.0, self.middle.1, &root).unwrap();
        let signer_pem = self.signer.0.signed_by(&self.signer.1, &middle).unwrap().pem();
        Chain { pem: signer_pem.clone() + &middle.pem(), root, middle, signer: self.signer.1, signer_pem }
    }
}

impl Chain {
    pub(crate) fn trust(&self) -> Trust {
        let mut trust = Trust::new();
        trust.add_authority("root", self.root.pem().as_bytes()).unwrap();
        trust
    }

    pub(crate) fn signed(&self) -> Signature {
        let signer = KeySigner::from_pem(self.signer.serialize_pem().as_bytes(), Some(self.pem.as_bytes()));
        Signature::parse(&oms::sign(&manifest(), &signer.unwrap()).unwrap()).unwrap()
    }

    pub(crate) fn verify(&self, trust: &Trust) -> Result<Verified, String> {
        self.signed().verify(trust, NOW).map_err(|error| words(&error))
    }
}

pub(crate) fn manifest() -> Manifest {
    let resource = |name: &str, byte| Resource { name: name.to_owned(), digest: [byte; 32] };
    Manifest::new(
        "coder",
        Serialization::Files,
        false,
        vec![".git".to_owned(), "model.sig".to_owned()],
        vec![resource("model.gguf", 1), resource("LICENSE", 2), resource("docs/é.md", 3)],
    )
    .unwrap()
}

/// An error with its causes.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words += &format!(": {error}");
        cause = error.source();
    }
    words
}
