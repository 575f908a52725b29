//! Expressions of SPDX in one normal form.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use spdx::expression::{ExprNode, Operator};
use spdx::{LicenseItem, LicenseReq, ParseMode};

/// A longer one is nobody's licence.
const EXPRESSION_BYTES_MAX: usize = 1024;

/// Names are compared without regard to case, as SPDX says (annex D.2); a withdrawn name is known, and gets its
/// successor's where SPDX names one. What is merely like a name is none.
const MODE: ParseMode = ParseMode {
    allow_slash_as_or_operator: false,
    allow_imprecise_license_names: false,
    allow_postfix_plus_on_gpl: true,
    allow_deprecated: true,
    allow_unknown: false,
};

/// Withdrawn names that hold an exception, and what SPDX's list says to write in their place.
const WITHDRAWN: &[(&str, &str)] = &[
    ("GPL-2.0-with-GCC-exception", "GPL-2.0-only WITH GCC-exception-2.0"),
    ("GPL-2.0-with-autoconf-exception", "GPL-2.0-only WITH Autoconf-exception-2.0"),
    ("GPL-2.0-with-bison-exception", "GPL-2.0-only WITH Bison-exception-2.2"),
    ("GPL-2.0-with-classpath-exception", "GPL-2.0-only WITH Classpath-exception-2.0"),
    ("GPL-2.0-with-font-exception", "GPL-2.0-only WITH Font-exception-2.0"),
    ("GPL-3.0-with-GCC-exception", "GPL-3.0-only WITH GCC-exception-3.1"),
    ("GPL-3.0-with-autoconf-exception", "GPL-3.0-only WITH Autoconf-exception-3.0"),
];

/// Names of licences and exceptions in small letters, to SPDX's spelling.
static SPELLINGS: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    let licences = spdx::identifiers::LICENSES.iter().map(|licence| licence.name);
    let exceptions = spdx::identifiers::EXCEPTIONS.iter().map(|exception| exception.name);
    licences.chain(exceptions).map(|name| (name.to_ascii_lowercase(), name)).collect()
});

/// What is stated as an expression in its normal form: SPDX's spelling of names, operands of AND and OR sorted and
/// each once, no brackets that AND's precedence makes idle. None where it is no expression, or names something that
/// SPDX's list does not have (`LicenseRef-` too).
pub(crate) fn normal_form(stated: &str) -> Option<String> {
    let stated = stated.trim();
    if stated.is_empty() || stated.len() > EXPRESSION_BYTES_MAX {
        return None;
    }
    let spelled = spelled(stated);
    let parsed = spdx::Expression::parse_mode(&spelled, MODE).ok()?;
    let mut stack: Vec<Term> = Vec::new();
    for node in parsed.iter() {
        match node {
            ExprNode::Req(requirement) => stack.push(Term::One(name_of(&requirement.req)?)),
            ExprNode::Op(operator) => {
                let (right, left) = (stack.pop()?, stack.pop()?);
                stack.push(Term::join(*operator, left, right));
            }
        }
    }
    let term = stack.pop()?;
    stack.is_empty().then(|| term.to_text())
}

/// The same, where `/` is OR, as Cargo once had it. Elsewhere it is not: "zlib/libpng" is one licence.
pub(crate) fn normal_form_of_cargo(stated: &str) -> Option<String> {
    normal_form(&stated.replace('/', " OR "))
}

/// The licences that an expression names, each with its exception.
pub(crate) fn licences_of(normal: &str) -> Vec<String> {
    let words: Vec<&str> = normal
        .split(|letter: char| letter == '(' || letter == ')' || letter.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    let named = words.split(|word| matches!(*word, "AND" | "OR"));
    named.filter(|words| !words.is_empty()).map(|words| words.join(" ")).collect()
}

fn spelled(stated: &str) -> String {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '.';
    let mut spelled = String::new();
    let mut rest = stated;
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|letter| is_name(letter) != is_name(first)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        let small = word.to_ascii_lowercase();
        match small.as_str() {
            "and" | "or" | "with" => spelled.push_str(&small.to_ascii_uppercase()),
            _ => spelled.push_str(SPELLINGS.get(&small).copied().unwrap_or(word)),
        }
        rest = after;
    }
    spelled
}

fn name_of(requirement: &LicenseReq) -> Option<String> {
    let LicenseItem::Spdx { id, or_later } = &requirement.license else { return None };
    let mut name = match WITHDRAWN.iter().find(|(old, _)| *old == id.name) {
        Some((_, new)) if requirement.addition.is_none() => (*new).to_owned(),
        Some(_) => return None,
        None => id.name.to_owned(),
    };
    if id.is_gnu() && !name.contains(" WITH ") {
        if let Some(base) = name.strip_suffix('+') {
            name = format!("{base}-or-later");
        } else if !name.ends_with("-only") && !name.ends_with("-or-later") {
            name.push_str(if *or_later { "-or-later" } else { "-only" });
        }
        // What that made must be in the list.
        spdx::license_id(&name)?;
    } else if *or_later {
        name.push('+');
    }
    match &requirement.addition {
        None => Some(name),
        Some(addition) => Some(format!("{name} WITH {}", addition.id()?.name)),
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Term {
    One(String),
    All(BTreeSet<Term>),
    Any(BTreeSet<Term>),
}

impl Term {
    fn join(operator: Operator, left: Term, right: Term) -> Term {
        let mut terms = BTreeSet::new();
        for term in [left, right] {
            match (operator, term) {
                (Operator::And, Term::All(inner)) | (Operator::Or, Term::Any(inner)) => terms.extend(inner),
                (_, term) => {
                    terms.insert(term);
                }
            }
        }
        if terms.len() == 1
            && let Some(only) = terms.pop_first()
        {
            return only;
        }
        match operator {
            Operator::And => Term::All(terms),
            Operator::Or => Term::Any(terms),
        }
    }

    fn to_text(&self) -> String {
        let (terms, word) = match self {
            Term::One(name) => return name.clone(),
            Term::All(terms) => (terms, " AND "),
            Term::Any(terms) => (terms, " OR "),
        };
        let texts: Vec<String> = terms
            .iter()
            .map(|term| match (self, term) {
                (Term::All(_), Term::Any(_)) => format!("({})", term.to_text()),
                _ => term.to_text(),
            })
            .collect();
        let mut texts = texts;
        texts.sort();
        texts.join(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stated: &str, expected: &str) {
        assert_eq!(
            normal_form(stated).as_deref(),
            Some(expected).filter(|text| !text.is_empty()),
            "{stated}"
        );
        if !expected.is_empty() {
            assert_eq!(normal_form(expected).as_deref(), Some(expected), "the normal form's is itself");
        }
    }

    #[test]
    fn an_expression_has_one_normal_form() {
        check("MIT", "MIT");
        assert_eq!(normal_form_of_cargo("MIT/Apache-2.0").as_deref(), Some("Apache-2.0 OR MIT"));
        check("mit or apache-2.0", "Apache-2.0 OR MIT");
        check("MIT OR Apache-2.0 OR MIT", "Apache-2.0 OR MIT");
        check("(MIT OR Apache-2.0) AND Unicode-3.0", "(Apache-2.0 OR MIT) AND Unicode-3.0");
        check("MIT AND (BSD-2-Clause AND ISC)", "BSD-2-Clause AND ISC AND MIT");
        check("MIT AND ISC OR Zlib", "ISC AND MIT OR Zlib");
        check("Apache-2.0 WITH LLVM-exception", "Apache-2.0 WITH LLVM-exception");
        check("GPL-2.0", "GPL-2.0-only");
        check("GPL-2.0+", "GPL-2.0-or-later");
        check("LGPL-2.1+ OR MPL-2.0", "LGPL-2.1-or-later OR MPL-2.0");
        check("GPL-3.0-or-later WITH GCC-exception-3.1", "GPL-3.0-or-later WITH GCC-exception-3.1");
        check("GPL-2.0-with-classpath-exception", "GPL-2.0-only WITH Classpath-exception-2.0");
    }

    #[test]
    fn what_is_no_name_is_no_licence() {
        for stated in [
            "",
            "BSD",
            "GPL",
            "Apache 2.0",
            "MIT License",
            "LicenseRef-Proprietary",
            "MIT OR LicenseRef-x",
            "MIT OR",
            "(MIT",
            "MIT WITH",
            "Proprietary",
            "zlib/libpng",
            "see LICENSE",
        ] {
            check(stated, "");
        }
        check(&"(".repeat(2000), "");
    }

    #[test]
    fn an_expression_names_its_licences() {
        assert_eq!(
            licences_of("(Apache-2.0 WITH LLVM-exception OR MIT) AND ISC"),
            ["Apache-2.0 WITH LLVM-exception", "MIT", "ISC"]
        );
    }
}
