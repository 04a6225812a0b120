//! The `platform` query value of requests about an image: `{"os":"linux","architecture":"arm64","variant":"v8"}`.

use alloc::{format, string::String};

use serde::Deserialize;

use super::exchange::Exchange;
use crate::{Error, Result, store::Image};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Platform {
    os: String,
    architecture: String,
    variant: String,
}

/// Checks that the image is for the platform that the client asks for, if it does.
///
/// # Errors
/// [`Error::NotFound`] in Docker's words; [`Error::Invalid`] for what is no platform.
pub(super) fn check(exchange: &Exchange<'_>, image: &Image) -> Result<()> {
    let Some(text) = exchange.query.text("platform")?.filter(|text| !text.is_empty()) else { return Ok(()) };
    let wanted: Platform = serde_json::from_str(text)
        .map_err(|_| Error::Invalid(format!("failed to parse platform: {text} is not JSON of a platform")))?;
    let has = |wanted: &str, own: &str| wanted.is_empty() || wanted == own;
    let config = &image.config;
    if has(&wanted.os, "linux")
        && has(&wanted.architecture, &config.architecture)
        && (config.variant.is_empty() || has(&wanted.variant, &config.variant))
    {
        return Ok(());
    }
    let mut shown = format!("{}/{}", wanted.os, wanted.architecture);
    if !wanted.variant.is_empty() {
        shown = format!("{shown}/{}", wanted.variant);
    }
    Err(Error::NotFound(format!(
        "image with reference {} was found but does not provide the specified platform ({shown})",
        exchange.name()
    )))
}
