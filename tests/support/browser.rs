//! A real Chromium, driven by the `chromedriver` of the same package.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use fantoccini::elements::Element;
use fantoccini::wd::WindowHandle;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::connection::Connection;
use super::http::Request;
use super::process_tree::ProcessTree;
use super::wait::{PATIENCE, seconds, until, within};

/// No sandbox, because tests also run as root, and no background requests.
const FLAGS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars", // on a phone they cover the page, and screenshots do not need them
];

/// Killed with all of its windows on drop: chromedriver would leave them running.
pub struct Browser {
    driver: ProcessTree,
    address: SocketAddr,
    folder: TempDir,
    windows: AtomicUsize,
}

/// One window with a profile of its own.
pub struct Window {
    client: Client,
    address: SocketAddr,
    session: String,
}

impl Browser {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new("chromedriver");
        // Chromium leaves files behind; they are removed with the folder.
        command.arg("--port=0").env("TMPDIR", folder.path()).env("HOME", folder.path());
        let driver = ProcessTree::spawn("chromedriver", &mut command);
        let started = "started successfully on port ";
        let line = driver.stdout.wait_for(started, PATIENCE, |line| line.contains(started)).await;
        let port: u16 = line.trim_end_matches('.').rsplit(' ').next().unwrap().parse().expect("a port");
        Self { driver, address: ([127, 0, 0, 1], port).into(), folder, windows: AtomicUsize::new(0) }
    }

    /// Opens a window with these preferred languages, as in `zh-CN,zh`.
    pub async fn window(&self, languages: &str) -> Window {
        let profile = format!("profile-{}", self.windows.fetch_add(1, Ordering::Relaxed));
        let profile = format!("--user-data-dir={}", self.folder.path().join(profile).display());
        let flags: Vec<&str> = FLAGS.into_iter().chain([profile.as_str()]).collect();
        let wishes = json!({
            "goog:chromeOptions": { "args": flags, "prefs": { "intl.accept_languages": languages } },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(wishes.as_object().expect("an object").clone());
        let driver = format!("http://{}", self.address);
        let client = within(seconds(30), "a window of Chromium", builder.connect(&driver)).await;
        let client = client.unwrap_or_else(|error| panic!("{error}; {}", self.driver.stderr.tail(20)));
        let session = client.session_id().await.expect("a session").expect("a session's id");
        Window { client, address: self.address, session: format!("/session/{session}") }
    }
}

impl Window {
    /// Opens an address and waits until the page has loaded.
    pub async fn open(&self, url: &str) {
        let what = format!("{url} to be loaded");
        within(seconds(20), &what, self.client.goto(url))
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}"));
    }

    /// Opens another tab, switches to it, and returns the handle of the previous one.
    pub async fn tab(&self) -> WindowHandle {
        let before = self.client.window().await.expect("a tab");
        let tab = self.client.new_window(true).await.expect("another tab").handle;
        self.client.switch_to_window(tab).await.expect("the other tab");
        before
    }

    /// Switches to a tab; the current one stays open.
    pub async fn switch(&self, tab: WindowHandle) {
        self.client.switch_to_window(tab).await.expect("the tab");
    }

    /// The page's address, as it is sent to the server.
    pub async fn address(&self) -> String {
        self.client.current_url().await.expect("an address").to_string()
    }

    /// Runs a function body in the page and returns its result.
    pub async fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.try_run(script, arguments).await.unwrap_or_else(|error| panic!("{error} in {script}"))
    }

    async fn try_run(&self, script: &str, arguments: &[Value]) -> Result<Value, String> {
        let run = self.client.execute(script, arguments.to_vec());
        within(PATIENCE, "a script in the page", run).await.map_err(|error| error.to_string())
    }

    /// Waits until this expression is true in the page; the panic shows the page's text.
    pub async fn wait_until(&self, what: &str, expression: &str, arguments: &[Value]) {
        let script = format!("return ({expression}) ? null : document.body.innerText");
        until(PATIENCE, what, async || match self.try_run(&script, arguments).await? {
            Value::Null => Ok(()),
            page => Err(page.to_string()),
        })
        .await;
    }

    /// The visible text of the first element that matches this selector.
    pub async fn text(&self, selector: &str) -> String {
        self.element(selector).await.text().await.expect("a text")
    }

    pub async fn click(&self, selector: &str) {
        self.element(selector).await.click().await.expect("a click");
    }

    /// Types into the element, key by key.
    pub async fn keys(&self, selector: &str, keys: &str) {
        self.element(selector).await.send_keys(keys).await.expect("typing");
    }

    /// Accepts the dialog that the page shows. Chromium may open it after the click has returned.
    pub async fn accept(&self) {
        until(PATIENCE, "a dialog", async || {
            self.client.accept_alert().await.map_err(|error| error.to_string())
        })
        .await;
    }

    async fn element(&self, selector: &str) -> Element {
        self.client
            .find(Locator::Css(selector))
            .await
            .unwrap_or_else(|error| panic!("no {selector} in the page: {error}"))
    }

    /// Inserts text at the cursor, as a clipboard, an emoji picker or a composition does.
    pub async fn insert(&self, text: &str) {
        self.devtools("Input.insertText", json!({ "text": text })).await;
    }

    /// Sends a command of the Chrome DevTools Protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.ask("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters })).await
    }

    /// Sets the screen to this size in CSS pixels.
    pub async fn screen(&self, width: u32, height: u32, phone: bool) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Sets the preferred colour scheme, and disables motion, which a screenshot would catch
    /// halfway.
    pub async fn dark(&self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features = [("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")];
        let features = features.map(|(name, value)| json!({ "name": name, "value": value }));
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Writes a screenshot to `target/screenshots/NAME.png`.
    pub async fn screenshot(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
        let picture = within(PATIENCE, "a screenshot", self.client.screenshot()).await.expect("a screenshot");
        fs::create_dir_all(&folder).expect("a folder for screenshots");
        fs::write(folder.join(format!("{name}.png")), picture).expect("a file for the screenshot");
    }

    /// Returns the console's errors since the last call: exceptions, blocked loads, violations of
    /// the page's policy, failed handshakes.
    pub async fn errors(&self) -> Vec<String> {
        let entries = self.ask("/se/log", &json!({ "type": "browser" })).await;
        let entries = entries.as_array().expect("a list of entries");
        let errors = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        errors.map(|entry| entry["message"].to_string()).collect()
    }

    /// Sends a command of chromedriver for which the library has no method.
    async fn ask(&self, path: &str, body: &Value) -> Value {
        let request = Request::post(&format!("{}{path}", self.session)).body(body.to_string());
        let request = request.header("Content-Type", "application/json");
        let response = request.send_on(&mut Connection::connect_to(self.address).await).await;
        assert_eq!(response.status, 200, "{path} of chromedriver: {response:?}");
        response.json()["value"].clone()
    }
}
