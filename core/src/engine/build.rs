//! `build`: the steps of a Dockerfile, run or taken from the cache, become an image.

mod agent;
mod carried;
mod layer;
mod mounts;
mod pending;
pub mod prune;
mod run;
mod squash;
mod stage;
mod stages;
mod turn;

pub use run::check_limits;

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};

use rustix::fd::OwnedFd;

use self::{pending::Sequence, stage::Done};
use super::{Engine, import::new_name};
use crate::{
    Context as _, Error, Result,
    build::{
        Options,
        context::Context,
        plan::{self, Base, Plan, Wrong},
        progress::{Event, Number},
        state::{Said, State},
        transfer::Hashes,
    },
    clock::Time,
    container::record::HOST_IMAGE,
    digest::{DiffId, Digest, ImageId},
    dockerfile::{Dockerfile, Fault, Line, Source},
    file,
    image::{
        config::{ARCHITECTURE, ImageConfig, RootFs},
        reference::Reference,
    },
    store::{ImageRecord, Locked, Store, Writeback},
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

/// What is to be built.
#[derive(Clone, Copy)]
struct Task<'a> {
    source: &'a Source<'a>,
    file: &'a Dockerfile<'a>,
    said: &'a Said<'a>,
    options: &'a Options,
    context: &'a Context,
    /// The directories among [`Options::contexts`], by their numbers.
    contexts: &'a BTreeMap<usize, Context>,
    /// The configs of the images that stages build on.
    images: &'a BTreeMap<String, ImageConfig>,
}

/// Layers that are kept from being taken away.
type Kept = BTreeMap<DiffId, OwnedFd>;

fn keep(store: &Store, kept: &mut Kept, locked: &Locked, layers: &[DiffId]) -> Result<()> {
    for layer in layers {
        if !kept.contains_key(layer) {
            kept.insert(*layer, store.keep_layer(locked, layer)?);
        }
    }
    Ok(())
}

/// A build at work on a stage.
struct Build<'a> {
    engine: &'a Engine,
    task: Task<'a>,
    hashes: &'a mut Hashes,
    writeback: &'a mut Writeback,
    tell: &'a mut Tell<'a>,
    /// The number of the next step.
    next: Number,
    /// The layers that it stands on, kept on their shelf.
    kept: &'a mut Kept,
    /// The stages that are finished.
    done: &'a BTreeMap<usize, Done>,
    sequence: Sequence,
}

impl Engine {
    /// Builds an image.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the Dockerfile and the options; what went wrong in a step. Finished steps stay in the cache.
    pub fn build(
        &self,
        file: &File<'_>,
        context: &Context,
        options: &Options,
        tell: &mut Tell<'_>,
    ) -> Result<ImageId> {
        let names = options.tags.iter().map(|tag| new_name(tag, "")).collect::<Result<Vec<_>>>()?;
        let source = Source::read(file.name, file.bytes)?;
        let parsed = Dockerfile::parse(&source)?;
        let wrong = |(message, line): Wrong| match line.and_then(|line| source.lines.get(line)) {
            Some(line) => Fault::of_line(&source, line, message).into(),
            None => Error::Invalid(message),
        };
        let said = plan::said(&source, &parsed, options).map_err(wrong)?;
        let mut images = BTreeMap::new();
        let mut left = |image: &str| self.left_by(image, &mut images);
        let Plan { stages, target } =
            plan::plan(&source, &parsed, &said, options, &mut left).map_err(wrong)?;
        if stages[&target].base == Base::Image(HOST_IMAGE.into()) {
            let message = "the result cannot be built on this machine's own root".into();
            return Err(Error::from(Fault::of_line(&source, parsed.stages[target].line, message))
                .hint("copy what is needed into a stage FROM scratch: COPY --from=..."));
        }
        self.sweep_store();
        let steps = stages.keys().map(|number| stage::steps(&parsed.stages[*number], options)).sum::<usize>();
        let steps = steps + usize::from(options.squash) + options.cache_to.len();
        tell(Event::Planned { steps: steps as Number })?;
        let contexts = other_contexts(options)?;
        let (source, file, said, contexts, images) = (&source, &parsed, &said, &contexts, &images);
        let task = Task { source, file, said, options, context, contexts, images };
        let state = self.build_stages(task, stages, target, tell)?;
        self.publish_built(state, options, &names)
    }

    /// What an image leaves for its children to do. Its config is remembered, if there is one.
    fn left_by(&self, image: &str, images: &mut BTreeMap<String, ImageConfig>) -> Vec<String> {
        if image != HOST_IMAGE
            && !images.contains_key(image)
            && let Ok(found) = self.store.resolve(image)
        {
            images.insert(image.into(), found.config);
        }
        images.get(image).and_then(|found| found.config.on_build.clone()).unwrap_or_default()
    }

    /// Puts the image on its shelf, under its names.
    fn publish_built(&self, state: State, options: &Options, names: &[Reference]) -> Result<ImageId> {
        let State { mut config, layers, history, author, created, .. } = state;
        for (key, value) in &options.labels {
            config.labels.insert(key.clone(), value.clone());
        }
        let image = ImageConfig {
            architecture: ARCHITECTURE.into(),
            os: "linux".into(),
            author,
            config,
            created: created.map(|time| time.to_string()),
            history,
            rootfs: RootFs { kind: "layers".into(), diff_ids: layers },
            ..ImageConfig::default()
        };
        image.check_depth()?;
        let locked = self.store.share()?;
        let json = image.to_json();
        let id = ImageId(Digest::of(&json));
        let is_named = |name: &Reference| self.store.named(name).is_ok_and(|named| named == Some(id));
        let is_same = |record: ImageRecord| record.annotations == options.annotations;
        if names.iter().all(is_named)
            && self.store.image_record(&id).is_ok_and(|found| found.is_some_and(is_same))
        {
            // The same as the last time.
            return Ok(id);
        }
        let size_bytes = self.size_of(&image.rootfs.diff_ids)?;
        let record = ImageRecord {
            size_bytes,
            added: Time::now(),
            annotations: options.annotations.clone(),
            parent: None,
        };
        let (mut publication, id) = self.store.publication(&locked)?.image(&json, &record)?;
        for name in names {
            publication = publication.name(name, &id)?;
        }
        publication.commit()?;
        for name in names {
            self.tell_image(&id, "tag", &name.familiar());
        }
        Ok(id)
    }

    /// Bytes of file content in these layers; whatever was removed meanwhile is missed here.
    pub(super) fn size_of(&self, layers: &[DiffId]) -> Result<u64> {
        layers.iter().map(|layer| Ok(self.store.layer_facts(layer)?.size_bytes)).sum()
    }
}

fn other_contexts(options: &Options) -> Result<BTreeMap<usize, Context>> {
    let paths = options.contexts.iter().map(|(_, what)| what.as_str()).enumerate();
    let open = |(number, path): (usize, &str)| {
        let root = file::directory(file::CWD, path).context("open build context", path)?;
        Ok((number, Context::open(root, None)?))
    };
    paths.filter(|(_, what)| !what.starts_with(plan::IMAGE_CONTEXT)).map(open).collect()
}

impl Build<'_> {
    fn tell(&mut self, event: Event) -> Result<()> {
        (self.tell)(event)
    }

    /// What is wrong with a line, as an error that shows it.
    fn wrong(&self, line: &Line<'_>, message: String) -> Error {
        // A trigger's line is no line of the file.
        if self.task.source.lines.iter().any(|one| core::ptr::eq(one, line)) {
            Fault::of_line(self.task.source, line, message).into()
        } else {
            Error::Invalid(message)
        }
    }

    /// Keeps these layers from being taken away as long as the build lives.
    fn keep(&mut self, locked: &Locked, layers: &[DiffId]) -> Result<()> {
        keep(&self.engine.store, self.kept, locked, layers)
    }

    /// What went wrong in a line, as an error that shows it, unless it does already.
    fn located(&self, line: &Line<'_>, error: Error) -> Error {
        match error {
            Error::Invalid(why) if !why.contains('\n') => self.wrong(line, why),
            Error::Start { message, .. } => self.wrong(line, message),
            error => error,
        }
    }

    fn epoch(&self) -> Option<Time> {
        self.task.options.epoch.map(|seconds| Time::from_unix(seconds, 0))
    }
}
