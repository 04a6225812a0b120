//! `export`: a container's root file system as one tar, without what is mounted in it.

use rustix::fd::AsFd;

use super::Engine;
use crate::{
    Result,
    container::shelf::Container,
    engine::view::View,
    layer::pack::{Form, Pack, Sink},
    process::namespaces::Scope,
};

impl Engine {
    /// Opens a container's root for an export.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`]; as [`Engine::look_into`].
    pub fn exportable(&self, name: &str) -> Result<(Container, View)> {
        let container = self.shelf.find(name)?;
        let view = self.look_into(&container, Scope::RootAlone)?;
        Ok((container, view))
    }

    /// Writes the tar.
    ///
    /// # Errors
    /// Of the file system, and the sink's.
    pub fn export(&self, (container, view): &(Container, View), sink: &mut Sink<'_>) -> Result<()> {
        let root = view.root().as_fd();
        view.pack_within(&[root], sink, &|sink| {
            let mut hand_on = |part: &[u8]| sink(part);
            let mut pack = Pack::new(&mut hand_on, Form::Image);
            pack.content(root)?;
            pack.finish()
        })?;
        self.tell(&container.record, "export", &[]);
        Ok(())
    }
}
