//! Template text -> nodes. Tokens are cut while parsing; each operand remembers where it stands for messages.
//!
//! The grammar is that of Go's text/template without `define`, `block` and `template`.

use alloc::{borrow::ToOwned, string::String, vec::Vec};

use serde_json::Value;

/// One piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Copied as it is.
    Text(String),
    /// The value of the pipeline is printed.
    Action(Pipe),
    /// `if`, `with` and `range`.
    Block {
        kind: Kind,
        pipe: Pipe,
        body: Vec<Node>,
        /// What `else` leads to.
        otherwise: Vec<Node>,
    },
    /// `break`
    Break,
    /// `continue`
    Continue,
}

/// Which block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    If,
    With,
    Range,
}

/// `$a, $b := command | command`
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pipe {
    /// Variables that get the value; with `range` the index comes first.
    pub variables: Vec<String>,
    /// They are new (`:=`), not set again (`=`).
    pub declares: bool,
    /// The value of one is the last argument of the next.
    pub commands: Vec<Vec<Operand>>,
}

/// A word of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Operand {
    pub term: Term,
    /// Fields that are taken from it: `(pipeline).Name`, `$x.Name`, `.Name`.
    pub fields: Vec<String>,
    /// Where it starts, in bytes.
    pub at: usize,
    /// How it was written.
    pub text: String,
}

/// What an operand starts with.
#[derive(Debug, Clone, PartialEq)]
pub enum Term {
    Dot,
    Variable(String),
    Function(String),
    Constant(Value),
    Nested(Pipe),
}

/// Functions that a template may call.
pub const FUNCTIONS: &[&str] = &[
    "and", "eq", "ge", "gt", "index", "join", "json", "le", "len", "lower", "lt", "ne", "not", "or", "pad",
    "print", "printf", "println", "slice", "split", "title", "truncate", "upper",
];

/// Most blocks and parentheses within each other.
const DEPTH_MAX: usize = 100;

/// Parses a whole template. The error is Go's: `template: :LINE: reason`.
pub fn parse(text: &str) -> Result<Vec<Node>, String> {
    let mut parser = Parser { text, at: 0, trim: false, variables: vec!["$".into()], loops: 0, depth: 0 };
    let (nodes, end) = parser.nodes().map_err(|reason| parser.error(&reason))?;
    match end {
        Stop::Input => Ok(nodes),
        Stop::End => Err(parser.error("unexpected {{end}}")),
        Stop::Else(_) => Err(parser.error("unexpected {{else}}")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// White space after the last action is dropped.
    trim: bool,
    /// Names that are known here.
    variables: Vec<String>,
    loops: usize,
    /// How many parentheses and blocks are open.
    depth: usize,
}

/// What a list of nodes ended with.
enum Stop {
    Input,
    End,
    /// `else`, perhaps with `if` or `with`.
    Else(Option<Kind>),
}

type Parsed<T> = Result<T, String>;

impl Parser<'_> {
    fn error(&self, reason: &str) -> String {
        let line = self.text[..self.at].matches('\n').count() + 1;
        format!("template: :{line}: {reason}")
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn nodes(&mut self) -> Parsed<(Vec<Node>, Stop)> {
        let mut nodes = Vec::new();
        loop {
            let rest = &self.text[self.at..];
            let open = rest.find("{{");
            let mut plain = &rest[..open.unwrap_or(rest.len())];
            if self.trim {
                plain = plain.trim_start();
            }
            self.trim = false;
            let inside = &rest[open.map_or(rest.len(), |open| open + 2)..];
            let trims = inside.strip_prefix('-').is_some_and(|after| after.starts_with(char::is_whitespace));
            if trims {
                plain = plain.trim_end();
            }
            if !plain.is_empty() {
                nodes.push(Node::Text(plain.into()));
            }
            let Some(open) = open else {
                self.at = self.text.len();
                return Ok((nodes, Stop::Input));
            };
            self.at += open + 2 + usize::from(trims);
            self.spaces();
            if self.rest().starts_with("/*") {
                let Some(end) = self.rest().find("*/") else { return Err("unclosed comment".into()) };
                self.at += end + 2;
                self.close("comment ends before closing delimiter")?;
                continue;
            }
            match self.keyword() {
                "end" => {
                    self.close("unexpected word in end")?;
                    return Ok((nodes, Stop::End));
                }
                "else" => {
                    let next = match self.keyword() {
                        "if" => Some(Kind::If),
                        "with" => Some(Kind::With),
                        _ => {
                            self.close("unexpected word in else")?;
                            None
                        }
                    };
                    return Ok((nodes, Stop::Else(next)));
                }
                "if" => nodes.push(self.block(Kind::If)?),
                "with" => nodes.push(self.block(Kind::With)?),
                "range" => nodes.push(self.block(Kind::Range)?),
                word @ ("break" | "continue") => {
                    if self.loops == 0 {
                        return Err(format!("{{{{{word}}}}} outside {{{{range}}}}"));
                    }
                    self.close("unexpected word after break or continue")?;
                    nodes.push(if word == "break" { Node::Break } else { Node::Continue });
                }
                word @ ("define" | "block" | "template") => {
                    return Err(format!("{{{{{word}}}}} is not supported"));
                }
                _ => {
                    let pipe = self.pipe(false)?;
                    self.close("unclosed action")?;
                    nodes.push(Node::Action(pipe));
                }
            }
        }
    }

    fn block(&mut self, kind: Kind) -> Parsed<Node> {
        self.deeper()?;
        let known = self.variables.len();
        let pipe = self.pipe(kind == Kind::Range)?;
        self.close("unclosed action")?;
        self.loops += usize::from(kind == Kind::Range);
        let (body, end) = self.nodes()?;
        self.loops -= usize::from(kind == Kind::Range);
        let otherwise = match end {
            Stop::Input => return Err("unexpected EOF".into()),
            Stop::End => Vec::new(),
            Stop::Else(Some(_)) if kind == Kind::Range => return Err("unexpected if in range's else".into()),
            // The nested block's `end` is also this one's.
            Stop::Else(Some(next)) => vec![self.block(next)?],
            Stop::Else(None) => match self.nodes()? {
                (nodes, Stop::End) => nodes,
                (_, Stop::Else(_)) => return Err("expected end; found {{else}}".into()),
                (_, Stop::Input) => return Err("unexpected EOF".into()),
            },
        };
        self.variables.truncate(known);
        self.depth -= 1;
        Ok(Node::Block { kind, pipe, body, otherwise })
    }

    /// Takes the next word if it is one of those that start something else than a pipeline.
    fn keyword(&mut self) -> &'static str {
        self.spaces();
        const KEYWORDS: &[&str] =
            &["end", "else", "if", "with", "range", "break", "continue", "define", "block", "template"];
        let rest = self.rest();
        let word = &rest[..rest.find(|c: char| !is_letter(c)).unwrap_or(rest.len())];
        let Some(keyword) = KEYWORDS.iter().find(|keyword| **keyword == word) else { return "" };
        self.at += keyword.len();
        keyword
    }

    fn spaces(&mut self) -> bool {
        let rest = self.rest();
        let spaces = rest.len() - rest.trim_start().len();
        self.at += spaces;
        spaces > 0
    }

    /// Expects the end of an action.
    fn close(&mut self, reason: &str) -> Parsed<()> {
        self.spaces();
        // The spaces may have been taken by whoever looked for more.
        let spaced = self.text[..self.at].ends_with(char::is_whitespace);
        if spaced && self.rest().starts_with("-}}") {
            self.at += 3;
            self.trim = true;
            return Ok(());
        }
        if self.rest().starts_with("}}") {
            self.at += 2;
            return Ok(());
        }
        match self.rest().chars().next() {
            None => Err("unclosed action".into()),
            Some(')') => Err("unexpected right paren".into()),
            Some(letter) if !is_letter(letter) => Err(format!("unexpected {letter:?} in operand")),
            Some(_) => Err(reason.into()),
        }
    }

    /// Blocks and parentheses are read by recursion, which the stack bounds.
    fn deeper(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err("too many nested blocks or parentheses".into()) } else { Ok(()) }
    }

    fn pipe(&mut self, range: bool) -> Parsed<Pipe> {
        let mut pipe = Pipe::default();
        self.spaces();
        if self.rest().starts_with('$') {
            let start = self.at;
            let mut names = vec![self.variable_name()];
            self.spaces();
            if range && self.rest().starts_with(',') {
                self.at += 1;
                self.spaces();
                if !self.rest().starts_with('$') {
                    return Err("range can only initialize variables".into());
                }
                names.push(self.variable_name());
                self.spaces();
            }
            if self.rest().starts_with(":=") {
                self.at += 2;
                pipe.declares = true;
                pipe.variables = names;
            } else if self.rest().starts_with('=') {
                self.at += 1;
                if let Some(name) = names.iter().find(|name| !self.variables.contains(name)) {
                    return Err(format!("undefined variable \"{name}\""));
                }
                pipe.variables = names;
            } else {
                self.at = start;
            }
        }
        loop {
            let command = self.command()?;
            if command.is_empty() {
                return Err("missing value for command".into());
            }
            if !pipe.commands.is_empty() && matches!(command[0].term, Term::Constant(_)) {
                let text = &command[0].text;
                return Err(format!(
                    "non executable command in pipeline stage {}: {text}",
                    pipe.commands.len() + 1
                ));
            }
            pipe.commands.push(command);
            self.spaces();
            if !self.rest().starts_with('|') {
                break;
            }
            self.at += 1;
        }
        if pipe.declares {
            self.variables.extend(pipe.variables.iter().cloned());
        }
        Ok(pipe)
    }

    fn command(&mut self) -> Parsed<Vec<Operand>> {
        let mut operands = Vec::new();
        loop {
            self.spaces();
            let spaced = self.text[..self.at].ends_with(char::is_whitespace);
            let rest = self.rest();
            let ends =
                rest.is_empty() || rest.starts_with(['|', ')', '}']) || (spaced && rest.starts_with("-}}"));
            if ends {
                return Ok(operands);
            }
            operands.push(self.operand()?);
        }
    }

    fn operand(&mut self) -> Parsed<Operand> {
        let start = self.at;
        let rest = self.rest();
        let first = rest.chars().next().unwrap_or(' ');
        let term = match first {
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number()?,
            '.' => {
                if !rest[1..].starts_with(is_letter) {
                    self.at += 1;
                }
                Term::Dot
            }
            '$' => {
                let name = self.variable_name();
                if !self.variables.contains(&name) {
                    return Err(format!("undefined variable \"{name}\""));
                }
                Term::Variable(name)
            }
            '(' => {
                self.at += 1;
                self.deeper()?;
                let pipe = self.pipe(false)?;
                self.depth -= 1;
                self.spaces();
                if !self.rest().starts_with(')') {
                    return Err("unclosed left paren".into());
                }
                self.at += 1;
                Term::Nested(pipe)
            }
            '"' => self.quoted()?,
            '`' => {
                let Some(length) = rest[1..].find('`') else {
                    return Err("unterminated raw quoted string".into());
                };
                let text = rest[1..=length].to_owned();
                self.at += length + 2;
                Term::Constant(text.into())
            }
            _ if first.is_ascii_digit() || matches!(first, '+' | '-') => self.number()?,
            _ if is_letter(first) => {
                let word = rest[..rest.find(|c| !is_letter(c)).unwrap_or(rest.len())].to_owned();
                self.at += word.len();
                match word.as_str() {
                    "true" => Term::Constant(true.into()),
                    "false" => Term::Constant(false.into()),
                    "nil" => Term::Constant(Value::Null),
                    _ if FUNCTIONS.contains(&word.as_str()) => Term::Function(word),
                    _ => return Err(format!("function \"{word}\" not defined")),
                }
            }
            _ => return Err(format!("unexpected {first:?} in operand")),
        };
        let mut fields = Vec::new();
        let mut at = start;
        while self.rest().starts_with('.') {
            let after = &self.rest()[1..];
            let name = after[..after.find(|c| !is_letter(c)).unwrap_or(after.len())].to_owned();
            if name.is_empty() {
                return Err("unexpected <.> in operand".into());
            }
            if fields.len() == 1 {
                at = self.at;
            }
            self.at += 1 + name.len();
            fields.push(name);
        }
        if let Some(next) = self.rest().chars().next().filter(|c| !c.is_whitespace() && !"|)}".contains(*c)) {
            return Err(format!("unexpected {next:?} in operand"));
        }
        Ok(Operand { term, fields, at, text: self.text[start..self.at].into() })
    }

    fn variable_name(&mut self) -> String {
        let rest = &self.rest()[1..];
        let name = ["$", &rest[..rest.find(|c| !is_letter(c)).unwrap_or(rest.len())]].concat();
        self.at += name.len();
        name
    }

    fn number(&mut self) -> Parsed<Term> {
        let rest = self.rest();
        let length =
            rest.find(|c: char| !(is_letter(c) || matches!(c, '.' | '+' | '-'))).unwrap_or(rest.len());
        let text = rest[..length].to_owned();
        self.at += length;
        let digits = text.trim_start_matches('+').replace('_', "");
        let integer = match digits.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16).ok(),
            None => digits.parse().ok(),
        };
        let value = integer.map(Value::from).or_else(|| {
            skiff_core::json::from_slice::<Value>(digits.as_bytes()).ok().filter(Value::is_number)
        });
        value.map(Term::Constant).ok_or_else(|| format!("bad number syntax: {text:?}"))
    }

    fn quoted(&mut self) -> Parsed<Term> {
        let mut value = String::new();
        let mut letters = self.text[self.at + 1..].char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.at += at + 2;
                    return Ok(Term::Constant(value.into()));
                }
                '\n' => break,
                '\\' => value.push(match letters.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, 't')) => '\t',
                    Some((_, 'r')) => '\r',
                    Some((_, same @ ('"' | '\\' | '\''))) => same,
                    Some((_, letter @ ('x' | 'u'))) => {
                        let length = if letter == 'x' { 2 } else { 4 };
                        let hex: String = letters.by_ref().take(length).map(|(_, digit)| digit).collect();
                        let code = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
                        code.ok_or("invalid syntax in quoted string")?
                    }
                    _ => return Err("invalid syntax in quoted string".into()),
                }),
                _ => value.push(letter),
            }
        }
        Err("unterminated quoted string".into())
    }
}

/// A letter of a name.
fn is_letter(letter: char) -> bool {
    letter == '_' || letter.is_alphanumeric()
}
