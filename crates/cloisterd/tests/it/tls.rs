//! Who may come in over the enclave's network: certificates of an authority that OpenSSL made, tokens of an identity
//! provider, and a reverse proxy. Each that is refused is on record with its reason.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use testkit::places;
use testkit::server::Server;
use testkit::token::Token;

use crate::pki::{CLIENT, Pki, write};
use crate::tokens::free_port;

/// A changed file is noticed, and counts, within this.
const RELOAD_WAIT: Duration = Duration::from_secs(30);

const ASKED: &str = r#"{"prompt": "x := ", "max_tokens": 2}"#;

/// A client by curl, of one server.
struct Client<'p> {
    pki: &'p Pki,
    port: u16,
    host: &'p str,
}

#[derive(Debug)]
struct Answer {
    /// 0 where there was none.
    status: u16,
    head: String,
    words: String,
}

impl Client<'_> {
    fn curl(&self, arguments: &[&str], path: &str) -> Answer {
        let (url, resolve) = (
            format!("https://{}:{}{path}", self.host, self.port),
            format!("cloister.site:{}:127.0.0.1", self.port),
        );
        let ca = self.pki.text("root.pem");
        let base = ["-sS", "-i", "--max-time", "60", "--cacert", &ca, "--resolve", &resolve];
        let output = Command::new("curl").args(base).args(arguments).arg(&url).output().unwrap();
        let head = String::from_utf8_lossy(&output.stdout).into_owned();
        let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Answer { status, head, words: String::from_utf8_lossy(&output.stderr).into_owned() }
    }

    fn as_person(&self, name: &str, more: &[&str], path: &str) -> Answer {
        let (certificate, key) =
            (self.pki.text(&format!("{name}.pem")), self.pki.text(&format!("{name}.key")));
        self.curl(&[&["--cert", &certificate, "--key", &key][..], more].concat(), path)
    }

    fn with_token(&self, token: &str) -> Answer {
        self.curl(&["-H", &format!("authorization: Bearer {token}")], "/v1/models")
    }
}

impl Answer {
    fn record(&self) -> u64 {
        let line = self.head.lines().find_map(|line| line.strip_prefix("x-cloister-record: "));
        line.unwrap_or_else(|| panic!("{self:?}")).trim().parse().unwrap()
    }
}

/// Logins that were refused, with their reasons.
fn refusals(server: &Server) -> Vec<(String, String)> {
    let list = server.cloisterd(&["ledger", "list", "--count", "500", "--json"]).unwrap();
    let list: Value = serde_json::from_str(&list).unwrap();
    let events = list.as_array().unwrap().iter().map(|row| row["leaf"]["event"].clone());
    let refused = events.filter(|event| event["kind"] == "login" && event["outcome"] == "refused");
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    refused.map(|event| (text(&event, "reason"), text(&event, "credential"))).collect()
}

fn wait_for_refusal(server: &Server, reason: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !refusals(server).iter().any(|(known, _)| known == reason) {
        assert!(Instant::now() < deadline, "no `{reason}` in {:?}\n{}", refusals(server), server.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + RELOAD_WAIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(250));
    }
}

fn tls_settings(pki: &Pki, port: u16, more: &str) -> String {
    format!(
        "[tls]\nlisten = '127.0.0.1:{port}'\ncertificate = '{}'\nkey = '{}'\n{more}",
        pki.text("server.pem"),
        pki.text("server.key")
    )
}

fn client_settings(pki: &Pki, more: &str) -> String {
    format!(
        "client_ca = '{}'\ncrls = ['{}']\ndomains = ['site.example']\n{more}",
        pki.text("root.pem"),
        pki.text("crl.pem")
    )
}

#[test]
fn certificates() {
    let pki = Pki::new();
    for name in ["ada", "carol", "dan", "eve"] {
        pki.person(name, &format!("{name}@site.example"), &[]);
    }
    pki.person("old", "ada@site.example", &["-startdate", "20200101000000Z", "-enddate", "20210101000000Z"]);
    let upn = "subjectAltName = otherName:1.3.6.1.4.1.311.20.2.3;UTF8:ada@site.example\n";
    pki.sign(
        "server-only",
        "ada",
        &format!("keyUsage = digitalSignature\nextendedKeyUsage = serverAuth\n{upn}"),
        &[],
    );
    pki.sign("no-usage", "ada", upn, &[]);
    pki.sign("common-name", "ada", CLIENT, &[]);
    pki.revoke("eve");
    pki.list(&[]);
    let others = [
        (Pki::named("Another Root"), "certificate: unknown authority"),
        (Pki::new(), "certificate: a signature does not hold"),
    ];
    others.iter().for_each(|(other, _)| other.person("ada", "ada@site.example", &[]));

    let port = free_port();
    let mut server = Server::new(places::SMALL, &[]).unwrap();
    for name in ["ada", "dan"] {
        server.cloisterd(&["user", "add", name]).unwrap();
    }
    server.cloisterd(&["user", "disable", "dan"]).unwrap();
    server.configure(&tls_settings(&pki, port, &client_settings(&pki, "clients = 'required'\n"))).unwrap();
    let said = server.cloisterd_output(&["config", "check"]).unwrap();
    let words = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        said.status.success() && words.contains("cloister.site, 127.0.0.1") && words.contains("Site Root"),
        "{words}"
    );
    server.start().unwrap();
    let client = Client { pki: &pki, port, host: "cloister.site" };

    let answer =
        client.as_person("ada", &["-H", "content-type: application/json", "-d", ASKED], "/v1/completions");
    assert_eq!(answer.status, 200, "{answer:?}\n{}", server.log());
    let event = server.show(answer.record()).unwrap()["leaf"]["event"].clone();
    assert_eq!(event["identity"], "ada", "{event}");
    let serial = String::from_utf8(pki.openssl(&["x509", "-in", "ada.pem", "-noout", "-serial"])).unwrap();
    let serial = serial.trim().trim_start_matches("serial=").to_lowercase();
    let credential = event["credential"].as_str().unwrap();
    assert!(credential.starts_with(&format!("certificate:{serial}@")), "{credential}");

    // By the address, too; by no other name.
    let by_address = Client { host: "127.0.0.1", ..client };
    assert_eq!(by_address.as_person("ada", &[], "/v1/models").status, 200);
    let foreign = client.as_person("ada", &["-H", "host: evil.example"], "/v1/models");
    assert_eq!(foreign.status, 403, "{foreign:?}");

    // In the handshake: no answer, no reason for the client.
    for (name, reason) in [
        ("old", "certificate: expired"),
        ("server-only", "certificate: not for clients"),
        ("no-usage", "certificate: not for clients"),
        ("eve", "certificate: revoked"),
    ] {
        let answer = client.as_person(name, &[], "/v1/models");
        assert_eq!(answer.status, 0, "{name}: {answer:?}");
        assert!(!answer.words.contains("revoked") && !answer.words.contains("expired"), "{name}: {answer:?}");
        wait_for_refusal(&server, reason);
    }
    for (other, reason) in &others {
        let (certificate, key) = (other.text("ada.pem"), other.text("ada.key"));
        assert_eq!(client.curl(&["--cert", &certificate, "--key", &key], "/v1/models").status, 0);
        wait_for_refusal(&server, reason);
    }
    assert_eq!(client.curl(&[], "/v1/models").status, 0);
    wait_for_refusal(&server, "no client certificate");

    // Good certificates of nobody.
    for (name, reason) in [
        ("common-name", "certificate: names nobody"),
        ("carol", "not an enabled user"),
        ("dan", "not an enabled user"),
    ] {
        let answer = client.as_person(name, &[], "/v1/models");
        assert_eq!(answer.status, 401, "{name}: {answer:?}");
        wait_for_refusal(&server, reason);
    }
    let of_dan = refusals(&server).into_iter().find(|(reason, _)| reason == "not an enabled user").unwrap();
    assert!(of_dan.1.starts_with("certificate:"), "{of_dan:?}");

    // A certificate and a token must be one person's.
    let token = server.cloisterd(&["token", "issue", "ada"]).unwrap().trim().to_owned();
    let bearer = format!("authorization: Bearer {token}");
    assert_eq!(client.as_person("ada", &["-H", &bearer], "/v1/models").status, 200);
    server.cloisterd(&["user", "add", "carol"]).unwrap();
    assert_eq!(client.as_person("carol", &[], "/v1/models").status, 200);
    assert_eq!(client.as_person("carol", &["-H", &bearer], "/v1/models").status, 401);
    wait_for_refusal(&server, "certificate and token of different persons");

    versions(&pki, port);
    people_client(&pki, port);

    // What is revoked while the daemon runs; then a list that is stale; then a fresh one.
    pki.revoke("carol");
    pki.list(&[]);
    until("the new list", || client.as_person("carol", &[], "/v1/models").status == 0);
    assert_eq!(client.as_person("ada", &[], "/v1/models").status, 200);
    pki.list(&["-crl_lastupdate", "20240101000000Z", "-crl_nextupdate", "20240108000000Z"]);
    until("the stale list", || client.as_person("ada", &[], "/v1/models").status == 0);
    wait_for_refusal(&server, "certificate: its revocation list is stale");
    until("a word of it", || server.log().contains("is stale by"));
    write(&pki.path("crl.pem"), "not a list");
    until("the broken list", || server.log().contains("encrypted connections are refused"));
    assert_eq!(client.as_person("ada", &[], "/v1/models").status, 0);
    pki.list(&[]);
    until("the fresh list", || client.as_person("ada", &[], "/v1/models").status == 200);

    // The proof of the jails holds with the listener, and with an open connection.
    let proof = server.cloisterd_output(&["airgap", "verify", "--json"]).unwrap();
    assert!(proof.status.success(), "{}", String::from_utf8_lossy(&proof.stdout));
    server.cloisterd(&["user", "disable", "ada"]).unwrap();
    assert_eq!(client.as_person("ada", &[], "/v1/models").status, 401);
    server.stop().unwrap();
    assert_eq!(server.verify().unwrap()["verdict"], "passed");
}

/// TLS 1.3, and nothing below.
fn versions(pki: &Pki, port: u16) {
    let (certificate, key, ca) = (pki.text("ada.pem"), pki.text("ada.key"), pki.text("root.pem"));
    let s_client = |version: &str| -> Output {
        Command::new("openssl")
            .args([
                "s_client",
                "-connect",
                &format!("127.0.0.1:{port}"),
                "-servername",
                "cloister.site",
                version,
            ])
            .args([
                "-CAfile",
                &ca,
                "-cert",
                &certificate,
                "-key",
                &key,
                "-alpn",
                "h2,http/1.1",
                "-verify_return_error",
            ])
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap()
    };
    let new = String::from_utf8_lossy(&s_client("-tls1_3").stdout).into_owned();
    assert!(new.contains("TLSv1.3") && new.contains("Verify return code: 0 (ok)"), "{new}");
    assert!(
        new.contains("ALPN protocol: http/1.1") && !new.contains("Post-Handshake New Session Ticket"),
        "{new}"
    );
    let old = s_client("-tls1_2");
    assert!(!old.status.success(), "{}", String::from_utf8_lossy(&old.stdout));
    assert!(String::from_utf8_lossy(&old.stderr).contains("alert"), "{old:?}");
}

/// `cloister` with its configuration file.
fn people_client(pki: &Pki, port: u16) {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("cloister")).unwrap();
    let configure = |more: &str| {
        let text = format!("server = 'https://127.0.0.1:{port}'\n{more}");
        write(&home.path().join("cloister/config.toml"), &text);
    };
    let run = |ca: Option<&Path>| {
        let mut command = Command::new(places::program("cloister").unwrap());
        command.arg("models").env("XDG_CONFIG_HOME", home.path()).env("XDG_STATE_HOME", home.path());
        command.env_remove("CLOISTER_SERVER").env_remove("CLOISTER_CA");
        if let Some(ca) = ca {
            command.env("CLOISTER_CA", ca);
        }
        let output = command.output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &words)
    };
    let own = format!("certificate_file = '{}'\nkey_file = '{}'\n", pki.text("ada.pem"), pki.text("ada.key"));
    let ca = format!("ca_file = '{}'\n", pki.text("root.pem"));
    configure(&format!("{ca}{own}"));
    let (good, words) = run(None);
    assert!(good && words.contains("coder") && !words.contains("unencrypted"), "{words}");
    configure(&format!("{ca}{own}server_name = 'cloister.site'\n"));
    assert!(run(None).0);
    configure(&own);
    assert!(run(Some(&pki.path("root.pem"))).0);
    for (more, expected) in [
        (own.clone(), "authority"),
        (format!("{ca}{own}server_name = 'other.site'\n"), "not valid for name"),
        (format!("ca_file = '{}'\n{own}", pki.text("ada.pem")), "cannot reach"),
        (ca.clone(), "certificate"),
        (format!("{ca}certificate_file = 'a.pem'\n"), "comes with one of"),
        (format!("{ca}{own}key_uri = 'pkcs11:token=a'\n"), "comes with one of"),
        (format!("{ca}certificate_file = 'a.pem'\nkey_uri = 'pkcs11:token=a'\n"), "names no module-path"),
    ] {
        configure(&more);
        let (good, words) = run(None);
        assert!(!good && words.contains(expected), "{expected}: {words}");
    }
}

/// People below an authority that is below the root, with their keys in a token.
#[test]
fn an_issuing_authority_and_keys_in_a_token() {
    let pki = Pki::new();
    let (issuing, withdrawn) = (pki.below("issuing"), pki.below("withdrawn"));
    let ec = |curve: &'static str| ["ec", "-pkeyopt", curve];
    issuing.person_with(&ec("ec_paramgen_curve:P-256"), "p256", "ada@site.example");
    issuing.person_with(&ec("ec_paramgen_curve:P-384"), "p384", "ada@site.example");
    issuing.person_with(&["rsa:2048"], "rsa", "ada@site.example");
    issuing.person("revoked", "ada@site.example", &[]);
    issuing.revoke("revoked");
    issuing.list(&[]);
    withdrawn.person("below", "ada@site.example", &[]);
    pki.revoke("withdrawn");
    pki.list(&[]);
    let token = Token::new("people").unwrap();
    for (id, name) in [("01", "p256"), ("02", "p384"), ("03", "rsa"), ("04", "revoked")] {
        token.import(&issuing.path(&format!("{name}.key")), name, id).unwrap();
    }
    token.import(&withdrawn.path("below.key"), "below", "05").unwrap();

    let port = free_port();
    let mut server = Server::new(places::SMALL, &[]).unwrap();
    server.cloisterd(&["user", "add", "ada"]).unwrap();
    let lists: Vec<String> =
        [&pki, &issuing, &withdrawn].iter().map(|of| format!("'{}'", of.text("crl.pem"))).collect();
    let clients = format!(
        "client_ca = '{}'\ncrls = [{}]\ndomains = ['site.example']\nclients = 'required'\n",
        pki.text("root.pem"),
        lists.join(", ")
    );
    server.configure(&tls_settings(&pki, port, &clients)).unwrap();
    server.start().unwrap();

    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("cloister")).unwrap();
    // The person's certificate, the key's label, and whose certificate stands behind the person's.
    let models = |of: &Pki, name: &str, key: &str, with_issuer: bool| {
        let mut chain = std::fs::read_to_string(of.path(&format!("{name}.pem"))).unwrap();
        if with_issuer {
            chain += &std::fs::read_to_string(of.path("root.pem")).unwrap();
        }
        write(&home.path().join("cloister/chain.pem"), &chain);
        let uri = format!(
            "pkcs11:token=people;object={key};type=private?module-path={}&pin-source={}",
            token.module,
            token.pin_file().display()
        );
        let text = format!(
            "server = 'https://127.0.0.1:{port}'\nca_file = '{}'\ncertificate_file = 'chain.pem'\nkey_uri = '{uri}'\n",
            pki.text("root.pem")
        );
        write(&home.path().join("cloister/config.toml"), &text);
        let mut command = Command::new(places::program("cloister").unwrap());
        command.arg("models").env("XDG_CONFIG_HOME", home.path()).env("XDG_STATE_HOME", home.path());
        command.env("SOFTHSM2_CONF", token.configuration());
        command.env_remove("CLOISTER_SERVER").env_remove("CLOISTER_CA");
        let output = command.output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &words)
    };
    for name in ["p256", "p384", "rsa"] {
        let (good, words) = models(&issuing, name, name, true);
        assert!(good && words.contains("coder"), "{name}: {words}\n{}", server.log());
    }
    // What is wrong on this side is said; of what the server found, its ledger knows the reason.
    for (name, key, expected) in [
        ("p256", "p384", "its key is not the one of the certificate"),
        ("p256", "lost", "no private key called `lost`"),
        ("rsa", "p256", "no private key called `p256`"),
    ] {
        let (good, words) = models(&issuing, name, key, true);
        assert!(!good && words.contains(expected), "{name} {key}: {words}");
    }
    for (of, name, with_issuer, reason) in [
        (&issuing, "revoked", true, "certificate: revoked"),
        (&withdrawn, "below", true, "certificate: revoked"),
        (&issuing, "p256", false, "certificate: unknown authority"),
    ] {
        let before = refusals(&server).len();
        let (good, words) = models(of, name, name, with_issuer);
        assert!(
            !good && !words.contains("revoked") && !words.contains("unknown authority"),
            "{name}: {words}"
        );
        until("a refusal on record", || refusals(&server).len() > before);
        assert!(refusals(&server)[..].iter().any(|(known, _)| known == reason), "{:?}", refusals(&server));
    }
}

/// Signs as an identity provider would, with OpenSSL.
fn jwt(pki: &Pki, key: &str, header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    write(&pki.path("signed"), &signed);
    let signature = match header["alg"].as_str().unwrap() {
        "none" => Vec::new(),
        "HS256" => {
            let secret: String = pki
                .openssl(&["rsa", "-in", key, "-pubout"])
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let option = format!("hexkey:{secret}");
            pki.openssl(&["dgst", "-sha256", "-mac", "HMAC", "-macopt", &option, "-binary", "signed"])
        }
        _ => pki.openssl(&["dgst", "-sha256", "-sign", key, "signed"]),
    };
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn jwks(pki: &Pki, keys: &[(&str, &str)]) -> String {
    let keys = keys.iter().map(|(file, id)| {
        let modulus = String::from_utf8(pki.openssl(&["rsa", "-in", file, "-noout", "-modulus"])).unwrap();
        let digits = modulus.trim().trim_start_matches("Modulus=").to_owned();
        let bytes: Vec<u8> = (0..digits.len() / 2)
            .map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).unwrap())
            .collect();
        json!({ "kty": "RSA", "use": "sig", "kid": id, "n": URL_SAFE_NO_PAD.encode(bytes), "e": "AQAB" })
    });
    json!({ "keys": keys.collect::<Vec<_>>() }).to_string()
}

#[test]
fn tokens_of_an_identity_provider_and_a_proxy() {
    let pki = Pki::new();
    for key in ["one.key", "two.key"] {
        pki.openssl(&["genrsa", "-out", key, "2048"]);
    }
    write(&pki.path("jwks.json"), &jwks(&pki, &[("one.key", "one")]));
    let port = free_port();
    let mut server = Server::new(places::SMALL, &[]).unwrap();
    server.cloisterd(&["user", "add", "ada", "--group", "crew"]).unwrap();
    let own_token = server.cloisterd(&["token", "issue", "ada"]).unwrap().trim().to_owned();
    let proxy = server.root().join("proxy.sock");
    let uid = rustix::process::getuid().as_raw();
    let settings = format!(
        "{}\n[jwt]\njwks = '{}'\nissuer = 'https://idp.site'\naudience = 'cloister'\nalgorithms = ['RS256']\n\
         [proxy]\nsocket = '{}'\nuid = {uid}\nheader = 'X-Remote-User'\n",
        tls_settings(&pki, port, ""),
        pki.text("jwks.json"),
        proxy.display()
    );
    server.configure(&settings).unwrap();
    server.start().unwrap();
    let client = Client { pki: &pki, port, host: "cloister.site" };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let header = |algorithm: &str, key: &str| json!({ "alg": algorithm, "kid": key });
    let claims = |name: &str, value: Value| {
        let mut claims = json!({ "iss": "https://idp.site", "aud": "cloister", "preferred_username": "ada",
            "jti": "t-1", "iat": now, "exp": now + 600 });
        claims[name] = value;
        claims
    };
    let good = jwt(&pki, "one.key", &header("RS256", "one"), &claims("jti", json!("t-2")));
    let body = ["-H", "content-type: application/json", "-d", ASKED];
    let bearer = format!("authorization: Bearer {good}");
    let answer = client.curl(&[&["-H", &bearer][..], &body].concat(), "/v1/completions");
    assert_eq!(answer.status, 200, "{answer:?}\n{}", server.log());
    let event = server.show(answer.record()).unwrap()["leaf"]["event"].clone();
    assert_eq!((&event["identity"], &event["credential"]), (&json!("ada"), &json!("jwt:t-2")));
    assert_eq!(client.with_token(&own_token).status, 200, "our own tokens go on");
    for (header, claims, reason) in [
        (header("RS256", "one"), claims("exp", json!(now - 100)), "jwt: expired"),
        (header("RS256", "one"), claims("aud", json!("wiki")), "jwt: another audience"),
        (header("RS256", "one"), claims("iss", json!("https://evil")), "jwt: another issuer"),
        (header("none", "one"), claims("jti", json!("x")), "jwt: algorithm not accepted"),
        (header("HS256", "one"), claims("jti", json!("x")), "jwt: algorithm not accepted"),
        (header("RS256", "two"), claims("jti", json!("x")), "jwt: unknown key"),
        (header("RS256", "../one"), claims("jti", json!("x")), "jwt: unknown key"),
        (header("RS256", "one"), claims("preferred_username", json!("carol")), "not an enabled user"),
    ] {
        let token = jwt(&pki, "one.key", &header, &claims);
        let answer = client.with_token(&token);
        assert_eq!(answer.status, 401, "{reason}: {answer:?}");
        assert!(!answer.head.contains("audience") && !answer.head.contains("issuer"), "{answer:?}");
        wait_for_refusal(&server, reason);
    }
    let forged = jwt(&pki, "two.key", &header("RS256", "one"), &claims("jti", json!("x")));
    assert_eq!(client.with_token(&forged).status, 401);
    wait_for_refusal(&server, "jwt: signature does not hold");

    // The key is changed by replacing the file; a file that is none closes the way in.
    write(&pki.path("jwks.json"), &jwks(&pki, &[("two.key", "two")]));
    let new = jwt(&pki, "two.key", &header("RS256", "two"), &claims("jti", json!("t-3")));
    until("the new key", || client.with_token(&new).status == 200);
    assert_eq!(client.with_token(&good).status, 401, "the old key is gone");
    write(&pki.path("jwks.json"), "{");
    until("the broken file", || client.with_token(&new).status == 401);
    wait_for_refusal(&server, "jwt: no usable keys");
    assert!(server.log().contains("tokens of the identity provider are refused"), "{}", server.log());
    assert_eq!(client.with_token(&own_token).status, 200);

    // The proxy's word, over its socket only.
    let by_proxy = |socket: &Path, headers: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket"]).arg(socket);
        headers.iter().for_each(|header| {
            command.args(["-H", header]);
        });
        String::from_utf8(command.arg("http://localhost/v1/models").output().unwrap().stdout).unwrap()
    };
    assert_eq!(by_proxy(&proxy, &["x-remote-user: ada"]), "200");
    assert_eq!(by_proxy(&proxy, &["x-remote-user: carol"]), "401");
    assert_eq!(by_proxy(&proxy, &[]), "401", "the kernel's word is not the proxy's");
    assert_eq!(
        by_proxy(&proxy, &["x-remote-user: ada", &format!("authorization: Bearer {own_token}")]),
        "401"
    );
    assert_eq!(by_proxy(&server.socket(), &["X-Remote-User: ada"]), "403");
    assert_eq!(client.curl(&["-H", "x-remote-user: ada"], "/v1/models").status, 403);
    assert_eq!(
        client
            .curl(
                &["-H", "x-remote-user: ada", "-H", &format!("authorization: Bearer {own_token}")],
                "/v1/models"
            )
            .status,
        403
    );
    wait_for_refusal(&server, "a proxy's header from elsewhere");
    wait_for_refusal(&server, "a proxy's request without its header");
    server.stop().unwrap();
    assert_eq!(server.verify().unwrap()["verdict"], "passed");
}

/// Nothing starts on a key that others may read, nor on a certificate that is of no use.
#[test]
fn what_cannot_be_used_starts_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let pki = Pki::new();
    let server = Server::empty().unwrap();
    let check = |text: &str| {
        server.configure(text).unwrap();
        let output = server.cloisterd_output(&["config", "check"]).unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let settings = tls_settings(&pki, 1, "");
    assert!(check(&settings).0);
    let (good, words) = check(&settings.replace("server.key", "root.key"));
    assert!(!good && words.contains("does not belong"), "{words}");
    pki.sign("nameless", "cloister.site", "extendedKeyUsage = serverAuth\n", &[]);
    let (good, words) = check(&settings.replace("server.", "nameless."));
    assert!(!good && words.contains("alternative name"), "{words}");
    let past = ["-startdate", "20200101000000Z", "-enddate", "20210101000000Z"];
    pki.sign("past", "cloister", "subjectAltName = DNS:cloister.site\n", &past);
    let (good, words) = check(&settings.replace("server.", "past."));
    assert!(!good && words.contains("expired"), "{words}");
    std::fs::set_permissions(pki.path("server.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let (good, words) = check(&settings);
    assert!(!good && words.contains("others"), "{words}");
}

/// Persons by file: what would change, what changes, and that it is on record.
#[test]
fn persons_by_file() {
    let server = Server::empty().unwrap();
    let file = |name: &str, text: &str| {
        let path = server.root().join(name);
        write(&path, text);
        path.to_str().unwrap().to_owned()
    };
    let csv = file("persons.csv", "name,groups,labels\nada,crew;ops,flight\nbob,crew,\n");
    server.cloisterd(&["user", "add", "ada"]).unwrap();
    server.cloisterd(&["user", "add", "zoe"]).unwrap();
    let users = || -> Value {
        serde_json::from_str(&server.cloisterd(&["user", "list", "--json"]).unwrap()).unwrap()
    };
    let before = users();
    let dry = server.cloisterd(&["user", "import", &csv, "--dry-run", "--json"]).unwrap();
    let dry: Value = serde_json::from_str(&dry).unwrap();
    assert_eq!(dry["changes"].as_array().unwrap().len(), 3, "{dry}");
    assert_eq!(dry["missing"], json!(["zoe"]));
    assert_eq!(users(), before);
    server.cloisterd(&["user", "import", &csv]).unwrap();
    let after = users();
    assert_eq!(
        (&after[0]["groups"], &after[0]["labels"]),
        (&json!(["crew", "ops"]), &json!(["flight"])),
        "{after}"
    );
    assert!(after[2]["disabled_unix_s"].is_null());
    let ldif = file(
        "persons.ldif",
        "dn: uid=ada\nuid: ada\nmemberOf: cn=ops,dc=site\n\ndn: uid=bob\nuid: bob\nmemberOf: cn=crew\n",
    );
    server.cloisterd(&["user", "import", &ldif, "--disable-missing"]).unwrap();
    let after = users();
    assert_eq!(after[0]["groups"], json!(["ops"]));
    assert!(after[2]["disabled_unix_s"].is_i64(), "{after}");
    let again = server.cloisterd(&["user", "import", &ldif, "--disable-missing", "--json"]).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap()["changes"], json!([]));
    let list = server.cloisterd(&["ledger", "list", "--count", "50", "--json"]).unwrap();
    let list: Value = serde_json::from_str(&list).unwrap();
    let actions: Vec<&str> =
        list.as_array().unwrap().iter().filter_map(|row| row["leaf"]["event"]["action"].as_str()).collect();
    for (action, count) in [("user add", 3), ("user groups", 2), ("user labels", 1), ("user disable", 1)] {
        assert_eq!(actions.iter().filter(|known| **known == action).count(), count, "{action}: {actions:?}");
    }
}
