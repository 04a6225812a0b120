//! A build context that comes as a tar -> a directory of the store.

use super::Engine;
use crate::{
    Context as _, Result,
    layer::{
        place::{self, Owner, Replace, Rules},
        unpack::Source,
    },
    store::Scratch,
};

impl Engine {
    /// An empty directory, which goes with the value.
    ///
    /// # Errors
    /// Of the file system.
    pub fn empty_context(&self) -> Result<Scratch> {
        self.sweep_store();
        self.store.scratch(&self.store.share()?)
    }

    /// Unpacks a context, compressed or not. Names that mean something in a layer are names like any other; nothing gets
    /// out of the directory, whatever links there are, and everything belongs to whoever runs this.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt) for the archive; of the file system. Nothing is left behind.
    pub fn receive_context(&self, source: &mut Source<'_>) -> Result<Scratch> {
        let scratch = self.empty_context()?;
        let root = scratch.directory().try_clone().context("duplicate", "context")?;
        let rules = Rules { replace: Replace::Anything, owner: Owner::Maker, rename: None };
        place::place(source, root, b"", &rules)?;
        Ok(scratch)
    }
}
