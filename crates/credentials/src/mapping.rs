//! Which names of certificates are which users: a file of the site's, and domains whose names are names here.

use std::collections::HashMap;

use crate::certificate::Names;
use crate::{Refused, Unusable, is_name};

/// Bytes of a mapping file.
const BYTES_MAX: usize = 4 << 20;
const WHAT: &str = "tls.mapping";

/// Kinds of names, as they are written in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Certificate,
    Edipi,
    Email,
    Upn,
}

/// The file, and the domains.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    entries: HashMap<(Kind, String), String>,
    domains: Vec<String>,
}

impl Mapping {
    /// Reads lines of `KIND NAME USER`, where a kind is `upn`, `email`, `edipi`, or `certificate`, whose name is
    /// `SERIAL@DIGEST` as records have it. Empty lines, and those that begin with `#`, are skipped.
    pub fn parse(bytes: &[u8], domains: &[String]) -> Result<Mapping, Unusable> {
        if bytes.len() > BYTES_MAX {
            return Err(Unusable::new(WHAT, format!("longer than {BYTES_MAX} bytes")));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Unusable::new(WHAT, "not UTF-8"))?;
        let mut entries = HashMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let wrong = |why: &str| Unusable::new(WHAT, format!("line {number}: {why}"));
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let [kind, name, person] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                return Err(wrong("expected `KIND NAME USER`"));
            };
            let kind = match kind {
                "certificate" => Kind::Certificate,
                "edipi" => Kind::Edipi,
                "email" => Kind::Email,
                "upn" => Kind::Upn,
                _ => return Err(wrong("the kinds are upn, email, edipi and certificate")),
            };
            if !is_name(person) {
                return Err(wrong("that cannot be a user's name"));
            }
            let before = entries.insert((kind, name.to_ascii_lowercase()), person.to_owned());
            if before.is_some_and(|before| before != person) {
                return Err(wrong("the name is another user's above"));
            }
        }
        let domains = domains.iter().map(|domain| domain.to_ascii_lowercase()).collect();
        Ok(Mapping { entries, domains })
    }

    /// The one user that these names stand for. Every name that stands for somebody must stand for the same.
    pub fn person(&self, names: &Names) -> Result<String, Refused> {
        let listed = |kind, names: &[String]| {
            names
                .iter()
                .filter_map(|name| self.entries.get(&(kind, name.clone())).cloned())
                .collect::<Vec<_>>()
        };
        let mut found = listed(Kind::Certificate, std::slice::from_ref(&names.certificate));
        for (kind, stated) in
            [(Kind::Edipi, &names.edipi), (Kind::Email, &names.email), (Kind::Upn, &names.upn)]
        {
            found.extend(listed(kind, stated));
        }
        let stated = names.upn.iter().chain(&names.email);
        found.extend(stated.filter_map(|name| person_of_domain(name, &self.domains)));
        found.sort();
        found.dedup();
        match found.len() {
            0 => Err(Refused::Nobody),
            1 => Ok(found.remove(0)),
            _ => Err(Refused::Several),
        }
    }
}

/// The user that `NAME@DOMAIN` is, where the domain is one of these (in lower case).
pub fn person_of_domain(name: &str, domains: &[String]) -> Option<String> {
    let (user, domain) = name.rsplit_once('@')?;
    let user = user.to_ascii_lowercase();
    let is_ours = domains.iter().any(|ours| ours.eq_ignore_ascii_case(domain));
    (is_ours && is_name(&user)).then_some(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(upn: &[&str], email: &[&str]) -> Names {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Names { upn: owned(upn), email: owned(email), certificate: "0a@ff".to_owned(), ..Names::default() }
    }

    fn mapping(text: &str, domains: &[&str]) -> Mapping {
        let domains: Vec<String> = domains.iter().map(ToString::to_string).collect();
        Mapping::parse(text.as_bytes(), &domains).unwrap()
    }

    #[test]
    fn one_person_or_none() {
        let none = mapping("", &[]);
        assert_eq!(none.person(&names(&["ada@site.example"], &[])), Err(Refused::Nobody));
        let domain = mapping("", &["Site.example"]);
        assert_eq!(domain.person(&names(&["ada@site.example"], &[])).as_deref(), Ok("ada"));
        assert_eq!(domain.person(&names(&["ada@site.example"], &["ada@site.example"])).as_deref(), Ok("ada"));
        assert_eq!(
            domain.person(&names(&["ada@site.example"], &["bob@site.example"])),
            Err(Refused::Several)
        );
        for other in [
            "ada@site.example.evil",
            "ada@evil",
            "ada",
            "@site.example",
            "a b@site.example",
            "1a@site.example",
        ] {
            assert_eq!(domain.person(&names(&[other], &[])), Err(Refused::Nobody), "{other}");
        }
        let file = mapping("# people\nupn Ada@mil ada\n\ncertificate 0A@FF ada\nedipi 1234567890 bob\n", &[]);
        assert_eq!(file.person(&names(&["ada@mil"], &[])).as_deref(), Ok("ada"));
        assert_eq!(file.person(&names(&[], &[])).as_deref(), Ok("ada"));
        let numbered = Names { edipi: vec!["1234567890".to_owned()], ..names(&[], &[]) };
        assert_eq!(file.person(&numbered), Err(Refused::Several));
        assert_eq!(file.person(&Names { certificate: "01@ff".to_owned(), ..numbered }).as_deref(), Ok("bob"));
    }

    #[test]
    fn a_file_is_right_or_refused_with_its_line() {
        for (text, line) in [
            ("upn a", 1),
            ("upn a ada more", 1),
            ("\ncn a ada", 2),
            ("upn a Ada", 1),
            ("upn a ada\nupn A bob", 2),
        ] {
            let error = Mapping::parse(text.as_bytes(), &[]).unwrap_err().to_string();
            assert!(error.contains(&format!("line {line}:")), "{error}");
        }
        assert!(Mapping::parse(b"upn a ada\nupn a ada", &[]).is_ok());
        assert!(Mapping::parse(&[0xff], &[]).is_err());
    }
}
