//! The query string of `GET /v1/cloister/ledger/query`.

use protocol::admin::Filter;

use crate::fields::DialectError;

/// Rows of a page, where the query does not say.
const COUNT_DEFAULT: u32 = 50;

/// Rows of a page at most.
const COUNT_MAX: u32 = 1000;

/// Bytes of a whole query string.
const QUERY_BYTES_MAX: usize = 8 << 10;

/// A page of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Which records.
    pub filter: Filter,
    /// Only those before this one.
    pub before: Option<u64>,
    /// At most that many.
    pub count: u32,
}

/// Reads `name=value&…`, with `%XX` and `+`. A name that is not known is refused: a filter that is passed over
/// would show too much.
pub(crate) fn parse(text: &str) -> Result<Query, DialectError> {
    let mut query = Query { filter: Filter::default(), before: None, count: COUNT_DEFAULT };
    if text.len() > QUERY_BYTES_MAX {
        return Err(DialectError::of("query", &format!("is longer than {QUERY_BYTES_MAX} bytes")));
    }
    let mut seen = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if seen.contains(&name) {
            return Err(DialectError::of(shown(name), "is there twice"));
        }
        seen.push(name);
        let Some(value) = decode(value) else {
            return Err(DialectError::of(shown(name), "must be UTF-8 in `%XX`"));
        };
        let number = || value.parse().map_err(|_| DialectError::of(shown(name), "must be a whole number"));
        let filter = &mut query.filter;
        let place = match name {
            "since_unix_ms" => {
                filter.since_unix_ms = Some(number()?);
                continue;
            }
            "until_unix_ms" => {
                filter.until_unix_ms = Some(number()?);
                continue;
            }
            "before" => {
                query.before = Some(number()?);
                continue;
            }
            "count" => {
                let count = u32::try_from(number()?).ok().filter(|count| (1..=COUNT_MAX).contains(count));
                let message = format!("must be from 1 to {COUNT_MAX}");
                query.count = count.ok_or_else(|| DialectError::of(name, &message))?;
                continue;
            }
            "person" => &mut filter.person,
            "kind" => &mut filter.kind,
            "model" => &mut filter.model,
            "deployment" => &mut filter.deployment,
            "repository" => &mut filter.repository,
            "path" => &mut filter.path,
            "label" => &mut filter.label,
            "outcome" => &mut filter.outcome,
            "action" => &mut filter.action,
            "text" => &mut filter.text,
            _ => return Err(DialectError::of(shown(name), "is not known")),
        };
        *place = Some(value);
    }
    Ok(query)
}

/// The value of one name of a query string, the last where it is there several times; all others are passed over.
pub(crate) fn value(text: &str, name: &str) -> Result<Option<String>, DialectError> {
    if text.len() > QUERY_BYTES_MAX {
        return Err(DialectError::of("query", &format!("is longer than {QUERY_BYTES_MAX} bytes")));
    }
    let mut pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, value)) = pairs.rfind(|(known, _)| *known == name) else { return Ok(None) };
    let value = decode(value).ok_or_else(|| DialectError::of(name, "must be UTF-8 in `%XX`"))?;
    Ok(Some(value).filter(|value| !value.is_empty()))
}

/// The beginning of a name that a client made up.
fn shown(name: &str) -> String {
    name.chars().take(32).collect()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?].map(char::from);
                let [high, low] =
                    digits.map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
                high? << 4 | low?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_strings() {
        let query =
            parse("person=ada&path=src%2F**.ad%62&text=two+words&before=7&count=3&since_unix_ms=1").unwrap();
        let filter = Filter {
            person: Some("ada".to_owned()),
            path: Some("src/**.adb".to_owned()),
            text: Some("two words".to_owned()),
            since_unix_ms: Some(1),
            ..Filter::default()
        };
        assert_eq!(query, Query { filter, before: Some(7), count: 3 });
        assert_eq!(parse("").unwrap().count, COUNT_DEFAULT);
        for (text, found) in
            [("model=a%2Fb&x=1", Some("a/b")), ("x=1", None), ("model=", None), ("model", None)]
        {
            assert_eq!(value(text, "model").unwrap().as_deref(), found);
        }
        assert!(value("model=%ff", "model").is_err());
        let refused = [
            ("persons=ada", "`persons` is not known"),
            ("person=%f", "must be UTF-8"),
            ("person=%ff", "must be UTF-8"),
            ("person=%+f", "must be UTF-8"),
            ("person=a&person=b", "is there twice"),
            ("count=0", "must be from 1 to 1000"),
            ("count=-1", "must be a whole number"),
            ("before=x", "must be a whole number"),
        ];
        for (text, message) in refused {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
