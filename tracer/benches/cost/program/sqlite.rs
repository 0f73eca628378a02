//! sqlite3 with a database in memory.

use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;

use super::{Amount, Program};
use crate::commanded::Commanded;
use crate::{compile, peer};

/// In words.
pub(super) const NAME: &str = "sqlite3 (:memory:)";

/// The running shell.
pub(super) struct Sqlite {
    process: Commanded,
    rows: u32,
    _libc: TempDir,
}

impl Sqlite {
    /// Starts it. Its own output would wait in a buffer, hence `stdbuf`, which becomes it.
    pub(super) fn start(amount: Amount) -> Result<Self> {
        let program = peer::program("sqlite3", "sqlite3").map_err(anyhow::Error::msg)?;
        let libc = compile::private_libc()?;
        let mut command = Command::new("stdbuf");
        command
            .args(["--output=L"])
            .arg(program)
            .args(["-batch", "-cmd", "select 'ready';", ":memory:"])
            .env("LD_LIBRARY_PATH", libc.path());
        let process = Commanded::start(command, |line| line == "ready")?;
        Ok(Self { process, rows: amount.choose(50_000, 2_000), _libc: libc })
    }
}

impl Program for Sqlite {
    fn pid(&self) -> u32 {
        self.process.pid()
    }

    fn work(&mut self) -> Result<()> {
        let statements = format!(
            "create table rows(number integer primary key, name text, content blob); \
             with recursive n(i) as (select 1 union all select i + 1 from n where i < {}) \
             insert into rows select i, 'name ' || i, zeroblob(i % 300) from n; \
             create index by_name on rows(name); \
             select count(*), sum(length(content)), length(group_concat(upper(name))) from rows where name like '%7%'; \
             drop table rows; select 'done';",
            self.rows
        );
        self.process.ask(&statements, |line| line == "done").map(drop)
    }
}
