//! JSON of which every reader understands the same: no object has a key twice.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Reads a value. Nesting is limited by `serde_json`.
pub(crate) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice::<Unique>(bytes)?;
    serde_json::from_slice(bytes)
}

/// Any value in which keys are unique. Types that are derived from would notice only the keys they know.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Unique)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
        while items.next_element::<Unique>()?.is_some() {}
        Ok(Unique)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Unique, A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            entries.next_value::<Unique>()?;
            if let Some(twice) = keys.replace(key) {
                let twice: String = twice.escape_debug().take(64).collect();
                return Err(A::Error::custom(format_args!("the key `{twice}` stands twice in an object")));
            }
        }
        Ok(Unique)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    #[test]
    fn keys_stand_once() {
        for (text, fine) in [
            (r#"{"a":1,"b":[{"a":null},{"a":-1.5}],"c":{"a":"a"}}"#, true),
            (r#"{"a":1,"a":1}"#, false),
            (r#"{"a":1,"\u0061":1}"#, false),
            (r#"[{"b":{"x":true,"x":true}}]"#, false),
            (r#"{"a":1} {}"#, false),
        ] {
            assert_eq!(super::from_slice::<Value>(text.as_bytes()).is_ok(), fine, "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(super::from_slice::<Value>(deep.as_bytes()).is_err());
    }
}
