//! Completion scripts, manual pages, help.

use std::fs;

use crate::workplace::Workplace;

#[test]
fn every_shell_gets_its_script() {
    let place = Workplace::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = place.run(&["completions", shell]).check(0);
        assert!(run.out.contains("cloister") && run.out.contains("explain"), "{shell}");
    }
    place.run(&["completions", "tcsh"]).check(2);
}

#[test]
fn manual_pages() {
    let place = Workplace::new();
    place.run(&["man", "share/man1"]).check(0).says("wrote the manual pages to share/man1");
    let pages: Vec<String> = fs::read_dir(place.path("share/man1"))
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    for page in ["cloister.1", "cloister-complete.1", "cloister-ask.1", "cloister-ledger-verify.1"] {
        assert!(pages.iter().any(|name| name == page), "{page} is not in {pages:?}");
    }
    assert!(place.read("share/man1/cloister-complete.1").contains("FILE:LINE:COL"));
}

#[test]
fn every_command_has_help() {
    let place = Workplace::new();
    let help = place.run(&["--help"]).check(0).out;
    for command in [
        "complete",
        "ask",
        "chat",
        "edit",
        "commit-message",
        "agent",
        "acp",
        "explain",
        "ledger",
        "witness",
        "bundle",
        "self",
        "status",
        "models",
        "console",
        "completions",
        "man",
    ] {
        assert!(help.contains(&format!("  {command} ")), "{command} is not in {help}");
        let run = place.run(&[command, "--help"]).check(0);
        assert!(run.out.contains("Usage: cloister"), "{command}");
        assert_eq!(run.err, "");
    }
    place.run(&[]).check(2);
    place.run(&["complet"]).check(2).says("complete");
}
