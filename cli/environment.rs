//! The environment that the client was started with.

use alloc::{string::String, vec::Vec};
use core::ffi::CStr;

/// `NAME=value` strings. What is not UTF-8 text is left out.
#[derive(Debug, Clone, Default)]
pub struct Environment(Vec<&'static str>);

impl Environment {
    /// Of these strings.
    pub fn new(strings: impl Iterator<Item = &'static CStr>) -> Self {
        Environment(strings.filter_map(|string| string.to_str().ok()).collect())
    }

    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<&'static str> {
        self.0
            .iter()
            .filter_map(|string| string.split_once('='))
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// A variable's value, if it is not empty.
    pub fn filled(&self, name: &str) -> Option<&'static str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// All of them.
    pub fn to_strings(&self) -> Vec<String> {
        self.0.iter().copied().map(String::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_found_by_its_whole_name() {
        let environment = Environment::new([c"AB=1", c"A=x=y", c"A=2", c"E=", c"odd", c"N=\xff"].into_iter());
        assert_eq!((environment.get("A"), environment.get("AB")), (Some("x=y"), Some("1")));
        assert_eq!((environment.get("odd"), environment.get("N"), environment.get("B")), (None, None, None));
        assert_eq!((environment.get("E"), environment.filled("E")), (Some(""), None));
    }
}
