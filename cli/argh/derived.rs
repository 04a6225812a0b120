//! What the derived code and its run time do together.

use argh::{ArgsInfo, FlagInfoKind, FromArgs, Optionality};

/// does something
#[derive(Debug, PartialEq, FromArgs, ArgsInfo)]
struct Command {
    /// a switch
    #[argh(switch, short = 's')]
    switch: bool,
    /// a number
    #[argh(option, short = 'n', arg_name = "count")]
    number: Option<i64>,
    /// texts
    #[argh(option)]
    text: Vec<String>,
    /// with a default
    #[argh(option, default = "7")]
    other: u8,
    #[argh(positional)]
    first: String,
    #[argh(positional, greedy)]
    rest: Vec<String>,
}

fn read(line: &str) -> Result<Command, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    Command::from_args(&["command"], &words).map_err(|exit| exit.output)
}

#[test]
fn words_fill_the_slots() {
    let command = read("--switch --number -5 --text a --text b -- x -y --switch --").unwrap();
    let expected = Command {
        switch: true,
        number: Some(-5),
        text: vec!["a".into(), "b".into()],
        other: 7,
        first: "x".into(),
        rest: ["-y", "--switch", "--"].map(String::from).to_vec(),
    };
    assert_eq!(command, expected);
    let command = read("-s -n 1 x y --other").unwrap();
    assert_eq!((command.switch, command.number, command.rest.len()), (true, Some(1), 2));
}

#[test]
fn what_is_wrong_is_named() {
    for (line, message) in [
        ("--no x", "Unrecognized argument: --no\n"),
        ("x --number", "No value provided for option '--number'.\n"),
        (
            "--other 256 x",
            "Error parsing option '--other' with value '256': number too large to fit in target type\n",
        ),
        (
            "--number 1 --number 2 x",
            "Error parsing option '--number' with value '2': duplicate values provided\n",
        ),
        ("", "Required positional arguments not provided:\n    first\n"),
    ] {
        assert_eq!(read(line), Err(message.into()), "{line}");
    }
}

#[test]
fn a_command_describes_itself() {
    let info = Command::get_args_info();
    assert_eq!(info.description, "does something");
    let number = info.flags.iter().find(|flag| flag.long == "--number").unwrap();
    assert_eq!((number.short, &number.kind), (Some('n'), &FlagInfoKind::Option { arg_name: "count" }));
    assert_eq!(info.positionals[1].optionality, Optionality::Greedy);
}
