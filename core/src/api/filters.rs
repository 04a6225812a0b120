//! The `filters` query value: JSON that maps a filter's name to values -> conditions.
//!
//! Clients send `{"label":{"a=b":true}}` or `{"label":["a=b"]}`; both mean the same.

use alloc::{format, string::String, vec::Vec};

use serde_json::Value;

use crate::{Error, Result, clock::Time};

/// The conditions of a list, prune or events request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters {
    entries: Vec<(String, Vec<String>)>,
}

impl Filters {
    /// Reads the query value; absent and empty mean no conditions. `known` are the names that the request takes.
    ///
    /// # Errors
    /// [`Error::Invalid`] for other JSON and for names that are not known.
    pub fn parse(text: Option<&str>, known: &[&str]) -> Result<Self> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Filters::default()) };
        let shape = || Error::Invalid(format!("parse filters: {text} is not a JSON map of filters"));
        let Ok(Value::Object(map)) = crate::json::from_slice(text.as_bytes()) else { return Err(shape()) };
        let mut entries = Vec::with_capacity(map.len());
        for (name, values) in map {
            if !known.contains(&name.as_str()) {
                return Err(Error::Invalid(format!("invalid filter '{name}'")));
            }
            let values = match values {
                Value::Object(set) => set.into_iter().map(|(value, _)| value).collect(),
                Value::Array(list) => list
                    .into_iter()
                    .map(|value| match value {
                        Value::String(value) => Ok(value),
                        Value::Bool(value) => Ok(format!("{value}")),
                        Value::Number(value) => Ok(format!("{value}")),
                        _ => Err(shape()),
                    })
                    .collect::<Result<_>>()?,
                _ => return Err(shape()),
            };
            entries.push((name, values));
        }
        Ok(Filters { entries })
    }

    /// With one more value of a filter.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        match self.entries.iter_mut().find(|(n, _)| n == name) {
            Some((_, values)) => values.push(value.into()),
            None => self.entries.push((name.into(), [value.into()].into())),
        }
        self
    }

    /// The values of a filter; empty if it is not set.
    pub fn values(&self, name: &str) -> &[String] {
        self.entries.iter().find(|(n, _)| n == name).map_or(&[], |(_, values)| values.as_slice())
    }

    /// Whether the filter is absent or has this value.
    pub fn allows(&self, name: &str, value: &str) -> bool {
        self.allows_if(name, |wanted| wanted == value)
    }

    /// Whether the filter is absent or one of its values fits.
    pub fn allows_if(&self, name: &str, mut fits: impl FnMut(&str) -> bool) -> bool {
        let values = self.values(name);
        values.is_empty() || values.iter().any(|value| fits(value))
    }

    /// A filter whose value is a boolean.
    ///
    /// # Errors
    /// [`Error::Invalid`] for other values and for contradictory ones.
    pub fn flag(&self, name: &str) -> Result<Option<bool>> {
        let mut found = None;
        for value in self.values(name) {
            let value = match value.as_str() {
                "1" | "t" | "T" | "true" | "True" | "TRUE" => true,
                "0" | "f" | "F" | "false" | "False" | "FALSE" => false,
                _ => return Err(Error::Invalid(format!("invalid filter '{name}={value}': true or false"))),
            };
            if found.is_some_and(|other| other != value) {
                return Err(Error::Invalid(format!("invalid filter '{name}': both true and false")));
            }
            found = Some(value);
        }
        Ok(found)
    }

    /// The time that the filter `until` means.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than one, and for what is no time.
    pub fn until(&self, now: Time) -> Result<Option<Time>> {
        match self.values("until") {
            [] => Ok(None),
            [text] => Time::parse_when(text, now).map(Some),
            _ => Err(Error::Invalid("more than one until filter specified".into())),
        }
    }

    /// Whether all `label` conditions (`key` or `key=value`) hold and none of `label!`.
    pub fn allows_labels<'a>(&self, mut get: impl FnMut(&str) -> Option<&'a str>) -> bool {
        let mut holds = |condition: &String| match condition.split_once('=') {
            Some((key, value)) => get(key) == Some(value),
            None => get(condition).is_some(),
        };
        self.values("label").iter().all(&mut holds) && !self.values("label!").iter().any(&mut holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_mean_the_same() {
        let known = ["label", "status"];
        let map = Filters::parse(Some(r#"{"label":{"a=b":true,"c":true},"status":{"exited":true}}"#), &known);
        let list = Filters::parse(Some(r#"{"label":["a=b","c"],"status":["exited"]}"#), &known);
        assert_eq!(map, list);
        assert_eq!(map.unwrap().values("label"), ["a=b", "c"]);
        assert_eq!(Filters::parse(None, &known), Ok(Filters::default()));
        assert_eq!(Filters::parse(Some(""), &known), Ok(Filters::default()));
    }

    #[test]
    fn unknown_names_and_other_shapes_are_refused() {
        for text in [r#"{"color":["x"]}"#, "[]", "{", r#"{"label":"x"}"#, r#"{"label":[{}]}"#, "null"] {
            assert!(Filters::parse(Some(text), &["label"]).is_err(), "{text}");
        }
    }

    #[test]
    fn labels_must_all_hold() {
        let filters =
            Filters::parse(Some(r#"{"label":["a=b","c"],"label!":["d"]}"#), &["label", "label!"]).unwrap();
        let holds = |labels: &'static [(&str, &str)]| {
            filters.allows_labels(|key| labels.iter().find(|(k, _)| *k == key).map(|(_, value)| *value))
        };
        assert!(holds(&[("a", "b"), ("c", "")]));
        assert!(!holds(&[("a", "x"), ("c", "")]));
        assert!(!holds(&[("a", "b")]));
        assert!(!holds(&[("a", "b"), ("c", ""), ("d", "")]));
    }

    #[test]
    fn until_is_one_time() {
        let now = Time::from_unix(1000, 0);
        let until = |text| Filters::parse(Some(text), &["until"]).unwrap().until(now);
        assert_eq!(until(r#"{"until":{"10s":true}}"#), Ok(Some(Time::from_unix(990, 0))));
        assert_eq!(until("{}"), Ok(None));
        assert!(until(r#"{"until":["x"]}"#).is_err() && until(r#"{"until":["1s","2s"]}"#).is_err());
    }

    #[test]
    fn flags_are_booleans() {
        let flag = |text| Filters::parse(Some(text), &["dangling"]).unwrap().flag("dangling");
        assert_eq!(flag(r#"{"dangling":{"true":true}}"#), Ok(Some(true)));
        assert_eq!(flag(r#"{"dangling":[false]}"#), Ok(Some(false)));
        assert_eq!(flag("{}"), Ok(None));
        assert!(flag(r#"{"dangling":["maybe"]}"#).is_err());
        assert!(flag(r#"{"dangling":["0","1"]}"#).is_err());
    }
}
