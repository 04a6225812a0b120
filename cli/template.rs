//! Go templates, as `--format` takes them: text and a JSON value -> text.
//!
//! Pure. `parse` cuts the text into nodes, `run` walks them, `functions` has what they can call. Messages are Go's.

mod functions;
mod parse;
mod run;

use alloc::{string::String, vec::Vec};

use parse::Node;
use serde_json::Value;

/// The member of a row that `{{.Label "x"}}` looks in; it is not shown.
pub const LABELS: &str = "\0labels";

/// What it is called when a field is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// A key of free JSON, as in `inspect`.
    Key,
    /// A field of a row of this kind.
    Field(&'static str),
}

/// A parsed template.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    text: String,
    nodes: Vec<Node>,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// Go's message: `template: :LINE: reason`.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Template { text: text.into(), nodes: parse::parse(text)? })
    }

    /// The text for one value.
    ///
    /// # Errors
    /// Go's message: `template: :LINE:COLUMN: executing "" at <OPERAND>: reason`.
    pub fn run(&self, data: &Value, missing: Missing) -> Result<String, String> {
        self.start(data, missing, false)
    }

    /// The header of a table: the fields of `data` are the columns' headers, which functions leave as they are.
    ///
    /// # Errors
    /// As [`Template::run`].
    pub fn headers(&self, data: &Value) -> Result<String, String> {
        self.start(data, Missing::Key, true)
    }

    fn start(&self, data: &Value, missing: Missing, headers: bool) -> Result<String, String> {
        let (top, variables, out) = (data, Vec::new(), String::new());
        let mut run = run::Run { text: &self.text, missing, headers, top, variables, out };
        run.nodes(&self.nodes, data)?;
        Ok(run.out)
    }
}

pub use functions::json;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn data() -> Value {
        json!({
            "Name": "/web", "Created": 5, "Ratio": 1.5,
            "State": {"Running": true, "Pid": 1234, "Status": "running"},
            "HostConfig": {"Binds": null, "PidsLimit": null, "Memory": 1_073_741_824},
            "Config": {"Env": ["A=1", "B=2"], "Labels": {"x": "y", "b": "2"}, "Volumes": null, "Cmd": []},
            "NetworkSettings": {
                "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": null},
                "Networks": {"none": {"IPAddress": "10.0.0.2"}, "br": {"IPAddress": "10.0.0.3"}},
            },
        })
    }

    fn run(text: &str) -> String {
        let result = Template::parse(text).and_then(|template| template.run(&data(), Missing::Key));
        result.unwrap_or_else(|message| format!("ERROR {message}"))
    }

    /// The right-hand sides were recorded from docker 28's `inspect -f` where it has such a field.
    #[test]
    fn templates_print_what_docker_prints() {
        let rows = [
            ("", ""),
            ("plain } text {", "plain } text {"),
            ("{{.Name}}", "/web"),
            ("{{.State.PID}}", "1234"),
            ("{{ .State.Pid }}/{{.State.Status}}", "1234/running"),
            ("{{.State.Running}}", "true"),
            ("{{.HostConfig.Memory}} {{.Ratio}}", "1073741824 1.5"),
            ("{{.HostConfig.Binds}} {{.HostConfig.PidsLimit}} {{.Config.Volumes}}", "[] <nil> map[]"),
            ("{{.Config.Env}} {{.Config.Labels}}", "[A=1 B=2] map[b:2 x:y]"),
            ("{{.Config.Labels.x}} {{.Config.Labels.nope}}", "y <no value>"),
            ("{{json .Config.Labels}}", r#"{"b":"2","x":"y"}"#),
            ("{{json .HostConfig.Binds}}", "null"),
            ("{{json .Name}}", "\"/web\""),
            ("{{.Config.Env | json}}", r#"["A=1","B=2"]"#),
            ("{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", "10.0.0.3 10.0.0.2 "),
            (
                "{{range $k, $v := .NetworkSettings.Networks}}{{$k}}={{$v.IPAddress}} {{end}}",
                "br=10.0.0.3 none=10.0.0.2 ",
            ),
            ("{{range $i, $e := .Config.Env}}{{if $i}},{{end}}{{$e}}{{end}}", "A=1,B=2"),
            ("{{range $e := .Config.Env}}{{$e}};{{end}}", "A=1;B=2;"),
            ("{{range .Config.Cmd}}x{{else}}none{{end}}", "none"),
            ("{{range .HostConfig.Binds}}x{{else}}none{{end}}", "none"),
            ("{{range .Config.Env}}{{$.Name}} {{end}}", "/web /web "),
            ("{{range .Config.Env}}{{if eq . \"B=2\"}}{{break}}{{end}}{{.}}{{end}}", "A=1"),
            ("{{range .Config.Env}}{{if eq . \"A=1\"}}{{continue}}{{end}}{{.}}{{end}}", "B=2"),
            (
                "{{range $p, $c := .NetworkSettings.Ports}}{{$p}}->{{with $c}}{{(index . 0).HostPort}}{{end}} {{end}}",
                "443/tcp-> 80/tcp->8080 ",
            ),
            ("{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}", "8080"),
            ("{{index .Config.Labels \"x\"}}{{index .Config.Labels \"nope\"}}{{len .Config.Env}}", "y2"),
            ("{{index .Config.Env 1}}", "B=2"),
            ("{{if .State.Running}}a{{else}}b{{end}}", "a"),
            ("{{if not .State.Running}}a{{else if eq .State.Pid 1234}}c{{else}}b{{end}}", "c"),
            ("{{if and .State.Running (gt .State.Pid 0)}}yes{{end}}", "yes"),
            ("{{or \"\" .Name}} {{and \"\" .Name}}|", "/web |"),
            ("{{with .Config.Labels}}{{.x}}{{end}}{{with .HostConfig.Binds}}x{{else}}no{{end}}", "yno"),
            ("{{with $x := .Name}}{{$x}}{{.}}{{end}}", "/web/web"),
            ("{{$x := .Name}}{{$x}}{{$x = \"b\"}}{{$x}}", "/webb"),
            ("{{range 3}}{{.}}{{end}}", "012"),
            ("{{$n := 0}}{{range .Config.Env}}{{$n = len .}}{{end}}{{$n}}", "3"),
            (
                "{{eq .State.Status \"exited\" \"running\"}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{ge 1 2}} {{gt 2.5 2}}",
                "true true true true false true",
            ),
            ("{{join .Config.Env \", \"}}", "A=1, B=2"),
            ("{{split .Name \"w\"}} {{(split \"a:b\" \":\") | len}}", "[/ eb] 2"),
            ("{{lower \"ABC\"}}{{upper .Name}}{{title \"hello big world\"}}", "abc/WEBHello Big World"),
            ("{{truncate .Name 3}}{{pad .Name 1 2}}|", "/we /web  |"),
            ("{{slice .Name 1}} {{slice .Name 1 2}} {{slice .Config.Env 1}}", "web w [B=2]"),
            (
                "{{printf \"%s-%d-%v-%q-%t\" .Name .State.Pid .Config.Env \"x\" true}}",
                "/web-1234-[A=1 B=2]-\"x\"-true",
            ),
            (
                "{{printf \"%5d|%-5d|%05d|%x|%8s|%-8s|%.2s\" 42 42 42 255 \"ab\" \"ab\" \"abc\"}}",
                "   42|42   |00042|ff|      ab|ab      |ab",
            ),
            ("{{printf \"%.2f %f %%\" .Ratio .Ratio}}", "1.50 1.500000 %"),
            ("{{.HostConfig.Memory | printf \"%d %v\"}}", "1073741824 %!v(MISSING)"),
            ("{{printf \"%d\" .Name}} {{printf \"a\" 1}}", "%!d(string=/web) a%!(EXTRA int=1)"),
            ("{{print 1 2 \"a\" \"b\" 3}}|{{println .Name 1}}", "1 2ab3|/web 1\n"),
            ("a {{- \" b \" -}} c", "a b c"),
            ("a\n{{- /* note */ -}}\nb{{/* x */}}", "ab"),
            ("{{`raw \\n`}}{{\"tab\\t\\u00e9\"}}{{true}}{{1.5}}{{-3}}{{0x10}}", "raw \\ntab\tétrue1.5-316"),
        ];
        for (text, expected) in rows {
            assert_eq!(run(text), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named_as_go_names_them() {
        let rows = [
            ("{{.Foo}}", "template: :1:2: executing \"\" at <.Foo>: map has no entry for key \"Foo\""),
            (
                "{{.State.Foo.Bar}}",
                "template: :1:8: executing \"\" at <.State.Foo.Bar>: map has no entry for key \"Foo\"",
            ),
            (
                "{{index .Config.Env 9}}",
                "template: :1:2: executing \"\" at <index .Config.Env 9>: error calling index: index out of range: 9",
            ),
            ("a\n{{.Foo}}", "template: :2:2: executing \"\" at <.Foo>: map has no entry for key \"Foo\""),
            (
                "{{.Name.X}}",
                "template: :1:7: executing \"\" at <.Name.X>: can't evaluate field X in type string",
            ),
            (
                "{{lt 1 \"a\"}}",
                "template: :1:2: executing \"\" at <lt 1 \"a\">: error calling lt: incompatible types for comparison",
            ),
            ("{{.Names", "template: :1: unclosed action"),
            ("{{foo .Names}}", "template: :1: function \"foo\" not defined"),
            ("{{if .Name}}x", "template: :1: unexpected EOF"),
            ("x{{end}}", "template: :1: unexpected {{end}}"),
            ("\n{{$x}}", "template: :2: undefined variable \"$x\""),
            ("{{\"a}}", "template: :1: unterminated quoted string"),
            ("{{}}", "template: :1: missing value for command"),
            ("{{(.Name}}", "template: :1: unclosed left paren"),
            ("{{.Name)}}", "template: :1: unexpected right paren"),
            ("{{break}}", "template: :1: {{break}} outside {{range}}"),
            ("{{.Name | 3}}", "template: :1: non executable command in pipeline stage 2: 3"),
            ("{{template \"x\"}}", "template: :1: {{template}} is not supported"),
        ];
        for (text, expected) in rows {
            assert_eq!(run(text), format!("ERROR {expected}"), "{text}");
        }
        let deep = run(&format!("{{{{{}1", "(".repeat(100_000)));
        assert_eq!(deep, "ERROR template: :1: too many nested blocks or parentheses");
        assert!(run(&"{{if 1}}".repeat(100_000)).ends_with("too many nested blocks or parentheses"));
        assert!(run("{{range 9999999999999}}{{end}}").ends_with("range can't iterate over 9999999999999"));
        let row = Template::parse("{{.Foo}}").unwrap().run(&json!({}), Missing::Field("container"));
        assert!(row.unwrap_err().ends_with("<.Foo>: can't evaluate field Foo in type container"));
    }

    #[test]
    fn nothing_that_is_typed_makes_it_panic() {
        let pieces = [
            "{{", "}}", "-", " ", ".", "$", "x", "|", "(", ")", "\"", "`", "range ", "if ", "end", "é", "1",
            ":=", ",", "\\",
        ];
        let mut state = 1_u64;
        for _ in 0..30_000 {
            let mut text = String::new();
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
            }
            if let Ok(template) = Template::parse(&text) {
                let _ = template.run(&data(), Missing::Key);
            }
        }
    }

    #[test]
    fn a_label_is_looked_up_and_not_shown() {
        let row = json!({"Names": "web", LABELS: {"a": "1"}});
        let run = |text: &str| Template::parse(text).unwrap().run(&row, Missing::Field("container")).unwrap();
        assert_eq!(run("{{.Label \"a\"}}{{.Label \"b\"}}|{{json .}}"), "1|{\"Names\":\"web\"}");
    }
}
