//! Rules of the Rust sources.

use super::{Finding, TreeFile};
use crate::source::lines_with_word;

/// Crates that may hold unsafe code, each behind a safe wrapper.
const UNSAFE: &[&str] = &["jail", "kernels", "llama", "mapped"];

/// Crates of programs and of development; all others are libraries: they take what they need as
/// arguments and speak to no terminal.
const NO_LIBRARIES: &[&str] = &[
    "bench",
    "cloister",
    "cloister-engine",
    "cloister-pkcs11",
    "cloister-relay",
    "cloisterd",
    "testkit",
    "xtask",
];

/// What dials. clippy.toml has the same by resolved path; this one sees what is not compiled today.
const DIALLING: &[&str] = &[
    "TcpStream::connect",
    "TcpStream::connect_timeout",
    "TcpSocket::new_v4",
    "TcpSocket::new_v6",
    "UnixStream::connect",
    "UnixStream::connect_addr",
    "UnixSocket::new_stream",
    "UnixDatagram::bind",
    "UnixDatagram::unbound",
    "UdpSocket::bind",
    "libc::connect",
    "net::connect",
    "net::connect_unix",
    "hyper::client",
    "hyper_util::client",
    "ToSocketAddrs",
    "lookup_host",
];

/// Who may dial nonetheless: a folder or a file, and what for.
const DIALLERS: &[(&str, &str)] = &[
    ("crates/client/src/", "people's programs dial the one configured server, the relay its one upstream"),
    ("crates/cloisterd/src/admin_socket.rs", "administration commands dial the running daemon"),
    ("crates/testkit/src/", "tests and benchmarks dial the server they started"),
    ("crates/bench/src/siege.rs", "the attackers of a benchmark dial the server that it started"),
    ("crates/jail/src/probe", "the probes try to leave, to show that they cannot"),
];

/// What a library must not do, and what to do instead.
const NOT_IN_LIBRARIES: &[(&str, &str)] = &[
    ("print!", "return it, or trace it"),
    ("println!", "return it, or trace it"),
    ("eprint!", "return it, or trace it"),
    ("eprintln!", "return it, or trace it"),
    ("process::exit", "return an error"),
    ("env::var", "take it as an argument"),
    ("env::var_os", "take it as an argument"),
];

/// What must not be left in code.
const LEFTOVERS: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[ignore", "#[ignore]"];

/// A SAFETY comment stands at most that many lines above its block.
const SAFETY_LINES: usize = 8;

pub(super) fn check(file: &TreeFile) -> Vec<Finding> {
    let (Some(source), Some(text)) = (&file.source, &file.text) else { return Vec::new() };
    let mut findings = Vec::new();
    let mut report = |line: usize, message: String| findings.push(Finding::new(&file.path, line, message));
    let crate_name = file.crate_name().unwrap_or_default();
    let shipped = if file.is_test() { String::new() } else { source.code_without_tests() };

    if is_crate_root(&file.path) && !text.starts_with("//!") {
        report(1, "a crate opens with `//!`: what it does, by which specification, what it does not".into());
    }
    for word in LEFTOVERS {
        for line in lines_with_word(&source.code, word) {
            report(line, format!("`{word}` is left in the code"));
        }
    }
    for line in lines_with_word(&source.code, "unsafe") {
        if !UNSAFE.contains(&crate_name) {
            report(line, format!("unsafe code: only {UNSAFE:?} may"));
        } else if needs_safety(&source.code, line) && !has_safety(&source.comments, line) {
            report(line, "no `// SAFETY:` that names the fact relied on".into());
        }
    }
    if !UNSAFE.contains(&crate_name) {
        for line in lines_with_word(&source.code, "unsafe_code") {
            report(line, format!("the lint against unsafe code is touched: only {UNSAFE:?} may"));
        }
    }
    if !DIALLERS.iter().any(|(path, _)| file.path.starts_with(path)) {
        for word in DIALLING {
            for line in lines_with_word(&shipped, word) {
                report(line, format!("`{word}`: only `client` dials, for `cloister` and the relay"));
            }
        }
    }
    // A build script speaks to cargo, by its environment and its standard output; what lies in `bin` is a program.
    let is_program = file.path.ends_with("/build.rs") || file.path.contains("/src/bin/");
    if !NO_LIBRARIES.contains(&crate_name) && !is_program {
        for (word, instead) in NOT_IN_LIBRARIES {
            for line in lines_with_word(&shipped, word) {
                report(line, format!("`{word}` in a library: {instead}"));
            }
        }
    }
    findings
}

fn is_crate_root(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.next() == Some("crates")
        && parts.next().is_some()
        && matches!(
            (parts.next(), parts.next(), parts.next()),
            (Some("src"), Some("lib.rs" | "main.rs"), None)
        )
}

/// Blocks and implementations are promises to explain; an `unsafe fn` or `unsafe extern` asks for one.
fn needs_safety(code: &str, line: usize) -> bool {
    let text = code.lines().nth(line - 1).unwrap_or_default();
    text.split("unsafe").skip(1).any(|rest| {
        let rest = rest.trim_start();
        rest.starts_with('{') || rest.starts_with("impl")
    })
}

fn has_safety(comments: &str, line: usize) -> bool {
    comments
        .lines()
        .take(line)
        .skip(line.saturating_sub(SAFETY_LINES + 1))
        .any(|text| text.contains("SAFETY:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(path: &str, text: &str, expected: &[(usize, &str)]) {
        let found = check(&TreeFile::new(path, text));
        assert_eq!(found.len(), expected.len(), "{path}: {found:?}");
        for (finding, (line, part)) in found.iter().zip(expected) {
            assert!(finding.line == *line && finding.message.contains(part), "{finding}");
        }
    }

    #[test]
    fn unsafe_stays_in_the_foundation() {
        check_text("crates/ledger/src/a.rs", "// unsafe\nfn f() { unsafe { g() } }", &[(2, "only")]);
        check_text("crates/ledger/src/a.rs", "#![allow(unsafe_code)]", &[(1, "lint")]);
        check_text("crates/jail/src/a.rs", "fn f() {\n  // SAFETY: g is fine.\n  unsafe { g() }\n}", &[]);
        check_text("crates/jail/src/a.rs", "fn f() { unsafe { g() } }", &[(1, "SAFETY")]);
        check_text("crates/jail/src/a.rs", "unsafe extern \"C\" fn f() {}", &[]);
    }

    #[test]
    fn only_the_client_dials() {
        let dial = "fn f() { UnixStream::connect(path) }";
        check_text("crates/engine/src/a.rs", dial, &[(1, "dials")]);
        check_text("crates/cloisterd/src/serve.rs", dial, &[(1, "dials")]);
        check_text("crates/cloisterd/src/admin_socket.rs", dial, &[]);
        check_text("crates/client/src/connection.rs", dial, &[]);
        check_text("crates/gateway/tests/it.rs", dial, &[]);
        check_text(
            "crates/gateway/src/a.rs",
            "#[cfg(test)]\nmod tests { fn f() { TcpStream::connect(a) } }",
            &[],
        );
        check_text("crates/gateway/src/a.rs", "let (a, b) = UnixStream::pair()?;", &[]);
    }

    #[test]
    fn libraries_are_silent_and_programs_speak() {
        check_text("crates/ledger/src/a.rs", "fn f() { println!(\"dbg!\") }", &[(1, "library")]);
        check_text("crates/cloister/src/a.rs", "fn f() { println!() }", &[]);
        check_text("crates/ledger/src/bin/a.rs", "fn f() { println!() }", &[]);
        check_text("crates/ledger/src/a.rs", "fn f() { todo!() }", &[(1, "left")]);
        check_text("crates/ledger/tests/it.rs", "#[ignore]\nfn f() {}", &[(1, "left"), (1, "left")]);
        check_text("crates/ledger/src/lib.rs", "mod a;", &[(1, "opens")]);
    }
}
