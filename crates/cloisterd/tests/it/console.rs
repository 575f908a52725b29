//! The console, in a real browser.

use std::process::Command;

use testkit::places;

use crate::tokens::with_token;

/// A person signs in, asks, looks at the record, the ledger and the models; proofs hold and tampered ones do not;
/// hostile texts stay texts; nothing is asked for elsewhere. What is asserted stands in `console/browser.mjs`.
#[test]
fn the_console_in_a_browser() {
    let axe = std::env::var("CLOISTER_TEST_AXE")
        .expect("CLOISTER_TEST_AXE names axe-core's axe.min.js: run `cargo xtask test`");
    let (mut server, url, token) = with_token(places::SMALL);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/console/browser.mjs");
    let pictures = std::env::var("CLOISTER_TEST_PICTURES")
        .unwrap_or_else(|_| server.root().join("pictures").display().to_string());
    let options = serde_json::json!({
        "url": url, "token": token, "chromium": "chromium", "axe": axe, "pictures": pictures,
    });
    let output = Command::new("node").arg(script).arg(options.to_string()).output().unwrap();
    let said =
        [&output.stdout[..], &output.stderr[..]].map(|text| String::from_utf8_lossy(text).into_owned());
    assert!(output.status.success(), "{}\n{}", said.concat(), server.log());
    server.stop().unwrap();
    assert_eq!(server.verify().unwrap()["verdict"], "passed");
}
