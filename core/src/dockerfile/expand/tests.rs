use alloc::string::ToString;

use super::*;

fn lookup(name: &str) -> Option<&'static str> {
    Some(match name {
        "A" => "alpha",
        "E" => "",
        "P" => "80 81",
        "F" => "/a/b.tar.gz",
        "S" => "a*b",
        "é" => "accent",
        "B" => "x}y/z",
        _ => return None,
    })
}

#[test]
fn words_are_expanded_as_buildkit_does() {
    for (word, expected) in [
        ("", ""),
        ("plain", "plain"),
        ("$A", "alpha"),
        ("${A}", "alpha"),
        ("x${A}y$A-z", "xalphayalpha-z"),
        ("$é", "accent"),
        ("$NOPE", ""),
        ("$Ab", ""),
        ("$1x$@$*$#$?$-$$$!$0a", "xa"),
        ("$123", ""),
        ("$", "$"),
        ("a$ b", "a$ b"),
        ("$.", "$."),
        ("'$A'", "$A"),
        ("\"$A\"", "alpha"),
        ("\"a 'b' $A\"", "a 'b' alpha"),
        ("'a \"b\"'", "a \"b\""),
        ("\\$A", "$A"),
        ("\\a\\\\", "a\\"),
        ("a\\", "a"),
        ("\"\\a\\\"\\$A\\\\\"", "\\a\"$A\\"),
        ("${N:-w}", "w"),
        ("${N-w}", "w"),
        ("${E:-w}", "w"),
        ("${E-w}", ""),
        ("${A:-w}${A-w}", "alphaalpha"),
        ("${N:+w}${N+w}${E:+w}", ""),
        ("${E+w}${A:+w}${A+w}", "www"),
        ("${A:?w}${A?w}${E?w}", "alphaalpha"),
        ("${N:-${M:-$A}}", "alpha"),
        ("${N:-'a}b'}", "a}b"),
        ("${N:-a\\}b}", "a}b"),
        ("${N:-}", ""),
        ("${F#*/}", "a/b.tar.gz"),
        ("${F##*/}", "b.tar.gz"),
        ("${F%.*}", "/a/b.tar"),
        ("${F%%.*}", "/a/b"),
        ("${F#x}", "/a/b.tar.gz"),
        ("${A#al?}", "ha"),
        ("${S#a\\*}", "b"),
        ("${A/a/x}", "xlpha"),
        ("${A//a/x}", "xlphx"),
        ("${A//a/}", "lph"),
        ("${A/l*h/-}", "a-a"),
        ("${F//\\//-}", "-a-b.tar.gz"),
        ("${F//\\//\\/}", "\\/a\\/b.tar.gz"),
        ("${B#*\\}}", "y/z"),
        ("${N/a/b}", ""),
    ] {
        assert_eq!(expand(word, '\\', &lookup), Ok(expected.to_string()), "{word}");
    }
    assert_eq!(expand("`$A\\", '`', &lookup), Ok("$A\\".to_string()));
}

#[test]
fn mistakes_have_buildkits_words() {
    for (word, expected) in [
        ("\"a", "unexpected end of statement while looking for matching double-quote"),
        ("'a", "unexpected end of statement while looking for matching single-quote"),
        ("${}", "syntax error: bad substitution"),
        ("${:x}", "syntax error: bad substitution"),
        ("${{", "syntax error: bad substitution"),
        ("${", "syntax error: missing '}'"),
        ("${A:-", "syntax error: missing '}'"),
        ("${A:-b", "syntax error: missing '}'"),
        ("${A/b}", "syntax error: missing '/' in ${}"),
        ("${A/b/", "syntax error: missing '}'"),
        ("${A:=x}", "unsupported modifier (:=) in substitution"),
        ("${A=x}", "unsupported modifier (=) in substitution"),
        ("${N:?}", "N: is not allowed to be unset"),
        ("${N?}", "N: is not allowed to be unset"),
        ("${E:?}", "E: is not allowed to be empty"),
        ("${N:?why not}", "N: why not"),
        ("${A#a\\b}", "invalid pattern (a\\b) in substitution: invalid escape '\\b'"),
    ] {
        let error = expand(word, '\\', &lookup).unwrap_err();
        assert_eq!(error, format!("failed to process {word:?}: {expected}"));
    }
}

#[test]
fn values_split_into_words_where_nothing_quotes_them() {
    for (word, expected) in [
        ("$P", &["80", "81"][..]),
        ("\"$P\"", &["80 81"]),
        ("x$P/udp", &["x80", "81/udp"]),
        ("$NOPE", &[]),
        ("a\\ b", &["a b"]),
        (" a  b ", &["a", "b"]),
        ("'a b'c", &["a bc"]),
    ] {
        assert_eq!(words(word, '\\', &lookup).unwrap(), expected, "{word}");
    }
}

#[test]
fn quotes_in_a_document_are_text() {
    assert_eq!(body("it's \"$A\" \\$A\n", &lookup).unwrap(), "it's \"alpha\" $A\n");
}

#[test]
fn hostile_words_end_soon() {
    let deep = "${A:+".repeat(1000);
    assert!(expand(&deep, '\\', &lookup).unwrap_err().contains("nested more than"));
    let long = "x".repeat(LONGEST / 2);
    let lookup = |_: &str| Some(long.as_str());
    assert_eq!(expand("$A$A", '\\', &lookup).unwrap().len(), LONGEST);
    assert!(expand("$A$A$A", '\\', &lookup).unwrap_err().contains("expands to more than"));
    assert!(expand("${A//x/xxx}", '\\', &lookup).unwrap_err().contains("expands to more than"));
    assert!(expand(&format!("${{A#{}}}", "*x".repeat(1000)), '\\', &lookup).is_err());
    assert!(expand(&format!("${{A#{}y}}", "*x".repeat(400)), '\\', &lookup).is_ok());
}

#[test]
fn patterns_take_the_shortest_or_the_longest() {
    let pattern = |text| Pattern::parse(text).unwrap();
    for (text, value, shortest, longest) in [
        ("a*c", "abcabcx", "abcx", "x"),
        ("*", "abc", "abc", ""),
        ("", "abc", "abc", "abc"),
        ("?", "abc", "bc", "bc"),
        ("b", "abc", "abc", "abc"),
        ("*a*b", "xaabb", "b", ""),
        ("abcd", "abc", "abc", "abc"),
    ] {
        assert_eq!(pattern(text).trim_start(value, false), shortest, "{text}");
        assert_eq!(pattern(text).trim_start(value, true), longest, "{text}");
    }
    assert_eq!(pattern("*").replace("é", "x", usize::MAX, 9).unwrap(), "x");
    assert_eq!(pattern("x").replace("", "y", usize::MAX, 9).unwrap(), "");
}
