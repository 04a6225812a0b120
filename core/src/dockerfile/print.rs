//! A file in one fixed form: an instruction a line, keywords in capitals, comments only where they belong to something.
//! What is printed reads as the same file again.

use core::fmt;

use super::{Dockerfile, Line, source::continued};

impl fmt::Display for Dockerfile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directives = &self.directives;
        if let Some(syntax) = directives.syntax {
            writeln!(f, "# syntax={syntax}")?;
        }
        if directives.escape != '\\' {
            writeln!(f, "# escape={}", directives.escape)?;
        }
        if let Some(check) = directives.check {
            writeln!(f, "# check={check}")?;
        }
        // A comment on the next line would be read as one of them.
        let mut separator = "\n";
        let stages = self.stages.iter().flat_map(|stage| {
            core::iter::once(stage.line).chain(stage.instructions.iter().map(|one| one.line))
        });
        for line in self.args.iter().map(|one| one.line).chain(stages) {
            for comment in line.comments() {
                writeln!(f, "{}# {comment}", core::mem::take(&mut separator))?;
            }
            separator = "";
            print(line, directives.escape, f)?;
        }
        Ok(())
    }
}

fn print(line: &Line<'_>, escape: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (keyword, text) = (line.keyword(), &line.text);
    for letter in keyword.chars() {
        write!(f, "{}", letter.to_ascii_uppercase())?;
    }
    f.write_str(&text[keyword.len()..])?;
    // The last line of a file may end in what would continue it: it was continued, and there was nothing more.
    if continued(text, escape).1 || text.ends_with('\r') {
        write!(f, "{escape}")?;
    }
    f.write_str("\n")?;
    for heredoc in &line.heredocs {
        writeln!(f, "{}{}", heredoc.body, heredoc.name)?;
    }
    Ok(())
}
