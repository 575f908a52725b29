//! What a site does about a match: annotate, warn, or withhold.
//!
//! A span counts when it is an exact one, long enough, and not common. What is copied from the prompt's own context is
//! the team's, and never counts.

use protocol::corpora::{Action, Policy, Rule};
use spdx::{Expression, LicenseItem, ParseMode};

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
                || repository.is_some_and(|name| rule.repositories.iter().any(|of| of == name)))
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
    !expression.evaluate(|requirement| match &requirement.license {
        LicenseItem::Spdx { .. } => !is_listed(&requirement.license.to_string()),
        LicenseItem::Other { .. } => !is_listed(&requirement.license.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
