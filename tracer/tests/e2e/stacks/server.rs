//! Servers with a client that never rests: redis, nginx, postgres.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::program::{Program, Running, debian, open_folder, own_libraries};
use crate::harness::{Target, eventually};

/// The user of a server that refuses to be root's: nobody.
const USER: u32 = 65534;

struct Redis {
    program: PathBuf,
    benchmark: PathBuf,
    folder: TempDir,
    libraries: TempDir,
}

pub(super) fn redis() -> Result<Box<dyn Program>, String> {
    Ok(Box::new(Redis {
        program: debian("/usr/bin/redis-server", "redis-server")?,
        benchmark: debian("/usr/bin/redis-benchmark", "redis-tools")?,
        folder: open_folder(),
        libraries: own_libraries(&["libc.so.6", "libjemalloc.so.2"]),
    }))
}

impl Redis {
    fn client(&self, arguments: &[&str]) -> Target {
        let mut command = Command::new(&self.benchmark);
        command
            .arg("-s")
            .arg(self.folder.path().join("socket"))
            .args(["-l", "-q", "-r", "1000", "-d", "100"]);
        Target::spawn(command.args(arguments))
    }
}

impl Program for Redis {
    fn name(&self) -> &'static str {
        "redis-server"
    }

    fn start(&self) -> Running {
        let socket = self.folder.path().join("socket");
        let mut command = Command::new(&self.program);
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--loglevel", "warning"]);
        command.arg("--unixsocket").arg(&socket).arg("--dir").arg(self.folder.path());
        let server = Target::spawn(command.env("LD_LIBRARY_PATH", self.libraries.path()));
        eventually("redis answers", || UnixStream::connect(&socket).is_ok());
        let script = "local t = {} for i = 1, 20 do t[i] = tostring(i) .. ARGV[1] end return table.concat(t)";
        let commands = self.client(&["-P", "4", "-c", "8", "-t", "set,get,lpush,hset,zadd,spop"]);
        let scripts = self.client(&["-c", "2", "eval", script, "0", "__rand_int__"]);
        let mut running = Running::alone(server);
        running.clients = vec![Box::new(commands), Box::new(scripts)];
        running
    }

    fn stop_one_in(&self) -> u32 {
        1000
    }
}

struct Nginx {
    program: PathBuf,
    folder: TempDir,
    libraries: TempDir,
}

const NGINX: &str =
    "daemon off; worker_processes 1; user nobody nogroup; pid nginx.pid; error_log stderr crit;
events { worker_connections 64; }
http {
    access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    gzip on; gzip_min_length 1; gzip_types *; gzip_http_version 1.0;
    server {
        listen unix:socket;
        root files;
        autoindex on;
        location ~ ^/named/(?<name>[a-z]+)$ { return 200 \"$name $request_id $http_user_agent\"; }
    }
}
";

pub(super) fn nginx() -> Result<Box<dyn Program>, String> {
    let program = debian("/usr/sbin/nginx", "nginx-light")?;
    let folder = open_folder();
    fs::create_dir(folder.path().join("files")).map_err(|error| error.to_string())?;
    for file in 0..40 {
        let text = format!("line of {file}\n").repeat(100 * file);
        fs::write(folder.path().join(format!("files/file{file}")), text)
            .map_err(|error| error.to_string())?;
    }
    let configuration =
        NGINX.replace("unix:socket", &format!("unix:{}", folder.path().join("socket").display()));
    fs::write(folder.path().join("nginx.conf"), configuration).map_err(|error| error.to_string())?;
    Ok(Box::new(Nginx { program, folder, libraries: own_libraries(&["libc.so.6"]) }))
}

impl Program for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    /// The worker is watched, and ends with its master.
    fn start(&self) -> Running {
        let socket = self.folder.path().join("socket");
        drop(fs::remove_file(&socket));
        let mut command = Command::new(&self.program);
        command.arg("-p").arg(self.folder.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
        let server = Target::spawn(command.env("LD_LIBRARY_PATH", self.libraries.path()));
        let requests = Requests::of(&socket);
        let mut worker = None;
        eventually("nginx has a worker that answers", || {
            worker = child(server.pid());
            worker.is_some() && UnixStream::connect(&socket).is_ok()
        });
        Running {
            pid: worker.expect("it was there"),
            begin: None,
            clients: vec![Box::new(requests)],
            server,
            farewell: Signal::TERM,
        }
    }

    fn stop_one_in(&self) -> u32 {
        50
    }
}

fn child(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// A browser that reads everything again and again.
struct Requests {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Requests {
    fn of(socket: &Path) -> Self {
        let (socket, is_over) = (socket.to_path_buf(), Arc::new(AtomicBool::new(false)));
        let ends = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            for number in (0..).take_while(|_| !ends.load(Relaxed)) {
                let path = match number % 4 {
                    0 => "/".to_owned(),
                    1 => "/named/someone".to_owned(),
                    2 => format!("/none{number}"),
                    _ => format!("/file{}", number % 40),
                };
                if request(&socket, &path).is_err() {
                    thread::sleep(Duration::from_millis(5));
                }
            }
        });
        Self { is_over, thread: Some(thread) }
    }
}

/// One request; a server that stands still is waited for, not for ever.
fn request(socket: &Path, path: &str) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let headers = "Host: localhost\r\nAccept-Encoding: gzip\r\nUser-Agent: someone\r\nConnection: close";
    stream.write_all(format!("GET {path} HTTP/1.1\r\n{headers}\r\n\r\n").as_bytes())?;
    stream.read_to_end(&mut Vec::new()).map(drop)
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Postgres {
    /// Where this version's programs are.
    programs: PathBuf,
    /// The data, the socket and the client's commands.
    folder: TempDir,
    libraries: TempDir,
}

const SQL: &str = "SELECT v % 7 AS g, count(*), string_agg(name, ',' ORDER BY v) FROM t GROUP BY g HAVING count(*) > 1;
SELECT a.name, jsonb_build_object('a', a.v, 'b', b.name) FROM t a JOIN t b ON a.v = b.v + 1 ORDER BY b.name DESC;
SELECT regexp_replace(name, '([0-9]+)', '<\\1>', 'g'), upper(md5(name)) FROM t WHERE name ~ 'name [1-9]*';
WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 200) SELECT sum(x), avg(x::numeric) FROM c;
DO $$ DECLARE r record; s text := ''; BEGIN
  FOR r IN SELECT * FROM t LIMIT 50 LOOP
    BEGIN s := s || r.name || (100 / (r.v % 5))::text; EXCEPTION WHEN division_by_zero THEN s := s || '-'; END;
  END LOOP;
END $$;
SELECT row_number() OVER (PARTITION BY v % 3 ORDER BY name), lag(name) OVER (ORDER BY v) FROM t;
UPDATE t SET name = 'name ' || v || repeat('x', v % 50);
CREATE TEMP TABLE u AS SELECT * FROM t; CREATE INDEX ON u(name); ANALYZE u; DROP TABLE u;
SELECT xpath('/a/b/text()', xmlelement(name a, xmlelement(name b, name))) FROM t LIMIT 20;
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE a.attnum > 0 LIMIT 50;
";

pub(super) fn postgres() -> Result<Box<dyn Program>, String> {
    let missing = || "there is no /usr/lib/postgresql: package postgresql".to_owned();
    let versions = fs::read_dir("/usr/lib/postgresql").map_err(|_| missing())?;
    let programs = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let programs = programs.filter(|bin| bin.join("postgres").is_file()).max().ok_or_else(missing)?;
    let folder = open_folder();
    chown(folder.path(), Some(USER), Some(USER)).map_err(|error| error.to_string())?;
    let mut create = Command::new(programs.join("initdb"));
    create.args(["--no-sync", "-A", "trust", "-U", "postgres", "-D"]).arg(folder.path().join("data"));
    let output = create.uid(USER).gid(USER).current_dir("/").stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string())?;
    assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
    let table =
        "CREATE TABLE IF NOT EXISTS t AS SELECT v, 'name ' || v AS name FROM generate_series(1, 500) v;\n";
    let commands = format!("SET client_min_messages = error;\n{table}{}", SQL.repeat(2000));
    fs::write(folder.path().join("commands"), commands).map_err(|error| error.to_string())?;
    Ok(Box::new(Postgres { programs, folder, libraries: own_libraries(&["libc.so.6"]) }))
}

impl Program for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    /// The backend is watched, and ends with its postmaster.
    fn start(&self) -> Running {
        let folder = self.folder.path();
        let mut command = Command::new(self.programs.join("postgres"));
        command.args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"]).arg(folder);
        command.arg("-D").arg(folder.join("data")).uid(USER).gid(USER).current_dir("/").stderr(Stdio::null());
        let server = Target::spawn(command.env("LD_LIBRARY_PATH", self.libraries.path()));
        let answers = || {
            let mut ask = self.client();
            ask.args(["-c", "SELECT 1"]).stdout(Stdio::null()).stderr(Stdio::null());
            ask.status().is_ok_and(|status| status.success())
        };
        eventually("postgres answers", answers);
        let mut client = Target::spawn(&mut self.client());
        client.command("SELECT pg_backend_pid();");
        let pid = client.next_line().parse().expect("the backend's pid");
        client.command("\\o /dev/null");
        client.command(&format!("\\i {}", folder.join("commands").display()));
        Running { pid, begin: None, clients: vec![Box::new(client)], server, farewell: Signal::QUIT }
    }

    fn stop_one_in(&self) -> u32 {
        50
    }
}

impl Postgres {
    fn client(&self) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        command
            .args(["-X", "-A", "-t", "-q", "-U", "postgres", "-d", "postgres", "-h"])
            .arg(self.folder.path());
        command
    }
}
