//! The loop over the words.

use alloc::{string::String, vec::Vec};
use core::convert::Infallible;

use crate::{EarlyExit, ParseFlag, ParseValueSlot};

/// A flag's slot.
#[expect(missing_debug_implementations, reason = "trait objects")]
pub enum ParseStructOption<'a> {
    /// Of a switch.
    Flag(&'a mut dyn ParseFlag),
    /// Of a flag with a value.
    Value(&'a mut dyn ParseValueSlot),
}

/// The flags of a command.
#[expect(missing_debug_implementations, reason = "trait objects")]
pub struct ParseStructOptions<'a> {
    /// Names and the numbers of their slots.
    pub arg_to_slot: &'static [(&'static str, usize)],
    /// The slots.
    pub slots: &'a mut [ParseStructOption<'a>],
    /// Names that ask for help, which never get here.
    pub help_triggers: &'a [&'a str],
}

/// A positional word.
#[expect(missing_debug_implementations, reason = "trait objects")]
pub struct ParseStructPositional<'a> {
    /// Its name.
    pub name: &'static str,
    /// Its slot.
    pub slot: &'a mut dyn ParseValueSlot,
}

/// The positional words of a command.
#[expect(missing_debug_implementations, reason = "trait objects")]
pub struct ParseStructPositionals<'a> {
    /// In order.
    pub positionals: &'a mut [ParseStructPositional<'a>],
    /// Whether the last one takes all words that are left.
    pub last_is_repeating: bool,
    /// Whether those may begin with a dash.
    pub last_is_greedy: bool,
}

/// A sub-command, of which there are none.
pub type ParseStructSubCommand<'a> = &'a Infallible;

/// Reads the words of a command into its slots.
///
/// # Errors
/// What is wrong with the first bad word.
// Inlined, so that what is not used is not made.
#[inline(always)]
pub fn parse_struct_args(
    _command_name: &[&str],
    words: &[&str],
    mut options: ParseStructOptions<'_>,
    mut positionals: ParseStructPositionals<'_>,
    _sub_command: Option<ParseStructSubCommand<'_>>,
    _help: &dyn Fn() -> String,
) -> Result<(), EarlyExit> {
    parse(words, &mut options, &mut positionals)
}

#[inline(never)]
fn parse(
    words: &[&str],
    options: &mut ParseStructOptions<'_>,
    positionals: &mut ParseStructPositionals<'_>,
) -> Result<(), EarlyExit> {
    let mut words = words.iter();
    let mut position = 0;
    let mut flags_ended = false;
    while let Some(&word) = words.next() {
        if word == "--" && !flags_ended {
            flags_ended = true;
            continue;
        }
        if word.starts_with('-') && !flags_ended {
            let found = options.arg_to_slot.iter().find(|(name, _)| *name == word);
            match &mut options.slots[found.ok_or_else(|| unknown(word))?.1] {
                ParseStructOption::Flag(slot) => slot.set_flag(word),
                ParseStructOption::Value(slot) => {
                    let missing =
                        || EarlyExit::from(["No value provided for option '", word, "'.\n"].concat());
                    let value = words.next().ok_or_else(missing)?;
                    slot.fill_slot(word, value).map_err(|reason| wrong("option", word, value, &reason))?;
                }
            }
            continue;
        }
        let count = positionals.positionals.len();
        let place = positionals.positionals.get_mut(position).ok_or_else(|| unknown(word))?;
        let filled = place.slot.fill_slot("", word);
        filled.map_err(|reason| wrong("positional argument", place.name, word, &reason))?;
        if positionals.last_is_repeating && position + 1 == count {
            flags_ended |= positionals.last_is_greedy;
        } else {
            position += 1;
        }
    }
    Ok(())
}

fn unknown(word: &str) -> EarlyExit {
    ["Unrecognized argument: ", word, "\n"].concat().into()
}

fn wrong(kind: &str, name: &str, value: &str, reason: &str) -> EarlyExit {
    ["Error parsing ", kind, " '", name, "' with value '", value, "': ", reason, "\n"].concat().into()
}

/// What a command needs and was not given.
#[derive(Debug, Default)]
pub struct MissingRequirements {
    options: Vec<&'static str>,
    positionals: Vec<&'static str>,
}

impl MissingRequirements {
    /// A flag is missing.
    pub fn missing_option(&mut self, name: &'static str) {
        self.options.push(name);
    }

    /// A positional word is missing.
    pub fn missing_positional_arg(&mut self, name: &'static str) {
        self.positionals.push(name);
    }

    /// # Errors
    /// The message, if anything is missing.
    pub fn err_on_any(&self) -> Result<(), String> {
        let all = [("positional arguments", &self.positionals), ("options", &self.options)];
        let missing: Vec<String> = all
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(kind, names)| ["Required ", kind, " not provided:\n    ", &names.join("\n    ")].concat())
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(missing.join("\n") + "\n") }
    }
}
