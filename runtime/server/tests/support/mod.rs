//! The real binary in a temp folder, and calls to its REST API.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use reqwest::{Client, Method, Response, header::HeaderMap};
use serde_json::{Value, json};
use std::{
    future::Future,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// The path of the binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_longshore");
/// How long anything may take. Generous: a loaded machine is not a failure.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(40);

/// A worker section with free ports and the embedded broker.
pub(crate) const EMBEDDED: &str =
    "worker:\n  listeners: http://127.0.0.1:0\n  longshore.broker.listen: 127.0.0.1:0\n";

/// A process of the binary; killed when dropped.
pub(crate) struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Process {
    /// Starts the binary in a folder.
    pub(crate) fn start(folder: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(args);
        Self::spawn(command, folder)
    }
    /// Starts a command that ends up being the binary.
    pub(crate) fn spawn(mut command: Command, folder: &Path) -> Self {
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command
            .env_remove("LONGSHORE_URL")
            .spawn()
            .expect("the binary starts");
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, lines) = (child.stderr.take().expect("piped"), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut lines = lines.lock().expect("not poisoned");
                lines.push_str(&line);
                lines.push('\n');
            }
        });
        Self { child, log }
    }
    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("not poisoned").clone()
    }
    /// The word after `before` in the log, once it is there.
    pub(crate) async fn logged(&mut self, before: &str) -> String {
        let started = Instant::now();
        loop {
            let log = self.log();
            if let Some((_, rest)) = log.split_once(before)
                && let Some(end) = rest.find(|char: char| char.is_whitespace() || char == '"')
            {
                return rest[..end].to_owned();
            }
            let ended = self.child.try_wait().expect("its status can be asked");
            assert!(
                ended.is_none() && started.elapsed() < WAIT_MAX,
                "no {before:?} ({ended:?}):\n{log}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its status can be asked") {
                return status;
            }
            assert!(
                started.elapsed() < WAIT_MAX,
                "still running:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    /// kill -9.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
    /// SIGTERM, and waits until it has drained.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill runs");
        assert!(sent.success(), "the process has gone:\n{}", self.log());
        self.ended().await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A worker with its REST API.
pub(crate) struct Worker {
    pub(crate) process: Process,
    pub(crate) url: String,
    client: Client,
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self {
            status,
            headers,
            text: response.text().await.expect("a whole body"),
        }
    }
    /// The body as JSON; null where there is none.
    pub(crate) fn json(&self) -> Value {
        if self.text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&self.text).expect("a JSON body")
        }
    }
    /// The message of an error body, after checking its shape.
    pub(crate) fn message(&self) -> String {
        let body = self.json();
        assert_eq!(body["error_code"], self.status, "{body}");
        body["message"].as_str().expect("a message").to_owned()
    }
    /// A header as text; empty where it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }
}

impl Worker {
    /// A worker on the embedded broker without connectors.
    pub(crate) async fn embedded(folder: &Path) -> Self {
        Self::with(folder, EMBEDDED).await
    }
    /// `longshore worker` with these settings.
    pub(crate) async fn with(folder: &Path, yaml: &str) -> Self {
        std::fs::write(folder.join("worker.yaml"), yaml).expect("written");
        Self::running(Process::start(folder, &["worker", "worker.yaml"])).await
    }
    /// `longshore up` with this file.
    pub(crate) async fn up(folder: &Path, yaml: &str) -> Self {
        std::fs::write(folder.join("up.yaml"), yaml).expect("written");
        Self::running(Process::start(folder, &["up", "up.yaml"])).await
    }
    /// Waits until the worker answers that it is healthy.
    pub(crate) async fn running(process: Process) -> Self {
        Self::running_for(process, Client::new()).await
    }
    /// The same as some client sees it: over https, or with a certificate.
    pub(crate) async fn running_for(mut process: Process, client: Client) -> Self {
        let url = process.logged("worker started rest=").await;
        let worker = Self {
            process,
            url,
            client,
        };
        eventually("healthy", || async {
            (worker.get("/health").await.status == 200).then_some(())
        })
        .await;
        worker
    }
    /// The embedded broker's address.
    pub(crate) async fn bootstrap(&mut self) -> String {
        self.process.logged("bootstrap=\"").await
    }
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }
    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request.send().await.expect("an answer")).await
    }
    /// A request with any body and headers.
    pub(crate) async fn raw(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.url))
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send().await.expect("an answer")).await
    }
    /// Creates a connector, or panics with what was answered.
    pub(crate) async fn create(&self, name: &str, config: Value) {
        let answer = self
            .post("/connectors", json!({ "name": name, "config": config }))
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    pub(crate) async fn status(&self, name: &str) -> Value {
        self.get(&format!("/connectors/{name}/status")).await.json()
    }
    /// Waits until the first task of a connector is in a state, and returns its status.
    pub(crate) async fn task(&self, name: &str, state: &str) -> Value {
        eventually(&format!("{name}-0 {state}"), || async {
            let status = self.status(name).await;
            let task = status["tasks"].get(0)?;
            (task["state"] == state).then(|| task.clone())
        })
        .await
    }
}

/// Asks again and again until there is an answer.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(started.elapsed() < WAIT_MAX, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until a file has so many lines, and returns them.
pub(crate) async fn lines(file: &Path, count: usize) -> Vec<String> {
    eventually(&format!("{count} lines in {}", file.display()), || async {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        (text.lines().count() >= count).then(|| text.lines().map(str::to_owned).collect())
    })
    .await
}

/// Runs a command of the binary to its end.
pub(crate) async fn command(folder: &Path, args: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(BINARY);
    command
        .args(args)
        .current_dir(folder)
        .env_remove("LONGSHORE_URL")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    tokio::time::timeout(WAIT_MAX, command.output())
        .await
        .expect("it ends in time")
        .expect("it runs")
}

/// What a process printed.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Sends bytes to the API as they are and returns everything that comes back until the connection ends.
pub(crate) fn exchange(url: &str, bytes: &[u8]) -> String {
    use std::{io::Write, net::TcpStream};
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).expect("connected");
    stream.set_read_timeout(Some(WAIT_MAX)).expect("a timeout");
    stream.write_all(bytes).expect("sent");
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        // A reset after the answer is no concern of the tests that look at the answer.
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::ConnectionReset,
            "the connection stays open"
        );
    }
    text(&answer)
}
