//! What a site does about a match: annotate, warn, or withhold.
//!
//! A span counts when it is an exact one, long enough, and not common. What is copied from the prompt's own context is
//! the team's, and never counts.

use protocol::corpora::{Action, Policy, Rule};
use spdx::{Expression, ParseMode};

use crate::document::{Licence, Standing};
use crate::trace::{Kind, Span};

/// What is done about a span of a text that is meant for that repository, and the number of the rule that says so, from
/// 1; `None` where it is the policy's own action.
pub fn decide(policy: &Policy, span: &Span, repository: Option<&str>) -> (Action, Option<u32>) {
    if span.is_common || span.kind != Kind::Exact || span.origins.is_empty() {
        return (Action::Annotate, None);
    }
    let applies = |rule: &Rule| {
        span.lexemes >= rule.lexemes_min.unwrap_or(policy.lexemes_min)
            && (rule.repositories.is_empty()
                || repository
                    .is_some_and(|name| rule.repositories.iter().any(|of| of.eq_ignore_ascii_case(name))))
            && (rule.corpora.is_empty() || span.corpora.iter().any(|of| rule.corpora.contains(of)))
            && (rule.licences.is_empty()
                || span.licences.iter().any(|licence| needs(licence, &rule.licences)))
    };
    match (1..).zip(&policy.rules).find(|(_, rule)| applies(rule)) {
        Some((number, rule)) => (rule.action, Some(number)),
        None if span.lexemes >= policy.lexemes_min => (policy.action, None),
        None => (Action::Annotate, None),
    }
}

const CONFLICT: &str = "conflict";
const UNKNOWN: &str = "unknown";

/// Why a policy has a rule that could never apply.
pub fn check(policy: &Policy) -> Result<(), String> {
    let is_known = |pattern: &String| match pattern.strip_suffix('*') {
        Some(beginning) => {
            spdx::identifiers::LICENSES.iter().any(|licence| licence.name.starts_with(beginning))
        }
        None if pattern == CONFLICT || pattern == UNKNOWN || pattern.starts_with("LicenseRef-") => true,
        // `GPL-3.0` is what nothing is called any more: `GPL-3.0-only` or `GPL-3.0-or-later` is.
        None => spdx::license_id(pattern)
            .is_some_and(|licence| licence.name == pattern && !licence.is_deprecated()),
    };
    let unknown = policy.rules.iter().flat_map(|rule| &rule.licences).find(|pattern| !is_known(pattern));
    unknown.map_or(Ok(()), |pattern| {
        Err(format!(
            "`{pattern}` is no licence of SPDX's list (nor `unknown` or `conflict`): no answer would ever match it"
        ))
    })
}

/// As rules and answers name what is known of a licence: expressions of SPDX, `conflict` beside those that disagree,
/// `unknown`.
pub fn names(licence: &Licence) -> Vec<String> {
    match &licence.standing {
        Standing::Stated(expression) => vec![expression.clone()],
        Standing::Conflict(several) => several.iter().cloned().chain([CONFLICT.to_owned()]).collect(),
        Standing::Unknown => vec![UNKNOWN.to_owned()],
    }
}

/// Whether a licence cannot be kept without one of these.
fn needs(licence: &str, listed: &[String]) -> bool {
    if licence == CONFLICT || licence == UNKNOWN {
        return listed.iter().any(|pattern| pattern == licence);
    }
    // What is no expression cannot be judged: it is hit.
    let Ok(expression) = Expression::parse_mode(licence, ParseMode::LAX) else { return true };
    let is_listed = |id: &str| {
        listed.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => id.starts_with(beginning),
            None => id == pattern,
        })
    };
    !expression.evaluate(|requirement| !is_listed(&requirement.license.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_could_never_apply() {
        let of = |licence: &str| {
            let rule = Rule {
                licences: vec![licence.to_owned()],
                corpora: Vec::new(),
                repositories: Vec::new(),
                lexemes_min: None,
                action: Action::Block,
            };
            check(&Policy { rules: vec![rule], ..Policy::default() }).is_ok()
        };
        for known in ["GPL-3.0-only", "GPL-*", "unknown", "conflict", "LicenseRef-own"] {
            assert!(of(known), "{known}");
        }
        for unknown in ["GPL-3.0", "gpl-3.0-only", "gpl-*", "GPLv3", ""] {
            assert!(!of(unknown), "{unknown}");
        }
    }

    #[test]
    fn what_cannot_be_kept_without() {
        let listed = ["GPL-*".to_owned(), "SSPL-1.0".to_owned()];
        for (licence, expected) in [
            ("GPL-3.0-only", true),
            ("GPL-2.0-or-later WITH Classpath-exception-2.0", true),
            ("MIT OR GPL-2.0-only", false),
            ("MIT AND GPL-2.0-only", true),
            ("(MIT OR Apache-2.0) AND SSPL-1.0", true),
            ("LGPL-2.1-only", false),
            ("unknown", false),
            ("conflict", false),
            ("not an expression", true),
        ] {
            assert_eq!(needs(licence, &listed), expected, "{licence}");
        }
        assert!(needs("unknown", &["unknown".to_owned()]));
    }
}
