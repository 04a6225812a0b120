//! `--squash`: what a build has added to its base image, as one layer.

use alloc::{format, string::ToString};

use super::{
    super::{commit::layer_of, root::merged},
    Build,
};
use crate::{
    Context, Result,
    build::{cache::Finished, state::State},
    clock::{self, Time},
    digest::DiffId,
    file,
    store::StepRecord,
};

/// What is shown of it.
const INSTRUCTION: &str = "one layer above the base image";

impl Build<'_> {
    /// Puts one layer in place of those above the base image's. As with Docker, the history keeps its lines, which are then
    /// without a layer, and gets one more for this.
    pub(super) fn squash(&mut self, state: &mut State) -> Result<()> {
        self.shown(&format!("[squash] {INSTRUCTION}"), |build, begun| {
            let (layers, lines) = state.inherited;
            let count = state.layers.len() - layers;
            if count < 2 {
                return build.end(begun, true, None);
            }
            let (record, cached) = build.squashed(&state.layers, layers)?;
            state.layers.truncate(layers);
            state.layers.extend(record.layer);
            state.history[lines..].iter_mut().for_each(|line| line.empty_layer = true);
            if build.task.options.epoch.is_none() {
                state.created = Some(Time::from_unix(0, 0).plus(record.created_ns));
            }
            build.remember(state, format!("squash {count} layers"), record.layer.is_none());
            build.end(begun, cached, None)
        })
    }

    /// The layer that makes all of these of the first ones, and whether it is from the cache.
    fn squashed(&mut self, all: &[DiffId], inherited: usize) -> Result<(StepRecord, bool)> {
        let (store, began) = (&self.engine.store, clock::monotonic());
        let (below, above) = all.split_at(inherited);
        let mut key = self.key("squash");
        above.iter().for_each(|layer| key.add("layer", layer.to_string().as_bytes()));
        let Finished { key, inputs, files } = key.on("parent", below.iter().map(DiffId::to_string)).finish();
        if !self.task.options.no_cache
            && let Some(record) = self.look_up(&key)?
        {
            return Ok((record, true));
        }
        let locked = store.share()?;
        let (lower, uppers) = (store.open_layers(below)?, store.open_layers(above)?);
        let empty = store.scratch(&locked)?;
        let lower = match lower.as_slice() {
            [] => file::directory(empty.directory(), ".").context("open", "empty directory")?,
            layers => merged(layers)?,
        };
        let (scratch, unpacked) = layer_of(store, uppers, lower, self.epoch())?;
        let took_ns = clock::monotonic() - began;
        let mut record = StepRecord { inputs, files, ..StepRecord::made(INSTRUCTION, took_ns) };
        self.shelve_made(&locked, &key, &mut record, (&scratch, &unpacked))?;
        Ok((record, false))
    }
}
