//! One stage: its instructions in their order, each from the cache or anew.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use rustix::fd::{AsFd, OwnedFd};

use super::{super::root::merged, Build, Task, layer::Bench, pending::Pending, turn::Turn};
use crate::{
    Context, Error, Result,
    build::{
        Options,
        cache::{Finished, Key},
        explain,
        plan::{self, Base},
        progress::{Event, Number},
        state::{State, join},
        transfer::{self, Document, Ground, Request},
    },
    clock::{self, Time},
    container::{config::Config, record::HOST_IMAGE},
    digest::{DiffId, Digest},
    dockerfile::{
        Instruction, Line, Source, Stage,
        command::{Command, Transfer},
        ignore::Patterns,
        triggers,
    },
    file,
    image::config::{ImageConfig, Step},
    layer::unpack::Unpacked,
    store::{LayerFacts, Locked, Scratch, StepFile, StepRecord},
};

/// Most files of a step that its record names, for people.
const FILES_KEPT: usize = 1000;

/// A finished stage.
pub(super) struct Done {
    /// What it has come to.
    pub state: State,
    /// It stands on this machine's own root, and this is what it has come to.
    pub host: Option<Bench>,
    /// Something in it did not come from the cache.
    pub is_fresh: bool,
}

/// A step at work.
#[derive(Clone, Copy)]
pub(super) struct Begun<'a> {
    number: Number,
    /// When, on the monotonic clock.
    at: i64,
    title: &'a str,
}

/// A step whose result may be in the cache.
pub(super) struct Work<'a> {
    /// The step.
    pub begun: Begun<'a>,
    /// What its result depends on beside the layers that it stands on.
    pub key: Key,
    /// What the history says of it.
    pub created_by: String,
    /// It works on an empty tree instead of what the stage has so far.
    pub apart: bool,
}

impl Begun<'_> {
    /// The instruction, as it is shown.
    fn instruction(&self) -> &str {
        self.title.split_once("] ").map_or(self.title, |(_, instruction)| instruction)
    }
}

impl Work<'_> {
    /// The layers that it stands on.
    fn layers<'d>(&self, done: &'d Done) -> &'d [DiffId] {
        if self.apart { &[] } else { &done.state.layers }
    }

    /// Their names, as its key has them.
    fn ground(&self, done: &Done) -> Vec<String> {
        self.layers(done).iter().map(DiffId::to_string).collect()
    }

    /// Its key.
    fn key_on(&self, done: &Done) -> Digest {
        self.key.digest("parent", self.ground(done))
    }
}

/// How many steps a stage has, its `FROM` included and what the base image leaves for its children not.
pub(super) fn steps(stage: &Stage<'_>, options: &Options) -> usize {
    1 + stage.instructions.iter().filter(|one| is_step(&one.command, options)).count()
}

/// Whether an instruction is told of as a step: Docker's classic builder tells of all.
fn is_step(command: &Command<'_>, options: &Options) -> bool {
    options.classic || makes_layers(command)
}

fn makes_layers(command: &Command<'_>) -> bool {
    matches!(command, Command::Run(_) | Command::Copy(_) | Command::Add(_) | Command::Workdir(_))
}

impl<'a> Build<'a> {
    /// Runs the instructions of the stage of this number, on `host` if it begins with this machine's own root.
    ///
    /// # Errors
    /// What goes wrong in one of them.
    pub(super) fn stage(&mut self, number: usize, base: &Base, host: Option<Bench>) -> Result<Done> {
        let file = self.task.file;
        let stage = &file.stages[number];
        let name = match stage.name {
            Some(name) => format!("{name} "),
            None if file.stages.len() > 1 => format!("stage-{number} "),
            None => String::new(),
        };
        let count = steps(stage, self.task.options);
        let title = |index: usize, text: &str| format!("[{name}{index}/{count}] {text}");

        let mut done = self.shown(&title(1, &stage.line.text), |build, begun| {
            let mut done =
                Done { state: build.below(stage, base)?, host, is_fresh: build.task.options.no_cache };
            match base {
                Base::Directory(_) => {
                    build.transfer(
                        number,
                        stage.line,
                        &everything(),
                        Some(base),
                        (false, false),
                        &mut done,
                        begun,
                    )?;
                }
                _ => build.end(begun, true, None)?,
            }
            Ok(done)
        })?;

        // What the base image has left for its children to do.
        let left = done.state.config.on_build.take().unwrap_or_default();
        for text in &left {
            let fragment = Source::fragment("ONBUILD", text)?;
            for instruction in triggers(&fragment)? {
                let title = title(1, &instruction.line.text);
                let ended = self.instruction(number, &instruction, &mut done, &title);
                ended.map_err(|error| self.wrong_below(stage, text, error))?;
            }
        }
        let ended = self.instructions(number, &mut done, &title);
        // A step that is finished is kept, also if the one behind it fails.
        let settled = self.settle(&mut done);
        ended.and(settled).map(|()| done)
    }

    /// What the stage itself says, instruction by instruction.
    fn instructions(
        &mut self,
        number: usize,
        done: &mut Done,
        title: &dyn Fn(usize, &str) -> String,
    ) -> Result<()> {
        let Task { file, options, .. } = self.task;
        let all = &file.stages[number].instructions;
        let mut index = 1;
        for (at, instruction) in all.iter().enumerate() {
            if is_step(&instruction.command, options) {
                index += 1;
            }
            let next = all[at + 1..].iter().map(|one| &one.command).find(|command| makes_layers(command));
            self.sequence.leads_on = matches!(instruction.command, Command::Run(_))
                && matches!(next, Some(Command::Run(_)))
                && options.epoch.is_none()
                && !options.classic;
            self.instruction(number, instruction, done, &title(index, &instruction.line.text))?;
        }
        Ok(())
    }

    /// What a stage begins with.
    fn below(&mut self, stage: &Stage<'_>, base: &Base) -> Result<State> {
        match base {
            Base::Scratch | Base::Directory(_) => Ok(State::on_scratch(self.epoch())),
            Base::Stage(below) => {
                let below = self.done_before(*below, stage.line)?;
                if below.host.is_some() {
                    let why = "a stage on this machine's own root can be copied from, not built on";
                    return Err(self.wrong(stage.line, why.into()));
                }
                Ok(below.state.below())
            }
            Base::Image(image) if image == HOST_IMAGE => Ok(State::on_scratch(None)),
            Base::Image(image) => Ok(State::on(self.image(image, stage.line)?, self.epoch())),
        }
    }

    /// A stage that is finished.
    fn done_before(&self, stage: usize, line: &Line<'_>) -> Result<&Done> {
        self.done.get(&stage).ok_or_else(|| self.wrong(line, format!("stage {stage} is not built before")))
    }

    /// What went wrong in an instruction that the base image has left, as an error that shows where that image is named.
    fn wrong_below(&self, stage: &Stage<'_>, text: &str, error: Error) -> Error {
        match error {
            Error::Invalid(why) => self.wrong(stage.line, format!("ONBUILD {text}: {why}")),
            error => error,
        }
    }

    fn instruction(
        &mut self,
        stage: usize,
        instruction: &Instruction<'_>,
        done: &mut Done,
        title: &str,
    ) -> Result<()> {
        if makes_layers(&instruction.command) {
            return self.shown(title, |build, begun| {
                let made = build.layered(stage, instruction, done, begun);
                made.map_err(|error| build.located(instruction.line, error))
            });
        }
        if !is_step(&instruction.command, self.task.options) {
            return self.note(instruction, done);
        }
        self.shown(title, |build, begun| {
            build.note(instruction, done)?;
            build.end(begun, !done.is_fresh && build.is_known(&done.state), None)
        })
    }

    /// An instruction that changes no files.
    fn note(&self, instruction: &Instruction<'_>, done: &mut Done) -> Result<()> {
        self.apply(instruction, done)?;
        self.remember(&mut done.state, instruction.line.text.to_string(), true);
        Ok(())
    }

    /// Whether some image here has begun like this: what the classic builder takes for cached, layers or not.
    fn is_known(&self, state: &State) -> bool {
        let store = &self.engine.store;
        let mut images = store.image_ids().into_iter().flatten().filter_map(|id| store.image(&id).ok());
        images.any(|image| {
            let (layers, history) = (&image.config.rootfs.diff_ids, &image.config.history);
            let is_same = |(ours, theirs): (&Step, &Step)| ours.created_by == theirs.created_by;
            layers.starts_with(&state.layers)
                && history.len() >= state.history.len()
                && state.history.iter().zip(history).all(is_same)
        })
    }

    fn apply(&self, instruction: &Instruction<'_>, done: &mut Done) -> Result<()> {
        let applied = done.state.apply(&instruction.command, self.task.said);
        applied.map_err(|why| self.wrong(instruction.line, why))
    }

    /// An instruction that changes files.
    fn layered(
        &mut self,
        stage: usize,
        instruction: &Instruction<'_>,
        done: &mut Done,
        begun: Begun<'_>,
    ) -> Result<()> {
        self.apply(instruction, done)?;
        let line = instruction.line;
        if !matches!(instruction.command, Command::Run(_)) {
            self.settle(done)?;
        }
        match &instruction.command {
            Command::Run(run) => self.run(stage, line, run, done, begun),
            Command::Copy(copy) => {
                let from = copy.from.as_deref().map(|name| self.from(stage, name, line)).transpose()?;
                self.transfer(stage, line, &copy.transfer, from.as_ref(), (copy.parents, false), done, begun)
            }
            Command::Add(add) => {
                if add.checksum.is_some() || add.keep_git_dir.is_some() {
                    let why =
                        "ADD --checksum and --keep-git-dir are for remote sources, which are not there yet";
                    return Err(self.wrong(line, why.into()));
                }
                let unpack = add.unpack.unwrap_or(true);
                self.transfer(stage, line, &add.transfer, None, (false, unpack), done, begun)
            }
            _ => self.workdir(stage, done, begun),
        }
    }

    /// Adds to the history.
    pub(super) fn remember(&self, state: &mut State, created_by: String, empty_layer: bool) {
        let created = state.created.map(|time| time.to_string());
        let comment = "buildkit.dockerfile.v0".into();
        state.history.push(Step { created, created_by, comment, empty_layer, ..Step::default() });
    }

    /// Shows work as a step, which has failed if that does.
    pub(super) fn shown<T>(
        &mut self,
        title: &str,
        work: impl FnOnce(&mut Self, Begun<'_>) -> Result<T>,
    ) -> Result<T> {
        let step = self.next;
        self.next += 1;
        self.tell(Event::Begun { step, title: title.into() })?;
        let ended = work(self, Begun { number: step, at: clock::monotonic(), title });
        if ended.is_err() {
            self.tell(Event::Failed { step })?;
        }
        ended
    }

    pub(super) fn end(&mut self, begun: Begun<'_>, cached: bool, why: Option<String>) -> Result<()> {
        let took_ns = clock::monotonic() - begun.at;
        self.tell(Event::Done { step: begun.number, cached, took_ns, why })
    }

    /// Takes what comes of a step from the cache, or has it made. `make` gets a bench, and leaves the changes on it.
    pub(super) fn step(
        &mut self,
        stage: usize,
        done: &mut Done,
        work: Work<'_>,
        make: impl FnOnce(&mut Self, Number, &mut Done, &Bench) -> Result<()>,
    ) -> Result<()> {
        let engine = self.engine;
        if let Some(bench) = done.host.take() {
            // Nobody knows what this machine's root is: nothing of it is in the cache.
            let made = make(self, work.begun.number, done, &bench);
            done.host = Some(bench);
            made?;
            self.remember(&mut done.state, work.created_by, true);
            return self.end(work.begun, false, None);
        }
        let name = self.task.file.stages[stage].name.unwrap_or_default();
        let fresh = self.task.options.no_cache
            || self.task.options.no_cache_filter.iter().any(|one| one.eq_ignore_ascii_case(name));
        let chain = self.chained(&work, done);
        let (found, turn) = if fresh { (None, None) } else { self.found(&work, &chain, done)? };
        self.sequence.chain = Some(chain);
        let cached = found.is_some();
        done.is_fresh |= !cached;
        let made = if cached { None } else { Some(self.made(&work, done, make)?) };
        // What it stands on has its name by now.
        let ground = work.ground(done);
        let Work { begun, key, created_by, .. } = work;
        let Finished { key, inputs, files } = key.on("parent", ground).finish();
        let why = self.task.options.explain.then(|| match &found {
            Some(record) => format!("built {}", Time::from_unix(0, 0).plus(record.created_ns)),
            None => {
                let before = engine.store.last_step(begun.instruction());
                explain::why(before.as_ref(), &inputs, &files)
            }
        });
        let mut record = found.unwrap_or_else(|| {
            let took_ns = clock::monotonic() - begun.at;
            StepRecord { inputs, files, ..StepRecord::made(begun.instruction(), took_ns) }
        });
        match made {
            None => {}
            Some(bench) if self.sequence.leads_on => {
                let line = done.state.history.len();
                let pending = Pending::new(bench.tree()?, key, record.clone(), turn, line)?;
                self.sequence.pending = Some(pending);
            }
            Some(bench) => {
                let (scratch, unpacked) = bench.layer(engine, self.epoch())?;
                self.shelve_made(&engine.store.share()?, &key, &mut record, (&scratch, &unpacked))?;
            }
        }
        if self.task.options.epoch.is_none() {
            let created = Time::from_unix(0, 0).plus(record.created_ns);
            done.state.created = Some(created);
            // What came before the first layer is as old as that, so that it is the same the next time.
            let undated = done.state.history.iter_mut().filter(|step| step.created.is_none());
            undated.for_each(|step| step.created = Some(created.to_string()));
        }
        done.state.layers.extend(record.layer);
        done.state.steps.push(key);
        self.remember(&mut done.state, created_by, record.layer.is_none());
        self.end(begun, cached, why)
    }

    /// The bench of a step that was just made. What is below the changes on it is on its shelf.
    fn made(
        &mut self,
        work: &Work<'_>,
        done: &mut Done,
        make: impl FnOnce(&mut Self, Number, &mut Done, &Bench) -> Result<()>,
    ) -> Result<Bench> {
        let bench = Bench::new(self.engine, work.layers(done), self.sequence.pending.as_ref())?;
        make(self, work.begun.number, done, &bench)?;
        if self.sequence.pending.is_none() {
            return Ok(bench);
        }
        self.settle(done)?;
        bench.moved_onto(self.engine, work.layers(done))
    }

    /// What came of a step the last time; or the right to make it, which goes by its place in the chain.
    fn found(
        &mut self,
        work: &Work<'_>,
        chain: &Digest,
        done: &mut Done,
    ) -> Result<(Option<StepRecord>, Option<Turn>)> {
        if let Some(found) = self.known(work, done)? {
            return Ok((Some(found), None));
        }
        // What stands on nothing is the same step wherever it comes.
        let name = if work.apart { work.key_on(done) } else { *chain };
        let turn = Turn::wait(&self.engine.run, &name, &mut || (self.tell)(Event::Idle))?;
        // Somebody may have made it in the meantime.
        let found = match self.known(work, done)? {
            None if self.sequence.pending.is_none() => self.fetch(&work.key_on(done))?,
            found => found,
        };
        Ok((found, Some(turn)))
    }

    /// What came of a step the last time. For that it has to be known what it stands on, unless it was never made on
    /// anything.
    fn known(&mut self, work: &Work<'_>, done: &mut Done) -> Result<Option<StepRecord>> {
        if self.sequence.pending.is_some()
            && self.task.options.cache_from.is_empty()
            && !self.engine.store.was_made(work.begun.instruction())
        {
            return Ok(None);
        }
        self.settle(done)?;
        self.look_up(&work.key_on(done))
    }

    /// By which a step is known before it is known what those before it have come to.
    fn chained(&self, work: &Work<'_>, done: &Done) -> Digest {
        match self.sequence.chain {
            Some(before) => work.key.digest("after", [before.to_bytes()]),
            None => work.key_on(done),
        }
    }

    /// What came of a step the last time, its layer kept.
    pub(super) fn look_up(&mut self, key: &Digest) -> Result<Option<StepRecord>> {
        let store = &self.engine.store;
        let locked = store.share()?;
        let found = store.step(&locked, key);
        if let Some(StepRecord { layer: Some(layer), .. }) = &found {
            self.keep(&locked, &[*layer])?;
        }
        Ok(found)
    }

    /// Puts what came of a step into the cache. Its layer, which comes along if it is not there yet, is kept.
    pub(super) fn shelve(
        &mut self,
        locked: &Locked,
        key: &Digest,
        record: &StepRecord,
        fresh: Option<(&Scratch, &LayerFacts)>,
    ) -> Result<()> {
        let store = &self.engine.store;
        let mut publication = store.publication(locked)?;
        if let (Some(layer), Some((scratch, facts))) = (&record.layer, fresh) {
            publication = publication.fresh_layer(layer, scratch, facts)?;
        }
        publication.step(key, record)?.show()?;
        store.set_made(&record.instruction);
        self.keep(locked, record.layer.as_slice())
    }

    /// Puts what a step has just changed into the cache, a layer unless that is nothing, and says so in its record.
    pub(super) fn shelve_made(
        &mut self,
        locked: &Locked,
        key: &Digest,
        record: &mut StepRecord,
        (scratch, unpacked): (&Scratch, &Unpacked),
    ) -> Result<()> {
        let facts = &unpacked.applied.facts;
        let fresh = (!unpacked.is_empty()).then_some((scratch, facts));
        if fresh.is_some() {
            (record.layer, record.size_bytes) = (Some(unpacked.layer), facts.size_bytes);
        }
        self.writeback.came(record.size_bytes);
        self.shelve(locked, key, record, fresh)
    }

    /// The beginning of every key.
    pub(super) fn key(&self, kind: &str) -> Key {
        let mut key = Key::new(kind);
        if let Some(epoch) = self.task.options.epoch {
            key.add("epoch", &epoch.to_le_bytes());
        }
        key
    }

    fn workdir(&mut self, stage: usize, done: &mut Done, begun: Begun<'_>) -> Result<()> {
        let Config { working_dir: path, user, .. } = done.state.config.clone();
        let created_by = format!("WORKDIR {path}");
        let mut key = self.key("workdir");
        key.add("path", path.as_bytes());
        key.add("user", user.as_bytes());
        self.step(stage, done, Work { begun, key, created_by, apart: false }, |_, _, _, bench| {
            let view = bench.view()?;
            // As BuildKit: a user who is unknown matters only to a RUN.
            let owner = transfer::owner(view.as_fd(), &user).unwrap_or((0, 0));
            file::make_directories_of(&view, path.as_bytes(), Some(owner))
                .context("create directory", &path)
                .map(drop)
        })
    }

    #[expect(clippy::too_many_arguments, reason = "COPY and ADD are the same but for a few words")]
    fn transfer(
        &mut self,
        stage: usize,
        line: &Line<'_>,
        what: &Transfer<'_>,
        from: Option<&Base>,
        (parents, unpack): (bool, bool),
        done: &mut Done,
        begun: Begun<'_>,
    ) -> Result<()> {
        let (tree, ignore) = self.tree_of(from, line)?;
        let request = self.request(what, (parents, unpack), ignore.is_none(), done);
        let mut request = request.map_err(|why| self.wrong(line, why))?;
        let apart = request.is_apart() && done.host.is_none();
        if apart && request.chown.is_some() {
            // Who they are counts, not what this stage calls them.
            let users = Bench::new(self.engine, &done.state.layers, None)?.lower()?;
            request.number_owner(users.as_fd()).map_err(|error| self.wrong(line, error.to_string()))?;
        }
        let mut selection = transfer::select(tree.as_fd(), ignore, &request)
            .map_err(|error| self.wrong(line, error.to_string()))?;
        let mut key = self.key("copy");
        request.describe(&mut |name, value| key.add(name, value));
        let mut listing = Vec::new();
        let lines = (selection.count() <= FILES_KEPT).then_some(&mut listing);
        let digest =
            selection.digest(self.hashes, lines).map_err(|error| self.wrong(line, error.to_string()))?;
        key.add("files", digest.to_string().as_bytes());
        key.files.extend(listing.into_iter().map(|line| StepFile {
            path: String::from_utf8_lossy(&line.path).into_owned(),
            mode: line.mode,
            hash: line.hash.map(|hash| hash.hex().short().into()).unwrap_or_default(),
        }));
        let created_by = format!("{} # buildkit", line.text);
        let identity = self.identity(stage, line);
        let store = &self.engine.store;
        let mut is_made = false;
        let copy = |build: &mut Self, _, _: &mut Done, bench: &Bench| {
            is_made = true;
            let upper = bench.upper()?;
            // Without a view, nothing in a layer of its own says that a directory is new and hides what it is laid on.
            let view = if apart { None } else { Some(bench.view()?) };
            // What is made now is the layer, if it becomes one and no time in it has to change for that.
            let stays = !bench.is_on_host() && build.epoch().is_none();
            let before = store.latest_layer(&identity).filter(|_| stays);
            let before = before.and_then(|layer| store.open_layers(&[layer]).ok());
            let ground = Ground {
                tree: view.as_ref().unwrap_or(&upper).as_fd(),
                upper: upper.as_fd(),
                before: before.as_ref().and_then(|layers| layers.first()).map(AsFd::as_fd),
                hashes: stays.then_some(&mut *build.hashes),
            };
            let copied = selection.copy(ground)?;
            build.writeback.came(selection.size_bytes());
            match copied.changed {
                None => Ok(()),
                // Its key would mean something else.
                Some(path) => Err(transfer::changed(&path)),
            }
        };
        let layers = done.state.layers.len();
        self.step(stage, done, Work { begun, key, created_by, apart }, copy)?;
        if let Some(layer) = done.state.layers.get(layers).filter(|_| is_made) {
            store.set_latest_layer(&identity, layer);
        }
        Ok(())
    }

    /// By which a line is known from one build of the same thing to the next.
    fn identity(&self, stage: usize, line: &Line<'_>) -> Digest {
        let Task { file, options, .. } = self.task;
        let mut identity = Key::new("line");
        identity.add("text", line.text.as_bytes());
        identity.add("stage", file.stages[stage].name.unwrap_or_default().as_bytes());
        options.tags.iter().for_each(|tag| identity.add("tag", tag.as_bytes()));
        identity.finish().key
    }

    fn request(
        &self,
        what: &Transfer<'_>,
        (parents, unpack): (bool, bool),
        keep_owner: bool,
        done: &Done,
    ) -> Result<Request, String> {
        let state = &done.state;
        let word = |word: &str| state.expand(word, self.task.said);
        let mut sources = Vec::new();
        for source in &what.sources {
            let source = word(source)?;
            if transfer::is_remote(&source) {
                return Err(format!("{source}: remote sources are not there yet; copy it into the context"));
            }
            sources.push(source);
        }
        let mut documents = Vec::new();
        for heredoc in &what.heredocs {
            let content = heredoc.content();
            let content = if heredoc.expands { state.expand_body(&content)? } else { content.into_owned() };
            documents.push(Document { name: heredoc.name.clone(), content: content.into_bytes() });
        }
        let destination = word(&what.destination)?;
        let mut absolute = join(&state.config.working_dir, &destination);
        if (destination.ends_with('/') || destination.ends_with("/.") || destination == ".")
            && absolute != "/"
        {
            absolute.push('/');
        }
        let excludes = what.excludes.iter().map(|pattern| pattern.as_bytes());
        Ok(Request {
            sources,
            documents,
            destination: absolute,
            chown: what.chown.as_deref().map(word).transpose()?,
            chmod: what.chmod.as_deref().map(word).transpose()?,
            link: what.link,
            parents,
            excludes: Patterns::of(excludes).map_err(|error| error.to_string())?,
            unpack,
            keep_owner,
            epoch: self.task.options.epoch,
        })
    }

    /// The config of the image that a line names, its layers kept.
    fn image(&mut self, name: &str, line: &Line<'_>) -> Result<ImageConfig> {
        let locked = self.engine.store.share()?;
        let found = match self.task.images.get(name) {
            Some(config) => Ok(config.clone()),
            None => self.engine.store.resolve(name).map(|image| image.config),
        };
        let config = found.map_err(|error| match error {
            Error::NotFound(_) => self
                .wrong(line, format!("{name}: not found"))
                .hint("only images of this machine can be built from: skiff load or skiff import brings one"),
            error => error,
        })?;
        self.keep(&locked, &config.rootfs.diff_ids)?;
        Ok(config)
    }

    /// What `--from` means.
    pub(super) fn from(&self, stage: usize, name: &str, line: &Line<'_>) -> Result<Base> {
        let Task { file, options, .. } = self.task;
        plan::from(file, &options.contexts, stage, name).map_err(|why| self.wrong(line, why))
    }

    /// The files of a stage or an image, as one tree; of a context, the build's own unless another is meant, also what is
    /// left out of it.
    pub(super) fn tree_of(
        &mut self,
        from: Option<&Base>,
        line: &Line<'_>,
    ) -> Result<(OwnedFd, Option<&'a Patterns>)> {
        let Task { context, contexts, .. } = self.task;
        let engine = self.engine;
        let layers = match from {
            None | Some(Base::Directory(_)) => {
                let context = match from {
                    Some(Base::Directory(number)) => &contexts[number],
                    _ => context,
                };
                let root = context.root.try_clone().context("duplicate", "context")?;
                return Ok((root, Some(&context.ignore)));
            }
            Some(Base::Scratch) => Vec::new(),
            Some(Base::Stage(number)) => match self.done_before(*number, line)? {
                Done { host: Some(bench), .. } => return Ok((bench.seen()?, None)),
                done => done.state.layers.clone(),
            },
            Some(Base::Image(image)) if image == HOST_IMAGE => {
                return Ok((file::directory(file::CWD, "/").context("open", "/")?, None));
            }
            Some(Base::Image(image)) => self.image(image, line)?.rootfs.diff_ids,
        };
        let open = engine.store.open_layers(&layers)?;
        if open.is_empty() {
            return Err(self.wrong(line, "there is nothing in it to copy".into()));
        }
        Ok((merged(&open)?, None))
    }
}

/// A `COPY` of a whole directory.
fn everything() -> Transfer<'static> {
    Transfer {
        sources: vec![".".into()],
        heredocs: Vec::new(),
        destination: "/".into(),
        chown: None,
        chmod: None,
        link: false,
        excludes: Vec::new(),
    }
}
