//! Approvals of lines: what voids one, and what does not.

use ledger::{Event, Leaf, SCHEMA};
use lineage::approval::{Approval, Keys, NAMESPACE, Range, Void};

use crate::site::Person;

const FILE: &str = "one\ntwo\nthree\nfour\n";

fn leaf(action: &str, person: &Person) -> Leaf {
    let (actor, action) = (String::new(), action.to_owned());
    let event =
        Event::Administration { actor, action, subject: person.name.to_owned(), detail: person.public() };
    Leaf { schema: SCHEMA, time_unix_ms: 0, event, body: None }
}

fn approve(person: &Person, content: &str, first: u32, last: u32) -> Approval {
    let text = Range::of("a.adb", content.as_bytes(), first, last, "tree").unwrap().text();
    let signature = person.sign(NAMESPACE, &text);
    Approval { text, signature }
}

#[test]
fn lines_keep_their_approval_wherever_they_stand() {
    let grace = Person::new("grace", 2);
    let keys = Keys::of([&leaf(ledger::ENROL_KEY, &grace)]);
    let approval = approve(&grace, FILE, 2, 3);
    let cases = [
        (FILE, Some((2, 3))),
        ("zero\none\ntwo\nthree\nfour\n", Some((3, 4))),
        ("two\nthree", Some((1, 2))),
        ("one\ntwo\nthree \nfour\n", None),
        ("one\ntwo\nnew\nthree\nfour\n", None),
        ("one\ntwo\r\nthree\n", None),
        ("", None),
    ];
    for (content, expected) in cases {
        let found = approval.verify(&keys, |path| (path == "a.adb").then(|| content.as_bytes().to_vec()));
        match expected {
            Some(place) => {
                let (path, approved) = found.unwrap();
                assert_eq!((path.as_str(), approved[0].person.as_str()), ("a.adb", "grace"));
                assert_eq!((approved[0].first, approved[0].last), place, "{content}");
            }
            None => assert!(matches!(found, Err(Void::Changed { .. })), "{content}: {found:?}"),
        }
    }
    assert!(matches!(approval.verify(&keys, |_| None), Err(Void::Changed { .. })));
}

#[test]
fn forged_and_foreign() {
    let (grace, mallory) = (Person::new("grace", 2), Person::new("mallory", 3));
    let enrolled = leaf(ledger::ENROL_KEY, &grace);
    let keys = Keys::of([&enrolled]);
    let content = |_: &str| Some(FILE.as_bytes().to_vec());
    let approval = approve(&grace, FILE, 2, 3);
    assert_eq!(approve(&mallory, FILE, 2, 3).verify(&keys, content), Err(Void::Key));
    let revoked = Keys::of([&enrolled, &leaf(ledger::REVOKE_KEY, &grace)]);
    assert_eq!(approval.verify(&revoked, content), Err(Void::Key));
    let other = Range::of("a.adb", FILE.as_bytes(), 1, 4, "tree").unwrap().text();
    let moved = Approval { text: other, ..approval.clone() };
    assert!(matches!(moved.verify(&keys, content), Err(Void::Signature(_))));
    let purpose = Approval { signature: grace.sign("other", &approval.text), ..approval.clone() };
    assert!(matches!(purpose.verify(&keys, content), Err(Void::Signature(_))));
    for text in ["", "cloister approval of lines 1\n", &format!("{}more\n", approval.text)] {
        let text = Approval { text: text.to_owned(), ..approval.clone() };
        assert_eq!(text.verify(&keys, content), Err(Void::Form));
    }
    assert_eq!(Range::of("a", FILE.as_bytes(), 0, 1, ""), None);
    assert_eq!(Range::of("a", FILE.as_bytes(), 3, 2, ""), None);
    assert_eq!(Range::of("a", FILE.as_bytes(), 4, 5, ""), None);
}
