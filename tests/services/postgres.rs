//! PostgreSQL clusters of a test's own, to be killed.

use std::{path::Path, process::Command};

/// A cluster of one test's own. It ends with the test.
pub(crate) struct OwnPostgres {
    dir: tempfile::TempDir,
}

impl OwnPostgres {
    /// Starts it; that takes some two seconds.
    pub(crate) fn start() -> Self {
        let postgres = Self { dir: tempfile::tempdir().unwrap() };
        postgres.up();
        postgres
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A new database; its address.
    pub(crate) fn create(&self, name: &str) -> String {
        let port = std::fs::read_to_string(self.dir.path().join("port")).unwrap();
        create(&format!("postgres://kakitome@127.0.0.1:{}", port.trim()), name)
    }

    /// Starts it again, on the same port and with its data.
    pub(crate) fn up(&self) {
        self.script("up");
    }

    /// SIGKILL.
    pub(crate) fn kill(&self) {
        self.script("kill");
    }

    fn script(&self, action: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/postgres.sh");
        let done = Command::new("bash")
            .arg(script)
            .arg(action)
            .arg(self.dir.path())
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{action} failed: {words}");
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        self.script("down");
    }
}

/// A new database on a server; its address.
pub(crate) fn create(server: &str, name: &str) -> String {
    ask(&format!("{server}/postgres"), &format!("CREATE DATABASE {name}"));
    format!("{server}/{name}")
}

/// What a statement answers: its rows as lines, columns separated by `|`.
pub(crate) fn ask(url: &str, sql: &str) -> String {
    let done = Command::new("psql").args([url, "-qAt", "-c", sql]).output().unwrap();
    let words = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{sql}: {words}");
    String::from_utf8(done.stdout).unwrap()
}
