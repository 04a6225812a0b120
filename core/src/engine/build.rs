//! `build`: the steps of a Dockerfile, run or taken from the cache, become an image.

use super::Engine;
use crate::{
    Error, Result,
    build::{Options, context::Context, progress::Event},
    digest::ImageId,
};

/// A Dockerfile.
#[derive(Debug)]
pub struct File<'a> {
    /// What it is called in messages.
    pub name: &'a str,
    /// Its text.
    pub bytes: &'a [u8],
}

/// Takes what is to be told. An error ends the build.
pub type Tell<'a> = dyn FnMut(Event) -> Result<()> + 'a;

impl Engine {
    /// Builds an image.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the Dockerfile and the options; what went wrong in a step. Finished steps stay in the cache.
    pub fn build(
        &self,
        _file: &File<'_>,
        _context: &Context,
        _options: &Options,
        _tell: &mut Tell<'_>,
    ) -> Result<ImageId> {
        Err(Error::Unsupported("build is not there yet".into()))
    }
}
