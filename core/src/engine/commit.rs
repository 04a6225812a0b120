//! `commit`: what a container has written becomes a layer, and that with its image a new image.
//!
//! ```text
//! child: walk the upper directory, write the tar ── pipe ──> this process: sha256 ── pipe ──> child: write the layer's tree
//! ```

use alloc::{format, string::String, vec, vec::Vec};

use rustix::{
    fd::{AsFd, OwnedFd},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
};
use skiff_syscalls::signal::SignalSet;

use super::{
    Engine,
    import::{new_name, unpack_layer},
};
use crate::{
    Context, Error, Result,
    build::change,
    clock::Time,
    container::{config::Config, record::Record, state::Status},
    digest::{Digest, ImageId},
    file,
    fork::{self, work::Work},
    image::config::{ImageConfig, Step},
    layer::{
        pack::{Form, Pack},
        unpack::Unpacked,
    },
    store::{ImageRecord, Scratch, Store},
};

/// What a user says of the new image.
#[derive(Debug, Default)]
pub struct Commit<'a> {
    /// What it is to be called; nothing if empty.
    pub repository: &'a str,
    /// The tag, unless `repository` has it; `latest` if empty.
    pub tag: &'a str,
    /// A note that stays with it.
    pub comment: &'a str,
    /// Who made it.
    pub author: &'a str,
    /// Instructions in Dockerfile syntax.
    pub changes: &'a [String],
    /// Settings in place of the container's own.
    pub config: Option<Config>,
    /// The container is frozen meanwhile.
    pub pause: bool,
    /// The image was made then, and no file in its layer was changed later: so it is the same image each time.
    pub epoch: Option<Time>,
}

impl Engine {
    /// Makes an image of a container. One that has written nothing gives an image with the layers of its own.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] for what was said; [`Error::Conflict`] for a container on the host's own root;
    /// of the file system. Nothing is left behind.
    pub fn commit(&self, name: &str, said: Commit<'_>) -> Result<ImageId> {
        if name.is_empty() {
            return Err(Error::Invalid("invalid name or ID supplied: \"\"".into()));
        }
        let container = self.shelf.find(name)?;
        let record = &container.record;
        let reference = match said.repository {
            "" => None,
            repository => Some(new_name(repository, said.tag)?),
        };
        let mut config = said.config.unwrap_or_else(|| record.config.clone());
        change::apply_all(&mut config, said.changes)?;
        config.complete(&record.config);
        let config = portable(config);
        let parent =
            if record.image.is_empty() { None } else { Some(ImageId(Digest::parse(&record.image)?)) };
        self.sweep_store();

        let running = self.shelf.state(&record.id)?.status == Status::Running;
        let frozen = match (said.pause && running).then(|| self.freeze_for_now(&record.id)).transpose() {
            // It has ended meanwhile.
            Err(Error::Conflict(_)) if self.shelf.state(&record.id)?.status == Status::Exited => None,
            other => other?,
        };
        let layer = self
            .changed_directories(&container)
            .and_then(|(upper, lower)| layer_of(&self.store, vec![upper], lower, said.epoch));
        drop(frozen);
        let (scratch, unpacked) = layer?;

        let locked = self.store.share()?;
        let parent = parent.ok_or_else(|| Error::Corrupt("the container has no image".into()))?;
        let below = self.store.image(&parent)?.config;
        let is_empty = unpacked.is_empty();
        // Whatever was removed meanwhile is missed here, before anything refers to it.
        let mut size_bytes = self.size_of(&below.rootfs.diff_ids)?;
        if !is_empty {
            size_bytes += unpacked.applied.facts.size_bytes;
        }
        let mut image = child(below, record, config, said.author, said.comment, &unpacked, is_empty);
        if let Some(epoch) = said.epoch {
            image.created = Some(format!("{epoch}"));
            if let Some(step) = image.history.last_mut() {
                step.created = image.created.clone();
            }
        }
        image.check_depth()?;
        let mut publication = self.store.publication(&locked)?;
        if !is_empty {
            publication = publication.layer(&unpacked.layer, &scratch, &unpacked.applied.facts)?;
        }
        let listed =
            ImageRecord { size_bytes, added: Time::now(), parent: Some(parent), ..ImageRecord::default() };
        let (mut publication, id) = publication.image(&image.to_json(), &listed)?;
        if let Some(reference) = &reference {
            publication = publication.name(reference, &id)?;
        }
        publication.commit()?;
        let familiar = reference.as_ref().map_or(String::new(), |reference| reference.familiar());
        if reference.is_some() {
            self.tell_image(&id, "tag", &familiar);
        }
        let image_id = format!("{id}");
        let more =
            [("comment", said.comment), ("imageID", image_id.as_str()), ("imageRef", familiar.as_str())];
        self.tell(record, "commit", &more);
        Ok(id)
    }

    /// Freezes a container until the value is dropped, or until this process ends, however it ends.
    fn freeze_for_now(&self, id: &str) -> Result<Frozen> {
        let (end, ender) = pipe_with(PipeFlags::CLOEXEC).context("make pipe", "")?;
        let (data_path, run_path) = (self.data_path.as_str(), self.run_path.as_str());
        let thawing = fork::child(&[end.as_fd()], || {
            let _ = rustix::process::setsid();
            fork::own_signals(SignalSet::EMPTY);
            let _ = file::read_part(&end, &mut [0]);
            // It may have been killed meanwhile, or never frozen.
            let thaw = || -> Result<()> {
                fork::null_streams()?;
                Engine::open(data_path, run_path)?.unpause(id)
            };
            i32::from(thaw().is_err())
        })?;
        let frozen = Frozen { ender: Some(ender), thawing };
        self.pause(id)?;
        Ok(frozen)
    }
}

/// The layer of what was written to upper directories, the top one first, above `lower`, ready to be published. No time in
/// it is later than `epoch`.
///
/// # Errors
/// Of the file system.
pub(super) fn layer_of(
    store: &Store,
    uppers: Vec<OwnedFd>,
    lower: OwnedFd,
    epoch: Option<Time>,
) -> Result<(Scratch, Unpacked)> {
    let (archive, to_archive) = pipe_with(PipeFlags::CLOEXEC).context("make pipe", "")?;
    let _ = rustix::pipe::fcntl_setpipe_size(&to_archive, 1 << 20);
    let mut kept = vec![lower.as_fd(), to_archive.as_fd()];
    kept.extend(uppers.iter().map(AsFd::as_fd));
    let walker = Work::begin(&kept, || {
        let copy = |fd: &OwnedFd| fd.try_clone().context("duplicate", "directory");
        let (lower, uppers) = (copy(&lower)?, uppers.iter().map(copy).collect::<Result<_>>()?);
        let mut sink = |part: &[u8]| file::write_all(&to_archive, part).context("write", "pipe");
        let mut pack = Pack::new(&mut sink, Form::Layer(lower));
        if let Some(epoch) = epoch {
            pack.clamp_times(epoch.unix());
        }
        pack.merged(uppers)?;
        pack.finish()
    })?;
    drop(to_archive);
    let mut source = |buffer: &mut [u8]| file::read_part(&archive, buffer).context("read", "pipe");
    let unpacked = unpack_layer(store, &mut source);
    drop(archive);
    match walker.end() {
        // It broke off because nobody read any more.
        Err(Error::Os { errno: Errno::PIPE, .. }) if unpacked.is_err() => unpacked,
        ended => ended.and(unpacked),
    }
}

/// A container that does not go on for now.
struct Frozen {
    /// The end of this is what the other process waits for.
    ender: Option<OwnedFd>,
    thawing: fork::Child,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        drop(self.ender.take());
        let _ = fork::wait(&self.thawing.pidfd);
    }
}

/// The image above `below`.
fn child(
    below: ImageConfig,
    record: &Record,
    config: Config,
    author: &str,
    comment: &str,
    unpacked: &Unpacked,
    is_empty: bool,
) -> ImageConfig {
    let created = Some(format!("{}", Time::now()));
    let mut image = ImageConfig {
        config,
        author: author.into(),
        comment: comment.into(),
        created: created.clone(),
        ..below
    };
    image.history.push(Step {
        created,
        created_by: record.config.cmd.as_deref().unwrap_or_default().join(" "),
        author: author.into(),
        comment: comment.into(),
        empty_layer: is_empty,
    });
    if !is_empty {
        image.rootfs.diff_ids.push(unpacked.layer);
    }
    image
}

/// Without what belongs to one container only.
fn portable(config: Config) -> Config {
    Config {
        hostname: String::new(),
        domainname: String::new(),
        attach_stdin: false,
        attach_stdout: false,
        attach_stderr: false,
        tty: false,
        open_stdin: false,
        stdin_once: false,
        image: String::new(),
        ..config
    }
}
