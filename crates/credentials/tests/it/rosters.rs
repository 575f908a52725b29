//! Persons of a directory's export.

use credentials::{Person, parse_csv, parse_ldif};
use proptest::prelude::*;

fn person(name: &str, groups: Option<&[&str]>, labels: Option<&[&str]>) -> Person {
    let owned = |names: Option<&[&str]>| names.map(|names| names.iter().map(ToString::to_string).collect());
    Person { name: name.to_owned(), groups: owned(groups), labels: owned(labels) }
}

#[test]
fn csv() {
    let read = parse_csv(b"groups,name\n\"crew; ops;crew\",bob\n,ada\n").unwrap();
    assert_eq!(read, [person("ada", Some(&[]), None), person("bob", Some(&["crew", "ops"]), None)]);
    for (text, line, word) in [
        ("groups\ncrew\n", 1, "name"),
        ("name,role\nada,x\n", 1, "role"),
        ("name,name\nada,ada\n", 1, "once"),
        ("name\nada\nAda Lovelace\n", 3, "user's name"),
        ("name\nada\nada\n", 3, "twice"),
        ("name,groups\nada,Not A Group\n", 2, "group's name"),
        ("name,groups\nada\n", 2, "row"),
        ("name\n=cmd|' /C calc'!A0\n", 2, "user's name"),
    ] {
        let error = parse_csv(text.as_bytes()).unwrap_err();
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.why.contains(word), "{text}: {error}");
    }
}

const LDIF: &str = "version: 1

# Persons of the site
dn: uid=ada,ou=people,dc=site
objectClass: inetOrgPerson
uid: Ada
cn:: QWRhIEzDtnZlbGFjZQ==
memberOf: cn=crew,ou=groups,
 dc=site
clearance: flight
jpegPhoto:: /9j/4AAQ

dn: uid=bob,ou=people,dc=site
uid: bob

dn: cn=ops,ou=groups,dc=site
cn: ops
memberUid: bob
member: uid=ada,ou=people,dc=site
";

#[test]
fn ldif() {
    let read = parse_ldif(LDIF.as_bytes(), Some("Clearance")).unwrap();
    assert_eq!(
        read,
        [person("ada", Some(&["crew", "ops"]), Some(&["flight"])), person("bob", Some(&["ops"]), Some(&[]))]
    );
    let plain = parse_ldif(b"dn: uid=ada\nuid: ada\n", None).unwrap();
    assert_eq!(plain, [person("ada", None, None)]);
    for (text, line, word) in [
        ("uid: ada\n", 1, "dn"),
        (" folded\n", 1, "begin"),
        ("dn: uid=ada\nuid\n", 2, "name: value"),
        ("dn: uid=ada\nuid:< file:///etc/passwd\n", 2, "elsewhere"),
        ("dn: uid=ada\nchangetype: delete\n", 2, "change"),
        ("dn: uid=ada\nuid:: %%\n", 2, "base64"),
        ("version: 2\n", 1, "version"),
        ("dn: uid=a\nuid: a\n\ndn: uid=a\nuid: a\n", 4, "twice"),
        ("dn: uid=a\nuid: a b\n", 1, "user's name"),
        ("dn: cn=g\nmember: uid=a\n", 1, "cn"),
    ] {
        let error = parse_ldif(text.as_bytes(), None).unwrap_err();
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.why.contains(word), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn any_text(text in "\\PC{0,200}") {
        let _either = parse_csv(text.as_bytes());
        let _either = parse_ldif(text.as_bytes(), Some("label"));
    }

    /// Where a line is folded does not matter.
    #[test]
    fn folds_are_nothing(at in 1..60_usize) {
        let line = "memberOf: cn=crew,ou=groups,ou=of the site,ou=and more,dc=site";
        let (first, rest) = line.split_at(at.min(line.len()));
        let text = format!("dn: uid=ada\nuid: ada\n{first}\n {rest}\n");
        prop_assert_eq!(parse_ldif(text.as_bytes(), None).unwrap(), [person("ada", Some(&["crew"]), None)]);
    }

    #[test]
    fn what_is_read_is_in_range(names in prop::collection::btree_set("[a-z][a-z0-9._-]{0,20}", 1..20)) {
        let text: String = std::iter::once("name".to_owned()).chain(names.iter().cloned()).map(|line| line + "\n").collect();
        let read: Vec<String> = parse_csv(text.as_bytes()).unwrap().into_iter().map(|person| person.name).collect();
        prop_assert_eq!(read, names.into_iter().collect::<Vec<_>>());
    }
}
