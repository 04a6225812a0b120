//! What a build is asked for, checked and in one form.

use alloc::{format, string::String, vec::Vec};

use crate::{
    Error, Result,
    build::{Options, plan::IMAGE_CONTEXT},
    engine::{Engine, build::check_limits, import::new_name},
    image::{config::ARCHITECTURE, reference::Reference},
};

/// Checks what can be checked before anything is read, and brings it into one form: the network is empty or has a
/// name, the platform is `linux/...` or empty. Gives the names that the image is to get.
///
/// # Errors
/// [`Error::NotFound`] without such a network, [`Error::Invalid`] for what is malformed, [`Error::Unsupported`] for other machines, and limits that this
/// host can't enforce.
pub(super) fn settle(options: &mut Options, engine: &Engine) -> Result<Vec<Reference>> {
    match options.network.as_str() {
        "default" => options.network.clear(),
        "" => {}
        name => options.network = engine.store.find_network(name)?.name,
    }
    settle_rest(options)
}

fn settle_rest(options: &mut Options) -> Result<Vec<Reference>> {
    if !options.platform.is_empty() {
        options.platform = own_platform(&options.platform)?;
    }
    options.annotations.check()?;
    if let Some((id, path)) = options.ssh.iter().find(|(_, path)| !path.starts_with('/')) {
        return Err(Error::Invalid(format!("invalid ssh agent {id}: {path:?} is not absolute")));
    }
    let is_named = |what: &str| what.starts_with('/') || what.starts_with(IMAGE_CONTEXT);
    if let Some((name, what)) = options.contexts.iter().find(|(_, what)| !is_named(what)) {
        return Err(Error::Invalid(format!("invalid build context {name}: {what:?} is not absolute")));
    }
    let directories = options.cache_to.iter().map(|to| &to.directory).chain(&options.cache_from);
    if let Some(path) = directories.into_iter().find(|path| !path.starts_with('/')) {
        return Err(Error::Invalid(format!("invalid cache directory {path:?}: it is not absolute")));
    }
    check_limits(options)?;
    options.tags.iter().map(|tag| new_name(tag, "")).collect()
}

/// This machine's platform, if that is what the text means.
fn own_platform(text: &str) -> Result<String> {
    let parts: Vec<&str> = text.split('/').collect();
    let processor = match parts[..] {
        ["linux"] => ARCHITECTURE,
        ["linux", processor] | [processor] => processor,
        ["linux", processor, variant]
            if matches!((processor, variant), ("amd64", "v1") | ("arm64", "v8")) =>
        {
            processor
        }
        _ => "",
    };
    let processor = match processor {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    if processor != ARCHITECTURE {
        return Err(Error::Unsupported(format!(
            "build for platform {text}: only this machine's, linux/{ARCHITECTURE}, is there"
        )));
    }
    Ok(format!("linux/{ARCHITECTURE}"))
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn options_are_settled_before_a_build() {
        let settled = |platform: &str, tag: &str| {
            let mut options =
                Options { platform: platform.into(), tags: [tag.into()].into(), ..Options::default() };
            let names = settle_rest(&mut options).map_err(|error| error.to_string())?;
            Ok::<_, String>([options.platform.as_str(), &names[0].familiar()].join(" "))
        };
        let own = format!("linux/{ARCHITECTURE}");
        assert_eq!(settled("", "box"), Ok(" box:latest".into()));
        assert_eq!(settled(ARCHITECTURE, "box:1"), Ok(format!("{own} box:1")));
        assert_eq!(settled("linux", "x.io/b"), Ok(format!("{own} x.io/b:latest")));
        for (platform, tag) in [
            ("linux/s390x", "b"),
            ("windows/amd64", "b"),
            ("linux/amd64,linux/arm64", "b"),
            ("", "B"),
            ("", ""),
        ] {
            assert!(settled(platform, tag).is_err(), "{platform} {tag}");
        }
    }
}
