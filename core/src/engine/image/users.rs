//! Which containers use which images.

use alloc::{string::String, vec::Vec};

use super::super::Engine;
use crate::{
    Error, Result,
    container::record::Listed,
    digest::{Digest, ImageId},
};

/// A container that uses an image.
pub struct User {
    /// The container's id.
    pub id: String,
    /// A monitor looks after it.
    pub is_active: bool,
}

impl User {
    /// The id as people see it.
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}

/// Who uses which images.
pub struct Users {
    containers: Vec<(ImageId, User)>,
    /// A record could not be read, or a config is gone, so nobody knows what that container uses.
    unknown: bool,
}

impl Users {
    /// Those of one image.
    pub fn of<'a>(&'a self, image: &ImageId) -> impl Iterator<Item = &'a User> {
        let image = *image;
        self.containers.iter().filter(move |(used, _)| *used == image).map(|(_, user)| user)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &(ImageId, User)> {
        self.containers.iter()
    }

    /// The images that are used; `None` if that is not known of all containers.
    pub fn images(&self) -> Option<Vec<ImageId>> {
        (!self.unknown).then(|| self.containers.iter().map(|(id, _)| *id).collect())
    }
}

impl Engine {
    /// Looks at all containers.
    ///
    /// # Errors
    /// Of the file system.
    pub fn image_users(&self) -> Result<Users> {
        let mut users = Users { containers: Vec::new(), unknown: false };
        for id in self.shelf.ids()? {
            match self.shelf.load::<Listed>(&id) {
                Ok(Some(record)) => {
                    let Ok(image) = Digest::parse(&record.image) else { continue };
                    let image = ImageId(image);
                    let is_active = self.shelf.state(&id).is_ok_and(|state| state.status.is_active());
                    // One that runs has layers, whether somebody has taken away what names them or not.
                    users.unknown |= is_active && !self.store.has_blob(&image.config_blob());
                    users.containers.push((image, User { id, is_active }));
                }
                // Removed since the directory was listed.
                Ok(None) | Err(Error::NotFound(_)) => {}
                Err(_) => users.unknown = true,
            }
        }
        Ok(users)
    }
}
