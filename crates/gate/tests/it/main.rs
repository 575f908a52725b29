//! A table of policies and ranges: what the gate lets in, and by which rule it refuses.
#![expect(clippy::unwrap_used, reason = "a case that cannot be set up fails")]

use gate::{Circumstances, Decision, POLICY_BYTES_MAX, Policy, PolicyError, Range};
use serde_json::json;

/// What a project of an assurance level may write.
const LEVEL_A: &str = r#"
@id("all")
permit (principal, action == Action::"merge", resource);

@id("approval")
@reason("somebody who did not ask for the lines must approve exactly them")
forbid (principal, action == Action::"merge", resource)
when { resource.is_ai && resource.path like "src/flight/*" && resource.approved_by_others.isEmpty() };

@id("check")
forbid (principal, action == Action::"merge", resource)
when { resource.is_ai && resource.path like "src/flight/*" && resource.check != "passed" };

@id("licence")
forbid (principal, action == Action::"merge", resource)
when { resource.is_ai && (resource.findings > 0 || !resource.compared) };

@id("model")
forbid (principal, action == Action::"merge", resource)
when { resource.is_ai && resource.path like "src/flight/*"
       && !resource.qualified_languages.contains(resource.language) };

@id("decided")
forbid (principal, action == Action::"merge", resource)
when { resource.grade == "matches-ai" };

@id("fresh")
forbid (principal, action == Action::"merge", resource)
when { context.slice_age_s > 86400 };
"#;

/// A range that LEVEL_A lets in.
fn good() -> serde_json::Value {
    json!({
        "prompted_by": "ada", "path": "src/flight/control.adb", "language": "ada", "first": 3, "last": 10,
        "grade": "ai-verbatim", "is_ai": true, "kept_percent": 100, "decision": "accepted", "check": "passed",
        "findings": 0, "licences": [], "compared": true, "model": "sha256:aa", "deployment": "coder",
        "qualified_languages": ["ada", "spark"], "approved_by": ["grace"],
    })
}

fn decide(policy: &str, changes: &serde_json::Value, circumstances: &Circumstances) -> Decision {
    let mut facts = good();
    for (name, value) in changes.as_object().unwrap() {
        facts[name] = value.clone();
    }
    let range: Range = serde_json::from_value(facts).unwrap();
    Policy::parse(policy).unwrap().decide(&range, circumstances)
}

/// In words: `passed`, or the rules that refuse, or why none permits.
fn outcome(decision: &Decision) -> String {
    if decision.allowed {
        return "passed".to_owned();
    }
    if !decision.errors.is_empty() {
        return "error".to_owned();
    }
    if decision.rules.is_empty() {
        return "not permitted".to_owned();
    }
    decision.rules.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn ranges_under_one_policy() {
    let cases = [
        (json!({}), "passed"),
        // Approvals.
        (json!({ "approved_by": [] }), "approval"),
        (json!({ "approved_by": ["ada"] }), "approval"),
        (json!({ "approved_by": ["ada", "grace"] }), "passed"),
        (json!({ "approved_by": ["Ada"] }), "passed"),
        (json!({ "approved_by": [], "path": "src/ground/map.adb" }), "passed"),
        (json!({ "approved_by": [], "path": "src/flight" }), "passed"),
        (json!({ "approved_by": [], "path": "src/flight/deep/a.adb" }), "approval"),
        (json!({ "approved_by": [], "path": "Src/flight/a.adb" }), "passed"),
        (json!({ "approved_by": [], "path": "src/flight/*" }), "approval"),
        (json!({ "prompted_by": "grace" }), "approval"),
        (json!({ "prompted_by": "", "approved_by": ["grace"] }), "passed"),
        (json!({ "prompted_by": "\"; permit", "approved_by": ["\"; permit"] }), "approval"),
        // Checks.
        (json!({ "check": "failed" }), "check"),
        (json!({ "check": "not_run" }), "check"),
        (json!({ "check": "none" }), "check"),
        (json!({ "check": "failed", "path": "src/ground/map.adb" }), "passed"),
        // Licences.
        (json!({ "findings": 1, "licences": ["GPL-3.0-only"] }), "licence"),
        (json!({ "compared": false }), "licence"),
        (json!({ "findings": 2, "path": "doc/x" }), "licence"),
        // Models.
        (json!({ "qualified_languages": [] }), "model"),
        (json!({ "qualified_languages": ["c"] }), "model"),
        (json!({ "language": "c" }), "model"),
        (json!({ "language": "" }), "model"),
        // Grades.
        (json!({ "grade": "ai-modified", "kept_percent": 60 }), "passed"),
        (json!({ "grade": "ai-modified", "kept_percent": 60, "approved_by": [] }), "approval"),
        (json!({ "grade": "matches-ai", "decision": "undecided" }), "decided"),
        (
            json!({ "grade": "unknown", "is_ai": false, "prompted_by": "", "approved_by": [], "check": "none" }),
            "passed",
        ),
        (json!({ "grade": "common", "is_ai": false, "approved_by": [], "check": "none" }), "passed"),
        // Several at once.
        (json!({ "approved_by": [], "check": "none", "qualified_languages": [] }), "approval check model"),
        (json!({ "approved_by": ["ada"], "findings": 1, "grade": "matches-ai" }), "approval decided licence"),
    ];
    for (changes, expected) in &cases {
        let decision = decide(LEVEL_A, changes, &Circumstances::default());
        assert_eq!(outcome(&decision), *expected, "{changes}: {decision:?}");
    }
    let old = Circumstances { slice_age_s: 86_401, ..Circumstances::default() };
    assert_eq!(outcome(&decide(LEVEL_A, &json!({}), &old)), "fresh");
    let refused = decide(LEVEL_A, &json!({ "approved_by": [] }), &Circumstances::default());
    assert_eq!(refused.rules[0].reason, "somebody who did not ask for the lines must approve exactly them");
}

#[test]
fn policies_over_one_range() {
    let cases = [
        // What nothing permits is refused.
        (r#"permit (principal, action, resource) when { resource.grade == "unknown" };"#, "not permitted"),
        (r#"permit (principal == Person::"ada", action, resource);"#, "passed"),
        (r#"permit (principal == Person::"grace", action, resource);"#, "not permitted"),
        // One that forbids is enough, wherever it stands.
        (r#"@id("no") forbid (principal, action, resource); permit (principal, action, resource);"#, "no"),
        (
            r#"permit (principal, action, resource); @id("no") forbid (principal, action, resource) unless { resource.kept_percent < 50 };"#,
            "no",
        ),
        // Persons and sets.
        (
            r#"permit (principal, action, resource) when { resource.approved_by.contains(Person::"grace") };"#,
            "passed",
        ),
        (
            r#"permit (principal, action, resource) when { resource.approved_by.contains(principal) };"#,
            "not permitted",
        ),
        (
            r#"permit (principal, action, resource) when { resource.approved_by.containsAny([Person::"eve", Person::"grace"]) };"#,
            "passed",
        ),
        // Numbers, and one too large for the machine: an error refuses, though another rule permits.
        (r#"permit (principal, action, resource) when { resource.last - resource.first < 100 };"#, "passed"),
        (
            r#"permit (principal, action, resource); forbid (principal, action, resource) when { resource.last * 9223372036854775807 > 0 };"#,
            "error",
        ),
        (
            r#"permit (principal, action, resource) when { resource.last * 9223372036854775807 > 0 };"#,
            "error",
        ),
        (
            r#"permit (principal, action, resource); @id("no") forbid (principal, action, resource) when { resource.path like "*.adb" };"#,
            "no",
        ),
        // What stands in a condition's branch that is not taken is not evaluated.
        (
            r#"permit (principal, action, resource) when { resource.is_ai || resource.last * 9223372036854775807 > 0 };"#,
            "passed",
        ),
        (r#"permit (principal, action, resource) when { context.base == "main" };"#, "passed"),
        (r#"permit (principal, action, resource) when { context.time_unix_s > 1000 };"#, "not permitted"),
        (r#"permit (principal, action, resource == Range::"src/flight/control.adb:3-10");"#, "passed"),
        (r#"permit (principal, action, resource == Range::"src/flight/control.adb:3-11");"#, "not permitted"),
        // Grades and what is kept.
        (
            r#"permit (principal, action, resource); @id("modified") forbid (principal, action, resource) when { resource.grade == "ai-modified" };"#,
            "passed",
        ),
        (r#"permit (principal, action, resource) unless { resource.is_ai };"#, "not permitted"),
        (
            r#"permit (principal, action, resource) when { resource.kept_percent >= 0 && resource.kept_percent <= 100 };"#,
            "passed",
        ),
        (
            r#"permit (principal, action, resource); @id("verbatim") forbid (principal, action, resource) when { ["ai-verbatim", "matches-ai"].contains(resource.grade) };"#,
            "verbatim",
        ),
        // Languages, models, deployments.
        (
            r#"permit (principal, action, resource) when { resource.qualified_languages.containsAll(["ada", "spark"]) };"#,
            "passed",
        ),
        (
            r#"permit (principal, action, resource) when { resource.qualified_languages.containsAll(["ada", "c"]) };"#,
            "not permitted",
        ),
        (
            r#"permit (principal, action, resource); @id("model") forbid (principal, action, resource) when { resource.model != "sha256:bb" };"#,
            "model",
        ),
        (
            r#"permit (principal, action, resource); @id("deployment") forbid (principal, action, resource) unless { resource.deployment == "coder" };"#,
            "passed",
        ),
        // Licences: none of a list, and any at all.
        (
            r#"permit (principal, action, resource); @id("copyleft") forbid (principal, action, resource) when { resource.licences.containsAny(["GPL-2.0-only", "GPL-3.0-only"]) };"#,
            "passed",
        ),
        (r#"permit (principal, action, resource) when { resource.licences.isEmpty() };"#, "passed"),
        // Who asked: nobody, one of several, whoever approves.
        (
            r#"permit (principal, action, resource); @id("persons") forbid (principal, action, resource) unless { [Person::"ada", Person::"grace"].contains(principal) };"#,
            "passed",
        ),
        (
            r#"permit (principal, action, resource); @id("own") forbid (principal, action, resource) when { resource.approved_by.contains(principal) };"#,
            "passed",
        ),
        (
            r#"permit (principal, action, resource); @id("two") forbid (principal, action, resource) unless { resource.approved_by_others.containsAll([Person::"grace", Person::"eve"]) };"#,
            "two",
        ),
        // Where it goes and when.
        (
            r#"permit (principal, action, resource); @id("release") forbid (principal, action, resource) when { context.base like "release/*" };"#,
            "passed",
        ),
        (
            r#"permit (principal, action, resource); @id("frozen") forbid (principal, action, resource) when { context.time_unix_s > 999 && context.time_unix_s < 2000 };"#,
            "frozen",
        ),
        // Two rules that both forbid are both named.
        (
            r#"permit (principal, action, resource); @id("b") forbid (principal, action, resource); @id("a") forbid (principal, action, resource);"#,
            "a b",
        ),
    ];
    // With the one above, and those below that cannot decide, more than forty.
    assert_eq!(cases.len(), 33);
    let circumstances = Circumstances { time_unix_s: 1000, slice_age_s: 0, base: "main".to_owned() };
    for (policy, expected) in cases {
        let decision = decide(policy, &json!({}), &circumstances);
        assert_eq!(outcome(&decision), expected, "{policy}: {decision:?}");
    }
}

#[test]
fn policies_that_cannot_decide() {
    let check = |policy: &str, expected: fn(&PolicyError) -> bool| {
        let error = Policy::parse(policy).err().unwrap();
        assert!(expected(&error), "{policy}: {error}");
    };
    check("permit", |error| matches!(error, PolicyError::Syntax(_)));
    check("", |error| matches!(error, PolicyError::NoPermit));
    check("forbid (principal, action, resource);", |error| matches!(error, PolicyError::NoPermit));
    for wrong in [
        "permit (principal, action, resource) when { resource.colour == 1 };",
        "permit (principal, action, resource) when { resource.first == \"one\" };",
        "permit (principal, action, resource) when { resource.kept_percent };",
        "permit (principal == Group::\"a\", action, resource);",
        "permit (principal, action == Action::\"push\", resource);",
        "permit (principal, action, resource) when { context.weather == \"fine\" };",
    ] {
        check(wrong, |error| matches!(error, PolicyError::Schema(_)));
    }
    check("permit (principal == ?principal, action, resource);", |error| {
        matches!(error, PolicyError::Template)
    });
    let twice =
        r#"@id("a") permit (principal, action, resource); @id("a") permit (principal, action, resource);"#;
    check(twice, |error| matches!(error, PolicyError::Twice(_)));
    check(&" ".repeat(POLICY_BYTES_MAX + 1), |error| matches!(error, PolicyError::TooLong));
    check(&"permit (principal, action, resource);".repeat(1001), |error| {
        matches!(error, PolicyError::TooLong)
    });
}
