//! Profiles of one's own: Docker's JSON comes in, a program goes out. Run by the server child.
//!
//! What a profile means is what Docker with runc and libseccomp makes of it: names that this architecture doesn't know are
//! skipped, as are rules that say what happens anyway; an entry with several conditions on one argument is as many rules;
//! calls that are newer than all in the profile give ENOSYS unless calls are allowed by default. It is stricter in three
//! places: 32-bit arguments are compared by their low half; x32 calls give ENOSYS; and where i386 has one call for many
//! (socketcall, ipc), a condition that a filter can't see there allows nothing.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::fmt::Display;

use rustix::io::Errno;
use serde::Deserialize;
use skiff_syscalls::seccomp::{FilterFlags, Instruction};

use super::{
    calls::{COMPAT, Calls, NAME, NATIVE_ARCHITECTURE, PROFILE_NAME, multiplexed},
    program::{
        self, Action, Comparison, Condition, MAX_INSTRUCTIONS, PRIVATE, Rule, Section, Width, compile,
    },
};
use crate::{Error, Result, process::capability::CapabilitySet};

/// A profile is not larger than this.
const MAX_BYTES: usize = 4 << 20;

/// A finished filter and how it is put on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The program; empty if the profile asks for no filter.
    pub instructions: Vec<Instruction>,
    /// How it is put on.
    pub flags: FilterFlags,
}

/// What a kernel's release begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// `6` of `6.12.1-amd64`.
    pub major: u32,
    /// `12`.
    pub minor: u32,
}

impl KernelVersion {
    /// The running kernel's.
    pub fn running() -> Self {
        let uname = rustix::system::uname();
        uname.release().to_str().ok().and_then(Self::parse).unwrap_or(KernelVersion { major: 0, minor: 0 })
    }

    fn parse(text: &str) -> Option<Self> {
        let (major, rest) = text.split_once('.')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        Some(KernelVersion { major: major.parse().ok()?, minor: rest[..digits].parse().ok()? })
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u32>,
    architectures: Option<Vec<String>>,
    arch_map: Option<Vec<ArchMap>>,
    flags: Option<Vec<String>>,
    listener_path: Option<String>,
    syscalls: Option<Vec<Entry>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ArchMap {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Entry {
    name: Option<String>,
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u32>,
    args: Option<Vec<Argument>>,
    includes: Option<Scope>,
    excludes: Option<Scope>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Argument {
    index: u32,
    value: u64,
    value_two: u64,
    op: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Scope {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// Compiles a profile for a container with these capabilities on this kernel.
///
/// # Errors
/// [`Error::Invalid`] names the entry that is at fault; [`Error::Unsupported`] for actions that need a listener.
///
/// # Spec
/// moby `profiles/seccomp`, OCI runtime-spec `linux.seccomp`.
// Apart, for what is compiled takes tens of KiB of stack.
#[inline(never)]
pub fn from_json(json: &[u8], capabilities: CapabilitySet, kernel: KernelVersion) -> Result<Filter> {
    if json.len() > MAX_BYTES {
        return Err(bad(format!("{} bytes are more than the {MAX_BYTES} allowed", json.len())));
    }
    let profile: Profile = crate::json::from_slice(json).map_err(bad)?;
    let entries = profile.syscalls.as_deref().unwrap_or_default();
    if profile.default_action.is_empty() && entries.is_empty() {
        return Ok(Filter { instructions: Vec::new(), flags: FilterFlags::empty() });
    }
    if profile.listener_path.as_deref().is_some_and(|path| !path.is_empty()) {
        return Err(Error::Unsupported(
            "seccomp profile: listenerPath: no listener can be asked".to_string(),
        ));
    }
    let default =
        action(&profile.default_action, profile.default_errno_ret).map_err(|e| at(e, "defaultAction"))?;
    let flags = flags(profile.flags.as_deref())?;
    let compat = compat(&profile)?;

    let narrow = Calls::narrow();
    let mut native = Rules::new(Calls::native(), default);
    let mut other = compat.map(|architecture| (architecture, Rules::new(Calls::compat(), default)));
    for (i, entry) in entries.iter().enumerate() {
        let within = |error| at(error, &format!("syscalls[{i}]"));
        if !entry.is_meant(capabilities, kernel).map_err(within)? {
            continue;
        }
        let action = action(&entry.action, entry.errno_ret).map_err(within)?;
        let args = entry.args.as_deref().unwrap_or_default();
        let args = args
            .iter()
            .enumerate()
            .map(|(j, one)| one.read().map_err(|e| within(at(e, &format!("args[{j}]")))));
        let args = args.collect::<Result<Vec<_>>>()?;
        for name in entry.names().map_err(within)? {
            native.add(name, action, &args, |argument| narrow.width(name, argument));
            if let Some((_, other)) = &mut other {
                other.add(name, action, &args, |_| Width::Narrow);
                other.add_multiplexed(name, action, &args);
            }
        }
    }

    let newer =
        if is_permissive(default) { default } else { program::ERRNO | Errno::NOSYS.raw_os_error() as u32 };
    let x32 = cfg!(target_arch = "x86_64").then_some(program::ERRNO | Errno::NOSYS.raw_os_error() as u32);
    native.sort();
    let native_rules = native.rules();
    let mut sections = vec![Section {
        architecture: NATIVE_ARCHITECTURE,
        rules: &native_rules,
        default,
        newest: native.newest,
        newer,
        x32,
    }];
    let other_rules;
    if let Some((architecture, other)) = &mut other {
        other.sort();
        other_rules = other.rules();
        let newest = other.newest;
        sections.push(Section {
            architecture: *architecture,
            rules: &other_rules,
            default,
            newest,
            newer,
            x32: None,
        });
    }
    let mut out = vec![Instruction { code: 0, if_true: 0, if_false: 0, operand: 0 }; MAX_INSTRUCTIONS];
    match compile(&sections, &mut out) {
        Ok(start) => Ok(Filter { instructions: out.split_off(start), flags }),
        Err(program::TooLong) => {
            Err(bad(format!("it needs more than the {MAX_INSTRUCTIONS} instructions that the kernel takes")))
        }
    }
}

/// The rules of one architecture while they are collected.
struct Rules {
    calls: Calls,
    default: Action,
    newest: Option<u32>,
    /// Number, action, and the place of the conditions.
    list: Vec<(u32, Action, usize, usize)>,
    conditions: Vec<Condition>,
}

impl Rules {
    fn new(calls: Calls, default: Action) -> Self {
        Rules { calls, default, newest: None, list: Vec::new(), conditions: Vec::new() }
    }

    fn add(&mut self, name: &str, action: Action, args: &[Condition], width: impl Fn(u8) -> Width) {
        let Some(number) = self.calls.get(name) else { return };
        if number < PRIVATE {
            self.newest = self.newest.max(Some(number));
        }
        if action == self.default {
            return;
        }
        let args: Vec<_> = args.iter().map(|arg| Condition { width: width(arg.argument), ..*arg }).collect();
        let repeated =
            args.iter().enumerate().any(|(i, a)| args[..i].iter().any(|b| a.argument == b.argument));
        if repeated {
            for one in &args {
                self.push(number, action, core::slice::from_ref(one));
            }
        } else {
            self.push(number, action, &args);
        }
    }

    /// The same call by way of socketcall or ipc, whose own arguments are in memory, where a filter can't look.
    fn add_multiplexed(&mut self, name: &str, action: Action, args: &[Condition]) {
        let Some((host, selector)) = multiplexed(name) else { return };
        if action == self.default || (!args.is_empty() && is_permissive(action)) {
            return;
        }
        if let Some(number) = self.calls.get(host) {
            let (width, comparison) = (Width::Narrow, Comparison::Equal);
            self.push(
                number,
                action,
                &[Condition { argument: 0, width, comparison, value: selector.into() }],
            );
        }
    }

    fn push(&mut self, number: u32, action: Action, conditions: &[Condition]) {
        let start = self.conditions.len();
        for condition in conditions {
            match fit(condition) {
                Fit::Asked => self.conditions.push(*condition),
                Fit::Holds => {}
                Fit::Fails => return self.conditions.truncate(start),
            }
        }
        self.list.push((number, action, start, self.conditions.len()));
    }

    fn sort(&mut self) {
        crate::sort::by_key(&mut self.list, |(number, ..)| *number);
    }

    fn rules(&self) -> Vec<Rule<'_>> {
        let rule =
            |&(number, action, start, end)| Rule { number, action, conditions: &self.conditions[start..end] };
        self.list.iter().map(rule).collect()
    }
}

enum Fit {
    Asked,
    Holds,
    Fails,
}

/// A 32-bit argument is never a value that doesn't fit into 32 bits, as an unsigned number or a negative one.
fn fit(condition: &Condition) -> Fit {
    let fits = u32::try_from(condition.value).is_ok() || i32::try_from(condition.value.cast_signed()).is_ok();
    match (condition.width, condition.comparison) {
        (Width::Wide, _) => Fit::Asked,
        _ if fits => Fit::Asked,
        (_, Comparison::NotEqual | Comparison::Less | Comparison::LessOrEqual) => Fit::Holds,
        _ => Fit::Fails,
    }
}

impl Entry {
    fn names(&self) -> Result<Vec<&str>> {
        let names = self.names.iter().flatten().map(String::as_str);
        match self.name.as_deref() {
            None | Some("") => Ok(names.collect()),
            Some(name) if names.count() == 0 => Ok(vec![name]),
            Some(_) => Err(Error::Invalid("both name and names are given".to_string())),
        }
    }

    fn is_meant(&self, capabilities: CapabilitySet, kernel: KernelVersion) -> Result<bool> {
        let held = |name: &String| {
            let one = name.strip_prefix("CAP_").and_then(CapabilitySet::from_name);
            one.is_some_and(|one| capabilities.contains(one))
        };
        let here = |list: &Vec<String>| list.is_empty() || list.iter().any(|name| name == NAME);
        if let Some(not) = &self.excludes {
            let listed = not.arches.as_ref().is_some_and(|list| list.iter().any(|name| name == NAME));
            if listed || not.caps.iter().flatten().any(held) || not.reached(kernel)? == Some(true) {
                return Ok(false);
            }
        }
        Ok(match &self.includes {
            Some(only) => {
                only.arches.as_ref().is_none_or(here)
                    && only.caps.iter().flatten().all(held)
                    && only.reached(kernel)? != Some(false)
            }
            None => true,
        })
    }
}

impl Scope {
    /// Whether the kernel is as new as is asked for, if that is asked for.
    fn reached(&self, kernel: KernelVersion) -> Result<Option<bool>> {
        let Some(text) = self.min_kernel.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
        match KernelVersion::parse(text) {
            Some(least) => Ok(Some(kernel >= least)),
            None => Err(Error::Invalid(format!("minKernel: {text:?} is not a version such as 4.8"))),
        }
    }
}

impl Argument {
    fn read(&self) -> Result<Condition> {
        let Some(argument) = u8::try_from(self.index).ok().filter(|index| *index < 6) else {
            return Err(Error::Invalid(format!("index {} is not an argument: they are 0 to 5", self.index)));
        };
        let (comparison, value) = match self.op.as_str() {
            "SCMP_CMP_NE" => (Comparison::NotEqual, self.value),
            "SCMP_CMP_LT" => (Comparison::Less, self.value),
            "SCMP_CMP_LE" => (Comparison::LessOrEqual, self.value),
            "SCMP_CMP_EQ" => (Comparison::Equal, self.value),
            "SCMP_CMP_GE" => (Comparison::GreaterOrEqual, self.value),
            "SCMP_CMP_GT" => (Comparison::Greater, self.value),
            "SCMP_CMP_MASKED_EQ" => (Comparison::Masked(self.value), self.value_two),
            other => return Err(Error::Invalid(format!("unknown op {other}"))),
        };
        Ok(Condition { argument, width: Width::Wide, comparison, value })
    }
}

fn action(name: &str, errno: Option<u32>) -> Result<Action> {
    let with = |base: Action, most: u32| match errno.unwrap_or(Errno::PERM.raw_os_error() as u32) {
        data if data <= most => Ok(base | data),
        data => Err(Error::Invalid(format!("errnoRet {data} is more than {most}"))),
    };
    match name {
        "SCMP_ACT_ALLOW" => Ok(program::ALLOW),
        "SCMP_ACT_ERRNO" => with(program::ERRNO, 4095),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Ok(program::KILL_THREAD),
        "SCMP_ACT_KILL_PROCESS" => Ok(program::KILL_PROCESS),
        "SCMP_ACT_TRAP" => Ok(program::TRAP),
        "SCMP_ACT_TRACE" => with(program::TRACE, 0xffff),
        "SCMP_ACT_LOG" => Ok(program::LOG),
        "SCMP_ACT_NOTIFY" => {
            Err(Error::Unsupported("SCMP_ACT_NOTIFY is not supported: no listener can be asked".to_string()))
        }
        other => Err(Error::Invalid(format!("unknown action {other}"))),
    }
}

/// Whether calls are made under this action; a tracer is thought to know what it does.
fn is_permissive(action: Action) -> bool {
    action == program::ALLOW || action == program::LOG || action & 0xffff_0000 == program::TRACE
}

fn flags(names: Option<&[String]>) -> Result<FilterFlags> {
    let Some(names) = names else { return Ok(super::STANDARD_FLAGS) };
    let mut flags = FilterFlags::empty();
    for (i, name) in names.iter().enumerate() {
        match name.as_str() {
            // Every process here has one thread, so that there is nothing to synchronise.
            "SECCOMP_FILTER_FLAG_TSYNC" => {}
            "SECCOMP_FILTER_FLAG_LOG" => flags |= FilterFlags::LOG,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => flags |= FilterFlags::SPEC_ALLOW,
            other => return Err(bad(format!("flags[{i}]: unknown flag {other}"))),
        }
    }
    Ok(flags)
}

/// The 32-bit architecture, if the profile speaks of it.
fn compat(profile: &Profile) -> Result<Option<u32>> {
    let listed = profile.architectures.as_deref().unwrap_or_default();
    let map = profile.arch_map.as_deref().unwrap_or_default();
    if !listed.is_empty() && !map.is_empty() {
        return Err(bad("both architectures and archMap are given"));
    }
    let ours = map.iter().find(|entry| entry.architecture == PROFILE_NAME);
    let also = ours.and_then(|entry| entry.sub_architectures.as_deref()).unwrap_or_default();
    for name in listed.iter().chain(also) {
        if !name.strip_prefix("SCMP_ARCH_").is_some_and(|name| ARCHITECTURES.contains(&name)) {
            return Err(bad(format!("unknown architecture {name}")));
        }
    }
    Ok(COMPAT.filter(|(name, _)| listed.iter().chain(also).any(|one| one == name)).map(|(_, number)| number))
}

/// What can follow `SCMP_ARCH_`; those of other machines are no fault, and mean nothing here.
const ARCHITECTURES: [&str; 23] = [
    "X86",
    "X86_64",
    "X32",
    "ARM",
    "AARCH64",
    "LOONGARCH64",
    "M68K",
    "MIPS",
    "MIPS64",
    "MIPS64N32",
    "MIPSEL",
    "MIPSEL64",
    "MIPSEL64N32",
    "PPC",
    "PPC64",
    "PPC64LE",
    "S390",
    "S390X",
    "PARISC",
    "PARISC64",
    "RISCV64",
    "SH",
    "SHEB",
];

fn bad(reason: impl Display) -> Error {
    Error::Invalid(format!("seccomp profile: {reason}"))
}

/// Puts the place of a fault to it.
fn at(error: Error, place: &str) -> Error {
    let put = |reason: String| match reason.strip_prefix("seccomp profile: ") {
        Some(reason) => format!("seccomp profile: {place}: {reason}"),
        None => format!("seccomp profile: {place}: {reason}"),
    };
    match error {
        Error::Invalid(reason) => Error::Invalid(put(reason)),
        Error::Unsupported(reason) => Error::Unsupported(put(reason)),
        other => other,
    }
}

#[cfg(test)]
mod tests;
