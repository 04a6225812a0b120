//! Nodes and data -> text. Values are JSON; null is Go's nil.

use alloc::{string::String, vec::Vec};

use serde_json::{Map, Value};

use super::{
    Missing,
    functions::{self, print},
    parse::{Kind, Node, Operand, Pipe, Term},
};

/// What running some nodes ended with.
#[derive(PartialEq, Eq)]
pub enum Flow {
    Next,
    Break,
    Continue,
}

/// A run of a template.
pub struct Run<'a> {
    pub text: &'a str,
    pub missing: Missing,
    /// The values are headers: functions that change texts don't change these.
    pub headers: bool,
    /// What `$` is.
    pub top: &'a Value,
    pub variables: Vec<(String, Value)>,
    pub out: String,
}

/// Most turns of a range over a number.
const RANGE_MAX: i64 = 1 << 20;

type Ran<T> = Result<T, String>;

impl Run<'_> {
    /// Go's message: where, which operand, why.
    fn error(&self, operand: &Operand, reason: &str) -> String {
        let before = &self.text[..operand.at];
        let line = before.matches('\n').count() + 1;
        let column = before.rfind('\n').map_or(operand.at, |newline| operand.at - newline - 1);
        let text = &operand.text;
        format!("template: :{line}:{column}: executing \"\" at <{text}>: {reason}")
    }

    /// Runs nodes with this value as the dot.
    pub fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Ran<Flow> {
        for node in nodes {
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
                Node::Action(pipe) => {
                    if let Some(field) = plain_field(pipe)
                        && let Value::String(text) = self.field(field, dot)?
                    {
                        self.out.push_str(text);
                        continue;
                    }
                    let value = self.pipe(pipe, dot)?;
                    if pipe.variables.is_empty() {
                        match (&value, last_field(pipe)) {
                            (Value::Null, Some(field)) => self.out.push_str(null_text(field)),
                            _ => self.out.push_str(&print(&value)),
                        }
                    }
                }
                Node::Block { kind, pipe, body, otherwise } => {
                    let known = self.variables.len();
                    let flow = self.block(*kind, pipe, body, otherwise, dot)?;
                    self.variables.truncate(known);
                    if flow != Flow::Next {
                        return Ok(flow);
                    }
                }
            }
        }
        Ok(Flow::Next)
    }

    fn block(
        &mut self,
        kind: Kind,
        pipe: &Pipe,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Ran<Flow> {
        if kind == Kind::Range {
            return self.range(pipe, body, otherwise, dot);
        }
        let value = self.pipe(pipe, dot)?;
        let truth = functions::is_true(&value);
        let inner = if kind == Kind::With && truth { &value } else { dot };
        self.nodes(if truth { body } else { otherwise }, inner)
    }

    fn range(&mut self, pipe: &Pipe, body: &[Node], otherwise: &[Node], dot: &Value) -> Ran<Flow> {
        let bare = Pipe { variables: Vec::new(), ..pipe.clone() };
        let items: Vec<(Value, Value)> = match self.pipe(&bare, dot)? {
            Value::Null => Vec::new(),
            Value::Array(items) => {
                items.into_iter().enumerate().map(|(at, item)| (at.into(), item)).collect()
            }
            Value::Object(fields) => fields.into_iter().map(|(key, item)| (key.into(), item)).collect(),
            Value::Number(count) if count.as_i64().is_some_and(|count| count <= RANGE_MAX) => {
                (0..count.as_i64().unwrap_or(0)).map(|at| (at.into(), at.into())).collect()
            }
            other => {
                let operand = &pipe.commands[0][0];
                return Err(self.error(operand, &format!("range can't iterate over {}", print(&other))));
            }
        };
        if items.is_empty() {
            return self.nodes(otherwise, dot);
        }
        let known = self.variables.len();
        for (key, item) in items {
            match pipe.variables.as_slice() {
                [] => {}
                [one] => self.set(one, item.clone(), pipe.declares),
                [index, value, ..] => {
                    self.set(index, key, pipe.declares);
                    self.set(value, item.clone(), pipe.declares);
                }
            }
            let flow = self.nodes(body, &item)?;
            self.variables.truncate(known);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn set(&mut self, name: &str, value: Value, declare: bool) {
        match self.variables.iter_mut().rev().find(|(known, _)| known == name) {
            Some((_, slot)) if !declare => *slot = value,
            _ => self.variables.push((name.into(), value)),
        }
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Ran<Value> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, value, dot)?);
        }
        let value = value.unwrap_or(Value::Null);
        for name in &pipe.variables {
            self.set(name, value.clone(), pipe.declares);
        }
        Ok(value)
    }

    /// A command with the value of the one before it as its last argument.
    fn command(&mut self, command: &[Operand], last: Option<Value>, dot: &Value) -> Ran<Value> {
        let (first, rest) = (&command[0], &command[1..]);
        let Term::Function(name) = &first.term else {
            if let (Some("Label"), Some(key)) = (first.fields.last().map(String::as_str), rest.first()) {
                let key = self.operand(key, dot)?;
                if self.headers {
                    return Ok(key);
                }
                let labels = dot.get(super::LABELS);
                let value = labels.and_then(|labels| labels.get(key.as_str().unwrap_or("")));
                return Ok(value.cloned().unwrap_or_else(|| "".into()));
            }
            if !rest.is_empty() || last.is_some() {
                return Err(self.error(first, &format!("can't give argument to non-function {}", first.text)));
            }
            return self.operand(first, dot);
        };
        if matches!(name.as_str(), "and" | "or") {
            // The rest is not looked at once the result is known.
            let mut value = Value::Null;
            for operand in rest {
                value = self.operand(operand, dot)?;
                if functions::is_true(&value) == (name == "or") {
                    return Ok(value);
                }
            }
            return Ok(last.unwrap_or(value));
        }
        let mut arguments = Vec::with_capacity(rest.len() + 1);
        for operand in rest {
            arguments.push(self.operand(operand, dot)?);
        }
        arguments.extend(last);
        if self.headers
            && !arguments.is_empty()
            && matches!(name.as_str(), "json" | "join" | "lower" | "split" | "title" | "truncate" | "upper")
        {
            return Ok(arguments.swap_remove(0));
        }
        functions::call(name, &arguments).map_err(|reason| {
            // Go shows the whole command here.
            let text = command.iter().map(|operand| operand.text.as_str()).collect::<Vec<_>>().join(" ");
            self.error(&Operand { text, ..first.clone() }, &format!("error calling {name}: {reason}"))
        })
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Ran<Value> {
        let whole = match &operand.term {
            Term::Dot => return self.field(operand, dot).cloned(),
            Term::Constant(value) => return self.field(operand, value).cloned(),
            Term::Variable(name) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                let top = if name == "$" { self.top } else { &Value::Null };
                return self.field(operand, found.map_or(top, |(_, value)| value)).cloned();
            }
            Term::Nested(pipe) => self.pipe(pipe, dot)?,
            Term::Function(_) => self.command(core::slice::from_ref(operand), None, dot)?,
        };
        self.field(operand, &whole).cloned()
    }

    /// What an operand's fields lead to.
    fn field<'v>(&self, operand: &Operand, mut value: &'v Value) -> Ran<&'v Value> {
        let mut above = "";
        for field in &operand.fields {
            value = match value {
                Value::Object(fields) => match fields.get(field).or_else(|| go_name(fields, field)) {
                    Some(found) => found,
                    // Maps of the user's own keys have whatever the user put there.
                    None if is_free_map(above) => &Value::Null,
                    None => {
                        let reason = match self.missing {
                            Missing::Key => format!("map has no entry for key \"{field}\""),
                            Missing::Field(kind) => format!("can't evaluate field {field} in type {kind}"),
                        };
                        return Err(self.error(operand, &reason));
                    }
                },
                Value::Null => {
                    return Err(self.error(operand, &format!("nil pointer evaluating {above}.{field}")));
                }
                other => {
                    let kind = functions::kind(other);
                    return Err(self.error(operand, &format!("can't evaluate field {field} in type {kind}")));
                }
            };
            above = field;
        }
        Ok(value)
    }
}

/// A field by the name that it has in Go: people write `.ID` and `.APIVersion` for `Id` and `ApiVersion`.
fn go_name<'v>(fields: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    let initials = name.as_bytes().windows(2).any(|pair| pair.iter().all(u8::is_ascii_uppercase));
    fields.iter().find(|(key, _)| initials && key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The operand `.A.B` that the pipeline is, if it is nothing else.
fn plain_field(pipe: &Pipe) -> Option<&Operand> {
    match (pipe.variables.as_slice(), pipe.commands.as_slice()) {
        ([], [command]) => match command.as_slice() {
            [operand] if operand.term == Term::Dot => Some(operand),
            _ => None,
        },
        _ => None,
    }
}

/// The field that the pipeline is, if it is nothing else.
fn last_field(pipe: &Pipe) -> Option<&str> {
    match pipe.commands.as_slice() {
        [command] => match command.as_slice() {
            [operand] => operand.fields.last().map(String::as_str),
            _ => None,
        },
        _ => None,
    }
}

/// How Go prints a field without a value: by the field's type, which JSON doesn't tell.
fn null_text(field: &str) -> &'static str {
    match field {
        "Health" | "Healthcheck" | "Init" | "MemorySwappiness" | "OomKillDisable" | "PidsLimit"
        | "StopTimeout" => "<nil>",
        "Annotations" | "ExposedPorts" | "Labels" | "LogConfig" | "Options" | "PortBindings" | "Ports"
        | "StorageOpt" | "Sysctls" | "Tmpfs" | "Volumes" => "map[]",
        "Aliases" | "Args" | "BindMounts" | "Binds" | "CapAdd" | "CapDrop" | "Cmd" | "DeviceCgroupRules"
        | "DeviceRequests" | "Devices" | "Dns" | "DnsOptions" | "DnsSearch" | "Entrypoint" | "Env"
        | "ExecIDs" | "ExtraHosts" | "GroupAdd" | "Links" | "Mounts" | "OnBuild" | "SecurityOpt"
        | "Shell" | "Ulimits" | "VolumesFrom" => "[]",
        _ => "<no value>",
    }
}

fn is_free_map(name: &str) -> bool {
    matches!(
        name,
        "Labels" | "Options" | "Attributes" | "Annotations" | "Sysctls" | "Tmpfs" | "DriverOpts" | "Data"
    )
}
