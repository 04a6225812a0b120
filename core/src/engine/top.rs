//! `top`: the processes of a container, in the columns that `ps` would show. /proc in, a table out; no program is run.

mod columns;
pub(super) mod proc;

use alloc::{collections::BTreeSet, format, string::String, vec::Vec};

use columns::Column;
use proc::{Process, Readings};

use super::Engine;
use crate::{Error, Result, container::record::Record};

/// A table of processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The headings.
    pub titles: Vec<&'static str>,
    /// A row for each process.
    pub rows: Vec<Vec<String>>,
}

impl Engine {
    /// The processes of a running container. `arguments` are those of `ps`; `-ef` if there are none.
    ///
    /// # Errors
    /// [`Error::Conflict`] if it does not run, [`Error::Invalid`] for columns that are not known.
    pub fn top(&self, name: &str, arguments: &str) -> Result<Table> {
        let columns = columns::parse(arguments)?;
        let record = self.shelf.find(name)?.record;
        let state = self.shelf.state(&record.id)?;
        if !state.status.is_active() || state.pid == 0 {
            return Err(Error::Conflict(format!("container {} is not running", record.id)));
        }
        let mut processes = self.processes(&record, state.pid)?;
        crate::sort::by_key(&mut processes, |process| process.pid);
        let readings = Readings::take();
        self.tell(&record, "top", &[]);
        Ok(Table {
            titles: columns.iter().map(Column::title).collect(),
            rows: processes
                .iter()
                .map(|process| columns.iter().map(|column| column.text(process, &readings)).collect())
                .collect(),
        })
    }

    fn processes(&self, record: &Record, first: i32) -> Result<Vec<Process>> {
        if let Ok(Some(group)) = self.group(record) {
            return Ok(group.pids()?.into_iter().filter_map(|pid| Process::read(pid as i32)).collect());
        }
        // Without a control group: what shares the namespace of process ids with the first, and its descendants.
        let all: Vec<Process> = proc::pids().into_iter().filter_map(Process::read).collect();
        let own = proc::namespace(first).filter(|found| proc::namespace(0) != Some(*found));
        let mut members = BTreeSet::new();
        members.insert(first);
        loop {
            let before = members.len();
            for process in &all {
                if members.contains(&process.ppid) || own.is_some() && proc::namespace(process.pid) == own {
                    members.insert(process.pid);
                }
            }
            if members.len() == before {
                break;
            }
        }
        Ok(all.into_iter().filter(|process| members.contains(&process.pid)).collect())
    }
}
