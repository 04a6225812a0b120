//! The functions of templates and how values are printed, both as Go does it.

use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
    vec::Vec,
};

use core::cmp::Ordering;

use serde_json::Value;

/// Calls a function that needs all its arguments' values.
pub fn call(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let (least, most) = match name {
        "not" | "len" | "json" | "lower" | "upper" | "title" => (1, 1),
        "ne" | "lt" | "le" | "gt" | "ge" | "join" | "split" | "truncate" => (2, 2),
        "pad" => (3, 3),
        "eq" => (2, usize::MAX),
        "slice" => (1, 4),
        "index" | "printf" => (1, usize::MAX),
        _ => (0, usize::MAX),
    };
    let count = arguments.len();
    if count < least || count > most {
        return Err(format!("wrong number of args for {name}: want {least} got {count}"));
    }
    Ok(match name {
        "not" => (!is_true(&arguments[0])).into(),
        "len" => length(&arguments[0])?.into(),
        "index" => index(arguments)?,
        "slice" => slice(arguments)?,
        "eq" => {
            let mut equal = false;
            for other in &arguments[1..] {
                equal |= is_equal(&arguments[0], other)?;
            }
            equal.into()
        }
        "ne" => (!is_equal(&arguments[0], &arguments[1])?).into(),
        "lt" => (order(arguments)? == Ordering::Less).into(),
        "le" => (order(arguments)? != Ordering::Greater).into(),
        "gt" => (order(arguments)? == Ordering::Greater).into(),
        "ge" => (order(arguments)? != Ordering::Less).into(),
        "print" => joined(arguments, false).into(),
        "println" => (joined(arguments, true) + "\n").into(),
        "printf" => printf(&text(&arguments[0])?, &arguments[1..]).into(),
        "json" => json(&arguments[0]).into(),
        "lower" => text(&arguments[0])?.to_lowercase().into(),
        "upper" => text(&arguments[0])?.to_uppercase().into(),
        "title" => title(&text(&arguments[0])?).into(),
        "split" => {
            let (whole, separator) = (text(&arguments[0])?, text(&arguments[1])?);
            match separator.as_str() {
                "" => whole.chars().map(|letter| Value::from(letter.to_string())).collect(),
                _ => whole.split(&separator).map(Value::from).collect(),
            }
        }
        "join" => {
            let Value::Array(items) = &arguments[0] else {
                return Err(format!("wrong type for value; expected []string; got {}", kind(&arguments[0])));
            };
            items.iter().map(print).collect::<Vec<_>>().join(&text(&arguments[1])?).into()
        }
        "truncate" => {
            let (whole, most) = (text(&arguments[0])?, whole_number(&arguments[1])?);
            whole.chars().take(most).collect::<String>().into()
        }
        "pad" => {
            let (left, right) = (whole_number(&arguments[1])?, whole_number(&arguments[2])?);
            let whole = text(&arguments[0])?;
            if whole.is_empty() {
                whole.into()
            } else {
                [" ".repeat(left), whole, " ".repeat(right)].concat().into()
            }
        }
        _ => return Err("it is not known".into()),
    })
}

/// JSON as `{{json .}}` prints it.
pub fn json(value: &Value) -> String {
    if !has_labels(value) {
        return value.to_string();
    }
    let mut shown = value.clone();
    remove_labels(&mut shown);
    shown.to_string()
}

fn has_labels(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_labels),
        Value::Object(fields) => fields.contains_key(super::LABELS) || fields.values().any(has_labels),
        _ => false,
    }
}

fn remove_labels(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(remove_labels),
        Value::Object(fields) => {
            fields.remove(super::LABELS);
            fields.values_mut().for_each(remove_labels);
        }
        _ => {}
    }
}

/// What counts as true: all but false, zero, empty and nil.
pub fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// Go's name of the value's type.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// A value as Go's `%v` prints it.
pub fn print(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".into(),
        _ => print_inside(value),
    }
}

fn print_inside(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(print_inside).collect();
            ["[", &items.join(" "), "]"].concat()
        }
        Value::Object(fields) => {
            let shown = fields.iter().filter(|(key, _)| *key != super::LABELS);
            let items: Vec<String> =
                shown.map(|(key, item)| [key, ":", &print_inside(item)].concat()).collect();
            ["map[", &items.join(" "), "]"].concat()
        }
        other => other.to_string(),
    }
}

/// Go's `Sprint` (spaces between operands that are both not strings) and `Sprintln` (spaces everywhere).
fn joined(values: &[Value], always: bool) -> String {
    let mut out = String::new();
    for (at, value) in values.iter().enumerate() {
        if at > 0 && (always || !(value.is_string() || values[at - 1].is_string())) {
            out.push(' ');
        }
        out.push_str(&print_inside(value));
    }
    out
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        other => Err(format!("wrong type for value; expected string; got {}", kind(other))),
    }
}

fn whole_number(value: &Value) -> Result<usize, String> {
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
    number
        .filter(|number| *number <= 1 << 20)
        .ok_or_else(|| format!("cannot index slice/array with {}", print(value)))
}

fn length(value: &Value) -> Result<usize, String> {
    match value {
        Value::String(text) => Ok(text.len()),
        Value::Array(items) => Ok(items.len()),
        Value::Object(fields) => Ok(fields.len()),
        Value::Null => Ok(0),
        other => Err(format!("len of type {}", kind(other))),
    }
}

fn index(arguments: &[Value]) -> Result<Value, String> {
    let mut value = arguments[0].clone();
    for key in &arguments[1..] {
        value = match value {
            Value::Array(mut items) => {
                let at = whole_number(key)?;
                if at >= items.len() {
                    return Err(format!("index out of range: {at}"));
                }
                items.swap_remove(at)
            }
            // A key that is not there gives the zero value; of a map of strings that is the empty one.
            Value::Object(mut fields) => {
                let strings = fields.values().all(Value::is_string) && !fields.is_empty();
                fields.remove(&text(key)?).unwrap_or(if strings { "".into() } else { Value::Null })
            }
            Value::String(whole) => {
                let at = whole_number(key)?;
                (*whole.as_bytes().get(at).ok_or_else(|| format!("index out of range: {at}"))?).into()
            }
            Value::Null => return Err("index of untyped nil".into()),
            other => return Err(format!("can't index item of type {}", kind(&other))),
        };
    }
    Ok(value)
}

fn slice(arguments: &[Value]) -> Result<Value, String> {
    let whole = length(&arguments[0])?;
    let bound = |at: usize, default: usize| arguments.get(at).map_or(Ok(default), whole_number);
    let (from, to) = (bound(1, 0)?, bound(2, whole)?);
    if to > whole {
        return Err(format!("index out of range: {to}"));
    }
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    match &arguments[0] {
        Value::Array(items) => Ok(items[from..to].to_vec().into()),
        Value::String(text) => Ok(text.get(from..to).ok_or("slice cuts a character")?.into()),
        other => Err(format!("can't slice item of type {}", kind(other))),
    }
}

fn is_equal(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::Null, _) | (_, Value::Null) => Ok(a == b),
        (Value::Number(_), Value::Number(_)) => Ok(compare(a, b) == Some(Ordering::Equal)),
        (Value::Array(_) | Value::Object(_), _) => Err(format!("non-comparable type {}", kind(a))),
        _ if core::mem::discriminant(a) == core::mem::discriminant(b) => Ok(a == b),
        _ => Err("incompatible types for comparison".into()),
    }
}

fn order(arguments: &[Value]) -> Result<Ordering, String> {
    compare(&arguments[0], &arguments[1]).ok_or_else(|| "incompatible types for comparison".into())
}

fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(x), Value::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => Some(x.cmp(&y)),
            _ => x.as_f64()?.partial_cmp(&y.as_f64()?),
        },
        _ => None,
    }
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for letter in text.chars() {
        if inside {
            out.push(letter)
        } else {
            out.extend(letter.to_uppercase())
        }
        inside = letter.is_alphanumeric() || matches!(letter, '_' | '\'');
    }
    out
}

/// What stands between `%` and the verb.
#[derive(Default)]
struct Layout {
    left: bool,
    plus: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
}

fn printf(format: &str, arguments: &[Value]) -> String {
    let mut out = String::new();
    let mut letters = format.chars().peekable();
    let mut next = arguments.iter();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let mut layout = Layout::default();
        while let Some(flag) = letters.next_if(|c| "-+ #0".contains(*c)) {
            layout.left |= flag == '-';
            layout.plus |= flag == '+';
            layout.zeros |= flag == '0';
        }
        let mut number = || {
            let mut value = None;
            while let Some(digit) = letters.next_if(char::is_ascii_digit) {
                // Wider than any screen is as good as that wide.
                value = Some((value.unwrap_or(0) * 10 + (digit as usize - '0' as usize)).min(4096));
            }
            value
        };
        layout.width = number().unwrap_or(0);
        if letters.next_if_eq(&'.').is_some() {
            let mut precision = 0;
            while let Some(digit) = letters.next_if(char::is_ascii_digit) {
                precision = (precision * 10 + (digit as usize - '0' as usize)).min(18);
            }
            layout.precision = Some(precision);
        }
        let text = match letters.next() {
            None => "%!(NOVERB)".into(),
            Some('%') => "%".into(),
            Some(verb) => match next.next() {
                None => format!("%!{verb}(MISSING)"),
                Some(value) => verb_text(verb, value, &layout),
            },
        };
        let missing = layout.width.saturating_sub(text.chars().count());
        if layout.left {
            out.push_str(&text);
            out.push_str(&" ".repeat(missing));
        } else if layout.zeros {
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
            out.push_str(sign);
            out.push_str(&"0".repeat(missing));
            out.push_str(digits);
        } else {
            out.push_str(&" ".repeat(missing));
            out.push_str(&text);
        }
    }
    let extra: Vec<String> = next.map(|value| format!("{}={}", kind(value), print_inside(value))).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

fn verb_text(verb: char, value: &Value, layout: &Layout) -> String {
    let signed =
        |text: String| if layout.plus && !text.starts_with('-') { "+".to_owned() + &text } else { text };
    let integer = value.as_i64();
    match (verb, value) {
        ('v', _) => print_inside(value),
        ('s', Value::String(text)) => match layout.precision {
            Some(most) => text.chars().take(most).collect(),
            None => text.clone(),
        },
        ('q', Value::String(text)) => format!("{text:?}"),
        ('s' | 'q', Value::Array(items)) => {
            let items: Vec<String> = items.iter().map(|item| verb_text(verb, item, layout)).collect();
            ["[", &items.join(" "), "]"].concat()
        }
        ('x', Value::String(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ('t', Value::Bool(truth)) => truth.to_string(),
        ('T', _) => kind(value).into(),
        ('d', Value::Number(_)) if !value.is_f64() => signed(value.to_string()),
        ('x', _) if integer.is_some() => format!("{:x}", integer.unwrap_or(0)),
        ('X', _) if integer.is_some() => format!("{:X}", integer.unwrap_or(0)),
        ('o', _) if integer.is_some() => format!("{:o}", integer.unwrap_or(0)),
        ('b', _) if integer.is_some() => format!("{:b}", integer.unwrap_or(0)),
        ('f' | 'F', Value::Number(number)) if number.is_f64() => {
            signed(crate::table::fixed(number.as_f64().unwrap_or(0.0), layout.precision.unwrap_or(6)))
        }
        ('g', Value::Number(number)) if number.is_f64() => value.to_string(),
        _ => format!("%!{verb}({}={})", kind(value), print_inside(value)),
    }
}
