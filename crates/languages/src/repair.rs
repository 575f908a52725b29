//! Mechanical repair of what a model wrote into a hole: what a compiler's own words ask for, by the kinds of mistakes that
//! models make. Nothing is compiled here: whoever does hands in the [`Diagnostic`]s, has [`fixes`] change the text, and
//! compiles again; [`crate::Rounds`] says in which order.
//!
//! What a person wrote before and behind the hole stays as it is, byte for byte. Context clauses at the top of the unit
//! are the one exception, and only where the caller allows them.

mod draft;
pub(crate) mod expressions;

use std::ops::Range;

pub(crate) use draft::{Draft, Edit, Kind, Report, insert, replace};

use crate::{Diagnostic, Language, ada, vhdl};

/// A text is left alone when it has more bytes.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// A text after its fixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The whole text.
    pub text: String,
    /// Where what was the hole is in it.
    pub hole: Range<usize>,
    /// The kinds of mistakes that were mended, once for each edit, in the order of the text.
    pub what: Vec<&'static str>,
    /// Whether a part only stands for what the model did not write: it compiles, and does not what was asked.
    pub stub: bool,
}

/// Mends the errors among `diagnostics` (warnings and notes are passed over) within the bytes `hole` of `text`: the first
/// one that it knows a fix for, and with it those further ones whose fixes do not touch. `clauses` allows context clauses
/// before the unit that the hole is in. `None`: it knows nothing to do, or the hole is none of the text.
pub fn fixes(
    language: Language,
    text: &str,
    hole: Range<usize>,
    diagnostics: &[Diagnostic],
    clauses: bool,
) -> Option<Fixed> {
    let kinds = match language {
        Language::Ada => ada::repair::KINDS,
        Language::Vhdl => vhdl::repair::KINDS,
        _ => return None,
    };
    if text.len() > TEXT_BYTES_MAX || text.get(hole.clone()).is_none() {
        return None;
    }
    let draft = Draft::new(language, text, hole, clauses);
    let mut edits: Vec<(Edit, &'static str)> = Vec::new();
    let mut stub = false;
    for report in draft.reports(diagnostics) {
        let found = kinds.iter().find_map(|kind| {
            let new = (kind.fix)(&draft, &report)?;
            (!new.is_empty() && new.iter().all(|edit| draft.allows(edit))).then_some((kind, new))
        });
        let Some((kind, new)) = found else { continue };
        if kind.alone && !edits.is_empty() {
            break;
        }
        if new.iter().any(|one| edits.iter().any(|(other, _)| one.touches(other))) {
            continue;
        }
        stub |= kind.stub;
        edits.extend(new.into_iter().map(|edit| (edit, kind.what)));
        if kind.alone {
            break;
        }
    }
    if edits.is_empty() {
        return None;
    }
    let mut fixed = draft.apply(edits)?;
    fixed.stub = stub;
    Some(fixed)
}

/// Mends what no compiler refuses. Ada: code in the hole that takes an array to begin at 1 or 0, which its type does not
/// promise, works on a copy that does, and a String that grows is an Unbounded_String, for which `clauses` allows a context
/// clause. VHDL: an output that nothing drives is driven by the one signal of its subtype that
/// is read nowhere, a signal that a combinational process computes in steps is a variable there, and one that it
/// assigns on some paths has a value on all. `None`: there is nothing of that.
pub fn finish(language: Language, text: &str, hole: Range<usize>, clauses: bool) -> Option<Fixed> {
    if text.len() > TEXT_BYTES_MAX || text.get(hole.clone()).is_none() {
        return None;
    }
    let draft = Draft::new(language, text, hole, clauses);
    let edits: Vec<(Edit, &'static str)> = match language {
        Language::Ada => named(ada::repair::rebase(&draft), "an array taken to begin at 1")
            .chain(named(ada::repair::unbounded(&draft), "a String that grows"))
            .collect(),
        Language::Vhdl => named(vhdl::repair::drive_outputs(&draft), "an output that nothing drives")
            .chain(named(vhdl::repair::as_variables(&draft), "a signal used as a variable"))
            .chain(named(vhdl::repair::without_latches(&draft), "a latch"))
            .collect(),
        _ => return None,
    };
    if edits.is_empty() || !edits.iter().all(|(edit, _)| draft.allows(edit)) {
        return None;
    }
    draft.apply(edits)
}

fn named(edits: Option<Vec<Edit>>, what: &'static str) -> impl Iterator<Item = (Edit, &'static str)> {
    edits.into_iter().flatten().map(move |edit| (edit, what))
}

/// Whether the text, though it compiles, cannot be all that was asked for: an output of VHDL that nothing drives, an
/// input that nothing reads, or a signal that a combinational process computes of itself, or keeps.
pub fn is_unfinished(language: Language, text: &str, hole: Range<usize>) -> bool {
    if language != Language::Vhdl || text.len() > TEXT_BYTES_MAX || text.get(hole.clone()).is_none() {
        return false;
    }
    let draft = Draft::new(language, text, hole, false);
    vhdl::repair::undriven(&draft).next().is_some()
        || vhdl::repair::has_unread(&draft)
        || vhdl::repair::has_stepwise(&draft)
        || vhdl::repair::has_latch(&draft)
}

/// What of `answer` belongs between `prefix` and `suffix`: without Markdown fences, without a signature or an `is` that
/// the prefix has already, with the `is` that it lacks, without what stands behind the end that the suffix closes.
pub fn trim(language: Language, prefix: &str, answer: &str, suffix: &str) -> String {
    let answer = unfence(answer).replace('\t', "   ").replace("\r\n", "\n");
    let answer = without_repeated_line(prefix, &answer);
    match language {
        Language::Ada => ada::repair::trim(prefix, answer, suffix),
        Language::Vhdl => vhdl::repair::trim(prefix, answer, suffix),
        _ => answer.to_owned(),
    }
}

const FENCE: &str = "```";

/// What is between the first two fences, or before a fence that code stands before.
fn unfence(answer: &str) -> &str {
    let Some((before, behind)) = answer.split_once(FENCE) else { return answer };
    if before.lines().filter(|line| !line.trim().is_empty()).count() > 1 || before.contains(';') {
        return before;
    }
    let code = behind.split_once('\n').map_or("", |(_, code)| code);
    code.split_once(FENCE).map_or(code, |(code, _)| code)
}

/// Without the prefix's last line, where the answer begins with it again.
fn without_repeated_line<'a>(prefix: &str, answer: &'a str) -> &'a str {
    let Some(line) = prefix.lines().rev().map(str::trim).find(|line| !line.is_empty()) else { return answer };
    if line.len() < 8 {
        return answer;
    }
    let begin = answer.trim_start();
    match begin.get(..line.len()) {
        Some(first) if first.eq_ignore_ascii_case(line) => &begin[line.len()..],
        _ => answer,
    }
}
