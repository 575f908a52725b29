//! docs/jails.md ends in the tables of system calls, made from the filters.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{fmt::Write as _, fs::File, io::Write as _};

use jail::{Admission, Answer, Kind, admissions};

/// Set to anything, it has the document written anew instead of compared.
const REWRITE: &str = "JAILS_REWRITE";

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/jails.md");

/// What is above is written by hand.
const GENERATED: &str = "\n### ";

const SYSTEM_CALLS: &str = "\n## System calls\n";

const KINDS: &[(Kind, &str)] = &[
    (Kind::Engine, "Engine"),
    (Kind::GpuEngine, "Engine on a GPU"),
    (Kind::Gateway, "Gateway"),
    (Kind::Importer, "Importer"),
    (Kind::Relay, "Relay"),
    (Kind::Indexer, "Indexer"),
    (Kind::ToolKeeper, "Keeper of a tool"),
    (Kind::Tool, "Tool"),
];

#[test]
fn the_document_has_the_tables() {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let chapter = document.find(SYSTEM_CALLS).unwrap() + SYSTEM_CALLS.len();
    let by_hand = document[chapter..].find(GENERATED).map_or(document.len(), |start| chapter + start);
    let expected = format!("{}{}", &document[..by_hand], tables());
    if std::env::var_os(REWRITE).is_some() {
        File::create(DOCUMENT).unwrap().write_all(expected.as_bytes()).unwrap();
    } else {
        assert!(document == expected, "docs/jails.md has other tables: run this test with {REWRITE}=1");
    }
}

fn tables() -> String {
    let base = base();
    let mut text = String::new();
    table(&mut text, "Base", "What every process has but a tool, which has most of it.", &base);
    for (kind, title) in KINDS {
        let all: Vec<Admission> = admissions(*kind).collect();
        let own: Vec<Admission> = all.iter().filter(|row| !base.contains(row)).copied().collect();
        let without: Vec<String> = base
            .iter()
            .filter(|row| !all.iter().any(|other| other.call == row.call))
            .map(|row| format!("`{}`", name(row.call)))
            .collect();
        let beside = if without.is_empty() {
            "Beside the base:".to_owned()
        } else {
            format!("In place of the rows of the base, or beside them; without {}:", without.join(", "))
        };
        table(&mut text, title, &beside, &own);
    }
    text
}

/// What all have alike, but a tool and an engine on a GPU.
fn base() -> Vec<Admission> {
    let others =
        KINDS.iter().filter(|(kind, _)| !matches!(kind, Kind::GpuEngine | Kind::Tool | Kind::ToolKeeper));
    admissions(Kind::ToolKeeper)
        .filter(|row| others.clone().all(|(kind, _)| admissions(*kind).any(|other| other == *row)))
        .collect()
}

fn table(text: &mut String, title: &str, beside: &str, rows: &[Admission]) {
    writeln!(text, "\n### {title}\n\n{beside}\n\n| call | number | answer | for |\n|---|---|---|---|")
        .unwrap();
    for row in rows {
        let answer = match row.answer {
            Answer::Admitted => "admitted".to_owned(),
            Answer::AdmittedWhen => "when".to_owned(),
            Answer::Refused(errno) => format!("`{errno}`"),
        };
        writeln!(text, "| `{}` | {} | {answer} | {} |", name(row.call), row.call, row.reason).unwrap();
    }
}

fn name(call: i64) -> &'static str {
    syscalls::Sysno::new(usize::try_from(call).unwrap()).unwrap().name()
}
