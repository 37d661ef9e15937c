//! The shared RabbitMQ, and brokers of a test's own to be killed.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The folder of the shared broker.
pub(crate) fn shared_dir() -> PathBuf {
    PathBuf::from(super::told("KAKITOME_TEST_RMQ_DIR"))
}

/// The AMQP port of the shared broker; the next one speaks TLS.
pub(crate) fn shared_port() -> u16 {
    port_in(&shared_dir())
}

fn port_in(dir: &Path) -> u16 {
    let text = std::fs::read_to_string(dir.join("port")).expect("the broker wrote its port");
    text.trim().parse().expect("the port is a number")
}

/// A broker of one test's own. It ends with the test.
pub(crate) struct OwnBroker {
    dir: tempfile::TempDir,
}

impl OwnBroker {
    /// Starts it; that takes some five seconds.
    pub(crate) fn start() -> Self {
        let broker = Self { dir: tempfile::tempdir().unwrap() };
        broker.up();
        broker
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its AMQP port.
    pub(crate) fn port(&self) -> u16 {
        port_in(self.dir.path())
    }

    /// Starts it again, on the same port and with its data.
    pub(crate) fn up(&self) {
        self.script("up", &[]);
    }

    /// Lets queues that were just created survive a kill.
    pub(crate) fn settle(&self) {
        self.script("settle", &[]);
    }

    /// SIGKILL.
    pub(crate) fn kill(&self) {
        self.script("kill", &[]);
    }

    /// `rabbitmqctl`.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> String {
        self.script("ctl", arguments)
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = std::fs::read_to_string(self.dir.path().join("beam.pid")).unwrap();
        let done = Command::new("kill").arg(format!("-{name}")).arg(pid.trim()).status().unwrap();
        assert!(done.success(), "the broker takes signals");
    }

    fn script(&self, action: &str, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/rabbitmq.sh");
        let done = Command::new("bash")
            .arg(script)
            .arg(action)
            .arg(self.dir.path())
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{action} failed: {words}");
        String::from_utf8(done.stdout).unwrap()
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        self.script("down", &[]);
    }
}
