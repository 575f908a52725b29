//! A site's authority, made by OpenSSL.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const CONFIG: &str = "
[ca]
default_ca = site
[site]
database = index.txt
serial = serial
crlnumber = crlnumber
new_certs_dir = .
certificate = root.pem
private_key = root.key
default_md = sha256
policy = any
default_days = 30
default_crl_days = 7
unique_subject = no
crl_extensions = crl_extensions
[crl_extensions]
authorityKeyIdentifier = keyid
[any]
commonName = supplied
[req]
distinguished_name = none
[none]
";

/// For a person's certificate.
pub(crate) const CLIENT: &str = "keyUsage = critical,digitalSignature\nextendedKeyUsage = clientAuth\n";

/// A folder with a root and what it signed.
pub(crate) struct Pki {
    folder: tempfile::TempDir,
}

impl Pki {
    pub(crate) fn new() -> Pki {
        Pki::named("Site Root")
    }

    /// The same, of a root that is called otherwise.
    pub(crate) fn named(root: &str) -> Pki {
        let pki = Pki::empty();
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "root.key"];
        let root = [
            "req",
            "-x509",
            "-config",
            "ca.cnf",
            "-subj",
            &format!("/CN={root}"),
            "-days",
            "60",
            "-out",
            "root.pem",
        ];
        let usages = [
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        ];
        let identifier = ["-addext", "subjectKeyIdentifier=hash"];
        pki.openssl(&[&root[..], &key, &usages, &identifier].concat());
        let server = "subjectAltName = DNS:cloister.site,IP:127.0.0.1\nextendedKeyUsage = serverAuth\n";
        pki.sign("server", "cloister", server, &[]);
        pki.list(&[]);
        pki
    }

    /// An authority below this one: what it signs leads to `root.pem` of this, by its own.
    pub(crate) fn below(&self, name: &str) -> Pki {
        let authority = "basicConstraints = critical,CA:TRUE,pathlen:0\nkeyUsage = critical,keyCertSign,cRLSign\n\
                         subjectKeyIdentifier = hash\n";
        self.sign(name, name, authority, &[]);
        let pki = Pki::empty();
        for (from, to) in [(format!("{name}.pem"), "root.pem"), (format!("{name}.key"), "root.key")] {
            fs::copy(self.path(&from), pki.path(to)).unwrap();
        }
        pki.list(&[]);
        pki
    }

    fn empty() -> Pki {
        let pki = Pki { folder: tempfile::tempdir().unwrap() };
        for (name, text) in
            [("ca.cnf", CONFIG), ("index.txt", ""), ("serial", "1001\n"), ("crlnumber", "01\n")]
        {
            write(&pki.path(name), text);
        }
        pki
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Makes `NAME.key` and `NAME.pem`.
    pub(crate) fn sign(&self, name: &str, common_name: &str, extensions: &str, more: &[&str]) {
        let key = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
        self.sign_key(&key, name, common_name, extensions, more);
    }

    /// The same, with a key of a kind.
    fn sign_key(&self, kind: &[&str], name: &str, common_name: &str, extensions: &str, more: &[&str]) {
        let (key, request, certificate, file) =
            (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"), format!("{name}.ext"));
        write(&self.path(&file), extensions);
        let subject = format!("/CN={common_name}");
        let kind = [&["-nodes", "-newkey"], kind].concat();
        let asked =
            ["req", "-new", "-config", "ca.cnf", "-subj", &subject, "-keyout", &key, "-out", &request];
        self.openssl(&[&asked[..], &kind].concat());
        let signed = [
            "ca",
            "-batch",
            "-config",
            "ca.cnf",
            "-notext",
            "-in",
            &request,
            "-out",
            &certificate,
            "-extfile",
            &file,
        ];
        self.openssl(&[&signed[..], more].concat());
    }

    /// A person's, whose principal name is that.
    pub(crate) fn person(&self, name: &str, upn: &str, more: &[&str]) {
        self.sign(name, "somebody", &of_person(upn), more);
    }

    /// The same, with a key of a kind, as OpenSSL names it.
    pub(crate) fn person_with(&self, kind: &[&str], name: &str, upn: &str) {
        self.sign_key(kind, name, "somebody", &of_person(upn), &[]);
    }

    pub(crate) fn revoke(&self, name: &str) {
        self.openssl(&["ca", "-config", "ca.cnf", "-revoke", &format!("{name}.pem")]);
    }

    /// Makes the list of revoked certificates anew, and puts it where it lies at once.
    pub(crate) fn list(&self, more: &[&str]) {
        self.openssl(&[&["ca", "-config", "ca.cnf", "-gencrl", "-out", "crl.new"][..], more].concat());
        fs::rename(self.path("crl.new"), self.path("crl.pem")).unwrap();
    }

    pub(crate) fn openssl(&self, arguments: &[&str]) -> Vec<u8> {
        let output =
            Command::new("openssl").args(arguments).current_dir(self.folder.path()).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {}: {words}", arguments.join(" "));
        output.stdout
    }
}

fn of_person(upn: &str) -> String {
    format!("{CLIENT}subjectAltName = otherName:1.3.6.1.4.1.311.20.2.3;UTF8:{upn}\n")
}

pub(crate) fn write(path: &Path, text: &str) {
    File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}
