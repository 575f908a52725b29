//! Leaves as a SIEM reads them, one event a line: `docs/ledger-query.md` has the fields. Pure functions.

use jiff::Timestamp;
use ledger::{ExportedLeaf, Row};
use serde_json::{Map, Value, json};

/// The version of the OCSF schema that events follow.
const OCSF_VERSION: &str = "1.4.0";

/// The IANA private enterprise number for examples (RFC 5612): the placeholder of a site's own.
pub(crate) const ENTERPRISE_EXAMPLE: u32 = 32473;

const PRODUCT: &str = "Cloister";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// RFC 5424's facility of audits.
const FACILITY_AUDIT: u8 = 13;

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Our own fields, and the leaf itself.
    Jsonl,
    /// The Open Cybersecurity Schema Framework, as JSON.
    Ocsf,
    /// ArcSight's Common Event Format, version 0.
    Cef,
    /// Syslog with structured data.
    Rfc5424,
}

/// What an event says of where it was written.
pub(crate) struct Place {
    /// This machine's name; `-` where it cannot be a syslog host.
    host: String,
    enterprise: u32,
}

impl Place {
    /// This machine.
    pub(crate) fn here(enterprise: u32) -> Place {
        let names = rustix::system::uname();
        let host = names.nodename().to_str().unwrap_or_default();
        Place { host: syslog_name(host, 255), enterprise }
    }
}

/// How bad an event is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Severity {
    /// As it should be.
    Informational,
    /// Somebody did not get what they asked for.
    Low,
    /// Somebody was refused.
    Medium,
    /// The log or a jail is not as it must be.
    High,
}

impl Severity {
    fn of(leaf: &ExportedLeaf) -> Severity {
        let failed = || leaf.leaf["event"]["failed"].as_u64().unwrap_or(0) > 0;
        match (leaf.row.kind.as_str(), leaf.row.outcome.as_deref()) {
            ("recovered", _) | ("replay", Some("different")) => Severity::High,
            ("posture", _) if failed() => Severity::High,
            ("refusal", _) => Severity::Medium,
            (_, Some("failed")) => Severity::Low,
            _ => Severity::Informational,
        }
    }

    fn ocsf(self) -> (u8, &'static str) {
        match self {
            Severity::Informational => (1, "Informational"),
            Severity::Low => (2, "Low"),
            Severity::Medium => (3, "Medium"),
            Severity::High => (4, "High"),
        }
    }

    /// From 0 to 10.
    fn cef(self) -> u8 {
        match self {
            Severity::Informational => 1,
            Severity::Low => 3,
            Severity::Medium => 5,
            Severity::High => 8,
        }
    }

    /// From 0, the worst, to 7.
    fn syslog(self) -> u8 {
        match self {
            Severity::Informational => 6,
            Severity::Low => 5,
            Severity::Medium => 4,
            Severity::High => 2,
        }
    }
}

/// An event's line, without its end. It holds no line break.
pub(crate) fn line(format: Format, origin: &str, leaf: &ExportedLeaf, place: &Place) -> String {
    match format {
        Format::Jsonl => jsonl(origin, leaf).to_string(),
        Format::Ocsf => ocsf(origin, leaf).to_string(),
        Format::Cef => cef(origin, leaf),
        Format::Rfc5424 => rfc5424(origin, leaf, place),
    }
}

fn jsonl(origin: &str, leaf: &ExportedLeaf) -> Value {
    let mut event = json!(leaf.row);
    event["origin"] = json!(origin);
    event["leaf_hash"] = json!(leaf.leaf_hash);
    event["entry"] = leaf.leaf.clone();
    event
}

/// In a few words, for people.
fn title(row: &Row) -> String {
    let what = match (row.kind.as_str(), row.action.as_deref()) {
        ("intent", Some(action)) => format!("{action} asked"),
        ("result", Some(action)) => format!("{action} {}", row.outcome.as_deref().unwrap_or("ended")),
        ("administration", Some(action)) => action.to_owned(),
        (kind, _) => kind.replace('_', " "),
    };
    match &row.person {
        Some(person) => format!("{what} by {person}"),
        None => what,
    }
}

// OCSF.

fn ocsf(origin: &str, leaf: &ExportedLeaf) -> Value {
    let row = &leaf.row;
    let (severity_id, severity) = Severity::of(leaf).ocsf();
    let mut event = classified(leaf);
    let fixed = json!({
        "time": row.time_unix_ms,
        "severity_id": severity_id,
        "severity": severity,
        "message": title(row),
        "metadata": {
            "version": OCSF_VERSION,
            "product": { "name": PRODUCT, "vendor_name": PRODUCT, "version": VERSION },
            "log_name": origin,
            "log_provider": "cloister ledger",
            "uid": format!("{origin}#{}", row.leaf),
            "sequence": row.leaf,
        },
        "unmapped": {
            "leaf": row.leaf,
            "leaf_hash": leaf.leaf_hash,
            "origin": origin,
            "kind": row.kind,
            "record": row.record,
            "credential": row.credential,
            "model": row.model,
            "deployment": row.deployment,
            "labels": row.labels,
            "repository": row.repository,
            "path": row.path,
            "stop": row.stop,
            "prompt_tokens": row.prompt_tokens,
            "answer_tokens": row.answer_tokens,
            "subject": row.subject,
            "detail": row.detail,
        },
    });
    if let Value::Object(fixed) = fixed {
        event.extend(fixed);
    }
    let status = match (row.kind.as_str(), row.outcome.as_deref()) {
        ("refusal", _) | (_, Some("failed" | "different")) => Some((2, "Failure")),
        (_, Some("answered" | "same")) => Some((1, "Success")),
        (_, Some("cancelled")) => Some((99, "Cancelled")),
        _ => None,
    };
    if let Some((status_id, status)) = status {
        event.insert("status_id".to_owned(), json!(status_id));
        event.insert("status".to_owned(), json!(status));
    }
    if let Some(detail) = &row.detail {
        event.insert("status_detail".to_owned(), json!(detail));
    }
    let mut event = Value::Object(event);
    without_nulls(&mut event);
    event
}

/// The class, its activity, and what the class requires. Kinds that no class is for are base events.
fn classified(leaf: &ExportedLeaf) -> Map<String, Value> {
    let row = &leaf.row;
    let user = json!({ "name": row.person.as_deref().unwrap_or("unknown"), "uid": row.person });
    let service = json!({ "name": row.dialect.as_deref().unwrap_or("cloister") });
    let api = |activity_id: u16, activity: &str| {
        let operation = row.action.clone().unwrap_or_else(|| row.kind.clone());
        let required = json!({
            "actor": { "user": user },
            "api": { "operation": operation, "service": service },
            "src_endpoint": { "svc_name": row.dialect.as_deref().unwrap_or("cloister.admin") },
        });
        (6003, "API Activity", 6, "Application Activity", activity_id, activity.to_owned(), required)
    };
    let refused = row.kind == "refusal" && row.detail.as_deref() == Some("unauthenticated");
    let (class_uid, class, category_uid, category, activity_id, activity, required) =
        match (row.kind.as_str(), row.action.as_deref()) {
            ("login" | "logout" | "refusal", _) if refused || row.kind != "refusal" => {
                let (activity_id, activity) = if row.kind == "logout" { (2, "Logoff") } else { (1, "Logon") };
                let required = json!({ "user": user, "service": service });
                (
                    3002,
                    "Authentication",
                    3,
                    "Identity & Access Management",
                    activity_id,
                    activity.to_owned(),
                    required,
                )
            }
            ("administration", Some("user add")) => {
                let required = json!({ "actor": { "user": user }, "user": { "name": row.subject } });
                let category = "Identity & Access Management";
                (3001, "Account Change", 3, category, 1, "Create".to_owned(), required)
            }
            ("administration", Some("token issue")) => api(1, "Create"),
            ("administration", Some("token revoke")) => api(4, "Delete"),
            ("administration", Some("ledger query")) => api(2, "Read"),
            ("intent" | "result", _) => api(1, "Create"),
            ("administration" | "refusal", _) => api(99, row.action.as_deref().unwrap_or("Refused")),
            _ => (0, "Base Event", 0, "Uncategorized", 99, row.kind.clone(), json!({})),
        };
    let mut event = match required {
        Value::Object(required) => required,
        _ => Map::new(),
    };
    let type_uid = u32::from(activity_id) + class_uid * 100;
    let fields = [
        ("class_uid", json!(class_uid)),
        ("class_name", json!(class)),
        ("category_uid", json!(category_uid)),
        ("category_name", json!(category)),
        ("activity_id", json!(activity_id)),
        ("activity_name", json!(activity)),
        ("type_uid", json!(type_uid)),
        ("type_name", json!(format!("{class}: {activity}"))),
    ];
    event.extend(fields.map(|(name, value)| (name.to_owned(), value)));
    event
}

fn without_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, value| !value.is_null());
        fields.values_mut().for_each(without_nulls);
    }
}

// CEF.

fn cef(origin: &str, leaf: &ExportedLeaf) -> String {
    let row = &leaf.row;
    let header = [PRODUCT, PRODUCT, VERSION, &row.kind, &title(row)].map(cef_header).join("|");
    let mut line = format!("CEF:0|{header}|{}|", Severity::of(leaf).cef());
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let labels = (!row.labels.is_empty()).then(|| row.labels.join(","));
    let extension = [
        ("rt", Some(row.time_unix_ms.to_string())),
        ("externalId", Some(row.leaf.to_string())),
        ("suser", row.person.clone()),
        ("suid", row.credential.clone()),
        ("app", row.dialect.clone()),
        ("act", row.action.clone()),
        ("outcome", row.outcome.clone()),
        ("reason", row.detail.clone()),
        ("duser", row.subject.clone()),
        ("filePath", row.path.clone()),
        ("cs1Label", Some("leafHash".to_owned())),
        ("cs1", Some(leaf.leaf_hash.clone())),
        ("cs2Label", Some("origin".to_owned())),
        ("cs2", Some(origin.to_owned())),
        ("cs3Label", row.model.as_ref().map(|_| "model".to_owned())),
        ("cs3", row.model.clone()),
        ("cs4Label", row.deployment.as_ref().map(|_| "deployment".to_owned())),
        ("cs4", row.deployment.clone()),
        ("cs5Label", labels.as_ref().map(|_| "labels".to_owned())),
        ("cs5", labels),
        ("cs6Label", row.repository.as_ref().map(|_| "repository".to_owned())),
        ("cs6", row.repository.clone()),
        ("cn1Label", row.prompt_tokens.map(|_| "promptTokens".to_owned())),
        ("cn1", number(row.prompt_tokens)),
        ("cn2Label", row.answer_tokens.map(|_| "answerTokens".to_owned())),
        ("cn2", number(row.answer_tokens)),
        ("cn3Label", row.record.map(|_| "record".to_owned())),
        ("cn3", row.record.map(|record| record.to_string())),
    ];
    let pairs = extension.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", cef_value(value))).collect();
    line.push_str(&pairs.join(" "));
    line
}

/// In a header a bar and a backslash are escaped, and nothing breaks the line.
fn cef_header(text: &str) -> String {
    escaped(&text.replace(char::is_control, " "), &['\\', '|'])
}

/// In a value an equals sign and a backslash are escaped, and line breaks are `\n` and `\r`.
fn cef_value(text: &str) -> String {
    let text = escaped(text, &['\\', '=']).replace('\n', "\\n").replace('\r', "\\r");
    text.replace(char::is_control, " ")
}

// RFC 5424.

fn rfc5424(origin: &str, leaf: &ExportedLeaf, place: &Place) -> String {
    let row = &leaf.row;
    let priority = FACILITY_AUDIT * 8 + Severity::of(leaf).syslog();
    let host = &place.host;
    let message_id = syslog_name(&row.kind, 32);
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let labels = (!row.labels.is_empty()).then(|| row.labels.join(","));
    let parameters = [
        ("leaf", Some(row.leaf.to_string())),
        ("leafHash", Some(leaf.leaf_hash.clone())),
        ("origin", Some(origin.to_owned())),
        ("record", row.record.map(|record| record.to_string())),
        ("person", row.person.clone()),
        ("credential", row.credential.clone()),
        ("action", row.action.clone()),
        ("dialect", row.dialect.clone()),
        ("model", row.model.clone()),
        ("deployment", row.deployment.clone()),
        ("labels", labels),
        ("repository", row.repository.clone()),
        ("path", row.path.clone()),
        ("outcome", row.outcome.clone()),
        ("stop", row.stop.clone()),
        ("promptTokens", number(row.prompt_tokens)),
        ("answerTokens", number(row.answer_tokens)),
        ("subject", row.subject.clone()),
        ("detail", row.detail.clone()),
    ];
    let parameters = parameters.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let parameters: Vec<String> =
        parameters.map(|(name, value)| format!(r#" {name}="{}""#, syslog_value(value))).collect();
    // The byte order mark says that the message is UTF-8.
    format!(
        "<{priority}>1 {} {host} cloister - {message_id} [cloister@{}{}] \u{feff}{}",
        time_text(row.time_unix_ms),
        place.enterprise,
        parameters.concat(),
        title(row).replace(char::is_control, " "),
    )
}

/// In a value a quote, a backslash and a closing bracket are escaped. A control character, which receivers that
/// read line by line would trip over, is a space.
fn syslog_value(text: &str) -> String {
    escaped(&text.replace(char::is_control, " "), &['"', '\\', ']'])
}

/// Visible ASCII, or `-`.
fn syslog_name(text: &str, bytes_max: usize) -> String {
    let name: String = text.chars().filter(char::is_ascii_graphic).take(bytes_max).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

/// A time in UTC to the millisecond; `-`, RFC 5424's nil, for one that no calendar has.
fn time_text(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| "-".to_owned(), |time| time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

fn escaped(text: &str, special: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if special.contains(&letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place() -> Place {
        Place { host: "host".to_owned(), enterprise: ENTERPRISE_EXAMPLE }
    }

    fn exported(kind: &str, text: &str) -> ExportedLeaf {
        let text = Some(text.to_owned());
        let row = Row {
            leaf: 7,
            time_unix_ms: 1_793_491_200_007,
            kind: kind.to_owned(),
            person: text.clone(),
            action: text.clone(),
            outcome: Some("failed".to_owned()),
            path: text.clone(),
            subject: text.clone(),
            detail: text,
            prompt_tokens: Some(3),
            ..Row::default()
        };
        let leaf = json!({ "schema": 1, "event": { "kind": kind, "failed": 1 } });
        ExportedLeaf { row, leaf_hash: format!("sha256:{}", "ab".repeat(32)), leaf }
    }

    /// What a receiver makes of an escaped text that goes to the next bare `end`.
    fn received(text: &str, end: char) -> (String, &str) {
        let mut letters = text.char_indices();
        let mut value = String::new();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => match letters.next().unwrap().1 {
                    'n' => value.push('\n'),
                    'r' => value.push('\r'),
                    letter => value.push(letter),
                },
                letter if letter == end => return (value, &text[at..]),
                letter => value.push(letter),
            }
        }
        (value, "")
    }

    fn spaced(text: &str) -> String {
        text.replace(char::is_control, " ")
    }

    proptest! {
        #[test]
        fn escapes_are_undone(text in "(\\PC|[\\\\\"|=\\]\n\r\t])*") {
            let header = cef_header(&text);
            let line = format!("{header}|next");
            prop_assert_eq!(received(&line, '|'), (spaced(&text), "|next"));
            let value = cef_value(&text);
            let kept: String =
                text.chars().map(|c| if c.is_control() && !"\n\r".contains(c) { ' ' } else { c }).collect();
            // No bare `=`: what follows cannot pass for another field.
            prop_assert_eq!(received(&value, '=').0, kept);
            let value = syslog_value(&text);
            let line = format!("{value}\"]");
            prop_assert_eq!(received(&line, '"'), (spaced(&text), "\"]"));
            prop_assert!(!received(&value, ']').1.starts_with(']'));
        }

        #[test]
        fn events_are_one_line_and_parse(text in "(\\PC|[\\\\\"|=\\]\n\r\t\u{85}\u{2028}])*", kind in "[a-z_]{1,40}") {
            let leaf = exported(&kind, &text);
            for format in [Format::Jsonl, Format::Ocsf, Format::Cef, Format::Rfc5424] {
                let line = line(format, "origin/log", &leaf, &place());
                prop_assert!(!line.contains(['\n', '\r']), "{}", line);
                prop_assert!(line.contains(&leaf.leaf_hash));
                if matches!(format, Format::Jsonl | Format::Ocsf) {
                    let value: Value = serde_json::from_str(&line).unwrap();
                    prop_assert!(value.is_object());
                }
            }
        }
    }

    #[test]
    fn what_ocsf_requires() {
        let kinds = [
            ("intent", 6003, "chat"),
            ("result", 6003, "chat"),
            ("refusal", 6003, "chat"),
            ("login", 3002, ""),
            ("administration", 3001, "user add"),
            ("administration", 6003, "token issue"),
            ("genesis", 0, ""),
            ("posture", 0, ""),
        ];
        for (kind, class_uid, action) in kinds {
            let mut leaf = exported(kind, "ada");
            leaf.row.action = Some(action.to_owned()).filter(|action| !action.is_empty());
            let event = ocsf("origin/log", &leaf);
            assert_eq!(event["class_uid"], class_uid, "{event}");
            let activity = event["activity_id"].as_u64().unwrap();
            assert_eq!(event["type_uid"].as_u64().unwrap(), class_uid * 100 + activity, "{event}");
            assert_eq!(event["category_uid"], class_uid / 1000);
            let mut required = vec!["time", "severity_id", "metadata", "message"];
            required.extend(match class_uid {
                6003 => ["actor", "api", "src_endpoint"].as_slice(),
                3002 => &["user", "service"],
                3001 => &["user"],
                _ => &[],
            });
            for field in required {
                assert!(!event[field].is_null(), "{field}: {event}");
            }
            assert_eq!(event["metadata"]["version"], OCSF_VERSION);
            assert_eq!(event["metadata"]["sequence"], 7);
        }
        let mut leaf = exported("refusal", "ada");
        leaf.row.detail = Some("unauthenticated".to_owned());
        let event = ocsf("origin/log", &leaf);
        assert_eq!((&event["class_uid"], &event["status_id"]), (&json!(3002), &json!(2)));
    }

    #[test]
    fn lines_as_they_are() {
        let mut leaf = exported("result", "a|b=c\\]\"");
        leaf.leaf_hash = "sha256:H".to_owned();
        assert_eq!(
            line(Format::Cef, "o", &leaf, &place()),
            r#"CEF:0|Cloister|Cloister|VERSION|result|a\|b=c\\]" failed by a\|b=c\\]"|3|rt=1793491200007 externalId=7 suser=a|b\=c\\]" act=a|b\=c\\]" outcome=failed reason=a|b\=c\\]" duser=a|b\=c\\]" filePath=a|b\=c\\]" cs1Label=leafHash cs1=sha256:H cs2Label=origin cs2=o cn1Label=promptTokens cn1=3"#
                .replace("VERSION", VERSION)
        );
        leaf.row.subject = None;
        leaf.row.detail = None;
        leaf.row.path = None;
        assert_eq!(
            line(Format::Rfc5424, "o", &leaf, &place()),
            "<109>1 2026-11-01T00:00:00.007Z host cloister - result [cloister@32473 leaf=\"7\" \
             leafHash=\"sha256:H\" origin=\"o\" person=\"a|b=c\\\\\\]\\\"\" action=\"a|b=c\\\\\\]\\\"\" \
             outcome=\"failed\" promptTokens=\"3\"] \u{feff}a|b=c\\]\" failed by a|b=c\\]\""
        );
    }
}
