//! Licences that a file states of others by their paths: `debian/copyright` and `.reuse/dep5` (DEP-5), `REUSE.toml`.

use super::{expression, metadata};

/// Steps in which a path is compared with all patterns, so that a hostile file costs each path little.
pub(crate) const STEPS_MAX: u32 = 200_000;
/// A longer file is not read.
pub(crate) const BYTES_MAX: usize = 4 << 20;
/// Patterns of one file at most; those behind are not looked at.
const PATTERNS_MAX: usize = 10_000;
const PATTERN_BYTES_MAX: usize = 1024;

/// What a file states of paths beneath its folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ByPath {
    /// In the file's order: the last that matches a path speaks for it.
    pub(crate) rules: Vec<Rule>,
    /// What it states of everything (`Files: *` of DEP-5), which is no nearer to a file than other metadata.
    pub(crate) overall: Option<Words>,
}

/// What stands there, and what that is in SPDX's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) stated: String,
    pub(crate) expression: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    patterns: Vec<String>,
    kind: Kind,
    pub(crate) words: Words,
    /// Whether it counts more than the file's own header (`precedence = "override"`).
    pub(crate) overrides: bool,
    /// Whether it counts only where the file's own header is silent.
    pub(crate) yields: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `*` and `?` match `/` too.
    Dep5,
    /// `*` stays in a folder, `**` does not.
    Reuse,
}

impl Rule {
    /// Whether it speaks for a path. None where that would take more than the steps that are left.
    pub(crate) fn matches(&self, path: &str, steps: &mut u32) -> Option<bool> {
        for pattern in &self.patterns {
            if matches(self.kind, pattern.as_bytes(), path.as_bytes(), steps)? {
                return Some(true);
            }
        }
        Some(false)
    }
}

/// Reads DEP-5 (Debian's machine-readable copyright file, 1.0). None where it is no such file.
pub(crate) fn dep5(bytes: &[u8], of_reuse: bool) -> Option<ByPath> {
    if bytes.len() > BYTES_MAX {
        return None;
    }
    let text = String::from_utf8_lossy(bytes);
    let mut found = ByPath::default();
    let mut patterns_left = PATTERNS_MAX;
    let mut is_first = true;
    for paragraph in paragraphs(&text) {
        let field = |name: &str| {
            paragraph
                .iter()
                .find(|(field, _)| field.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_str())
        };
        if std::mem::take(&mut is_first) {
            field("Format")
                .filter(|format| format.contains("copyright-format") || format.contains("dep5"))?;
        }
        let (Some(files), Some(licence)) = (field("Files"), field("License")) else { continue };
        let stated = metadata::shortened(licence.lines().next().unwrap_or_default());
        let expression = debian_expression(&stated).or_else(|| expression::normal_form(&stated));
        let words = Words { stated, expression };
        let patterns: Vec<String> = files
            .split_whitespace()
            .filter(|pattern| pattern.len() <= PATTERN_BYTES_MAX)
            .map(str::to_owned)
            .take(patterns_left)
            .collect();
        patterns_left -= patterns.len();
        if patterns.iter().any(|pattern| pattern == "*") {
            found.overall = Some(words.clone());
            continue;
        }
        let kind = Kind::Dep5;
        found.rules.push(Rule { patterns, kind, words, overrides: false, yields: of_reuse });
    }
    (!is_first).then_some(found)
}

/// Reads a `REUSE.toml` (REUSE 3.3). None where it is none.
pub(crate) fn reuse(bytes: &[u8]) -> Option<ByPath> {
    if bytes.len() > BYTES_MAX {
        return None;
    }
    let table: toml::Table = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    let mut found = ByPath::default();
    let mut patterns_left = PATTERNS_MAX;
    let strings = |value: &toml::Value| -> Vec<String> {
        match value {
            toml::Value::String(one) => vec![one.clone()],
            toml::Value::Array(several) => {
                several.iter().filter_map(toml::Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    };
    for annotation in table.get("annotations")?.as_array()? {
        let (Some(path), Some(licence)) = (annotation.get("path"), annotation.get("SPDX-License-Identifier"))
        else {
            continue;
        };
        let stated = strings(licence);
        let patterns: Vec<String> = strings(path)
            .into_iter()
            .filter(|pattern| pattern.len() <= PATTERN_BYTES_MAX)
            .take(patterns_left)
            .collect();
        patterns_left -= patterns.len();
        // Several identifiers hold together, as REUSE says.
        let joined = stated.iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(" AND ");
        let expression = expression::normal_form(&joined);
        let words = Words { stated: metadata::shortened(&stated.join(", ")), expression };
        let precedence = annotation.get("precedence").and_then(toml::Value::as_str);
        found.rules.push(Rule {
            patterns,
            kind: Kind::Reuse,
            words,
            overrides: precedence == Some("override"),
            yields: precedence != Some("override") && precedence != Some("aggregate"),
        });
    }
    Some(found)
}

/// The paragraphs of a control file, each a list of fields and values; lines that go on are joined by line ends.
pub(crate) fn paragraphs(text: &str) -> Vec<Vec<(String, String)>> {
    let mut paragraphs = vec![Vec::<(String, String)>::new()];
    for line in text.lines() {
        if line.trim().is_empty() {
            if paragraphs.last().is_some_and(|fields| !fields.is_empty()) {
                paragraphs.push(Vec::new());
            }
        } else if line.starts_with('#') {
            // A comment.
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = paragraphs.last_mut().and_then(|fields| fields.last_mut()) {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let (Some((field, value)), Some(fields)) = (line.split_once(':'), paragraphs.last_mut()) {
            fields.push((field.trim().to_owned(), value.trim().to_owned()));
        }
    }
    if paragraphs.last().is_some_and(Vec::is_empty) {
        paragraphs.pop();
    }
    paragraphs
}

/// Debian's short names in SPDX's words (copyright-format 1.0, 7.1): where they say the same, and only there.
fn debian_expression(stated: &str) -> Option<String> {
    const NAMES: &[(&str, &str)] = &[
        ("expat", "MIT"),
        ("apache-2", "Apache-2.0"),
        ("agpl-3", "AGPL-3.0-only"),
        ("agpl-3+", "AGPL-3.0-or-later"),
        ("gpl-1", "GPL-1.0-only"),
        ("gpl-1+", "GPL-1.0-or-later"),
        ("gpl-2", "GPL-2.0-only"),
        ("gpl-2+", "GPL-2.0-or-later"),
        ("gpl-3", "GPL-3.0-only"),
        ("gpl-3+", "GPL-3.0-or-later"),
        ("lgpl-2", "LGPL-2.0-only"),
        ("lgpl-2+", "LGPL-2.0-or-later"),
        ("lgpl-2.1", "LGPL-2.1-only"),
        ("lgpl-2.1+", "LGPL-2.1-or-later"),
        ("lgpl-3", "LGPL-3.0-only"),
        ("lgpl-3+", "LGPL-3.0-or-later"),
        ("gfdl-1.2", "GFDL-1.2-only"),
        ("gfdl-1.2+", "GFDL-1.2-or-later"),
        ("gfdl-1.3", "GFDL-1.3-only"),
        ("gfdl-1.3+", "GFDL-1.3-or-later"),
        ("bsd-2-clause", "BSD-2-Clause"),
        ("bsd-3-clause", "BSD-3-Clause"),
        ("bsd-4-clause", "BSD-4-Clause"),
        ("cc0", "CC0-1.0"),
        ("mpl-2", "MPL-2.0"),
    ];
    // A comma changes what `and` and `or` bind; an exception has a name of Debian's own.
    if stated.contains(',') || stated.to_ascii_lowercase().contains(" with ") {
        return None;
    }
    let words: Vec<String> = stated
        .split_whitespace()
        .map(|word| {
            let small = word.to_ascii_lowercase();
            NAMES
                .iter()
                .find(|(name, _)| *name == small)
                .map_or(word.to_owned(), |(_, name)| (*name).to_owned())
        })
        .collect();
    expression::normal_form(&words.join(" "))
}

/// Matches a pattern, one step a byte that is compared.
fn matches(kind: Kind, pattern: &[u8], path: &[u8], steps: &mut u32) -> Option<bool> {
    let pattern = pattern.strip_prefix(b"./").unwrap_or(pattern);
    // Where the last star stands, and how much of the path it has taken; `**` apart, which may take a `/`.
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    let mut wide: Option<(usize, usize)> = None;
    loop {
        *steps = steps.checked_sub(1)?;
        let token = pattern.get(at).copied();
        let letter = path.get(read).copied();
        match (token, letter) {
            (None, None) => return Some(true),
            (Some(b'*'), _) => {
                let stars = pattern[at..].iter().take_while(|byte| **byte == b'*').count();
                at += stars;
                if kind == Kind::Dep5 || stars > 1 {
                    wide = Some((at, read));
                    star = None;
                } else {
                    star = Some((at, read));
                }
                continue;
            }
            (Some(b'?'), Some(_)) if kind == Kind::Dep5 => {
                at += 1;
                read += 1;
                continue;
            }
            (Some(b'\\'), Some(letter)) if pattern.get(at + 1) == Some(&letter) => {
                at += 2;
                read += 1;
                continue;
            }
            (Some(token), Some(letter)) if token == letter => {
                at += 1;
                read += 1;
                continue;
            }
            _ => {}
        }
        if let Some((after, taken)) = star
            && path.get(taken).is_some_and(|byte| *byte != b'/')
        {
            star = Some((after, taken + 1));
            (at, read) = (after, taken + 1);
        } else if let Some((after, taken)) = wide
            && taken < path.len()
        {
            wide = Some((after, taken + 1));
            star = None;
            (at, read) = (after, taken + 1);
        } else {
            return Some(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, pattern: &str, path: &str, expected: bool) {
        let found = matches(kind, pattern.as_bytes(), path.as_bytes(), &mut 1000);
        assert_eq!(found, Some(expected), "{pattern} {path}");
    }

    #[test]
    fn patterns() {
        check(Kind::Dep5, "src/*", "src/a/b.c", true);
        check(Kind::Dep5, "*.c", "src/a.c", true);
        check(Kind::Dep5, "src/?.c", "src/a.c", true);
        check(Kind::Dep5, "src/?.c", "src/ab.c", false);
        check(Kind::Dep5, "a*b*c", "a/b/b/c", true);
        check(Kind::Dep5, "a*b*c", "a/b/b/cd", false);
        check(Kind::Dep5, "./src/a", "src/a", true);
        check(Kind::Reuse, "src/*", "src/a/b.c", false);
        check(Kind::Reuse, "src/**", "src/a/b.c", true);
        check(Kind::Reuse, "**/*.c", "src/a/b.c", true);
        check(Kind::Reuse, "*.c", "src/b.c", false);
        check(Kind::Reuse, "**", "x", true);
        check(Kind::Reuse, "src/**/a*.c", "src/x/y/ab.c", true);
    }

    const DEP5: &str = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: thing

Files: *
Copyright: 2020 Someone
License: GPL-3+

Files: lib/*
       lib2/*.c
Copyright: 2021 Another
License: Expat or Apache-2.0
 The text of it.
 .
 More.

Files: art/*
Copyright: nobody
License: public-domain

License: GPL-3+
 Of the text.
";

    #[test]
    fn debians_file() {
        let read = dep5(DEP5.as_bytes(), false).unwrap_or_default();
        let expression = |words: &Words| words.expression.clone().unwrap_or(format!("? {}", words.stated));
        let rules: Vec<String> = read.rules.iter().map(|rule| expression(&rule.words)).collect();
        assert_eq!(rules, ["Apache-2.0 OR MIT", "? public-domain"]);
        assert_eq!(read.overall.as_ref().map(expression).as_deref(), Some("GPL-3.0-or-later"));
        assert_eq!(read.rules[0].matches("lib2/x/a.c", &mut 100), Some(true));
        assert_eq!(read.rules[0].matches("lib2/a.h", &mut 100), Some(false));
        assert_eq!(read.rules[0].matches("lib2/a.h", &mut 5), None, "it takes more steps");
        assert_eq!(dep5(b"This is prose.\n\nFiles: *\nLicense: MIT\n", false), None);
    }

    #[test]
    fn reuses_file() {
        let text = "version = 1\n[[annotations]]\npath = [\"a/**\", \"b.c\"]\nprecedence = \"override\"\n\
            SPDX-License-Identifier = \"MIT\"\n[[annotations]]\npath = \"c\"\n\
            SPDX-License-Identifier = [\"ISC\", \"CC0-1.0\"]\n";
        let read = reuse(text.as_bytes()).unwrap_or_default();
        assert!(read.rules[0].overrides && read.rules[0].matches("a/x/y", &mut 100) == Some(true));
        assert_eq!(read.rules[1].words.expression.as_deref(), Some("CC0-1.0 AND ISC"));
        assert!(read.rules[1].yields);
        assert_eq!(reuse(b"version = 1\n"), None);
    }
}
