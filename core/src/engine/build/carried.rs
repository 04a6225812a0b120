//! `--cache-to` and `--cache-from`: steps in a directory that can be carried to another machine.
//!
//! ```text
//! DIR/steps/KEY            what came of the step, as JSON
//! DIR/layers/HEX           the tar of a layer, named by its digest
//! ```
//! Whoever gives a directory with `--cache-from` believes what it says of a step; that a layer is the one that is named, is
//! checked.

use alloc::format;

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, Mode, OFlags},
    io::Errno,
};

use super::{super::import::unpack_layer, Build};
use crate::{
    Context, Error, Result,
    build::CacheTo,
    digest::{DiffId, Digest},
    file,
    store::{LayerFacts, Locked, Scratch, StepRecord},
};

const STEPS: &str = "steps";
const LAYERS: &str = "layers";

impl Build<'_> {
    /// Writes these steps to a directory, where they are not there yet.
    pub(super) fn carry(&mut self, to: &CacheTo, keys: &[Digest]) -> Result<()> {
        self.shown(&format!("exporting cache to {}", to.directory), |build, begun| {
            let root = file::make_host_directories(&to.directory, 0o755)?;
            let [steps, layers] = [STEPS, LAYERS].map(|name| file::subdirectory(&root, name, 0o755));
            let (steps, layers) = (steps.context("create", STEPS)?, layers.context("create", LAYERS)?);
            let locked = build.engine.store.share()?;
            for key in keys {
                let name = key.hex();
                if exists(&steps, name.as_str()) {
                    continue;
                }
                // One that was pruned meanwhile is not missed.
                let Some(record) = build.engine.store.step(&locked, key) else { continue };
                if let Some(layer) = &record.layer {
                    build.carry_layer(&locked, layer, &layers)?;
                }
                let json = serde_json::to_vec(&record).expect("plain values");
                file::replace(&steps, name.as_str(), &json, 0o644).context("write", name.as_str())?;
            }
            build.end(begun, false, None)
        })
    }

    fn carry_layer(&self, locked: &Locked, layer: &DiffId, layers: &OwnedFd) -> Result<()> {
        let name = layer.0.hex();
        if exists(layers, name.as_str()) {
            return Ok(());
        }
        let held = self.engine.store.hold_layer(locked, layer)?;
        let unfinished = format!(".{}.{}", name.as_str(), rustix::process::getpid().as_raw_nonzero());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(layers, unfinished.as_str(), flags, Mode::from_raw_mode(0o644))
            .context("create", &unfinished)?;
        let written = held.read_tar(&mut |part| file::write_all(&file, part).context("write", &unfinished));
        let named = written.and_then(|()| {
            rustix::fs::renameat(layers, unfinished.as_str(), layers, name.as_str())
                .context("rename", &unfinished)
        });
        if named.is_err() {
            let _ = rustix::fs::unlinkat(layers, unfinished.as_str(), AtFlags::empty());
        }
        named
    }

    /// Takes a step from the first of the build's directories that has it into the cache.
    ///
    /// # Errors
    /// What is wrong with the directory that has it.
    pub(super) fn fetch(&mut self, key: &Digest) -> Result<Option<StepRecord>> {
        for directory in &self.task.options.cache_from {
            let record =
                match StepRecord::read(file::CWD, &format!("{directory}/{STEPS}/{}", key.hex().as_str())) {
                    Err(Error::Os { errno: Errno::NOENT, .. }) => continue,
                    read => read?,
                };
            let missing = record.layer.filter(|layer| !self.engine.store.has_layer(layer));
            let fresh = missing.map(|layer| self.fetch_layer(directory, &layer)).transpose()?;
            let locked = self.engine.store.share()?;
            self.shelve(&locked, key, &record, fresh.as_ref().map(|(scratch, facts)| (scratch, facts)))?;
            return Ok(Some(record));
        }
        Ok(None)
    }

    fn fetch_layer(&self, directory: &str, layer: &DiffId) -> Result<(Scratch, LayerFacts)> {
        let path = format!("{directory}/{LAYERS}/{}", layer.0.hex().as_str());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let tar =
            rustix::fs::openat(file::CWD, path.as_str(), flags, Mode::empty()).context("open", &path)?;
        let source = &mut |buffer: &mut [u8]| file::read_part(&tar, buffer).context("read", &path);
        let (scratch, unpacked) = unpack_layer(&self.engine.store, source)?;
        if unpacked.layer != *layer {
            return Err(Error::Corrupt(format!("{path} is {} and not what its name says", unpacked.layer)));
        }
        Ok((scratch, unpacked.applied.facts))
    }
}

fn exists(at: &OwnedFd, name: &str) -> bool {
    rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}
