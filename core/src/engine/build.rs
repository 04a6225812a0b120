//! `build`: the steps of a Dockerfile, run or taken from the cache, become an image.

mod agent;
mod layer;
mod mounts;
pub mod prune;
mod run;
mod squash;
mod stage;

pub use run::check_limits;

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};

use self::stage::Done;
use super::{Engine, import::new_name};
use crate::{
    Error, Result,
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
    image::{
        config::{ARCHITECTURE, ImageConfig, RootFs},
        reference::Reference,
    },
    store::ImageRecord,
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

/// A build at work.
struct Build<'a> {
    engine: &'a Engine,
    source: &'a Source<'a>,
    file: &'a Dockerfile<'a>,
    said: Said<'a>,
    options: &'a Options,
    context: &'a Context,
    hashes: Hashes,
    tell: &'a mut Tell<'a>,
    /// The number of the next step.
    next: Number,
    /// The stages that are finished.
    done: BTreeMap<usize, Done>,
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
        let Plan { stages, target } = plan::plan(&source, &parsed, &said, options).map_err(wrong)?;
        if stages[&target] == Base::Image(HOST_IMAGE.into()) {
            let message = "the result cannot be built on this machine's own root".into();
            return Err(Error::from(Fault::of_line(&source, parsed.stages[target].line, message))
                .hint("copy what is needed into a stage FROM scratch: COPY --from=..."));
        }
        self.sweep_store();
        let mut build = Build {
            engine: self,
            source: &source,
            file: &parsed,
            said,
            options,
            context,
            hashes: Hashes::load(&self.data),
            tell: &mut *tell,
            next: 0,
            done: BTreeMap::new(),
        };
        let steps = stages.keys().map(|number| stage::steps(&parsed.stages[*number])).sum::<usize>();
        build.tell(Event::Planned { steps: (steps + usize::from(options.squash)) as Number })?;
        for (&number, base) in &stages {
            let done = build.stage(number, base)?;
            build.done.insert(number, done);
        }
        let mut done = build.done.remove(&target).expect("the plan has the target");
        if options.squash {
            build.squash(&mut done.state)?;
        }
        build.hashes.save();
        self.publish_built(done.state, options, &names)
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
            created: Some(created.to_string()),
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
        let record = ImageRecord { size_bytes, added: Time::now(), annotations: options.annotations.clone() };
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

impl Build<'_> {
    fn tell(&mut self, event: Event) -> Result<()> {
        (self.tell)(event)
    }

    /// What is wrong with a line, as an error that shows it.
    fn wrong(&self, line: &Line<'_>, message: String) -> Error {
        // A trigger's line is no line of the file.
        if self.source.lines.iter().any(|one| core::ptr::eq(one, line)) {
            Fault::of_line(self.source, line, message).into()
        } else {
            Error::Invalid(message)
        }
    }

    fn created(&self) -> Time {
        match self.options.epoch {
            Some(epoch) => Time::from_unix(epoch, 0),
            None => Time::now(),
        }
    }
}
