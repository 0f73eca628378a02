//! Which programs are looked at, and what they have to do meanwhile.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::process::output;

/// Files in the folder that is served.
const FILES: usize = 40;

/// A program, and how it is put under load.
pub(super) struct Program {
    pub(super) name: &'static str,
    /// Debian's.
    pub(super) package: &'static str,
    /// In a few words, for the table.
    pub(super) load: &'static str,
    /// Writes what it needs before it starts.
    pub(super) prepare: fn(&Site) -> Result<()>,
    pub(super) arguments: fn(&Site) -> Vec<String>,
    /// Gives it what it is asked for later.
    pub(super) fill: fn(&mut Site) -> Result<()>,
    /// The arguments of each hey.
    pub(super) loads: fn(&Site) -> Vec<Vec<String>>,
}

/// Where a program runs.
pub(super) struct Site {
    folder: PathBuf,
    /// It answers HTTP here.
    pub(super) port: u16,
    /// For what it needs beside.
    other_port: u16,
    /// What is asked for, where only [`Program::fill`] knows it.
    asked: String,
}

impl Site {
    pub(super) fn new(folder: &Path, [port, other_port]: [u16; 2]) -> Self {
        Self { folder: folder.to_owned(), port, other_port, asked: String::new() }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("failed to create {}", parent.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))
    }

    /// The arguments of a hey that gets this.
    fn get(&self, path: &str) -> Vec<String> {
        vec![self.url(path)]
    }

    /// The arguments of a hey that sends a file of the folder.
    fn send(&self, method: &str, file: &str, path: &str) -> Vec<String> {
        words(&["-m", method, "-T", "application/json", "-D", &self.path(file), &self.url(path)])
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn nothing(_: &mut Site) -> Result<()> {
    Ok(())
}

fn no_files(_: &Site) -> Result<()> {
    Ok(())
}

/// A folder of files, two kilobytes each.
fn files(site: &Site) -> Result<()> {
    (0..FILES).try_for_each(|at| site.write(&format!("www/file{at}.txt"), &"a line of text\n".repeat(140)))
}

/// Metrics in Prometheus's text format.
fn metrics(site: &Site) -> Result<()> {
    let lines: Vec<String> = (0..10).map(|at| format!("batch_{at}{{step=\"{at}\"}} {at}\n")).collect();
    site.write("metrics.txt", &lines.concat())
}

fn alerts(site: &Site) -> Result<()> {
    site.write("config.yml", "route:\n  receiver: none\nreceivers:\n- name: none\n")?;
    let alert = |at: usize| {
        serde_json::json!({"labels": {"alertname": format!("alert{at}"), "instance": format!("host-{at}"), "severity": "page"},
            "annotations": {"summary": "something is wrong"}})
    };
    site.write("alerts.json", &serde_json::Value::from((0..20).map(alert).collect::<Vec<_>>()).to_string())
}

fn scrapes(site: &Site) -> Result<()> {
    let config =
        "global:\n  scrape_interval: 1s\nscrape_configs:\n- job_name: self\n  static_configs:\n  - targets: ";
    site.write("config.yml", &format!("{config}['{}']\n", site.address()))
}

/// etcd's gateway takes keys and values in base64.
fn keys(site: &Site) -> Result<()> {
    site.write("put.json", &format!("{{\"key\": \"Zm9v\", \"value\": \"{}\"}}", "AAAA".repeat(100)))?;
    site.write("get.json", "{\"key\": \"Zm9v\"}")
}

fn registry(site: &Site) -> Result<()> {
    let data = site.path("data");
    let config = format!(
        "version: 0.1\nlog:\n  level: warn\nstorage:\n  cache:\n    blobdescriptor: inmemory\n  filesystem:\n    \
         rootdirectory: {data}\nhttp:\n  addr: {}\n",
        site.address()
    );
    site.write("config.yml", &config)?;
    site.write("layer", &"a line of a file\n".repeat(6000))
}

/// Uploads a layer: asks where to, and puts it there under its digest.
fn push(site: &mut Site) -> Result<()> {
    let layer = site.path("layer");
    let sum = output(Command::new("sha256sum").arg(&layer))?;
    let digest = format!("sha256:{}", sum.split_whitespace().next().unwrap_or_default());
    let begin = site.url("/v2/app/blobs/uploads/");
    let head =
        output(Command::new("curl").args(["-sf", "-X", "POST", "-D", "-", "-o", "/dev/null", &begin]))?;
    let place =
        head.lines().find_map(|line| line.strip_prefix("Location: ")).context("no place to upload to")?;
    let place = format!("{}&digest={digest}", place.trim());
    let kind = "Content-Type: application/octet-stream";
    let file = format!("@{layer}");
    output(Command::new("curl").args(["-sf", "-X", "PUT", "-H", kind, "--data-binary", &file, &place]))?;
    site.asked = format!("/v2/app/blobs/{digest}");
    Ok(())
}

fn hooks(site: &Site) -> Result<()> {
    site.write(
        "body.json",
        "{\"ref\": \"refs/heads/main\", \"commits\": [{\"id\": \"1\"}, {\"id\": \"2\"}]}",
    )?;
    site.write(
        "hooks.json",
        "[{\"id\": \"build\", \"execute-command\": \"/bin/true\", \"pass-arguments-to-command\": [{\"source\": \"payload\", \
         \"name\": \"ref\"}]}]",
    )
}

fn pages(site: &Site) -> Result<()> {
    site.write("site/config.toml", "baseURL = \"/\"\n")?;
    let layout = "<html>{{ .Content }}{{ range .Site.RegularPages }}<a href=\"{{ .RelPermalink }}\">{{ .Title }}</a>{{ end }}</html>";
    site.write("site/layouts/_default/single.html", layout)?;
    site.write("site/layouts/_default/list.html", layout)?;
    (0..100).try_for_each(|at| {
        site.write(
            &format!("site/content/p{at}.md"),
            &format!("---\ntitle: page {at}\n---\n# One\nsome *text*\n"),
        )
    })
}

/// In the order of the table.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        name: "prometheus",
        package: "prometheus",
        load: "queries, its own metrics, scrapes itself",
        prepare: scrapes,
        arguments: |site| {
            vec![
                format!("--config.file={}", site.path("config.yml")),
                format!("--storage.tsdb.path={}", site.path("data")),
                format!("--web.listen-address={}", site.address()),
            ]
        },
        fill: nothing,
        loads: |site| {
            vec![
                site.get("/api/v1/query?query=rate(prometheus_http_requests_total[1m])"),
                site.get("/metrics"),
            ]
        },
    },
    Program {
        name: "prometheus-alertmanager",
        package: "prometheus-alertmanager",
        load: "20 alerts a request, and their list",
        prepare: alerts,
        arguments: |site| {
            vec![
                format!("--config.file={}", site.path("config.yml")),
                format!("--storage.path={}", site.path("data")),
                format!("--web.listen-address={}", site.address()),
                "--cluster.listen-address=".to_owned(),
            ]
        },
        fill: nothing,
        loads: |site| vec![site.send("POST", "alerts.json", "/api/v2/alerts"), site.get("/api/v2/alerts")],
    },
    Program {
        name: "prometheus-node-exporter",
        package: "prometheus-node-exporter",
        load: "metrics",
        prepare: no_files,
        arguments: |site| vec![format!("--web.listen-address={}", site.address())],
        fill: nothing,
        loads: |site| vec![site.get("/metrics")],
    },
    Program {
        name: "prometheus-pushgateway",
        package: "prometheus-pushgateway",
        load: "10 metrics a push, and the page of all",
        prepare: metrics,
        arguments: |site| vec![format!("--web.listen-address={}", site.address())],
        fill: nothing,
        loads: |site| {
            vec![site.send("PUT", "metrics.txt", "/metrics/job/batch/instance/one"), site.get("/metrics")]
        },
    },
    Program {
        name: "prometheus-blackbox-exporter",
        package: "prometheus-blackbox-exporter",
        load: "probes of its own page by HTTP",
        prepare: |site| site.write("config.yml", "modules:\n  http_2xx:\n    prober: http\n"),
        arguments: |site| {
            vec![
                format!("--config.file={}", site.path("config.yml")),
                format!("--web.listen-address={}", site.address()),
            ]
        },
        fill: nothing,
        loads: |site| vec![site.get(&format!("/probe?module=http_2xx&target={}", site.url("/config")))],
    },
    Program {
        name: "etcd",
        package: "etcd-server",
        load: "puts and gets by its JSON gateway",
        prepare: keys,
        arguments: |site| {
            let peers = format!("http://127.0.0.1:{}", site.other_port);
            let clients = site.url("");
            let data = site.path("data");
            let own = ["--data-dir", &data, "--unsafe-no-fsync", "--listen-peer-urls", &peers];
            let clients = ["--listen-client-urls", &clients, "--advertise-client-urls", &clients];
            words(&[&own[..], &clients].concat())
        },
        fill: nothing,
        loads: |site| {
            vec![site.send("POST", "put.json", "/v3/kv/put"), site.send("POST", "get.json", "/v3/kv/range")]
        },
    },
    Program {
        name: "caddy",
        package: "caddy",
        load: "a file, and a list of 40 files as HTML",
        prepare: files,
        arguments: |site| {
            words(&["file-server", "--listen", &site.address(), "--root", &site.path("www"), "--browse"])
        },
        fill: nothing,
        loads: |site| vec![site.get("/"), site.get("/file1.txt")],
    },
    Program {
        name: "docker-registry",
        package: "docker-registry",
        load: "a layer of 100 kB, and the catalogue",
        prepare: registry,
        arguments: |site| words(&["serve", &site.path("config.yml")]),
        fill: push,
        loads: |site| vec![site.get(&site.asked), site.get("/v2/_catalog")],
    },
    Program {
        name: "rclone",
        package: "rclone",
        load: "WebDAV: a file, and properties of 40 files",
        prepare: files,
        arguments: |site| {
            words(&["serve", "webdav", &site.path("www"), "--addr", &site.address()])
                .into_iter()
                .chain(words(&["--config", &site.path("rclone.conf")]))
                .collect()
        },
        fill: nothing,
        loads: |site| vec![words(&["-m", "PROPFIND", &site.url("/")]), site.get("/file1.txt")],
    },
    Program {
        name: "nats-server",
        package: "nats-server",
        load: "its pages about itself",
        prepare: no_files,
        arguments: |site| {
            let (port, other) = (site.port.to_string(), site.other_port.to_string());
            words(&["--addr", "127.0.0.1", "--port", &other, "--http_port", &port])
        },
        fill: nothing,
        loads: |site| vec![site.get("/varz"), site.get("/connz"), site.get("/subsz?subs=1")],
    },
    Program {
        name: "webhook",
        package: "webhook",
        load: "hooks that run a program",
        prepare: hooks,
        arguments: |site| {
            words(&["-hooks", &site.path("hooks.json"), "-ip", "127.0.0.1", "-port", &site.port.to_string()])
        },
        fill: nothing,
        loads: |site| vec![site.send("POST", "body.json", "/hooks/build")],
    },
    Program {
        name: "kubectl",
        package: "kubernetes-client",
        load: "`proxy --www`: a file, and a list of 40 files",
        prepare: files,
        arguments: |site| {
            vec!["proxy".to_owned(), format!("--www={}", site.path("www")), format!("--port={}", site.port)]
        },
        fill: nothing,
        loads: |site| vec![site.get("/static/"), site.get("/static/file1.txt")],
    },
    Program {
        name: "hugo",
        package: "hugo",
        load: "`server`: a page with 100 links",
        prepare: pages,
        arguments: |site| {
            let port = site.port.to_string();
            words(&["server", "--source", &site.path("site"), "--bind", "127.0.0.1", "--port", &port])
        },
        fill: nothing,
        loads: |site| vec![site.get("/p1/")],
    },
];
