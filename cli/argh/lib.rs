//! What the code that `argh_derive` makes calls at run time. argh's own run-time library needs std, and makes help texts
//! that this program lays out itself.
//!
//! In: words in the form that the pass in front of this gives (`--long value`, then `--`, then positional words). Out:
//! values in slots, behind trait objects, so that the loop over the words exists once and not once for each command.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod info;
mod parse;
mod slot;

use alloc::string::String;

pub use argh_derive::{ArgsInfo, FromArgs};
pub use info::{
    CommandInfoWithArgs, ErrorCodeInfo, FlagInfo, FlagInfoKind, Optionality, PositionalInfo, SubCommandInfo,
};
#[doc(hidden)]
pub use parse::{
    MissingRequirements, ParseStructOption, ParseStructOptions, ParseStructPositional,
    ParseStructPositionals, ParseStructSubCommand, parse_struct_args,
};
pub use slot::FromArgValue;
#[doc(hidden)]
pub use slot::{Flag, ParseFlag, ParseValueSlot, ParseValueSlotTy, RedactFlag};

/// The derived code says `std::option::Option` and the like: a crate without std links this one under that name.
#[doc(hidden)]
pub use {
    alloc::vec,
    core::{default, option, result},
};

/// What the derived code takes for granted, besides what the macros themselves need.
pub mod prelude {
    pub use alloc::{borrow::ToOwned, string::String, vec::Vec};

    pub use crate::{ArgsInfo, FromArgs};
}

/// A description of a command's flags and positional words. Derived.
pub trait ArgsInfo {
    /// The description.
    fn get_args_info() -> CommandInfoWithArgs;
}

/// A value that is read from words. Derived.
pub trait FromArgs: Sized {
    /// Reads the words behind the command's name.
    ///
    /// # Errors
    /// What is wrong with them.
    fn from_args(command_name: &[&str], args: &[&str]) -> Result<Self, EarlyExit>;

    /// The words without their values.
    ///
    /// # Errors
    /// As [`FromArgs::from_args`].
    fn redact_arg_values(command_name: &[&str], args: &[&str]) -> Result<alloc::vec::Vec<String>, EarlyExit>;
}

/// Marks what is no sub-command, which is everything here. Derived.
pub trait TopLevelCommand: FromArgs {}

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlyExit {
    /// The message.
    pub output: String,
}

impl From<String> for EarlyExit {
    fn from(output: String) -> Self {
        EarlyExit { output }
    }
}
