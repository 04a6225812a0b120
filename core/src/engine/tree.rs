//! The files of an image as one tree, and as a tar of it.

use alloc::{string::ToString, vec::Vec};

use rustix::fd::{AsFd, OwnedFd};

use super::{Engine, root::merged};
use crate::{
    Context, Result, file,
    layer::pack::{Form, Pack, Sink},
    store::{HeldLayer, Scratch},
};

/// An overlay of one directory is none, and that shows what its layer hides.
const LEAST: usize = 2;

/// What an image shows, mounted nowhere. Its layers stay while this is there.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
    _held: Vec<HeldLayer>,
    _scratch: Scratch,
}

impl Engine {
    /// Opens the tree of an image.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`]; [`crate::Error::Corrupt`] if a layer is missing; of the kernel.
    pub fn image_tree(&self, name: &str) -> Result<Tree> {
        let locked = self.store.share()?;
        let layers = self.store.resolve(name)?.config.rootfs.diff_ids;
        let held = layers.iter().map(|layer| self.store.hold_layer(&locked, layer));
        let held = held.collect::<Result<_>>()?;
        let mut trees = self.store.open_layers(&layers)?;
        let scratch = self.store.scratch(&locked)?;
        while trees.len() < LEAST {
            let empty = trees.len().to_string();
            let made = file::subdirectory(scratch.directory(), empty.as_str(), 0o755);
            trees.push(made.context("create", &empty)?);
        }
        Ok(Tree { root: merged(&trees)?, _held: held, _scratch: scratch })
    }

    /// Writes all that is in it as a tar.
    ///
    /// # Errors
    /// Of the file system, and the sink's.
    pub fn pack_tree(&self, tree: Tree, sink: &mut Sink<'_>) -> Result<()> {
        let mut hand_on = |part: &[u8]| sink(part);
        let mut pack = Pack::new(&mut hand_on, Form::Image);
        pack.content(tree.root.as_fd())?;
        pack.finish()?;
        // What was taken away meanwhile.
        drop(tree);
        self.sweep_store();
        Ok(())
    }
}
