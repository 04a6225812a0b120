//! A JSON list of objects -> some members of each, one object at a time: what a client shows of a long list is taken
//! from it without building the rest. Runs in the client.

use alloc::string::String;
use core::fmt::{self, Formatter};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Takes the objects, one after the other.
pub type Sink<'a> = &'a mut dyn FnMut(Map<String, Value>);

/// Hands the members with these keys of each object of the list to `sink`. `null` is an empty list.
///
/// # Errors
/// What is wrong with the JSON.
pub fn each(json: &[u8], keys: &[&str], sink: Sink<'_>) -> Result<(), serde_json::Error> {
    crate::json::from_slice_seed(json, List { keys, sink })
}

struct List<'a> {
    keys: &'a [&'a str],
    sink: Sink<'a>,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();
    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(members) = list.next_element_seed(One(self.keys))? {
            (self.sink)(members);
        }
        Ok(())
    }
}

struct One<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for One<'_> {
    type Value = Map<String, Value>;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for One<'_> {
    type Value = Map<String, Value>;
    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = map.next_key_seed(Key(self.0))? {
            match key {
                Some(key) => drop(members.insert(key.into(), map.next_value()?)),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(members)
    }
}

struct Key<'a>(&'a [&'a str]);

impl<'de, 'a> DeserializeSeed<'de> for Key<'a> {
    type Value = Option<&'a str>;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_identifier(self)
    }
}

impl<'a> Visitor<'_> for Key<'a> {
    type Value = Option<&'a str>;
    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().find(|wanted| **wanted == key).copied())
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec::Vec};

    use super::*;

    fn picked(json: &str) -> Result<Vec<String>, String> {
        let mut all = Vec::new();
        let sink = &mut |members: Map<String, Value>| all.push(format!("{}", Value::Object(members)));
        each(json.as_bytes(), &["a", "b"], sink).map_err(|error| format!("{error}"))?;
        Ok(all)
    }

    #[test]
    fn only_the_members_that_are_wanted_come_out() {
        let list = r#"[{"a":1,"x":{"a":[2]},"b":{"c":"d\n"}},{},{"b":null}]"#;
        assert_eq!(picked(list).unwrap(), [r#"{"a":1,"b":{"c":"d\n"}}"#, "{}", r#"{"b":null}"#]);
        assert_eq!(picked("null"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_list_of_objects_is_refused() {
        for bad in ["", "{}", "[1]", "[{}", "[{}]]", "[{\"a\":}]"] {
            assert!(picked(bad).is_err(), "{bad}");
        }
    }
}
