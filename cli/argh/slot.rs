//! Where the values of one command go while its words are read: a slot for each flag and positional word.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt::Display, str::FromStr};

/// What a flag's value can be.
pub trait FromArgValue: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it.
    fn from_arg_value(value: &str) -> Result<Self, String>;
}

impl<T: FromStr<Err: Display>> FromArgValue for T {
    fn from_arg_value(value: &str) -> Result<Self, String> {
        value.parse().map_err(|error: T::Err| error.to_string())
    }
}

/// What a switch can be.
pub trait Flag {
    /// Its state if it was not given.
    fn default() -> Self
    where
        Self: Sized;

    /// It was given.
    fn set_flag(&mut self);
}

impl Flag for bool {
    fn default() -> Self {
        false
    }

    fn set_flag(&mut self) {
        *self = true;
    }
}

/// A switch's slot.
pub trait ParseFlag {
    /// It was given, by this name.
    fn set_flag(&mut self, name: &str);
}

impl<T: Flag> ParseFlag for T {
    fn set_flag(&mut self, _: &str) {
        Flag::set_flag(self);
    }
}

/// The slot of a switch of which only the name is kept.
#[derive(Debug)]
pub struct RedactFlag {
    /// The name, if it was given.
    pub slot: Option<String>,
}

impl ParseFlag for RedactFlag {
    fn set_flag(&mut self, name: &str) {
        self.slot = Some(name.into());
    }
}

/// A slot for values.
pub trait ParseValueSlot {
    /// Takes a value in.
    ///
    /// # Errors
    /// What is wrong with it.
    fn fill_slot(&mut self, name: &str, value: &str) -> Result<(), String>;
}

/// A slot of values of type `T`, and how one is read from its name and its word.
#[derive(Debug)]
pub struct ParseValueSlotTy<Slot, T> {
    /// What there is.
    pub slot: Slot,
    /// Reads one.
    pub parse_func: fn(&str, &str) -> Result<T, String>,
}

impl<T> ParseValueSlot for ParseValueSlotTy<Option<T>, T> {
    fn fill_slot(&mut self, name: &str, value: &str) -> Result<(), String> {
        if self.slot.is_some() {
            return Err("duplicate values provided".into());
        }
        self.slot = Some((self.parse_func)(name, value)?);
        Ok(())
    }
}

impl<T> ParseValueSlot for ParseValueSlotTy<Vec<T>, T> {
    fn fill_slot(&mut self, name: &str, value: &str) -> Result<(), String> {
        self.slot.push((self.parse_func)(name, value)?);
        Ok(())
    }
}
