//! Debian's Chromium without a screen, driven by its own driver: the WebDriver protocol, plain HTTP.

use std::fs;

use serde_json::{Value, json};

use super::webhook::Webhook;
use super::{Server, poll};
use crate::harness::skip;

/// Without these it asks the network for this and that, and root may not start it.
const ARGUMENTS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1024",
];
/// The key under which the protocol names an element.
///
/// Source: <https://www.w3.org/TR/webdriver2/#elements>.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window and a profile of its own.
pub(crate) struct Browser {
    server: Server,
    session: String,
}

/// An element of the page that is shown.
pub(crate) struct Element<'a> {
    browser: &'a Browser,
    id: String,
}

impl Browser {
    /// Starts it. The error is the reason to skip a test.
    pub(crate) fn start() -> Result<Self, String> {
        let browser = ["/usr/bin/chromium"].into_iter().find(|path| fs::exists(path).unwrap_or(false));
        let browser = browser.ok_or("there is no chromium: `cargo xtask setup --test` gets it")?;
        let folder = tempfile::tempdir().expect("a folder");
        let server =
            Server::start("chromedriver", folder, "/status", |port, _| vec![format!("--port={port}")])?;
        let mut arguments = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}/profile", server.folder.path().display()));
        let options = json!({"binary": browser, "args": arguments});
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let answer = server.json("POST", "/session", &wanted.to_string());
        let session = answer["value"]["sessionId"].as_str().expect("a session").to_owned();
        Ok(Self { server, session })
    }

    #[track_caller]
    fn ask(&self, method: &str, command: &str, body: &Value) -> Value {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        self.server.json(method, &format!("/session/{}/{command}", self.session), &body)["value"].take()
    }

    /// Goes to a page and waits until it is loaded.
    #[track_caller]
    pub(crate) fn open(&self, url: &str) {
        self.ask("POST", "url", &json!({"url": url}));
    }

    /// The title of the page.
    #[track_caller]
    pub(crate) fn title(&self) -> String {
        text(self.ask("GET", "title", &Value::Null))
    }

    /// All elements that a CSS selector means.
    #[track_caller]
    pub(crate) fn css(&self, selector: &str) -> Vec<Element<'_>> {
        self.elements("css selector", selector)
    }

    /// All elements that an XPath means.
    #[track_caller]
    pub(crate) fn xpath(&self, path: &str) -> Vec<Element<'_>> {
        self.elements("xpath", path)
    }

    /// Looks until a CSS selector means something, and takes the first.
    #[track_caller]
    pub(crate) fn wait_css(&self, selector: &str) -> Element<'_> {
        poll(selector, || self.css(selector).into_iter().next())
    }

    #[track_caller]
    fn elements(&self, using: &str, value: &str) -> Vec<Element<'_>> {
        let found = self.ask("POST", "elements", &json!({"using": using, "value": value}));
        let found = found.as_array().cloned().unwrap_or_default().into_iter();
        found.map(|mut id| Element { browser: self, id: text(id[ELEMENT].take()) }).collect()
    }

    /// Runs the body of a function in the page; what it returns.
    #[track_caller]
    pub(crate) fn run(&self, script: &str) -> Value {
        self.ask("POST", "execute/sync", &json!({"script": script, "args": []}))
    }

    /// A picture of the window: a PNG in base64.
    #[track_caller]
    pub(crate) fn screenshot(&self) -> String {
        text(self.ask("GET", "screenshot", &Value::Null))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser in order; what is left of it ends with the driver.
        drop(super::http::request(self.server.port, "DELETE", &format!("/session/{}", self.session), ""));
    }
}

impl Element<'_> {
    #[track_caller]
    fn ask(&self, method: &str, command: &str) -> Value {
        self.browser.ask(method, &format!("element/{}/{command}", self.id), &json!({}))
    }

    /// What a reader sees of it.
    #[track_caller]
    pub(crate) fn text(&self) -> String {
        text(self.ask("GET", "text"))
    }

    /// An attribute, if it has it.
    #[track_caller]
    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        self.ask("GET", &format!("attribute/{name}")).as_str().map(str::to_owned)
    }

    /// Clicks on its middle, as a mouse does.
    #[track_caller]
    pub(crate) fn click(&self) {
        self.ask("POST", "click");
    }
}

#[track_caller]
fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => panic!("no text: {other}"),
    }
}

/// Check every command on a page of one button.
#[test]
fn the_browser_reads_and_clicks() {
    let browser = match Browser::start() {
        Ok(browser) => browser,
        Err(reason) => return skip("the_browser_reads_and_clicks", &reason),
    };
    let page = "<title>one</title><button id=b class=x onclick=\"this.textContent='after'\">before</button>";
    browser.open(&format!("data:text/html,{}", super::http::encoded(page)));
    assert_eq!(browser.title(), "one");
    let button = browser.wait_css("button.x");
    assert_eq!((button.text().as_str(), button.attribute("id").as_deref()), ("before", Some("b")));
    assert_eq!(button.attribute("none"), None);
    button.click();
    assert_eq!(browser.xpath("//button[text()='after']").len(), 1, "it was clicked");
    assert!(browser.css("a").is_empty());
    assert_eq!(browser.run("return 6 * 7"), 42);
    assert!(browser.screenshot().starts_with("iVBORw0KGgo"), "a PNG");
    let below = super::below(browser.server.child.id());
    assert!(!below.is_empty(), "it has processes");
    drop(browser);
    let still =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    poll("all of them have ended", || (!below.iter().any(still)).then_some(()));
}

/// Check that it shows what a server on loopback answers.
#[test]
fn the_browser_reaches_a_server_on_loopback() {
    let browser = match Browser::start() {
        Ok(browser) => browser,
        Err(reason) => return skip("the_browser_reaches_a_server_on_loopback", &reason),
    };
    let webhook = Webhook::start();
    browser.open(&webhook.url());
    let location = browser.run("return document.URL");
    assert_eq!(location.as_str(), Some(webhook.url().as_str()));
}
