//! Reads JSON documents into values of this program. An object is an object: derived code would also take an array of an
//! object's members in order, which no one who speaks these formats does, and which is a third of the code for each type.
//!
//! A thin layer on serde_json: it asks for a map wherever the type asks for a struct, and puts itself around whatever is
//! nested.

use core::{fmt, marker::PhantomData};

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor,
};

/// The value of a whole document.
///
/// # Errors
/// What is wrong with it, and where.
pub fn from_slice<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, serde_json::Error> {
    from_slice_seed(json, PhantomData)
}

/// The same for a type that needs more than the document.
///
/// # Errors
/// As [`from_slice`].
pub fn from_slice_seed<'de, S: DeserializeSeed<'de>>(
    json: &'de [u8],
    seed: S,
) -> Result<S::Value, serde_json::Error> {
    let mut from = serde_json::Deserializer::from_slice(json);
    let value = seed.deserialize(Layer(&mut from))?;
    from.end()?;
    Ok(value)
}

struct Layer<T>(T);

/// Methods of a deserializer that differ in nothing but their names.
macro_rules! pass_on {
    ($($name:ident)*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$name(Layer(visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Layer<D> {
    type Error = D::Error;

    pass_on! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_option deserialize_unit deserialize_seq deserialize_map
        deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Layer(visitor))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, Layer(visitor))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, Layer(visitor))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(length, Layer(visitor))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple_struct(name, length, Layer(visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, Layer(visitor))
    }
}

/// Methods of a visitor that take a plain value.
macro_rules! plain {
    ($($name:ident($kind:ty))*) => {$(
        fn $name<E: Error>(self, value: $kind) -> Result<V::Value, E> {
            self.0.$name(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Layer<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    plain! {
        visit_bool(bool) visit_i64(i64) visit_i128(i128) visit_u64(u64) visit_u128(u128) visit_f64(f64)
        visit_str(&str) visit_borrowed_str(&'de str) visit_bytes(&[u8]) visit_borrowed_bytes(&'de [u8])
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Layer(from))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Layer(from))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Layer(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Layer(members))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(variant)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Layer<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Layer(from))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Layer<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Layer(seed))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Layer<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(Layer(seed))
    }

    // One function for each type of a value, not a copy of it in each arm of the objects that have one.
    #[inline(never)]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Layer(seed))
    }
}

#[cfg(test)]
mod tests {
    use alloc::{
        collections::BTreeMap,
        string::{String, ToString},
        vec::Vec,
    };

    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default)]
    struct Outer {
        number: i64,
        text: Option<String>,
        list: Vec<Inner>,
        map: BTreeMap<String, Inner>,
        pair: [u32; 2],
        kind: Kind,
        any: Value,
    }

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    struct Inner {
        on: bool,
    }

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    enum Kind {
        #[default]
        Small,
        Big,
    }

    #[test]
    fn a_document_is_what_serde_json_reads() {
        let json = br#"{"number": -5, "text": "x", "list": [{"on": true}], "map": {"a": {"on": false}}, "other": [1],
            "pair": [1, 2], "kind": "Big", "any": {"a": [1.5, null, "t"]}}"#;
        let read: Outer = from_slice(json).unwrap();
        assert_eq!(read, serde_json::from_slice(json).unwrap());
        assert_eq!((read.number, &read.kind, read.pair), (-5, &Kind::Big, [1, 2]));
        assert_eq!(from_slice::<Value>(json).unwrap(), serde_json::from_slice::<Value>(json).unwrap());
        assert_eq!(read.any, json!({"a": [1.5, null, "t"]}));
    }

    #[test]
    fn an_array_is_no_object() {
        assert!(serde_json::from_slice::<Inner>(b"[true]").is_ok());
        let error = from_slice::<Inner>(b"[true]").unwrap_err();
        assert_eq!(error.to_string(), "invalid type: sequence, expected struct Inner at line 1 column 0");
        assert!(from_slice::<Outer>(br#"{"list": [[true]]}"#).is_err());
    }

    #[test]
    fn what_is_behind_the_document_is_an_error() {
        assert!(from_slice::<Inner>(br#"{"on": true} x"#).is_err());
        assert!(from_slice::<Value>(br#"{"on": "#).is_err());
    }
}
