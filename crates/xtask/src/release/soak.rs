//! `cargo xtask soak release`: that a release is what it says. Two clean builds, from vendored sources, in folders whose
//! paths have different lengths, each in an empty network namespace, give the same bytes; and the Debian package installs on
//! a bare Debian 12 without a network, serves a model, and goes to a newer version and back with no record lost.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use testkit::persons;

use super::{ENGINE, PROGRAMS, Packed, Source, compile, emptied, exported, made, pack, packed, vendor};
use crate::{
    engine::sha256_of,
    failure::{During as _, Failure},
    places::Places,
    process::{in_path, output_of, run, shown},
    python,
};

/// The steps: the first build, the next version's, the installation, the second build.
pub(crate) const STEPS: u64 = 4;

/// Digests of the evidence, by what they are of.
pub(crate) type Digests = BTreeMap<String, String>;
type Counts = BTreeMap<String, u64>;

/// A place for what the soak makes, kept between its steps.
pub(crate) struct Soak<'p> {
    places: &'p Places,
    folder: PathBuf,
    /// The commit that is built.
    commit: String,
}

/// Runs its arguments in a tree of its own, as root of a machine without a network.
const INSIDE: &str = r#"set -eu
cd "$1"
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs tmpfs run
pivot_root . mnt
cd /
umount -l /mnt
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C CLOISTER_DATA=/var/lib/cloister \
    CLOISTER_SERVER=unix:/var/lib/cloister/run/cloister.sock XDG_STATE_HOME=/root/state \
    sh -euc "$2""#;

/// Starts the daemon, has it answer, stops it, and has every record verified: that of every receipt, too.
const SERVE: &str = r#"
cloisterd serve >/root/serve.log 2>&1 & daemon=$!
tries=0
until cloister status >/dev/null 2>&1; do
    tries=$((tries + 1))
    if test $tries -gt 1200 || ! kill -0 $daemon; then cat /root/serve.log >&2; exit 1; fi
    sleep 0.25
done
for record in $(cat /root/records 2>/dev/null); do cloister explain "$record" --json >/dev/null; done
cloister ask "Say one word." --max-tokens 6 --json >/root/answer.json
kill $daemon
wait $daemon
cloister ledger verify /var/lib/cloister/ledger --policy /var/lib/cloister/log.policy \
    --body-key /var/lib/cloister/keys/body.key --seen /root/state/cloister/receipts.jsonl --json
"#;

impl<'p> Soak<'p> {
    /// Refuses a machine on which it cannot run.
    pub(crate) fn new(places: &'p Places, commit: &str) -> Result<Soak<'p>, Failure> {
        if !crate::process::is_root() {
            return Err(Failure::new("only root can set up a bare machine's tree"));
        }
        if commit.contains(' ') {
            return Err(Failure::new("the tree differs from its commit: a release is of a commit"));
        }
        for (program, package) in
            [("debootstrap", "debootstrap"), ("zstd", "zstd"), ("ssh-keygen", "openssh-client")]
        {
            if in_path(program).is_none() && !Path::new("/usr/sbin").join(program).exists() {
                return Err(Failure::new(format!("{program} is missing"))
                    .hint(format!("apt-get install --no-install-recommends {package}")));
            }
        }
        Ok(Soak { places, folder: places.target.join("soak-release"), commit: commit.to_owned() })
    }

    /// Does a step, from 0.
    pub(crate) fn step(&self, step: u64, model: &Path) -> Result<(Counts, Digests), Failure> {
        match step {
            0 => self.first().map(|digests| (Counts::new(), digests)),
            1 => self.next().map(|()| (Counts::new(), Digests::new())),
            2 => self.installed(model).map(|counts| (counts, Digests::new())),
            _ => self.second().map(|counts| (counts, Digests::new())),
        }
    }

    fn out(&self, name: &str) -> PathBuf {
        match name {
            "a" => self.folder.join("a"),
            _ => self.folder.join("another-folder/with-a-longer-path").join(name),
        }
    }

    /// The sources of the commit and the vendored crates, in a folder of their own, and a clean build there.
    fn build(&self, name: &str) -> Result<(PathBuf, Source, Packed), Failure> {
        let out = self.out(name);
        emptied(&out)?;
        exported(self.places, &self.commit, &out.join("sources"))?;
        vendor::vendor(self.places, &out.join("vendored"))?;
        self.build_there(&out, "release")
    }

    fn build_there(&self, out: &Path, to: &str) -> Result<(PathBuf, Source, Packed), Failure> {
        let (root, vendored) = (out.join("sources"), out.join("vendored"));
        let places =
            Places { root: root.clone(), target: out.join("build"), cache: self.places.cache.clone() };
        let source = Source::of(&places, Some(&vendored), false)?;
        let build = compile::Build {
            root,
            target: out.join("build"),
            vendored: Some(vendored),
            isolated: true,
            rustc: compile::rustc()?,
        };
        let release = out.join(to);
        let stage = made(&build, &source, &release)?;
        let packed = packed(&stage, &source, &release, None)?;
        Ok((stage, source, packed))
    }

    fn digests(stage: &Path, packed: &Packed) -> Result<Digests, Failure> {
        let mut digests = Digests::from([
            ("tar.zst".to_owned(), sha256_of(&packed.tar)?),
            ("deb".to_owned(), sha256_of(&packed.deb)?),
            ("statement".to_owned(), packed.statement.clone()),
        ]);
        for program in PROGRAMS {
            digests.insert(program.to_owned(), sha256_of(&stage.join("usr/lib/cloister").join(program))?);
        }
        Ok(digests)
    }

    fn first(&self) -> Result<Digests, Failure> {
        let (stage, _, packed) = self.build("a")?;
        let digests = Self::digests(&stage, &packed)?;
        let text = serde_json::to_string(&digests).during(|| "the digests".to_owned())?;
        super::write(&self.folder.join("digests.json"), text.as_bytes())?;
        Ok(digests)
    }

    fn second(&self) -> Result<Counts, Failure> {
        let (stage, _, packed) = self.build("b")?;
        let path = self.folder.join("digests.json");
        let text = fs::read_to_string(&path).during(|| path.display().to_string())?;
        let first: Digests = serde_json::from_str(&text).during(|| path.display().to_string())?;
        let second = Self::digests(&stage, &packed)?;
        let differ: Vec<&str> = first
            .iter()
            .filter(|(name, digest)| second.get(*name) != Some(digest))
            .map(|(name, _)| &**name)
            .collect();
        if !differ.is_empty() || first.len() != second.len() {
            return Err(Failure::new(format!("two clean builds differ in {}", differ.join(", ")))
                .hint(format!("Compare {} and {}.", self.out("a").display(), self.out("b").display())));
        }
        let same = u64::try_from(first.len()).unwrap_or(u64::MAX);
        Ok(Counts::from([
            ("clean builds in an empty network namespace".to_owned(), 2),
            ("digests that are the same in both: programs, packs, statement".to_owned(), same),
        ]))
    }

    /// The next version: the same sources but for the version's number.
    fn next(&self) -> Result<(), Failure> {
        let out = self.out("a");
        let sources = out.join("sources");
        let (Source { version, .. }, Source { version: next, .. }) = self.versions()?;
        let read = |name: &str| fs::read_to_string(sources.join(name)).during(|| name.to_owned());
        let manifest = read("Cargo.toml")?;
        let bumped =
            manifest.replacen(&format!("version = \"{version}\""), &format!("version = \"{next}\""), 1);
        super::write(&sources.join("Cargo.toml"), bumped.as_bytes())?;
        super::write(
            &sources.join("Cargo.lock"),
            bumped_lock(&read("Cargo.lock")?, &version, &next).as_bytes(),
        )?;
        self.build_there(&out, "next")?;
        Ok(())
    }

    /// What is built first, and what is built next.
    fn versions(&self) -> Result<(Source, Source), Failure> {
        let noted = self.out("a").join("vendored").join(vendor::EPOCH);
        let noted = fs::read_to_string(&noted).during(|| noted.display().to_string())?;
        let epoch_s = noted.trim().parse().during(|| "the commit's date".to_owned())?;
        let version = super::graph::version(self.places)?;
        let next = following(&version)?;
        Ok((Source { version, epoch_s }, Source { version: next, epoch_s }))
    }

    fn installed(&self, model: &Path) -> Result<Counts, Failure> {
        let (first, next) = (self.out("a").join("release"), self.out("a").join("next"));
        let keys = self.folder.join("keys");
        emptied(&keys)?;
        for name in ["release", "another", "publisher"] {
            key(&keys, name)?;
        }
        let release_key = keys.join("release.key");
        let (old, new) = self.versions()?;
        let signed_old = packed(&first.join("stage"), &old, &self.folder.join("signed"), Some(&release_key))?;
        let signed_new = packed(&next.join("stage"), &new, &self.folder.join("signed"), Some(&release_key))?;
        let bare = self.bare()?;
        let root = bare.join("root");
        for path in [&signed_old.deb, &signed_new.deb, &keys.join("release.pub"), &keys.join("another.pub")] {
            copy_into(path, &root)?;
        }
        copy_into(&keys.join("publisher.pub"), &root)?;
        let program = first.join("stage/usr/lib/cloister/cloister");
        let media = bare.join("media/coder");
        run(Command::new(&program)
            .args(["bundle", "create", "--name", "coder", "--version", "1", "--weights"])
            .arg(model)
            .arg("--out")
            .arg(&media))?;
        run(Command::new(&program)
            .args(["bundle", "sign"])
            .arg(&media)
            .arg("--key")
            .arg(keys.join("publisher.key")))?;
        for person in ["ada", "grace"] {
            persons::generate(&keys.join(person), "ed25519").during(|| "a person's key".to_owned())?;
            copy_into(&keys.join(format!("{person}.pub")), &root)?;
        }

        let deb = |source: &Source| format!("/root/{}", pack::deb_name(source));
        let install = |source: &Source| {
            let (deb, version) = (deb(source), &source.version);
            inside(
                &bare,
                &format!(
                    "dpkg -i {deb} >/dev/null\n\
                 cloister self verify --key /root/release.pub >/dev/null\n\
                 test \"$(cloisterd --version)\" = 'cloisterd {version}'"
                ),
            )
        };
        let mut counts = Counts::new();
        let mut count = |what: &str| *counts.entry(what.to_owned()).or_default() += 1;

        install(&old)?;
        count(
            "installations of a signed package on a bare Debian 12 without a network, verified by their key",
        );
        inside(&bare, "! cloister self verify --key /root/another.pub >/dev/null 2>&1")?;
        inside(
            &bare,
            "cloisterd init >/dev/null 2>&1\n\
             test \"$(cut -d' ' -f1 /var/lib/cloister/format)\" = 1\n\
             cloisterd model trust add publisher /root/publisher.pub --kind key >/dev/null\n\
             cloisterd model import /media/coder >/dev/null\n\
             for person in ada grace; do\n\
                 cloisterd user add $person >/dev/null\n\
                 cloisterd user enrol-key $person /root/$person.pub >/dev/null\n\
             done\n\
             cloisterd model request promotion coder --out /root/promotion >/dev/null",
        )?;
        let request = root.join("promotion");
        let mut promote = "cloisterd model promote /root/promotion".to_owned();
        for person in ["ada", "grace"] {
            let signature = persons::sign(&keys.join(person), "model@cloister", &request);
            let signature = signature.during(|| "a person's signature".to_owned())?;
            let name = Path::new(&signature).file_name().unwrap_or_default().to_string_lossy().into_owned();
            promote.push_str(&format!(" --approval /root/{name}"));
        }
        inside(&bare, &format!("{promote} >/dev/null\ncloisterd model deploy coder coder@1 >/dev/null"))?;

        let mut served = Served::default();
        served.serve(&bare, "as installed")?;
        let engine = |stage: &Path| sha256_of(&stage.join("stage/usr/lib/cloister").join(ENGINE));
        let engine_changed = engine(&first)? != engine(&next)?;
        for (source, what) in [(&new, "after the upgrade"), (&old, "after the downgrade")] {
            install(source)?;
            if engine_changed {
                // Another engine is another deployment: the administrator's decision, on record.
                inside(
                    &bare,
                    &format!("{}\ncloisterd model deploy >/dev/null", refused("cloisterd model deploy")),
                )?;
            }
            served.serve(&bare, what)?;
        }
        count("upgrades to the next version");
        count("downgrades to the one before");
        let answered = u64::try_from(served.records.len()).unwrap_or(u64::MAX);
        for _ in 0..answered {
            count("answers, each verified in the ledger by its receipt in every later version");
        }
        if engine_changed {
            count("engine builds that differed between the versions and were deployed anew");
        }

        // What must not serve.
        let format = "/var/lib/cloister/format";
        inside(
            &bare,
            &format!(
                "cp {format} /root/format\necho '2 9.9.9' >{format}\n{}\ncp /root/format {format}",
                refused("made by cloister 9.9.9")
            ),
        )?;
        count("refusals of a data directory of a later format");
        let relay = "/usr/lib/cloister/cloister-relay";
        inside(
            &bare,
            &format!(
                "printf x >>{relay}\n\
                 if cloister self verify >/root/verified 2>&1; then exit 1; fi\n\
                 grep -q 'changed *usr/lib/cloister/cloister-relay' /root/verified\n\
                 {}\n\
                 dpkg -i {} >/dev/null",
                refused("cloister-relay is changed"),
                deb(&old)
            ),
        )?;
        count("refusals of a changed program");
        served.serve(&bare, "at last")?;
        count("answers, each verified in the ledger by its receipt in every later version");

        // The other pack: unpacked beside, where its programs find themselves.
        let tar = bare.join("opt");
        run(Command::new("tar").arg("--zstd").arg("-xf").arg(&signed_old.tar).arg("-C").arg(&tar))?;
        let place = format!("/opt/cloister-{}-{}", old.version, env::consts::ARCH);
        inside(&bare, &format!("{place}/usr/bin/cloister self verify --key /root/release.pub >/dev/null"))?;
        count("installations of the .tar.zst, verified by their key");
        bills(&first.join("stage"), &python::cyclonedx(self.places)?)?;
        count("sets of bills of materials that are valid by the schema of CycloneDX 1.6");
        Ok(counts)
    }

    /// A bare Debian 12: made once, on the connected side, and copied.
    fn bare(&self) -> Result<PathBuf, Failure> {
        let made = self.places.cache.join("debian-12-minbase");
        if !made.join("etc/debian_version").is_file() {
            let part = made.with_extension("part");
            emptied(&part)?;
            run(Command::new("debootstrap").args(["--variant=minbase", "bookworm"]).arg(&part))?;
            fs::rename(&part, &made).during(|| made.display().to_string())?;
        }
        let bare = self.folder.join("bare");
        if bare.exists() {
            fs::remove_dir_all(&bare).during(|| bare.display().to_string())?;
        }
        run(Command::new("cp").arg("-a").arg(&made).arg(&bare))?;
        Ok(bare)
    }
}

/// What was answered, and how far the ledger went.
#[derive(Default)]
struct Served {
    records: Vec<u64>,
    leaves: u64,
}

impl Served {
    /// Starts the daemon, has it answer once and explain what was answered before, and verifies all of it.
    fn serve(&mut self, bare: &Path, what: &str) -> Result<(), Failure> {
        let root = bare.join("root");
        let known: Vec<String> = self.records.iter().map(u64::to_string).collect();
        super::write(&root.join("records"), known.join("\n").as_bytes())?;
        let report = inside(bare, SERVE)?;
        let report: Value =
            serde_json::from_str(&report).during(|| format!("the ledger's report, {what}"))?;
        let leaves = report["leaves_signed"].as_u64().unwrap_or(0);
        if report["verdict"] != "passed" || leaves <= self.leaves {
            return Err(Failure::new(format!("{what}: the ledger does not verify: {report}")));
        }
        self.leaves = leaves;
        let answer = root.join("answer.json");
        let answer = fs::read_to_string(&answer).during(|| answer.display().to_string())?;
        let answer: Value = serde_json::from_str(&answer).during(|| format!("the answer, {what}"))?;
        let record = answer["record"].as_u64();
        self.records.push(record.ok_or_else(|| Failure::new(format!("{what}: the answer names no record")))?);
        Ok(())
    }
}

/// Lines of a script: the daemon must refuse to start, with these words.
fn refused(words: &str) -> String {
    format!(
        "if timeout 300 cloisterd serve >/root/refused 2>&1; then exit 1; fi\ngrep -q '{words}' /root/refused"
    )
}

/// Runs a script in a tree, as root of a machine that has no network; what it wrote to standard output.
fn inside(bare: &Path, script: &str) -> Result<String, Failure> {
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--net",
        "--pid",
        "--ipc",
        "--uts",
        "--fork",
        "--kill-child",
        "--",
        "sh",
        "-c",
        INSIDE,
        "sh",
    ]);
    output_of(command.arg(bare).arg(script))
        .map_err(|failure| failure.hint(format!("In {}:\n{script}", bare.display())))
}

/// A private key and its public half, P-256.
fn key(folder: &Path, name: &str) -> Result<(), Failure> {
    let (private, public) = (folder.join(format!("{name}.key")), folder.join(format!("{name}.pub")));
    let mut make = Command::new("openssl");
    make.args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"]).arg(&private);
    run(&mut make)?;
    run(Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(&private).arg("-out").arg(&public))
}

fn copy_into(path: &Path, folder: &Path) -> Result<(), Failure> {
    let to = folder.join(path.file_name().unwrap_or_default());
    fs::copy(path, &to).map(drop).during(|| format!("{} to {}", path.display(), to.display()))
}

/// Has the schemas' own library look at the bills.
fn bills(stage: &Path, python: &Path) -> Result<(), Failure> {
    let script = "import sys\n\
        from cyclonedx.schema import SchemaVersion\n\
        from cyclonedx.validation.json import JsonStrictValidator\n\
        for path in sys.argv[1:]:\n\
        \x20   error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(path).read())\n\
        \x20   if error is not None: sys.exit(f'{path}: {error}')\n";
    let mut check = Command::new(python);
    check.args(["-c", script]);
    for program in PROGRAMS {
        check.arg(stage.join(format!("usr/share/doc/cloister/sbom/{program}.cdx.json")));
    }
    let words = shown(&check);
    let output = check.output().during(|| words)?;
    if output.status.success() && output.stderr.is_empty() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Failure::new(format!("a bill of materials is not valid: {said}")))
}

/// The next patch version.
fn following(version: &str) -> Result<String, Failure> {
    let next = version
        .rsplit_once('.')
        .and_then(|(front, last)| Some(format!("{front}.{}", last.parse::<u32>().ok()? + 1)));
    next.ok_or_else(|| Failure::new(format!("the version {version} has no number at its end")))
}

/// The lock file with our own crates of another version: those that come from nowhere else.
fn bumped_lock(lock: &str, version: &str, next: &str) -> String {
    let (is, becomes) = (format!("version = \"{version}\""), format!("version = \"{next}\""));
    let entries = lock.split("\n\n").map(|entry| {
        let ours = entry.contains("[[package]]") && !entry.contains("\nsource = ");
        if ours { entry.replacen(&is, &becomes, 1) } else { entry.to_owned() }
    });
    entries.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_crates_get_the_next_version() {
        assert_eq!(following("0.1.9").unwrap(), "0.1.10");
        following("1.0.0-rc").unwrap_err();
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"0.1.0\"\nsource = \"r\"\n\n\
                    [[package]]\nname = \"cloister\"\nversion = \"0.1.0\"\ndependencies = [\n \"a\",\n]\n";
        let expected = lock.replace("cloister\"\nversion = \"0.1.0\"", "cloister\"\nversion = \"0.1.1\"");
        assert_eq!(bumped_lock(lock, "0.1.0", "0.1.1"), expected);
    }
}
