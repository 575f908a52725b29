//! What a text has in common with known code, for people.

use client::{Found, Match, Provenance};

use crate::checks::printable;

/// Matches that a person is shown; the record has all.
const MATCHES_SHOWN: usize = 10;
/// Places of a match that a person is shown.
const ORIGINS_SHOWN: usize = 3;

/// A line for each match, and one for each place behind it; or one that says that there are none. What is common says
/// nothing, and is left out.
pub(crate) fn lines(provenance: &Provenance) -> Vec<String> {
    let mut lines = Vec::new();
    for name in &provenance.not_asked {
        lines.push(format!("[known code · {}: not open, so nothing is known of it]", printable(name)));
    }
    if provenance.corpora.is_empty() {
        return lines;
    }
    let told: Vec<&Match> = provenance.matches.iter().filter(|one| !one.is_common).collect();
    for one in told.iter().take(MATCHES_SHOWN) {
        lines.push(format!("[{}]", head(one)));
        lines.extend(one.origins.iter().take(ORIGINS_SHOWN).map(|found| format!("  {}", place(found))));
    }
    if let Some(more) = told.len().checked_sub(MATCHES_SHOWN).filter(|more| *more > 0) {
        lines.push(format!("[and {more} matches more: `cloister explain` shows them]"));
    }
    if told.is_empty() {
        lines.push(format!("[known code · no match in {}]", corpora(provenance)));
    }
    if provenance.cut_short {
        lines.push("[known code · the search was broken off at its limit: there may be more]".to_owned());
    }
    lines
}

/// The corpora that were asked, each with the beginning of its digest.
pub(crate) fn corpora(provenance: &Provenance) -> String {
    let named = provenance.corpora.iter().map(|corpus| {
        let root = corpus.root.strip_prefix("sha256:").unwrap_or(&corpus.root);
        format!("{} at {}", printable(&corpus.name), printable(root.get(..12).unwrap_or(root)))
    });
    named.collect::<Vec<_>>().join(", ")
}

/// What a match is, in words. It is a match of texts: nobody says where a model learned anything.
pub(crate) fn head(one: &Match) -> String {
    let lines = match one.lines {
        (first, last) if first == last => format!("line {first}"),
        (first, last) => format!("lines {first} to {last}"),
    };
    let how = match (one.kind.as_str(), one.similarity, &one.from) {
        ("copied", _, Some(from)) => format!("copied from {}", printable(from)),
        ("exact", _, _) => "matches known code".to_owned(),
        (kind, Some(similarity), _) => {
            let kind =
                if kind == "renamed" { "matches known code but for names" } else { "is near known code" };
            format!("{kind} ({}.{} %)", similarity / 10, similarity % 10)
        }
        (kind, None, _) => printable(kind),
    };
    let mut head = format!("{lines} {how}: {} lexemes", one.lexemes);
    if one.packages > 0 {
        let files = if one.documents == 1 { "file" } else { "files" };
        let packages = if one.packages == 1 { "package" } else { "packages" };
        head.push_str(&format!(" · in {} {files} of {} {packages}", one.documents, one.packages));
    }
    if !one.licences.is_empty() {
        let licences: Vec<String> = one.licences.iter().map(|licence| printable(licence)).collect();
        head.push_str(&format!(" · {}", licences.join(", ")));
    }
    if one.is_common {
        head.push_str(" · common");
    }
    match one.action.as_str() {
        "warn" => head.push_str(" · look at it before you use it: the site's policy"),
        "block" => head.push_str(" · kept out by the site's policy"),
        _ => {}
    }
    head
}

/// A place, in words.
pub(crate) fn place(found: &Found) -> String {
    let origin = &found.origin;
    if origin.package.is_empty() {
        return format!("the file {} (corpus {})", printable(&found.blob), printable(&found.corpus));
    }
    let version = origin.version.as_deref().or(origin.commit.as_deref());
    let version = version.map(|version| format!(" {}", printable(version.get(..40).unwrap_or(version))));
    format!(
        "{}{}: {}:{}-{} (corpus {})",
        printable(&origin.package),
        version.unwrap_or_default(),
        printable(&origin.path),
        found.lines.0,
        found.lines.1,
        printable(&found.corpus),
    )
}

#[cfg(test)]
mod tests {
    use client::{Asked, Origin};

    use super::*;

    #[test]
    fn in_words() {
        let asked = Asked { name: "debian".into(), root: "sha256:0123456789abcdef".into() };
        let origin = Origin {
            package: "deb:gzip".into(),
            version: Some("1.12-1".into()),
            path: "lib/sort.c".into(),
            ..Origin::default()
        };
        let found = Found { corpus: "debian".into(), lines: (10, 40), origin, ..Found::default() };
        let rare = Match {
            lines: (3, 33),
            lexemes: 120,
            kind: "exact".into(),
            documents: 2,
            packages: 1,
            licences: vec!["GPL-3.0-or-later".into()],
            origins: vec![found],
            action: "warn".into(),
            ..Match::default()
        };
        let near = Match {
            kind: "near".into(),
            similarity: Some(934),
            packages: 0,
            origins: Vec::new(),
            licences: Vec::new(),
            action: "annotate".into(),
            ..rare.clone()
        };
        let common = Match { is_common: true, ..rare.clone() };
        let copied = Match { kind: "copied".into(), from: Some("a.adb\u{1b}".into()), ..near.clone() };
        let provenance = Provenance {
            corpora: vec![asked],
            not_asked: vec!["crates".into()],
            lexemes: 200,
            matches: vec![rare, near, common.clone(), copied],
            cut_short: false,
        };
        insta::assert_snapshot!(lines(&provenance).join("\n"), @r"
        [known code · crates: not open, so nothing is known of it]
        [lines 3 to 33 matches known code: 120 lexemes · in 2 files of 1 package · GPL-3.0-or-later · look at it before you use it: the site's policy]
          deb:gzip 1.12-1: lib/sort.c:10-40 (corpus debian)
        [lines 3 to 33 is near known code (93.4 %): 120 lexemes]
        [lines 3 to 33 copied from a.adb�: 120 lexemes]
        ");
        let none = Provenance { not_asked: Vec::new(), matches: vec![common], ..provenance };
        assert_eq!(lines(&none), ["[known code · no match in debian at 0123456789ab]"]);
        assert!(lines(&Provenance::default()).is_empty());
    }
}
