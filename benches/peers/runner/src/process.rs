//! A server and its load generator, as child processes that end with their owner.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::machine::{self, Cpu};

/// Killed in the end.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that listens.
#[derive(Debug)]
pub(crate) struct Server(Process);

impl Server {
    pub(crate) fn start(core: &str, command: &[String], addr: &str) -> Result<Self, Box<dyn Error>> {
        let mut taskset = pinned(core, command);
        taskset.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Self(Process(taskset.spawn()?));
        let began = Instant::now();
        while !is_listening(addr) {
            if let Some(status) = server.0.0.try_wait()? {
                return Err(format!("it ended at once: {status}").into());
            }
            if began.elapsed() > PATIENCE {
                return Err("it does not listen".into());
            }
            std::thread::sleep(GLANCE);
        }
        Ok(server)
    }

    pub(crate) fn cpu(&self) -> Cpu {
        Cpu::of(self.0.0.id())
    }

    /// Bytes of its own memory.
    pub(crate) fn memory(&self) -> u64 {
        machine::memory(self.0.0.id())
    }
}

/// A load generator, connected, that runs when it is told.
#[derive(Debug)]
pub(crate) struct Load {
    process: Process,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Load {
    pub(crate) fn start(core: &str, command: &[String]) -> Result<Self, Box<dyn Error>> {
        let mut taskset = pinned(core, command);
        let mut child =
            taskset.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the load generator has no pipes".into());
        };
        let mut load = Self { process: Process(child), input, output: BufReader::new(output) };
        load.line()?;
        Ok(load)
    }

    /// Puts the server under load for so long, until the last message is there.
    pub(crate) fn run(&mut self, span: Duration) -> Result<Value, Box<dyn Error>> {
        writeln!(self.input, "{}", span.as_secs_f64())?;
        Ok(serde_json::from_str(&self.line()?)?)
    }

    fn line(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            let mut said = String::new();
            if let Some(mut errors) = self.process.0.stderr.take() {
                errors.read_to_string(&mut said)?;
            }
            return Err(said.trim().to_owned().into());
        }
        Ok(line)
    }
}

fn pinned(core: &str, command: &[String]) -> Command {
    let mut taskset = Command::new("taskset");
    taskset.args(["-c", core]).args(command);
    taskset
}

fn is_listening(addr: &str) -> bool {
    match addr.strip_prefix("unix:") {
        Some(path) => UnixStream::connect(path).is_ok(),
        None => TcpStream::connect(addr).is_ok(),
    }
}

const PATIENCE: Duration = Duration::from_secs(15);
const GLANCE: Duration = Duration::from_millis(20);
