//! The pass in front of argh: what people type -> what argh reads.
//!
//! In: a verb's flag table (argh's `ArgsInfo`) and the words after the verb. Out: `--long value` for each flag, then
//! `--`, then the positional words. Known here and not by argh: `-it`, `-p8080:80`, `--name=web`, `--rm=false`, a flag
//! given twice (the last one counts), and that everything after the first positional word of a verb that starts a
//! command belongs to that command. Flags follow Docker's, which are those of Go's pflag.

use alloc::{string::String, vec::Vec};

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality};

/// Old names of flags, and the names that the tables know.
const ALIASES: &[(&str, &str)] =
    &[("--net", "--network"), ("--net-alias", "--network-alias"), ("--dns-opt", "--dns-option")];

/// The `arg_name` of options that need no value: `--sig-proxy` alone means true.
const BOOLEAN: &str = "bool";

/// What was typed, sorted out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// `--help` (or `-h` where that means nothing else).
    Help,
    /// Words for argh.
    Words(Vec<String>),
}

/// Turns the words after a verb into argh's form. The error is one line.
pub fn normalize(info: &CommandInfoWithArgs, typed: &[String]) -> Result<Typed, String> {
    let flags = info.flags;
    let greedy = info.positionals.last().is_some_and(|last| last.optionality == Optionality::Greedy);
    let mut given: Vec<(usize, String)> = Vec::new();
    let mut positional: Vec<&String> = Vec::new();
    let mut rest = typed.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            positional.extend(rest);
            break;
        }
        let Some(dashed) = word.strip_prefix('-').filter(|after| !after.is_empty()) else {
            positional.push(word);
            if greedy {
                positional.extend(rest);
                break;
            }
            continue;
        };
        if dashed.starts_with('-') {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word.as_str(), None),
            };
            if name == "--help" {
                return Ok(Typed::Help);
            }
            let Some(index) = find_long(flags, name) else {
                return Err(unknown(flags, name));
            };
            let value = match value {
                Some(value) => value,
                None if needs_no_value(&flags[index]) => "true",
                None => rest.next().ok_or_else(|| format!("flag needs an argument: {name}"))?,
            };
            given.push((index, checked(&flags[index], value)?));
            continue;
        }
        for (at, letter) in dashed.char_indices() {
            let Some(index) = flags.iter().position(|flag| flag.short == Some(letter)) else {
                if letter == 'h' {
                    return Ok(Typed::Help);
                }
                return Err(format!("unknown shorthand flag: '{letter}' in {word}"));
            };
            let flag = &flags[index];
            let after = &dashed[at + letter.len_utf8()..];
            let value = match after.strip_prefix('=') {
                Some(value) => value,
                None if needs_no_value(flag) => {
                    given.push((index, "true".into()));
                    continue;
                }
                None if !after.is_empty() => after,
                None => rest.next().ok_or_else(|| format!("flag needs an argument: '{letter}' in {word}"))?,
            };
            given.push((index, checked(flag, value)?));
            break;
        }
    }
    Ok(Typed::Words(for_argh(flags, &given, &positional)))
}

fn for_argh(flags: &[FlagInfo<'_>], given: &[(usize, String)], positional: &[&String]) -> Vec<String> {
    let mut words = Vec::with_capacity(given.len() * 2 + positional.len() + 1);
    for (at, (index, value)) in given.iter().enumerate() {
        let flag = &flags[*index];
        let again = given[at + 1..].iter().any(|(later, _)| later == index);
        if again && flag.optionality != Optionality::Repeating {
            continue;
        }
        match flag.kind {
            FlagInfoKind::Switch if value == "false" => {}
            FlagInfoKind::Switch => words.push(flag.long.into()),
            FlagInfoKind::Option { .. } => words.extend([flag.long.into(), value.clone()]),
        }
    }
    words.push("--".into());
    words.extend(positional.iter().map(|word| (*word).clone()));
    words
}

fn find_long(flags: &[FlagInfo<'_>], name: &str) -> Option<usize> {
    let find = |name: &str| flags.iter().position(|flag| flag.long == name);
    find(name).or_else(|| {
        let (_, new) = ALIASES.iter().find(|(old, _)| *old == name)?;
        find(new)
    })
}

fn needs_no_value(flag: &FlagInfo<'_>) -> bool {
    matches!(flag.kind, FlagInfoKind::Switch | FlagInfoKind::Option { arg_name: BOOLEAN })
}

/// The value as it goes on; a boolean as `true` or `false`.
fn checked(flag: &FlagInfo<'_>, value: &str) -> Result<String, String> {
    if !needs_no_value(flag) {
        return Ok(value.into());
    }
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok("true".into()),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok("false".into()),
        _ => Err(format!("invalid argument \"{value}\" for {}: it is true or false", flag.long)),
    }
}

fn unknown(flags: &[FlagInfo<'_>], name: &str) -> String {
    match closest(name, flags.iter().filter(|flag| !flag.hidden).map(|flag| flag.long)) {
        Some(meant) => format!("unknown flag: {name} (did you mean {meant}?)"),
        None => format!("unknown flag: {name}"),
    }
}

/// The candidate that is most like the word, if one is like it at all.
pub fn closest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let bare = word.trim_start_matches('-');
    let most = bare.len() / 3 + 1;
    candidates
        .filter_map(|candidate| {
            let other = candidate.trim_start_matches('-');
            let starts = bare.len() >= 3 && other.starts_with(bare);
            let distance = if starts { 1 } else { distance(bare.as_bytes(), other.as_bytes()) };
            (distance <= most && distance < other.len().max(2)).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Least number of letters to add, drop, change or swap with the next one.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (row[j] + usize::from(x != y)).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        before = core::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use argh::prelude::*;

    use super::*;

    /// test
    #[derive(FromArgs, ArgsInfo, Debug)]
    #[allow(dead_code)]
    struct Run {
        /// x
        #[argh(switch, short = 'i')]
        interactive: bool,
        /// x
        #[argh(switch, short = 't')]
        tty: bool,
        /// x
        #[argh(switch)]
        rm: bool,
        /// x
        #[argh(option, short = 'p')]
        publish: Vec<String>,
        /// x
        #[argh(option)]
        name: Option<String>,
        /// x
        #[argh(option)]
        network: Vec<String>,
        /// x
        #[argh(option, arg_name = "bool", default = "true")]
        sig_proxy: bool,
        #[argh(positional)]
        image: String,
        #[argh(positional, greedy)]
        command: Vec<String>,
    }

    /// test
    #[derive(FromArgs, ArgsInfo, Debug)]
    #[allow(dead_code)]
    struct Rm {
        /// x
        #[argh(switch, short = 'f')]
        force: bool,
        #[argh(positional)]
        containers: Vec<String>,
    }

    fn words(info: &CommandInfoWithArgs, line: &str) -> String {
        let typed: Vec<String> = line.split_whitespace().map(String::from).collect();
        match normalize(info, &typed) {
            Ok(Typed::Words(words)) => words.join(" "),
            Ok(Typed::Help) => "HELP".into(),
            Err(message) => format!("error: {message}"),
        }
    }

    #[test]
    fn what_people_type_becomes_what_argh_reads() {
        let rows = [
            ("-it alpine sh", "--interactive --tty -- alpine sh"),
            ("-itp8080:80 x", "--interactive --tty --publish 8080:80 -- x"),
            ("-p=1:2 -p 3:4 x", "--publish 1:2 --publish 3:4 -- x"),
            ("--name=web x", "--name web -- x"),
            ("--name= x", "--name  -- x"),
            ("--name a=b x", "--name a=b -- x"),
            ("--name a --name b x", "--name b -- x"),
            ("--rm=false x", "-- x"),
            ("--rm --rm=0 x", "-- x"),
            ("--rm=0 --rm x", "--rm -- x"),
            ("-i=false -t=T x", "--tty -- x"),
            ("--sig-proxy x", "--sig-proxy true -- x"),
            ("--sig-proxy=f x", "--sig-proxy false -- x"),
            ("--net none x", "--network none -- x"),
            ("x -it --name y -- z", "-- x -it --name y -- z"),
            ("-i -- x -- y", "--interactive -- x -- y"),
            ("-p -1 x", "--publish -1 -- x"),
            ("- x", "-- - x"),
            ("x help --help", "-- x help --help"),
            ("-i --help x", "HELP"),
            ("-h", "HELP"),
            ("", "--"),
        ];
        for (typed, expected) in rows {
            assert_eq!(words(&Run::get_args_info(), typed), expected, "{typed}");
        }
        assert_eq!(words(&Rm::get_args_info(), "a -f b -- -c"), "--force -- a b -c");
    }

    #[test]
    fn wrong_flags_are_named() {
        let rows = [
            ("--nmae x", "error: unknown flag: --nmae (did you mean --name?)"),
            ("--inter x", "error: unknown flag: --inter (did you mean --interactive?)"),
            ("--zzzz x", "error: unknown flag: --zzzz"),
            ("-iZ x", "error: unknown shorthand flag: 'Z' in -iZ"),
            ("--name", "error: flag needs an argument: --name"),
            ("-ip", "error: flag needs an argument: 'p' in -ip"),
            ("--rm=maybe x", "error: invalid argument \"maybe\" for --rm: it is true or false"),
        ];
        for (typed, expected) in rows {
            assert_eq!(words(&Run::get_args_info(), typed), expected, "{typed}");
        }
    }

    #[test]
    fn a_word_is_close_to_its_misspellings_only() {
        let verbs = || ["run", "rm", "ps", "images", "start", "restart", "inspect"].into_iter();
        assert_eq!(closest("imgaes", verbs()), Some("images"));
        assert_eq!(closest("insp", verbs()), Some("inspect"));
        assert_eq!(closest("rum", verbs()), Some("run"));
        assert_eq!(closest("xyzzy", verbs()), None);
    }
}
