//! JSON objects whose names are unique.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A JSON object without duplicate names, at any depth. Parsers differ in which of two values they use (RFC 8259 section 4), so the
/// issuer may have meant the other.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct UniqueObject(pub(super) Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match UniqueValue::deserialize(deserializer)? {
            UniqueValue(Value::Object(object)) => Ok(Self(object)),
            UniqueValue(_) => Err(Error::custom("not an object")),
        }
    }
}

struct UniqueValue(Value);

impl<'de> Deserialize<'de> for UniqueValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(UniqueValue(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, UniqueValue(value))) = items.next_entry::<String, _>()? {
            if object.insert(name, value).is_some() {
                return Err(Error::custom("duplicate name"));
            }
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn duplicate_names_are_errors_at_any_depth() {
        for (json, is_valid) in [
            (r"{}", true),
            (r#"{"a": 1, "b": {"a": 1}, "c": [{"a": 1}, {"a": 2}]}"#, true),
            (r#"{"a": null, "b": -1, "c": 1.5, "d": "x", "e": true}"#, true),
            (r#"{"a": 1, "a": 1}"#, false),
            (r#"{"a": 1, "b": 2, "a": 3}"#, false),
            // The same name in another spelling.
            (r#"{"a": 1, "\u0061": 2}"#, false),
            (r#"{"b": {"a": 1, "a": 2}}"#, false),
            (r#"{"b": [1, [{"a": 1, "a": 2}]]}"#, false),
            (r#"{"a": 1} {"a": 2}"#, false),
            (r"[]", false),
            (r"null", false),
            (r#""a""#, false),
            (r"", false),
        ] {
            assert_eq!(serde_json::from_str::<UniqueObject>(json).is_ok(), is_valid, "{json}");
        }
        let deep = format!("{{\"a\": {}{}}}", "[".repeat(1_000), "]".repeat(1_000));
        assert!(serde_json::from_str::<UniqueObject>(&deep).is_err(), "the depth is limited");
    }

    proptest! {
        #[test]
        fn other_objects_are_read_as_serde_json_reads_them(
            names in proptest::collection::btree_map("[a-z]{0,3}", any::<(i64, bool, String)>(), 0..8)
        ) {
            let json = serde_json::to_string(&names).unwrap();
            let expected: Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(Value::Object(serde_json::from_str::<UniqueObject>(&json).unwrap().0), expected);
        }
    }
}
