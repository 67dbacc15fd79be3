//! What others wrote talks to us: Python's `websockets` and Node's `ws`, as clients of the release build of the `echo`
//! example, and as servers that our own client calls.
//!
//! The libraries are installed below `target/interop/` by the tests. Each case of `interop/python.py` and
//! `interop/node.mjs` is a test here, which all talk to one server process, and so is each of `interop/calls.rs`, to
//! `interop/python_server.py` and `interop/node_server.mjs`. Where the tools are missing, the cases are reported as
//! ignored and a line says why; with `CI=true` they fail instead. HAProxy and `systemd-socket-activate`, which stand before a
//! server, have theirs in `interop/proxies.rs`.
#![expect(clippy::unwrap_used, reason = "a harness of tests fails the test")]

#[path = "calls/caller.rs"]
mod caller;
#[path = "interop/calls.rs"]
mod calls;
#[path = "interop/proxies.rs"]
mod proxies;
mod support;
#[cfg(feature = "_tls")]
#[path = "interop/tls.rs"]
mod tls;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use support::{Echo, build_directory, echo_program, is_ci, skipped};

/// What the cases of both were written for.
const WEBSOCKETS: &str = "17.4";
const WS: &str = "8.23.0";

fn main() {
    let arguments = Arguments::from_args();
    let server: Arc<OnceLock<Echo>> = Arc::default();
    let mut trials = Vec::new();
    for (name, library) in [("python", python()), ("node", node())] {
        match library {
            Ok(library) => {
                trials.extend(Client::new(library.client()).trials(name, &server));
                trials.extend(calls::trials(name, &library.server()));
                #[cfg(feature = "_tls")]
                trials.extend(tls::trials(name, &library.command(library.tls)));
            }
            Err(why) => trials.push(missing(name, why)),
        }
    }
    #[cfg(feature = "_tls")]
    match tls::openssl() {
        Some(cases) => trials.extend(cases),
        None => trials.push(missing("openssl", "the program `openssl` does not run".to_owned())),
    }
    trials.extend(proxies::trials());
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(server);
    proxies::clean();
    #[cfg(feature = "_tls")]
    tls::clean();
    conclusion.exit();
}

/// Stands for the cases of a library that is not to be had.
fn missing(name: &str, why: String) -> Trial {
    if !is_ci() {
        skipped(&format!("the cases of {name}"), &why);
    }
    let fail = move || Err(Failed::from(why));
    Trial::test(format!("{name}::is_installed"), fail).with_ignored_flag(!is_ci())
}

/// A library that is installed, and the programs that use it.
struct Library {
    program: OsString,
    client: &'static str,
    server: &'static str,
    #[cfg_attr(not(feature = "_tls"), expect(dead_code, reason = "there is no TLS to talk"))]
    tls: &'static str,
    /// What both programs are told.
    options: Vec<OsString>,
}

impl Library {
    fn client(&self) -> Vec<OsString> {
        self.command(self.client)
    }

    fn server(&self) -> Vec<OsString> {
        self.command(self.server)
    }

    fn command(&self, name: &str) -> Vec<OsString> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(name);
        [self.program.clone(), script.into()].into_iter().chain(self.options.iter().cloned()).collect()
    }
}

/// A client program that knows its cases.
struct Client {
    command: Vec<OsString>,
    /// Of each case that ran: what went wrong, if anything did.
    outcomes: OnceLock<HashMap<String, Result<(), String>>>,
}

impl Client {
    fn new(command: Vec<OsString>) -> Self {
        Client { command, outcomes: OnceLock::new() }
    }

    fn trials(self, name: &str, server: &Arc<OnceLock<Echo>>) -> Vec<Trial> {
        let cases = output(self.command().arg("--list")).unwrap();
        let client = Arc::new(self);
        let trial = |case: &str| {
            let (client, server, case) = (Arc::clone(&client), Arc::clone(server), case.to_owned());
            Trial::test(format!("{name}::{case}"), move || client.outcome(&server, &case))
        };
        cases.lines().map(trial).collect()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).stdin(Stdio::null());
        command
    }

    fn outcome(&self, server: &OnceLock<Echo>, case: &str) -> Result<(), Failed> {
        let outcomes = self.outcomes.get_or_init(|| self.run(server.get_or_init(|| Echo::start(&[]))));
        let outcome = outcomes.get(case).cloned();
        outcome
            .unwrap_or_else(|| Err("the client ended before it came to this case".into()))
            .map_err(Failed::from)
    }

    fn run(&self, server: &Echo) -> HashMap<String, Result<(), String>> {
        let mut command = self.command();
        command.arg("--echo").arg(echo_program()).arg("--tcp").arg(server.tcp.to_string());
        // What it printed before it failed counts; what it did not come to fails by itself.
        let printed = command.arg("--unix").arg(&server.unix).stderr(Stdio::inherit()).output().unwrap();
        let lines = String::from_utf8_lossy(&printed.stdout).into_owned();
        let outcomes = lines.lines().filter_map(|line| {
            let (outcome, (case, what)) =
                line.split_once('\t').map(|(a, b)| Some((a, b.split_once('\t')?)))??;
            Some((case.to_owned(), if outcome == "ok" { Ok(()) } else { Err(what.to_owned()) }))
        });
        outcomes.collect()
    }
}

/// A virtual environment with the library of that version.
fn python() -> Result<Library, String> {
    let system = system("python3")?;
    let is_new = "import sys; sys.exit(sys.version_info < (3, 11))";
    output(Command::new(&system).args(["-c", is_new])).map_err(|_| "Python is older than 3.11".to_owned())?;
    let home = installed(&format!("websockets-{WEBSOCKETS}"), |home| {
        output(Command::new(&system).args(["-m", "venv"]).arg(home))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        output(Command::new(home.join("bin/python")).args(pip).arg(format!("websockets=={WEBSOCKETS}")))
    })?;
    let program = home.join("bin/python").into();
    Ok(Library {
        program,
        client: "python.py",
        server: "python_server.py",
        tls: "tls.py",
        options: Vec::new(),
    })
}

/// A directory with the library of that version.
fn node() -> Result<Library, String> {
    let (node, npm) = (system("node")?, system("npm")?);
    let home = installed(&format!("ws-{WS}"), |home| {
        std::fs::create_dir_all(home).unwrap();
        let options = ["--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"];
        output(
            Command::new(npm).arg("install").args(options).arg("--prefix").arg(home).arg(format!("ws@{WS}")),
        )
    })?;
    let options = vec!["--modules".into(), home.into()];
    Ok(Library { program: node, client: "node.mjs", server: "node_server.mjs", tls: "tls.mjs", options })
}

/// The directory of this name below `target/interop/`, which exists only once `install` was done there.
fn installed(name: &str, install: impl FnOnce(&Path) -> Result<String, String>) -> Result<PathBuf, String> {
    let home = build_directory().join("interop").join(name);
    let mark = home.join("installed");
    if !mark.exists() {
        let _ = std::fs::remove_dir_all(&home);
        std::fs::create_dir_all(home.parent().unwrap()).unwrap();
        install(&home)?;
        std::fs::write(mark, "").unwrap();
    }
    Ok(home)
}

/// A program that runs.
fn system(program: &str) -> Result<OsString, String> {
    output(Command::new(program).arg("--version")).map(|_| program.into())
}

/// What a command printed, or why it failed; it is given a few minutes.
fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.map_err(|error| format!("{program} does not run: {error}"))?;
    let process = child.id();
    let (done, waits) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if waits.recv_timeout(Duration::from_secs(240)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-s", "KILL", &process.to_string()]).status();
        }
    });
    let output = child.wait_with_output().map_err(|error| format!("{program}: {error}"));
    drop(done);
    watch.join().unwrap();
    let output = output?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} failed ({}): {}", output.status, said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
