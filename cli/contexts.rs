//! Docker's contexts: names for engines. They are kept where docker keeps them and as it does, `~/.docker` or what
//! `DOCKER_CONFIG` says: `contexts/meta/SHA256_OF_THE_NAME/meta.json`, and the current one's name in `config.json`.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use rustix::io::Errno;
use serde_json::{Map, Value, json};
use skiff_core::{
    api::tls::Certificates,
    digest::Digest,
    file::{self, CWD},
    sort,
};

use crate::{environment::Environment, failure::Failure, files};

/// The name of what is used without a context: an engine of this command's own.
pub const DEFAULT: &str = "default";

/// The directory of docker's settings.
pub struct Contexts(Option<String>);

/// A context.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The file as it is.
    pub meta: Value,
    /// What stands beside it, if anything does.
    pub certificates: Option<Certificates>,
}

impl Contexts {
    /// Those of whoever has this environment.
    pub fn new(environment: &Environment) -> Self {
        Contexts(directory(environment))
    }

    /// The name of the one that is used if nothing is said.
    pub fn current(&self, environment: &Environment) -> Result<String, Failure> {
        if let Some(name) = environment.filled("DOCKER_CONTEXT") {
            return Ok(name.into());
        }
        let name = self.settings()?.remove("currentContext");
        Ok(name.as_ref().and_then(Value::as_str).filter(|name| !name.is_empty()).unwrap_or(DEFAULT).into())
    }

    /// The context with this name.
    pub fn find(&self, name: &str) -> Result<Stored, Failure> {
        check_name(name)?;
        let read = self.0.as_ref().map(|root| self.read(root, &hash(name)));
        read.unwrap_or(Ok(None))?.ok_or_else(|| {
            Failure::new(format!("context {name}: not found")).hint("`skiff context ls` shows what there is")
        })
    }

    /// All of them, by name.
    pub fn all(&self) -> Result<Vec<Stored>, Failure> {
        let Some(root) = &self.0 else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for hash in file::names(CWD, format!("{root}/contexts/meta")).unwrap_or_default() {
            all.extend(self.read(root, &hash)?);
        }
        sort::by(&mut all, |a, b| a.name().cmp(b.name()));
        Ok(all)
    }

    /// Adds one. Its certificates are copied.
    pub fn create(
        &self,
        name: &str,
        description: &str,
        host: &str,
        certificates: Option<&Certificates>,
    ) -> Result<(), Failure> {
        check_name(name)?;
        if self.find(name).is_ok() {
            return Err(Failure::new(format!("context {name}: it exists already")));
        }
        let mut metadata = Map::new();
        if !description.is_empty() {
            metadata.insert("Description".into(), description.into());
        }
        let meta = json!({
            "Name": name,
            "Metadata": metadata,
            "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": false}},
        });
        if let Some(from) = certificates {
            let to = format!("{}/docker", self.directory("tls", name)?);
            let directory = file::make_host_directories(&to, 0o700)?;
            for (path, kind) in [(&from.authority, "ca"), (&from.own, "cert"), (&from.key, "key")] {
                let pem = files::read(path).map_err(|errno| Failure::io("read", path, errno))?;
                file::replace(&directory, &format!("{kind}.pem"), &pem, 0o600)
                    .map_err(|errno| Failure::io("write", &format!("{to}/{kind}.pem"), errno))?;
            }
        }
        let directory = file::make_host_directories(&self.directory("meta", name)?, 0o755)?;
        file::replace(&directory, "meta.json", meta.to_string().as_bytes(), 0o644)
            .map_err(|errno| Failure::io("write", "meta.json", errno))
    }

    /// Makes one the current one.
    pub fn select(&self, name: &str) -> Result<(), Failure> {
        if name != DEFAULT {
            self.find(name)?;
        }
        // What else stands there is docker's.
        let mut settings = self.settings()?;
        match name {
            DEFAULT => settings.remove("currentContext"),
            name => settings.insert("currentContext".into(), name.into()),
        };
        let root = self.root()?;
        let text = serde_json::to_string_pretty(&settings).unwrap_or_default() + "\n";
        let directory = file::make_host_directories(root, 0o700)?;
        file::replace(&directory, "config.json", text.as_bytes(), 0o600)
            .map_err(|errno| Failure::io("write", &format!("{root}/config.json"), errno))
    }

    /// Removes one, and its certificates.
    pub fn remove(&self, name: &str) -> Result<(), Failure> {
        self.find(name)?;
        for kind in ["meta", "tls"] {
            let path = self.directory(kind, name)?;
            file::remove_tree(CWD, path.as_str()).map_err(|errno| Failure::io("remove", &path, errno))?;
        }
        Ok(())
    }

    fn root(&self) -> Result<&String, Failure> {
        let nowhere = || Failure::new("contexts are kept in $HOME/.docker, and HOME is not set");
        self.0.as_ref().ok_or_else(nowhere)
    }

    fn directory(&self, kind: &str, name: &str) -> Result<String, Failure> {
        Ok(format!("{}/contexts/{kind}/{}", self.root()?, hash(name)))
    }

    /// `config.json`
    fn settings(&self) -> Result<Map<String, Value>, Failure> {
        let Some(root) = &self.0 else { return Ok(Map::new()) };
        let path = format!("{root}/config.json");
        match read_json(&path)? {
            None => Ok(Map::new()),
            Some(Value::Object(settings)) => Ok(settings),
            Some(_) => Err(Failure::new(format!("read {path}: it is no JSON object"))),
        }
    }

    fn read(&self, root: &str, hash: &str) -> Result<Option<Stored>, Failure> {
        let meta = read_json(&format!("{root}/contexts/meta/{hash}/meta.json"))?;
        let directory = format!("{root}/contexts/tls/{hash}/docker");
        let certificates = files::open(&directory).is_ok().then(|| Certificates::in_directory(&directory));
        Ok(meta.map(|meta| Stored { meta, certificates }))
    }
}

impl Stored {
    /// Its name.
    pub fn name(&self) -> &str {
        self.meta["Name"].as_str().unwrap_or_default()
    }

    /// What is told about it.
    pub fn description(&self) -> &str {
        self.meta["Metadata"]["Description"].as_str().unwrap_or_default()
    }

    /// Where the engine is.
    pub fn host(&self) -> &str {
        self.meta["Endpoints"]["docker"]["Host"].as_str().unwrap_or_default()
    }

    /// Where the engine is, if it can be reached.
    pub fn usable_host(&self) -> Result<String, Failure> {
        match self.meta["Endpoints"]["docker"]["SkipTLSVerify"] == true {
            true => Err(Failure::new(format!(
                "context {}: it does not look at the engine's certificate, which is not supported",
                self.name()
            ))),
            false => Ok(self.host().into()),
        }
    }
}

/// Where docker keeps what is somebody's own.
pub fn directory(environment: &Environment) -> Option<String> {
    let home = || environment.filled("HOME").map(|home| format!("{home}/.docker"));
    environment.filled("DOCKER_CONFIG").map(String::from).or_else(home)
}

/// As docker does.
fn hash(name: &str) -> String {
    Digest::of(name.as_bytes()).hex().as_str().into()
}

fn check_name(name: &str) -> Result<(), Failure> {
    if name == DEFAULT {
        return Err(Failure::new("context default: that name is for an engine of this command's own"));
    }
    let good = name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte));
    good.then_some(()).ok_or_else(|| {
        let form = "a letter or digit, then letters, digits, `_`, `.`, `+` and `-`";
        Failure::new(format!("context {name}: a name is {form}"))
    })
}

fn read_json(path: &str) -> Result<Option<Value>, Failure> {
    match files::read(path) {
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(Failure::io("read", path, errno)),
        Ok(bytes) if bytes.trim_ascii().is_empty() => Ok(None),
        Ok(bytes) => match skiff_core::json::from_slice(&bytes) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(Failure::new(format!("read {path}: {error}"))),
        },
    }
}
