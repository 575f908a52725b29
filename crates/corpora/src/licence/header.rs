//! What a file says of its licence itself, in the comments of its first lines.
//!
//! An `SPDX-License-Identifier` is taken at its word. Else the well-known sentences and whole texts are looked for, in
//! comments only. Where comments speak of a licence in words that are not known here, that is noted too: then nothing
//! else may speak for the file.

use std::sync::LazyLock;

use super::{expression, recognise, words};

/// Lines that may be a header.
const LINES_MAX: usize = 100;
/// Bytes that may be a header.
const BYTES_MAX: usize = 32 << 10;
/// Words of a sentence that grants a GNU licence.
const GRANT_WORDS_MAX: usize = 60;
/// Words behind a version, in which another may be allowed.
const WIDENING_WORDS_MAX: usize = 14;
/// Words between the two names of a choice.
const CHOICE_WORDS_MAX: usize = 60;

const TAG: &str = "SPDX-License-Identifier:";

/// Endings of prose, in which a `#` is a title and licences are spoken about; only the tag counts there.
const PROSE: &[&str] =
    &["md", "markdown", "rst", "txt", "adoc", "asciidoc", "org", "tex", "html", "htm", "xhtml"];

/// What a file's beginning says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// Nothing of licences.
    Silent,
    /// Something of licences, which has no name here.
    Unnamed,
    /// These expressions, in their normal form, each with its line, counted from 1; sorted by line.
    Says(Vec<(String, u32)>),
}

/// Reads the beginning of a file. `path` only tells prose from code.
pub(crate) fn read(path: &str, bytes: &[u8]) -> Header {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(BYTES_MAX)]);
    let lines: Vec<&str> = text.lines().take(LINES_MAX).collect();
    let ending = path
        .rsplit('/')
        .next()
        .and_then(|name| name.rsplit_once('.'))
        .map(|(_, ending)| ending.to_ascii_lowercase());
    let ending = ending.as_deref().unwrap_or_default();
    let comments = comments(&lines, ending);
    let tags = tags(&comments);
    let is_prose = PROSE.contains(&ending);
    let prose = if is_prose { Header::Silent } else { sentences(&comments) };
    if tags.is_empty() {
        return prose;
    }
    let mut said: Vec<(String, u32)> = Vec::new();
    for (tag, line) in tags {
        match tag {
            None => return Header::Unnamed,
            Some(tag) if said.iter().any(|(known, _)| *known == tag) => {}
            Some(tag) => said.push((tag, line)),
        }
    }
    // The sentences beside a tag may be a part of what it says, and no more.
    if let Header::Says(sentences) = prose {
        let tagged: Vec<String> = said.iter().flat_map(|(tag, _)| expression::licences_of(tag)).collect();
        let is_of_tag = |sentence: &str| {
            said.iter().any(|(tag, _)| tag == sentence)
                || expression::licences_of(sentence).iter().all(|one| {
                    tagged.iter().any(|tag| tag == one || tag.split(" WITH ").next() == Some(one.as_str()))
                })
        };
        said.extend(sentences.into_iter().filter(|(sentence, _)| !is_of_tag(sentence)).collect::<Vec<_>>());
    }
    said.sort_by_key(|(_, line)| *line);
    Header::Says(said)
}

/// The tags of SPDX in comments, with the normal forms of what they say.
fn tags(comments: &str) -> Vec<(Option<String>, u32)> {
    let mut tags = Vec::new();
    for (line, number) in comments.lines().zip(1u32..) {
        let Some((before, after)) = line.split_once(TAG) else { continue };
        let before = before.trim();
        // In a string or an expression it is somebody else's.
        let in_comment =
            before.chars().all(|letter| !letter.is_alphanumeric() && letter != '"' && letter != '\'')
                || matches!(
                    before.to_ascii_lowercase().as_str(),
                    "rem" | "dnl" | "c" | "@c" | "@rem" | "\"\"\"" | "'''"
                )
                || before == "\"";
        if !in_comment || after.contains(TAG) {
            continue;
        }
        let mut stated = after.trim();
        for end in ["*/", "-->", "*)", "--", "\"\"\"", "'''", "-}", "#}", "#", "*"] {
            stated = stated.strip_suffix(end).map_or(stated, str::trim_end);
        }
        if stated.contains(['"', '{', '<', '`']) {
            continue;
        }
        tags.push((expression::normal_form(stated), number));
    }
    tags
}

/// The lines with all but comments made empty. What begins a comment is taken widely, but for what begins a text or a
/// statement in most languages.
fn comments(lines: &[&str], ending: &str) -> String {
    const BLOCKS: &[(&str, &str)] = &[
        ("/*", "*/"),
        ("(*", "*)"),
        ("<!--", "-->"),
        ("\"\"\"", "\"\"\""),
        ("'''", "'''"),
        ("r\"\"\"", "\"\"\""),
        ("{-", "-}"),
        ("--[[", "]]"),
        ("=begin", "=cut"),
    ];
    const LINES: &[&str] = &[
        "--", "//", "#", "%", ";", "!", "*", "dnl ", "rem ", "REM ", "@c ", "@rem ", "@REM ", ".\\\"", ".. ",
    ];
    let of_language: &[&str] = match ending {
        "vim" => &["\""],
        "vb" | "vbs" | "bas" => &["'"],
        "f" | "for" | "f77" => &["C ", "c ", "C\t", "c\t"],
        _ => &[],
    };
    let mut kept = String::new();
    let mut inside: Option<&str> = None;
    for line in lines {
        let bare = line.trim_start_matches('\u{feff}').trim_start();
        if let Some(end) = inside {
            kept.push_str(line);
            if bare.contains(end) {
                inside = None;
            }
        } else if let Some((start, end)) = BLOCKS.iter().find(|(start, _)| bare.starts_with(start)) {
            kept.push_str(line);
            if !bare[start.len()..].contains(end) {
                inside = Some(end);
            }
        } else if LINES.iter().chain(of_language).any(|start| bare.starts_with(start))
            && !bare.starts_with("#include")
        {
            kept.push_str(line);
        }
        kept.push('\n');
    }
    kept
}

struct Phrases {
    gnu: Vec<(Vec<u64>, &'static str)>,
    under_terms: Vec<Vec<u64>>,
    under_gnu: Vec<u64>,
    digits: Vec<Vec<u64>>,
    grant_ends: Vec<Vec<u64>>,
    later: Vec<Vec<u64>>,
    not_later: Vec<Vec<u64>>,
    /// Words behind a version that may widen it.
    widening: Vec<Vec<u64>>,
    /// Words before a licence's name that tell that it is one of several.
    joining: Vec<Vec<u64>>,
    /// Other licences, in a word.
    others: Vec<Vec<u64>>,
    only: Vec<Vec<u64>>,
    numbers: Vec<(Vec<u64>, &'static str)>,
    version: Vec<u64>,
    v: Vec<u64>,
    apache: Vec<Vec<u64>>,
    apache_grant: Vec<Vec<u64>>,
    llvm: Vec<Vec<u64>>,
    mit_name: Vec<u64>,
    option: Vec<u64>,
    mpl_grant: Vec<Vec<u64>>,
    mpl_name: Vec<u64>,
    mpl_alone: Vec<u64>,
    boost: Vec<Vec<u64>>,
    cern: Vec<(Vec<u64>, &'static str)>,
    gcc_exception: Vec<Vec<u64>>,
    exceptional: Vec<Vec<u64>>,
    unnamed: Vec<Vec<u64>>,
}

static PHRASES: LazyLock<Phrases> = LazyLock::new(|| {
    let one = |phrase: &str| recognise::hashes(phrase);
    let all = |phrases: &[&str]| phrases.iter().map(|phrase| one(phrase)).collect::<Vec<_>>();
    let named = |phrases: &[(&str, &'static str)]| {
        phrases.iter().map(|(phrase, name)| (one(phrase), *name)).collect::<Vec<_>>()
    };
    Phrases {
        gnu: named(&[
            ("gnu general public license", "GPL"),
            ("gnu lesser general public license", "LGPL"),
            ("gnu library general public license", "LGPL"),
            ("gnu affero general public license", "AGPL"),
        ]),
        under_terms: all(&["under the terms", "under terms", "under the gnu"]),
        under_gnu: one("under the gnu"),
        digits: all(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
        grant_ends: all(&[
            "distributed in the hope",
            "without any warranty",
            "see the gnu",
            "as a special exception",
        ]),
        later: all(&["any later version", "any newer version", "or later", "or newer"]),
        not_later: all(&["not any later", "not later", "no later"]),
        widening: all(&["or", "newer", "higher", "later", "above", "greater"]),
        joining: all(&["or", "and", "either", "both", "dual"]),
        others: all(&[
            "mit",
            "bsd",
            "apache",
            "mozilla",
            "mpl",
            "artistic",
            "isc",
            "cddl",
            "epl",
            "eclipse",
            "proprietary",
        ]),
        only: all(&["only"]),
        numbers: named(&[
            ("2 1", "2.1"),
            ("2 0", "2.0"),
            ("3 0", "3.0"),
            ("1 0", "1.0"),
            ("1", "1.0"),
            ("2", "2.0"),
            ("3", "3.0"),
        ]),
        version: one("version"),
        v: one("v"),
        apache: all(&[
            "apache license version 2 0",
            "apache license v2 0",
            "apache license 2 0",
            "apache 2 0 license",
        ]),
        apache_grant: all(&["you may not use this file except in compliance with the license"]),
        llvm: all(&["with llvm exceptions", "with llvm exception"]),
        mit_name: one("mit license"),
        option: one("at your option"),
        mpl_grant: all(&[
            "subject to the terms of the mozilla public license v 2 0",
            "subject to the terms of the mozilla public license version 2 0",
        ]),
        mpl_name: one("mozilla public license"),
        mpl_alone: one("incompatible with secondary licenses"),
        boost: all(&["distributed under the boost software license version 1 0"]),
        cern: named(&[
            ("licensed under the cern ohl s v2", "CERN-OHL-S-2.0"),
            ("licensed under the cern ohl w v2", "CERN-OHL-W-2.0"),
            ("licensed under the cern ohl p v2", "CERN-OHL-P-2.0"),
        ]),
        gcc_exception: all(&["gcc runtime library exception version 3 1"]),
        exceptional: all(&[
            "special exception",
            "additional permission",
            "additional permissions",
            "linking exception",
        ]),
        unnamed: all(&[
            "confidential and proprietary",
            "proprietary and confidential",
            "solderpad hardware license",
            "eclipse public license",
            "common development and distribution license",
            "commons clause",
            "freely copy and modify",
            "gives unlimited permission",
            "public domain",
            "license agreement",
            "subject to license terms",
            "trade secret",
            "business source license",
            "server side public license",
            "non commercial use",
            "noncommercial use",
            "open software license",
            "artistic license",
        ]),
    }
});

/// What the comments of a header say, sentence by sentence.
fn sentences(comments: &str) -> Header {
    let phrases = &*PHRASES;
    let mut words = Vec::new();
    let mut lines = Vec::new();
    words::each(comments, |word, line| {
        words.push(recognise::hash(word));
        lines.push(line);
    });
    let line_of = |place: usize| lines.get(place).copied().unwrap_or(1);
    let has = |phrase: &[u64]| recognise::place(&words, phrase).is_some();
    let mut said: Vec<(String, u32)> = Vec::new();
    let mut unnamed = phrases.unnamed.iter().any(|phrase| has(phrase));

    let exceptions = exceptions(&words);
    let mut grants = Vec::new();
    for start in places(&words, &phrases.under_terms) {
        let Some(granted) = grant(&words[start..]) else { continue };
        // "Under the GNU …" without a version only mentions what is granted elsewhere.
        if granted.is_none() && words[start..].starts_with(&phrases.under_gnu) {
            continue;
        }
        grants.push((granted, line_of(start)));
    }
    let speaks_of_gnu = phrases.gnu.iter().any(|(name, _)| has(name));
    if speaks_of_gnu && grants.is_empty() {
        unnamed = true;
    }
    let is_exceptional = phrases.exceptional.iter().any(|phrase| has(phrase));
    for (granted, line) in grants {
        let stated = match (granted, exceptions, is_exceptional) {
            (None, _, _) | (Some(_), None, true) => {
                unnamed = true;
                continue;
            }
            (Some(granted), None, false) => granted,
            (Some(granted), Some(exception), _) => format!("{granted} WITH {exception}"),
        };
        match expression::normal_form(&stated) {
            Some(stated) => said.push((stated, line)),
            None => unnamed = true,
        }
    }

    if let Some(start) = phrases.apache.iter().find_map(|phrase| recognise::place(&words, phrase)) {
        let after = &words[start..words.len().min(start + CHOICE_WORDS_MAX)];
        let near = |phrase: &[u64]| recognise::place(after, phrase).is_some();
        let is_choice = near(&phrases.mit_name) && near(&phrases.option);
        let expression = if is_choice {
            Some("Apache-2.0 OR MIT")
        } else if phrases.llvm.iter().any(|phrase| near(phrase)) {
            Some("Apache-2.0 WITH LLVM-exception")
        } else if phrases.apache_grant.iter().any(|phrase| near(phrase))
            && !has(&phrases.mit_name)
            && !near(&phrases.option)
        {
            Some("Apache-2.0")
        } else {
            None
        };
        match expression {
            Some(expression) => said.push((expression.to_owned(), line_of(start))),
            None => unnamed |= phrases.apache_grant.iter().any(|phrase| has(phrase)),
        }
    }
    if let Some(start) = phrases.mpl_grant.iter().find_map(|phrase| recognise::place(&words, phrase)) {
        let name = if has(&phrases.mpl_alone) { "MPL-2.0-no-copyleft-exception" } else { "MPL-2.0" };
        said.push((name.to_owned(), line_of(start)));
    } else if has(&phrases.mpl_name) {
        unnamed = true;
    }
    if let Some(start) = phrases.boost.iter().find_map(|phrase| recognise::place(&words, phrase)) {
        said.push(("BSL-1.0".to_owned(), line_of(start)));
    }
    for (phrase, name) in &phrases.cern {
        if let Some(start) = recognise::place(&words, phrase) {
            said.push(((*name).to_owned(), line_of(start)));
        }
    }
    let whole = recognise::inside(&words);
    if whole.is_empty() && recognise::begins(&words) {
        unnamed = true;
    }
    for (recognised, start) in whole {
        said.extend(recognised.expressions.into_iter().map(|expression| (expression, line_of(start))));
    }
    if unnamed {
        return Header::Unnamed;
    }
    said.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    said.dedup_by(|a, b| a.0 == b.0);
    said.sort_by_key(|(_, line)| *line);
    if said.is_empty() { Header::Silent } else { Header::Says(said) }
}

/// The exception that a header's words grant, by its name or its text.
fn exceptions(words: &[u64]) -> Option<&'static str> {
    if PHRASES.gcc_exception.iter().any(|phrase| recognise::place(words, phrase).is_some()) {
        return Some("GCC-exception-3.1");
    }
    if !PHRASES.exceptional.iter().any(|phrase| recognise::place(words, phrase).is_some()) {
        return None;
    }
    recognise::exceptions(words).first().copied()
}

/// The GNU licence that a sentence grants: None where it speaks of none, Some(None) where of one that has no name here.
fn grant(words: &[u64]) -> Option<Option<String>> {
    let phrases = &*PHRASES;
    let mut sentence = &words[..words.len().min(GRANT_WORDS_MAX)];
    // The next sentence, or the next grant.
    let ends = phrases.grant_ends.iter().filter_map(|end| recognise::place(sentence, end));
    let next =
        phrases.under_terms.iter().filter_map(|next| recognise::place(&sentence[1..], next).map(|at| at + 1));
    if let Some(end) = ends.chain(next).min() {
        sentence = &sentence[..end];
    }
    let named: Vec<(usize, &str)> = phrases
        .gnu
        .iter()
        .filter_map(|(name, short)| recognise::place(sentence, name).map(|at| (at, *short)))
        .collect();
    let (named_at, short) = named.iter().min()?;
    let has =
        |words: &[u64], of: &[Vec<u64>]| of.iter().any(|phrase| recognise::place(words, phrase).is_some());
    // One of several that one may choose, or must follow: how they join is not read here.
    if has(&sentence[..*named_at], &phrases.joining) || has(sentence, &phrases.others) {
        return Some(None);
    }
    // Of two licences in one sentence, neither is known to be meant.
    if named.iter().any(|(_, other)| other != short) {
        return Some(None);
    }
    let versions: Vec<(usize, &str)> = sentence
        .iter()
        .enumerate()
        .filter(|(_, word)| phrases.version.first() == Some(word) || phrases.v.first() == Some(word))
        .filter_map(|(at, _)| {
            let after = &sentence[at + 1..];
            let (number, named) = phrases.numbers.iter().find(|(number, _)| after.starts_with(number))?;
            // 2.2 is not 2.
            let goes_on = phrases.digits.iter().any(|digit| after[number.len()..].starts_with(digit));
            (!goes_on).then_some((at, *named))
        })
        .collect();
    let Some((at, first)) = versions.first() else { return Some(None) };
    if versions.iter().any(|(_, other)| other != first) || has(sentence, &phrases.not_later) {
        return Some(None);
    }
    let behind = &sentence[*at..sentence.len().min(at + WIDENING_WORDS_MAX)];
    let later = match (has(sentence, &phrases.later), has(sentence, &phrases.only)) {
        (true, false) => "or-later",
        (false, true) => "only",
        // One version is named, and nothing behind it that may be another.
        (false, false) if !has(behind, &phrases.widening) => "only",
        _ => return Some(None),
    };
    Some(Some(format!("{short}-{first}-{later}")))
}

/// Where any of the phrases begins, in order.
fn places(words: &[u64], phrases: &[Vec<u64>]) -> Vec<usize> {
    let mut places: Vec<usize> = Vec::new();
    for phrase in phrases {
        places.extend((0..words.len()).filter(|at| words[*at..].starts_with(phrase)));
    }
    places.sort_unstable();
    places.dedup();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &str) {
        let found = match read(path, text.as_bytes()) {
            Header::Silent => "silent".to_owned(),
            Header::Unnamed => "unnamed".to_owned(),
            Header::Says(said) => {
                let said: Vec<String> =
                    said.into_iter().map(|(what, line)| format!("{line}: {what}")).collect();
                said.join("; ")
            }
        };
        assert_eq!(found, expected, "{path}: {text}");
    }

    #[test]
    fn tags_in_any_comment() {
        check("a.rs", "// SPDX-License-Identifier: MIT\nfn main() {}\n", "1: MIT");
        check(
            "a.c",
            "/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */\n",
            "1: GPL-2.0-only WITH Linux-syscall-note",
        );
        check("a.vhd", "--\n-- SPDX-License-Identifier: CERN-OHL-S-2.0\n", "2: CERN-OHL-S-2.0");
        check(
            "a.py",
            "#!/usr/bin/python3\n# SPDX-License-Identifier: Apache-2.0 OR MIT\n",
            "2: Apache-2.0 OR MIT",
        );
        check("a.xml", "<!-- SPDX-License-Identifier: ISC -->\n", "1: ISC");
        check("a.md", "<!-- SPDX-License-Identifier: ISC -->\n", "1: ISC");
        check(
            "a.adb",
            "--  SPDX-License-Identifier: GPL-3.0-or-later WITH GCC-exception-3.1  --\n",
            "1: GPL-3.0-or-later WITH GCC-exception-3.1",
        );
        check("a.vim", "\" SPDX-License-Identifier: MIT\n", "1: MIT");
        check("a.f", "C     SPDX-License-Identifier: MIT\n", "1: MIT");
        check("a.bat", "REM SPDX-License-Identifier: MIT\n", "1: MIT");
        check("a.c", "/* SPDX-License-Identifier: LicenseRef-Ours */\n", "unnamed");
        check(
            "a.c",
            "/* SPDX-License-Identifier: MIT */\n/* SPDX-License-Identifier: ISC */\n",
            "1: MIT; 2: ISC",
        );
    }

    #[test]
    fn a_tag_in_a_string_is_not_the_files() {
        check("a.rs", "let tag = \"SPDX-License-Identifier: MIT\";\n", "silent");
        check("a.rs", "    \"SPDX-License-Identifier: MIT\",\n", "silent");
        check("a.rs", "r#\"Some licence\nSPDX-License-Identifier: MIT\n", "silent");
        check("a.py", "print('# SPDX-License-Identifier: MIT')\n", "silent");
        check("a.rs", &format!("{}// SPDX-License-Identifier: MIT\n", "\n".repeat(100)), "silent");
    }

    const GNAT: &str = "\
------------------------------------------------------------------------------
--                         GNAT RUN-TIME COMPONENTS                         --
--          Copyright (C) 2012-2022, Free Software Foundation, Inc.         --
--                                                                          --
-- GNAT is free software;  you can  redistribute it  and/or modify it under --
-- terms of the  GNU General Public License as published  by the Free Soft- --
-- ware  Foundation;  either version 3,  or (at your option) any later ver- --
-- sion.  GNAT is distributed in the hope that it will be useful, but WITH- --
-- OUT ANY WARRANTY;  without even the  implied warranty of MERCHANTABILITY --
-- or FITNESS FOR A PARTICULAR PURPOSE.                                     --
";
    const RUNTIME: &str = "\
--                                                                          --
-- As a special exception under Section 7 of GPL version 3, you are granted --
-- additional permissions described in the GCC Runtime Library Exception,   --
-- version 3.1, as published by the Free Software Foundation.               --
";

    #[test]
    fn sentences_of_the_gnu_licences() {
        check("a.adb", GNAT, "5: GPL-3.0-or-later");
        check("a.adb", &format!("{GNAT}{RUNTIME}"), "5: GPL-3.0-or-later WITH GCC-exception-3.1");
        let other = "-- As a special exception, whoever likes birds may do what they like.\n";
        check("a.adb", &format!("{GNAT}{other}"), "unnamed");
        check(
            "a.c",
            "/*\n it under the terms of the GNU General Public License version 2 as published by\n the FSF. */",
            "2: GPL-2.0-only",
        );
        check(
            "a.c",
            "// under the terms of the GNU Lesser General Public License as published by the Free Software\n\
             // Foundation; either version 2.1 of the License, or (at your option) any later version.\n",
            "1: LGPL-2.1-or-later",
        );
        check("a.c", "// under the terms of the GNU General Public License.\n", "unnamed");
        check("a.c", "// under the terms of version 2.2 of the GNU General Public License.\n", "unnamed");
        for sentence in [
            "under the terms of either the MIT license or the GNU General Public License version 2.",
            "under the terms of the GNU General Public License version 2, or (at your discretion) something else.",
            "under the terms of the GNU General Public License version 2 and not any later version.",
            "under the terms of the GNU General Public License, version 2, or the BSD license.",
            "under the terms of the GNU General Public License and the GNU Lesser General Public License version 3.",
        ] {
            check("a.c", &format!("// {sentence}\n"), "unnamed");
        }
        check(
            "a.c",
            "// under the terms of the GNU General Public License, version 2 only.\n",
            "1: GPL-2.0-only",
        );
        let bison = spdx::exception_id("Bison-exception-2.2").map(|id| id.text()).unwrap_or_default();
        let bison: String = bison.lines().map(|line| format!("-- {line}\n")).collect();
        check("a.adb", &format!("{GNAT}{bison}"), "5: GPL-3.0-or-later WITH Bison-exception-2.2");
        check("a.c", "// You may like the GNU General Public License.\n", "unnamed");
    }

    #[test]
    fn other_sentences() {
        let apache = "// Licensed under the Apache License, Version 2.0 (the \"License\");\n\
            // you may not use this file except in compliance with the License.\n";
        check("a.rs", apache, "1: Apache-2.0");
        let either = "// Licensed under the Apache License, Version 2.0 <LICENSE-APACHE or\n\
            // http://www.apache.org/licenses/LICENSE-2.0> or the MIT license\n\
            // <LICENSE-MIT or http://opensource.org/licenses/MIT>, at your\n\
            // option. This file may not be copied, modified, or distributed\n\
            // except according to those terms.\n";
        check("a.rs", either, "1: Apache-2.0 OR MIT");
        let mozilla = "-- This Source Code Form is subject to the terms of the Mozilla Public\n\
            -- License, v. 2.0. If a copy of the MPL was not distributed with this file,\n";
        check("a.vhd", mozilla, "1: MPL-2.0");
        check(
            "a.vhd",
            "-- This file contains confidential and proprietary information of Someone, Inc.\n",
            "unnamed",
        );
        check("a.c", "/* This file is in the public domain. */\n", "unnamed");
        check("a.rs", "// Use of this source code is governed by a BSD-style license.\n", "silent");
        check("a.md", "# Licence\n* under the terms of the GNU General Public License\n", "silent");
    }

    #[test]
    fn whole_texts_in_comments() {
        for name in ["MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "Zlib"] {
            let text = spdx::license_id(name).map(|id| id.text()).unwrap_or_default();
            let comment: String = text.lines().map(|line| format!(" * {line}\n")).collect();
            let file = format!("/* A thing that does things.\n{comment} */\n#include <a.h>\n");
            match read("a.c", file.as_bytes()) {
                Header::Says(said) => assert_eq!(said.len(), 1, "{name}: {said:?}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_tag_and_its_sentences() {
        let both =
            format!("-- SPDX-License-Identifier: GPL-3.0-or-later WITH GCC-exception-3.1\n{GNAT}{RUNTIME}");
        check("a.adb", &both, "1: GPL-3.0-or-later WITH GCC-exception-3.1");
        let differ = format!("-- SPDX-License-Identifier: MIT\n{GNAT}");
        check("a.adb", &differ, "1: MIT; 6: GPL-3.0-or-later");
    }
}
