//! `--secret id=NAME[,src=FILE|,env=VARIABLE]` -> the secret's id and its content.

use alloc::{string::String, vec::Vec};

use skiff_core::{dockerfile::mount, file};

use crate::{environment::Environment, failure::errno_words, files};

/// Docker's limit.
const BYTES_MAX: usize = 500 << 10;

/// Reads one. Messages are in Docker's words.
pub fn read(text: &str, own: &Environment) -> Result<(String, Vec<u8>), String> {
    let (mut id, mut path, mut variable, mut kind) =
        (String::new(), String::new(), String::new(), String::new());
    for field in mount::fields(text).map_err(|why| format!("failed to parse csv secret: {why}"))? {
        let Some((key, value)) = field.split_once('=') else {
            return Err(format!("invalid field '{field}' must be a key=value pair"));
        };
        match key.to_ascii_lowercase().as_str() {
            "type" if !matches!(value, "file" | "env") => {
                return Err(format!("unsupported secret type {value:?}"));
            }
            "type" => kind = value.into(),
            "id" => id = value.into(),
            "source" | "src" => path = value.into(),
            "env" => variable = value.into(),
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
    }
    if id.is_empty() {
        return Err("secret missing ID".into());
    }
    if kind == "env" && variable.is_empty() {
        variable = core::mem::take(&mut path);
    }
    if variable.is_empty() && path.is_empty() {
        // What is called like it: a variable, or else a file.
        if kind != "file" && own.get(&id).is_some() || kind == "env" {
            variable.clone_from(&id);
        } else {
            path.clone_from(&id);
        }
    }
    if !variable.is_empty() {
        let value = own.get(&variable);
        let value = value.ok_or_else(|| format!("secret {id}: there is no variable {variable}"))?;
        return Ok((id, value.as_bytes().into()));
    }
    let content = files::open(&path).and_then(|file| file::read_all(file, BYTES_MAX + 1));
    let content = content.map_err(|errno| format!("secret {id}: open {path}: {}", errno_words(errno)))?;
    if content.len() > BYTES_MAX {
        return Err(format!("secret {path:?} too big. max size 500KB"));
    }
    Ok((id, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_variable_or_a_file() {
        let own = Environment::new([c"TOKEN=t0", c"id=x"].into_iter());
        let read = |text: &str| read(text, &own).map(|(id, bytes)| (id, String::from_utf8(bytes).unwrap()));
        let secret = |id: &str, content: &str| Ok((id.into(), content.into()));
        assert_eq!(read("id=a,env=TOKEN"), secret("a", "t0"));
        assert_eq!(read("type=env,id=TOKEN"), secret("TOKEN", "t0"));
        assert_eq!(read("ID=a,type=env,src=TOKEN"), secret("a", "t0"));
        assert_eq!(read("id=TOKEN"), secret("TOKEN", "t0"));
        let path = format!("/tmp/skiff-secret-{}", rustix::process::getpid().as_raw_nonzero());
        std::fs::write(&path, "file\n").unwrap();
        assert_eq!(read(&format!("id=a,src={path}")), secret("a", "file\n"));
        assert_eq!(read(&format!("\"id=a\",source={path},type=file")), secret("a", "file\n"));
        std::fs::write(&path, [b'x'; BYTES_MAX + 1]).unwrap();
        assert_eq!(
            read(&format!("id=a,src={path}")),
            Err(format!("secret {path:?} too big. max size 500KB"))
        );
        std::fs::remove_file(&path).unwrap();
        for (text, error) in [
            ("src=x", "secret missing ID"),
            ("id", "invalid field 'id' must be a key=value pair"),
            ("id=a,mode=1", "unexpected key 'mode' in 'mode=1'"),
            ("id=a,type=x", "unsupported secret type \"x\""),
            ("id=a,env=NOPE", "secret a: there is no variable NOPE"),
            ("id=/no/such", "secret /no/such: open /no/such: no such file or directory"),
        ] {
            assert_eq!(read(text), Err(error.into()), "{text}");
        }
    }
}
