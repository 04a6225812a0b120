//! A writer of JSON text for answers: no intermediate values, no generics, keys in the order of the calls.
//!
//! A comma is due exactly if the text does not end in an opening bracket, a colon or a line break, so there is no
//! state but the text itself.

use alloc::string::String;
use core::fmt::Write;

/// JSON text in the making.
#[derive(Debug, Default)]
pub struct Json {
    text: String,
}

impl Json {
    /// An empty text.
    pub fn new() -> Self {
        Json { text: String::with_capacity(512) }
    }

    /// An empty text that is likely to get so many bytes.
    pub fn with_room(bytes: usize) -> Self {
        Json { text: String::with_capacity(bytes.max(512)) }
    }

    /// The line that says in a stream what went wrong, with a program's exit code if that is it.
    pub fn error_line(message: &str, code: Option<i64>) -> Self {
        let mut json = Json::new();
        json.open_object().key("errorDetail").open_object();
        if let Some(code) = code {
            json.key("code").number(code);
        }
        json.key("message").string(message).close_object().key("error").string(message).close_object();
        json.line_break();
        json
    }

    /// The text.
    pub fn into_bytes(self) -> alloc::vec::Vec<u8> {
        self.text.into_bytes()
    }

    /// The text so far.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn comma(&mut self) {
        if !matches!(self.text.as_bytes().last(), None | Some(b'{' | b'[' | b':' | b'\n')) {
            self.text.push(',');
        }
    }

    /// `"key":`; the value comes next.
    pub fn key(&mut self, key: &str) -> &mut Self {
        self.string(key);
        self.text.push(':');
        self
    }

    /// `{`
    pub fn open_object(&mut self) -> &mut Self {
        self.comma();
        self.text.push('{');
        self
    }

    /// `}`
    pub fn close_object(&mut self) -> &mut Self {
        self.text.push('}');
        self
    }

    /// `[`
    pub fn open_array(&mut self) -> &mut Self {
        self.comma();
        self.text.push('[');
        self
    }

    /// `]`
    pub fn close_array(&mut self) -> &mut Self {
        self.text.push(']');
        self
    }

    /// A string, escaped.
    pub fn string(&mut self, value: &str) -> &mut Self {
        self.comma();
        self.text.push('"');
        let mut plain = 0;
        for (at, byte) in value.bytes().enumerate() {
            let short = match byte {
                b'"' => "\\\"",
                b'\\' => "\\\\",
                b'\n' => "\\n",
                b'\r' => "\\r",
                b'\t' => "\\t",
                0..32 => "",
                _ => continue,
            };
            self.text.push_str(&value[plain..at]);
            plain = at + 1;
            if short.is_empty() {
                // Writing to a string can't fail.
                let _ = write!(self.text, "\\u{byte:04x}");
            } else {
                self.text.push_str(short);
            }
        }
        self.text.push_str(&value[plain..]);
        self.text.push('"');
        self
    }

    /// A whole number.
    pub fn number(&mut self, value: i64) -> &mut Self {
        self.comma();
        let _ = write!(self.text, "{value}");
        self
    }

    /// A whole number that has no sign.
    pub fn unsigned(&mut self, value: u64) -> &mut Self {
        self.comma();
        let _ = write!(self.text, "{value}");
        self
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, value: bool) -> &mut Self {
        self.raw(if value { "true" } else { "false" })
    }

    /// `null`
    pub fn null(&mut self) -> &mut Self {
        self.raw("null")
    }

    /// Text that is JSON already.
    pub fn raw(&mut self, json: &str) -> &mut Self {
        self.comma();
        self.text.push_str(json);
        self
    }

    /// A value that serializes itself.
    pub fn value<T: serde::Serialize>(&mut self, value: &T) -> &mut Self {
        // Only maps with keys that are no strings fail, and there are none.
        self.raw(&serde_json::to_string(value).unwrap_or_else(|_| "null".into()))
    }

    /// A list of strings.
    pub fn strings<S: AsRef<str>>(&mut self, values: &[S]) -> &mut Self {
        self.open_array();
        for value in values {
            self.string(value.as_ref());
        }
        self.close_array()
    }

    /// Ends a line of newline-delimited JSON.
    pub fn line_break(&mut self) -> &mut Self {
        self.text.push('\n');
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_come_by_themselves() {
        let mut json = Json::new();
        json.open_object().key("a").number(-1).key("b").open_array().close_array().key("c");
        json.open_array().open_object().close_object().null().boolean(true).string("x").close_array();
        json.key("d").strings(&["p", "q"]).key("e").unsigned(u64::MAX).close_object();
        assert_eq!(
            json.as_str(),
            r#"{"a":-1,"b":[],"c":[{},null,true,"x"],"d":["p","q"],"e":18446744073709551615}"#
        );
    }

    #[test]
    fn every_string_reads_back_as_it_was() {
        let mut text = String::new();
        for c in (0..0x250).chain(0x1f600..0x1f610).filter_map(char::from_u32) {
            text.push(c);
        }
        text.push_str("{[:\",\n");
        let mut json = Json::new();
        json.open_array().string(&text).string("{").string("").close_array();
        let back: alloc::vec::Vec<String> = serde_json::from_str(json.as_str()).unwrap();
        assert_eq!(back, [text.as_str(), "{", ""]);
    }
}
