//! `--annotation [TYPE[,TYPE]:]KEY=VALUE` -> what is noted of the image, and where.

use alloc::string::String;

use skiff_core::image::{annotations::Annotations, config::ARCHITECTURE};

/// Reads one into those that were there. Messages are Docker's where it has them.
pub fn read(text: &str, all: &mut Annotations) -> Result<(), String> {
    let (key, value) =
        text.split_once('=').ok_or_else(|| format!("invalid annotation {text:?}, expected key=value"))?;
    let (kinds, key) = key.split_once(':').unwrap_or(("manifest", key));
    if key.is_empty() {
        return Err(format!("invalid annotation {text:?}: its key is empty"));
    }
    for kind in kinds.split(',') {
        let map = match place(kind)? {
            "manifest" => &mut all.manifest,
            "manifest-descriptor" => &mut all.descriptor,
            "index" | "index-descriptor" => {
                return Err(format!("{kind} annotations not supported for single platform export"));
            }
            other => return Err(format!("unknown annotation type {other:?}")),
        };
        map.insert(key.into(), value.into());
    }
    Ok(())
}

/// The type without its platform, `manifest[linux/amd64]`, which can only be this machine's.
fn place(kind: &str) -> Result<&str, String> {
    let Some((place, platform)) = kind.split_once('[') else { return Ok(kind) };
    match platform.strip_suffix(']') {
        None => Err(format!(
            "invalid annotation type {kind:?}, expected type and optional platform in square brackets"
        )),
        Some(own) if own.strip_prefix("linux/") == Some(ARCHITECTURE) => Ok(place),
        Some(other) => {
            Err(format!("annotation for platform {other}: the image is for linux/{ARCHITECTURE} alone"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_says_where_it_is() {
        let mut all = Annotations::default();
        let own = format!("manifest[linux/{ARCHITECTURE}]:d=4");
        for text in ["a=1=x", "manifest:b=2", "manifest,manifest-descriptor:c=", &own, "a=2"] {
            read(text, &mut all).unwrap();
        }
        let pairs =
            |map: &[(&str, &str)]| map.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        assert_eq!(all.manifest, pairs(&[("a", "2"), ("b", "2"), ("c", ""), ("d", "4")]));
        assert_eq!(all.descriptor, pairs(&[("c", "")]));
        for (text, error) in [
            ("a", "invalid annotation \"a\", expected key=value"),
            ("=x", "invalid annotation \"=x\": its key is empty"),
            ("index:a=1", "index annotations not supported for single platform export"),
            (
                "manifest,index-descriptor:a=1",
                "index-descriptor annotations not supported for single platform export",
            ),
            ("layer:a=1", "unknown annotation type \"layer\""),
            (
                "manifest[linux:a=1",
                "invalid annotation type \"manifest[linux\", expected type and optional platform in \
              square brackets",
            ),
        ] {
            assert_eq!(read(text, &mut all), Err(error.into()));
        }
        let other = read("manifest[linux/none]:a=1", &mut all).unwrap_err();
        assert!(other.starts_with("annotation for platform linux/none: the image is for linux/"), "{other}");
    }
}
