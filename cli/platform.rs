//! `--platform` of commands about one image: text -> JSON, as the API takes it. Pure.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use serde_json::json;
use skiff_core::image::config::ARCHITECTURE;

use crate::failure::Failure;

/// `os[/arch[/variant]]`, or the processor alone, as the API takes it.
pub fn to_json(text: &str) -> Result<String, Failure> {
    let known = |word: &&str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    };
    let words: Vec<&str> = text.split('/').collect();
    // Docker's words.
    let invalid = |why: String| Failure::new(format!("invalid platform: {why}: invalid argument"));
    if let Some(word) = words.iter().find(|word| !known(word)) {
        return Err(invalid(format!(
            "{word:?} is an invalid component of {text:?}: platform specifier component must match \"^[A-Za-z0-9_.-]+$\""
        )));
    }
    let (os, processor, variant) = match words[..] {
        ["linux"] => ("linux", ARCHITECTURE, ""),
        [processor] => ("linux", processor, ""),
        [os, processor] => (os, processor, ""),
        [os, processor, variant] => (os, processor, variant),
        _ => return Err(invalid(format!("{text:?}: cannot parse platform specifier"))),
    };
    let processor = match processor {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let mut platform = json!({"architecture": processor, "os": os});
    if !variant.is_empty() {
        platform["variant"] = variant.into();
    }
    Ok(platform.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_read_as_people_write_it() {
        let read = |text: &str| to_json(text).map_err(|failure| failure.message);
        let arm = r#"{"architecture":"arm64","os":"linux","variant":"v8"}"#;
        assert_eq!(read("linux/arm64/v8").as_deref(), Ok(arm));
        assert_eq!(read("x86_64").as_deref(), Ok(r#"{"architecture":"amd64","os":"linux"}"#));
        assert_eq!(read("linux"), read(&format!("linux/{ARCHITECTURE}")));
        for text in ["", "/", "linux/", "a b", "a/b/c/d"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
