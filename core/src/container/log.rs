//! A container's output on disk: Docker's `json-file` format, byte for byte.
//!
//! ```text
//! log.json      {"log":"text\n","stream":"stdout","time":"2026-11-23T23:41:27.123456789Z"}
//! log.json.1    the same, older, up to log.json.<max-file - 1>
//! ```
//! A line of output is one line of the file. Without its line break it is a part: parts are what the stream ended with,
//! and the pieces of lines that have 16 KiB or more. Bytes that are not UTF-8 become U+FFFD, one for each. The
//! container's monitor writes with [`Writer`], server children read with [`Reader`].

mod line;
mod reader;
mod writer;

pub use line::escape;
pub use reader::{Entry, Query, Reader};
pub use writer::Writer;

use alloc::format;

use super::config::LogConfig;
use crate::{Error, Result};

/// The file's name in the container's directory.
pub const FILE_NAME: &str = "log.json";

/// Where output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// What is kept of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settings {
    /// Driver `none`.
    Nothing,
    /// Driver `json-file`.
    Files {
        /// A file of this size, in bytes, gets no further lines.
        max_size_bytes: Option<u64>,
        /// How many files there are at most, the newest included.
        max_files: u32,
    },
}

impl Settings {
    /// Reads `LogConfig`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for unknown drivers and options, and for bad values, in Docker's words where it has them.
    pub fn new(config: &LogConfig) -> Result<Settings> {
        match config.driver.as_str() {
            "none" => return Ok(Settings::Nothing),
            "" | "json-file" => {}
            driver => {
                return Err(Error::Invalid(format!("logger: no log driver named '{driver}' is registered")));
            }
        }
        let (mut max_size_bytes, mut max_files) = (None, 1);
        for (option, value) in &config.config {
            let bad = |wanted| Err(Error::Invalid(format!("log-opt {option}={value}: {wanted}")));
            match option.as_str() {
                "max-size" if value == "-1" => {}
                "max-size" => match size_bytes(value) {
                    Some(size) if size > 0 => max_size_bytes = Some(size),
                    _ => return bad("a size above 0 is wanted, as 10m"),
                },
                "max-file" => match value.parse() {
                    Ok(files) if files > 0 => max_files = files,
                    _ => return bad("max-file cannot be less than 1"),
                },
                _ => {
                    return Err(Error::Invalid(format!(
                        "unknown log opt '{option}' for json-file log driver"
                    )));
                }
            }
        }
        Ok(Settings::Files { max_size_bytes, max_files })
    }
}

/// `10`, `10k`, `10m`, `10g`, each also with a `b` behind; in powers of 1024.
fn size_bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn settings(driver: &str, options: &[(&str, &str)]) -> Result<Settings> {
        let config = options.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Settings::new(&LogConfig { driver: driver.into(), config })
    }

    #[test]
    fn drivers_and_options_are_read() {
        let files = |max_size_bytes, max_files| Ok(Settings::Files { max_size_bytes, max_files });
        assert_eq!(settings("", &[]), files(None, 1));
        assert_eq!(settings("none", &[]), Ok(Settings::Nothing));
        assert_eq!(
            settings("json-file", &[("max-size", "10m"), ("max-file", "3")]),
            files(Some(10 << 20), 3)
        );
        assert_eq!(settings("json-file", &[("max-size", "1KB")]), files(Some(1024), 1));
        assert_eq!(settings("json-file", &[("max-size", "-1")]), files(None, 1));
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        for (driver, option, value, error) in [
            ("asdf", "", "", "logger: no log driver named 'asdf' is registered"),
            ("", "compress", "true", "unknown log opt 'compress' for json-file log driver"),
            ("", "max-file", "0", "log-opt max-file=0: max-file cannot be less than 1"),
            ("", "max-size", "0", "log-opt max-size=0: a size above 0 is wanted, as 10m"),
            ("", "max-size", "ten", "log-opt max-size=ten: a size above 0 is wanted, as 10m"),
            (
                "",
                "max-size",
                "99999999999g",
                "log-opt max-size=99999999999g: a size above 0 is wanted, as 10m",
            ),
        ] {
            assert_eq!(settings(driver, &[(option, value)]).unwrap_err().to_string(), error);
        }
    }
}
