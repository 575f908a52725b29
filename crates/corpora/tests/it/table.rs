//! Licences of real packages: the crates that this workspace was built of. What their texts and headers are recognised
//! as, without a look at what they declare, is compared with what they declare.
//!
//! `LICENCES_REWRITE=1 cargo test --release -p corpora table` writes docs/evidence/licences.json anew.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use corpora::{Limits, Source};
use provenance::document::{Evidence, Licence, Origin, Standing};
use serde::Serialize;

use crate::said;

/// Packages that the table must have.
const PACKAGES_MIN: usize = 200;
/// Packages that the ordinary test reads; `LICENCES_REWRITE` reads all there are.
const PACKAGES_MAX: usize = 300;

#[derive(Serialize)]
struct Row {
    package: String,
    version: String,
    /// What `Cargo.toml` declares, in the normal form.
    declared: Option<String>,
    /// By the texts of licences alone.
    by_texts: String,
    verdict_by_texts: &'static str,
    /// By all evidence.
    by_all: String,
    verdict_by_all: &'static str,
    texts: Vec<String>,
    files: u64,
    /// What headers say that is no part of what is declared: files that others wrote, as a rule.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    other_headers: BTreeMap<String, u64>,
}

#[derive(Serialize, Default)]
struct Totals {
    packages: usize,
    by_texts: BTreeMap<&'static str, usize>,
    by_all: BTreeMap<&'static str, usize>,
}

#[test]
fn licences_of_real_packages() {
    let rewrites = env::var_os("LICENCES_REWRITE").is_some();
    let mut packages = packages();
    packages.sort();
    if !rewrites {
        packages.truncate(PACKAGES_MAX);
    }
    assert!(
        packages.len() >= PACKAGES_MIN,
        "only {} packages in Cargo's cache: run `cargo fetch`",
        packages.len()
    );
    let rows: Vec<Row> = packages.iter().map(|path| row(path)).collect();
    let mut totals = Totals { packages: rows.len(), ..Totals::default() };
    for row in &rows {
        *totals.by_texts.entry(row.verdict_by_texts).or_default() += 1;
        *totals.by_all.entry(row.verdict_by_all).or_default() += 1;
    }
    if rewrites {
        rewrite(&totals, &rows);
    }
    println!("by texts {:?}; by all {:?}", totals.by_texts, totals.by_all);
    let wrong: Vec<String> = rows
        .iter()
        .filter(|row| row.verdict_by_texts == "wrong" || row.verdict_by_all == "wrong")
        .map(|row| {
            format!(
                "{} {}: declared {:?}, texts {}, all {}",
                row.package, row.version, row.declared, row.by_texts, row.by_all
            )
        })
        .collect();
    assert!(wrong.is_empty(), "licences that the packages do not declare:\n{}", wrong.join("\n"));
    // A reader that only ever says "unknown" is never wrong either.
    let agrees = totals.by_all.get("agrees").copied().unwrap_or(0);
    assert!(agrees * 10 >= rows.len() * 9, "{agrees} of {}", rows.len());
}

/// The archives of Cargo's cache.
fn packages() -> Vec<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let Some(registries) = home.and_then(|home| fs::read_dir(home.join("registry/cache")).ok()) else {
        return Vec::new();
    };
    let folders = registries.filter_map(|entry| fs::read_dir(entry.ok()?.path()).ok());
    let files = folders.flatten().filter_map(|entry| Some(entry.ok()?.path()));
    files.filter(|path| path.extension().is_some_and(|ending| ending == "crate")).collect()
}

fn row(path: &Path) -> Row {
    let mut declared = None;
    let mut of_manifest: Option<Licence> = None;
    let mut texts: Vec<(String, Vec<u8>)> = Vec::new();
    let mut headers: BTreeMap<String, u64> = BTreeMap::new();
    let mut sink = |bytes: &[u8], origin: Origin| {
        for evidence in &origin.licence.evidence {
            if let Evidence::Header { expression, .. } = evidence {
                *headers.entry(expression.clone()).or_default() += 1;
            }
        }
        let name = origin.path.to_ascii_lowercase();
        if ["licen", "copying"].iter().any(|word| name.contains(word)) && !name.ends_with(".rs") {
            texts.push((origin.path.clone(), bytes.to_vec()));
        }
        if origin.path == "Cargo.toml" {
            let manifest: toml::Table = String::from_utf8_lossy(bytes).parse().unwrap();
            declared = manifest["package"]
                .get("license")
                .and_then(|licence| corpora::parsers::expression_of_cargo(licence.as_str()?));
            of_manifest = Some(origin.licence);
        }
        ControlFlow::Continue(())
    };
    let source = Source::Archive { path: path.to_owned() };
    let summary = corpora::read(&source, &Limits::default(), &mut sink, &mut |_| {}).unwrap();
    let licence = of_manifest.unwrap_or_else(Licence::unknown);
    let statements: Vec<(&str, &[u8])> =
        texts.iter().map(|(path, text)| (path.as_str(), text.as_slice())).collect();
    let by_texts_alone = corpora::parsers::licence("src/lib.rs", b"", &statements);
    let mut texts: Vec<String> = Vec::new();
    for evidence in &by_texts_alone.evidence {
        if let Evidence::File { path, .. } = evidence
            && !texts.contains(path)
        {
            texts.push(path.clone());
        }
    }
    let parts = declared.as_deref().map(licences).unwrap_or_default();
    let is_choice = declared.as_ref().is_some_and(|declared| !declared.contains(" AND "));
    let verdict_by_texts = match (&by_texts_alone.standing, &declared) {
        (Standing::Unknown, _) => "unknown",
        // Without a word of how they join: most often one may choose.
        (Standing::Conflict(several), Some(_)) if several.iter().all(|one| parts.contains(one)) => {
            "conflict, all of it declared"
        }
        (Standing::Conflict(_), _) => "conflict",
        (Standing::Stated(_), None) => "undeclared",
        (Standing::Stated(one), Some(declared)) if one == declared => "agrees",
        (Standing::Stated(one), Some(_)) if is_choice && parts.contains(one) => "one of the declared",
        (Standing::Stated(_), Some(_)) => "wrong",
    };
    let by_texts = said(&by_texts_alone);
    let by_all = said(&licence);
    let verdict_by_all = match &declared {
        _ if by_all == "unknown" => "unknown",
        _ if by_all.starts_with("conflict") => "conflict",
        None => "undeclared",
        Some(declared) if *declared == by_all => "agrees",
        Some(_) => "wrong",
    };
    headers.retain(|header, _| {
        Some(header) != declared.as_ref() && !licences(header).iter().all(|one| parts.contains(one))
    });
    Row {
        package: summary.package,
        version: summary.version.unwrap_or_default(),
        declared,
        by_texts,
        verdict_by_texts,
        by_all,
        verdict_by_all,
        texts,
        files: summary.files,
        other_headers: headers,
    }
}

fn licences(expression: &str) -> BTreeSet<String> {
    let bare = expression.replace(['(', ')'], "");
    bare.split(" OR ").flat_map(|part| part.split(" AND ")).map(str::to_owned).collect()
}

/// One line a package, so that a change shows as one.
#[expect(clippy::disallowed_methods, reason = "a file of the working tree")]
fn rewrite(totals: &Totals, rows: &[Row]) {
    let rows: Vec<String> = rows.iter().map(|row| serde_json::to_string(row).unwrap()).collect();
    let text = format!(
        "{{\n\"what\": \"licences of crates, by their texts alone and by all evidence, beside what they declare\",\n\
         \"totals\": {},\n\"rows\": [\n{}\n]\n}}\n",
        serde_json::to_string(totals).unwrap(),
        rows.join(",\n")
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/evidence/licences.json");
    fs::write(path, text).unwrap();
}
