//! `skiff context create|ls|use|show|inspect|rm`: names for engines, shared with docker. No engine is asked.

use argh::prelude::*;
use serde_json::{Value, json};
use skiff_core::api::{address::Address, tls::Certificates};

use super::{Context, Verb, each};
use crate::{
    contexts::{Contexts, DEFAULT, Stored},
    failure::{Failure, Outcome},
    format::{self, Layout, row},
    output,
    template::Missing,
};

/// make a context: a name for an engine
#[derive(FromArgs, ArgsInfo)]
pub struct Create {
    /// where the engine is: host=unix:///PATH, tcp://... or ssh://..., and ca=, cert= and key= with paths of certificates for tcp
    #[argh(option, arg_name = "host=ADDRESS[,ca=PATH,cert=PATH,key=PATH]")]
    docker: String,
    /// what to tell about it
    #[argh(option, arg_name = "string", default = "String::new()")]
    description: String,
    #[argh(positional)]
    name: String,
}

/// list contexts
#[derive(FromArgs, ArgsInfo)]
pub struct List {
    /// how to show it: "table", "table TEMPLATE", "json" or a Go template
    #[argh(option, arg_name = "string")]
    format: Option<String>,
    /// show names only
    #[argh(switch, short = 'q')]
    quiet: bool,
}

/// use a context from now on
#[derive(FromArgs, ArgsInfo)]
pub struct Use {
    #[argh(positional)]
    name: String,
}

/// show the name of the context that is used
#[derive(FromArgs, ArgsInfo)]
pub struct Show {}

/// show contexts in detail
#[derive(FromArgs, ArgsInfo)]
pub struct Inspect {
    /// how to show it: "json" or a Go template
    #[argh(option, short = 'f', arg_name = "string")]
    format: Option<String>,
    #[argh(positional)]
    names: Vec<String>,
}

/// remove one or more contexts
#[derive(FromArgs, ArgsInfo)]
pub struct Remove {
    /// the current one, too
    #[argh(switch, short = 'f')]
    force: bool,
    #[argh(positional)]
    names: Vec<String>,
}

impl Verb for Create {
    fn run(self, context: &Context) -> Outcome {
        let bad = |why: &str| {
            Err(Failure::misuse(&context.called, &format!("invalid --docker {}: {why}", self.docker)))
        };
        let [mut host, mut authority, mut own, mut key] = [None; 4];
        for part in self.docker.split(',') {
            match part.split_once('=') {
                Some(("host", value)) => host = Some(value),
                Some(("ca", value)) => authority = Some(value),
                Some(("cert", value)) => own = Some(value),
                Some(("key", value)) => key = Some(value),
                _ => return bad("it is host=ADDRESS[,ca=PATH,cert=PATH,key=PATH]"),
            }
        }
        let certificates = match (authority, own, key) {
            (None, None, None) => None,
            (Some(authority), Some(own), Some(key)) => {
                Some(Certificates { authority: authority.into(), own: own.into(), key: key.into() })
            }
            _ => return bad("ca, cert and key belong together"),
        };
        let Some(host) = host else { return bad("it says no host") };
        Address::parse(host).map_err(|error| Failure::misuse(&context.called, &format!("{error}")))?;
        let contexts = Contexts::new(&context.environment);
        contexts.create(&self.name, &self.description, host, certificates.as_ref())?;
        output::line(&self.name)?;
        output::note(&format!("Successfully created context \"{}\"\n", self.name));
        Ok(0)
    }
}

/// How contexts are shown.
const LAYOUT: Layout = Layout {
    kind: "context",
    table: "{{if .Current}}{{.Name}} *{{else}}{{.Name}}{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}",
    quiet: "{{.Name}}",
    headers: &[("DockerEndpoint", "DOCKER ENDPOINT"), ("Current", "")],
};

/// What is used without a context, as one.
fn own() -> Stored {
    let meta = json!({
        "Name": DEFAULT,
        "Metadata": {"Description": "an engine of the command's own, no daemon"},
        "Endpoints": {},
    });
    Stored { meta, certificates: None }
}

impl Verb for List {
    fn run(self, context: &Context) -> Outcome {
        let contexts = Contexts::new(&context.environment);
        let current = contexts.current(&context.environment)?;
        let mut all = contexts.all()?;
        all.insert(0, own());
        let rows: Vec<Value> = all
            .iter()
            .map(|one| {
                let error = one
                    .usable_host()
                    .err()
                    .map(|failure| failure.message.lines().next().unwrap_or("").into());
                let mut row = row(vec![
                    ("Name", one.name().into()),
                    ("Description", one.description().into()),
                    ("DockerEndpoint", one.host().into()),
                    ("Error", error.unwrap_or_default()),
                ]);
                row.insert("Current".into(), (one.name() == current).into());
                row.into()
            })
            .collect();
        LAYOUT.print(self.format.as_deref(), self.quiet, &rows)?;
        warn_of_hosts(context);
        Ok(0)
    }
}

/// An address in the environment is stronger than a context.
fn warn_of_hosts(context: &Context) {
    for name in ["SKIFF_HOST", "DOCKER_HOST"] {
        if context.environment.filled(name).is_some() {
            output::note(&format!("Warning: {name} is set and overrides the context that is in use\n"));
        }
    }
}

impl Verb for Use {
    fn run(self, context: &Context) -> Outcome {
        Contexts::new(&context.environment).select(&self.name)?;
        output::line(&self.name)?;
        output::note(&format!("Current context is now \"{}\"\n", self.name));
        warn_of_hosts(context);
        Ok(0)
    }
}

impl Verb for Show {
    fn run(self, context: &Context) -> Outcome {
        output::line(&Contexts::new(&context.environment).current(&context.environment)?)?;
        Ok(0)
    }
}

impl Verb for Inspect {
    fn run(self, context: &Context) -> Outcome {
        let contexts = Contexts::new(&context.environment);
        let names = match self.names.is_empty() {
            true => vec![contexts.current(&context.environment)?],
            false => self.names,
        };
        let find = |name: &String| {
            if name == DEFAULT { Ok(own().meta) } else { contexts.find(name).map(|one| one.meta) }
        };
        let found: Vec<Value> = names.iter().map(find).collect::<Result<_, _>>()?;
        match self.format.as_deref().filter(|format| !format.is_empty()) {
            Some(format) => {
                for one in &found {
                    output::write(format::one(format, one, Missing::Key)?.as_bytes())?;
                }
            }
            None => output::line(&serde_json::to_string_pretty(&found).unwrap_or_default())?,
        }
        Ok(0)
    }
}

impl Verb for Remove {
    fn run(self, context: &Context) -> Outcome {
        let contexts = Contexts::new(&context.environment);
        let current = contexts.current(&context.environment)?;
        each(&self.names, |name| {
            if name == current && !self.force {
                return Err(
                    Failure::new(format!("context {name}: it is in use")).hint("-f removes it all the same")
                );
            }
            contexts.remove(name)?;
            if name == current {
                contexts.select(DEFAULT)?;
            }
            output::line(name)
        })
    }
}
