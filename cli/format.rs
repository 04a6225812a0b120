//! Rows -> text by `--format`: a table, a table of the user's columns, a template for each row, or JSON.

use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
    vec::Vec,
};

use serde_json::{Map, Value};

use crate::{
    failure::Failure,
    output,
    table::align,
    template::{LABELS, Missing, Template, json},
};

/// How the rows of one command can be shown.
pub struct Layout {
    /// What a row is, for messages.
    pub kind: &'static str,
    /// The table that is shown without `--format`, as a template.
    pub table: &'static str,
    /// What is shown with `-q`.
    pub quiet: &'static str,
    /// Headers of the fields whose header isn't just the name in capitals.
    pub headers: &'static [(&'static str, &'static str)],
}

impl Layout {
    /// The text for all rows. Fields of a row are texts, as in the table.
    pub fn text(&self, format: Option<&str>, quiet: bool, rows: &[Value]) -> Result<String, Failure> {
        let format = format.filter(|format| !format.is_empty());
        match format {
            Some("json" | "{{json .}}") => Ok(rows.iter().map(|row| json(row) + "\n").collect()),
            None | Some("table") if quiet => self.rows(self.quiet, rows),
            None | Some("table") => self.table(self.table, rows),
            Some(format) => match format.strip_prefix("table") {
                Some(columns) if columns.starts_with(|c: char| c.is_whitespace() || "\\{".contains(c)) => {
                    self.table(&unescape(columns.trim_start()), rows)
                }
                _ => self.rows(&unescape(format), rows),
            },
        }
    }

    /// Prints the text for all rows.
    pub fn print(&self, format: Option<&str>, quiet: bool, rows: &[Value]) -> Result<(), Failure> {
        output::write(self.text(format, quiet, rows)?.as_bytes())
    }

    fn rows(&self, format: &str, rows: &[Value]) -> Result<String, Failure> {
        let template = parse(format)?;
        let mut text = String::new();
        for row in rows {
            text.push_str(&self.row(&template, row)?);
            text.push('\n');
        }
        Ok(text)
    }

    fn row(&self, template: &Template, row: &Value) -> Result<String, Failure> {
        template
            .run(row, Missing::Field(self.kind))
            .map_err(|reason| Failure::new(format!("failed to execute template: {reason}")))
    }

    fn table(&self, format: &str, rows: &[Value]) -> Result<String, Failure> {
        let template = parse(format)?;
        let header = template.headers(&self.header(format));
        let mut text =
            header.map_err(|reason| Failure::new(format!("failed to execute template: {reason}")))?;
        text.push('\n');
        for row in rows {
            text.push_str(&self.row(&template, row)?);
            text.push('\n');
        }
        Ok(align(&text, 10, 3))
    }

    /// A row whose fields are the headers of all names that the format mentions.
    fn header(&self, format: &str) -> Value {
        let mut row = Map::new();
        let names = format
            .split('.')
            .skip(1)
            .map(|rest| &rest[..rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len())]);
        for name in names.filter(|name| !name.is_empty()) {
            let known = self.headers.iter().find(|(field, _)| *field == name);
            row.insert(
                name.into(),
                known.map_or_else(|| name.to_uppercase(), |(_, header)| (*header).into()).into(),
            );
        }
        Value::Object(row)
    }
}

fn parse(format: &str) -> Result<Template, Failure> {
    Template::parse(format).map_err(|reason| Failure::new(format!("failed to parse template: {reason}")))
}

/// `\t` and `\n` may be typed as two characters.
fn unescape(format: &str) -> String {
    format.replace("\\t", "\t").replace("\\n", "\n")
}

/// One value by `--format`: `json`, or a template that is followed by a line break.
pub fn one(format: &str, value: &Value, missing: Missing) -> Result<String, Failure> {
    if matches!(format, "json" | "{{json .}}") {
        return Ok(value.to_string() + "\n");
    }
    let text = parse(&unescape(format))?.run(value, missing);
    text.map(|text| text + "\n")
        .map_err(|reason| Failure::new(format!("failed to execute template: {reason}")))
}

/// A row from its fields.
pub fn row(fields: Vec<(&str, String)>) -> Map<String, Value> {
    let mut row = Map::new();
    row.extend(fields.into_iter().map(|(name, text)| (name.to_owned(), Value::String(text))));
    row
}

/// Labels as `a=1,b=2`, and as a map for `{{.Label "a"}}`.
pub fn add_labels(row: &mut Map<String, Value>, labels: Option<&Value>) {
    let mut text = String::new();
    for (key, value) in labels.and_then(Value::as_object).into_iter().flatten() {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&[key, "=", value.as_str().unwrap_or("")].concat());
    }
    row.insert("Labels".into(), text.into());
    row.insert(LABELS.into(), labels.cloned().unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    const PS: Layout = Layout {
        kind: "container",
        table: "table {{.ID}}\t{{.Names}}",
        quiet: "{{.ID}}",
        headers: &[("ID", "CONTAINER ID"), ("RunningFor", "CREATED")],
    };

    fn rows() -> Vec<Value> {
        let mut one =
            row(vec![("ID", "abc".into()), ("Names", "web".into()), ("RunningFor", "2 hours ago".into())]);
        add_labels(&mut one, Some(&serde_json::json!({"x": "1", "y": "2"})));
        vec![one.into()]
    }

    fn show(format: &str, quiet: bool) -> String {
        PS.text(Some(format), quiet, &rows()).unwrap_or_else(|failure| failure.message)
    }

    #[test]
    fn each_form_of_format_prints_as_docker_does() {
        let layout = Layout { table: "{{.ID}}\t{{.Names}}", ..PS };
        assert_eq!(layout.text(None, false, &rows()).unwrap(), "CONTAINER ID   NAMES\nabc            web\n");
        assert_eq!(layout.text(None, true, &rows()).unwrap(), "abc\n");
        assert_eq!(
            show("table {{.RunningFor}}\\t{{upper .Names}}\\t{{.Labels}}", false),
            "CREATED       NAMES     LABELS\n2 hours ago   WEB       x=1,y=2\n"
        );
        assert_eq!(
            show("table {{.Names}}:{{.ID}}\\t{{.Label \"x\"}}", false),
            "NAMES:CONTAINER ID   x\nweb:abc              1\n"
        );
        assert_eq!(show("{{.Names}}\\t{{lower .ID}}", false), "web\tabc\n");
        assert_eq!(show("{{.Names}}", true), "web\n");
        assert_eq!(
            show("json", false),
            "{\"ID\":\"abc\",\"Labels\":\"x=1,y=2\",\"Names\":\"web\",\"RunningFor\":\"2 hours ago\"}\n"
        );
        assert_eq!(
            show("{{.Foo}}", false),
            "failed to execute template: template: :1:2: executing \"\" at <.Foo>: can't evaluate field Foo in type container"
        );
        assert!(show("table {{json}}", false).ends_with("wrong number of args for json: want 1 got 0"));
        assert_eq!(show("{{.Names", false), "failed to parse template: template: :1: unclosed action");
    }
}
