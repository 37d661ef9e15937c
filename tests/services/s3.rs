//! Servers that speak S3, of a test's own, to be killed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(dead_code, reason = "each test uses its own part")]

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

/// The server's one access key id.
pub(crate) const ACCESS_KEY: &str = "KAKITOMETESTKEY";
/// And its secret.
pub(crate) const SECRET_KEY: &str = "not-a-secret-but-a-test-0123456789";
/// The bucket that is there.
pub(crate) const BUCKET: &str = "office";

/// A server of one test's own. It ends with the test.
pub(crate) struct OwnS3 {
    program: PathBuf,
    dir: tempfile::TempDir,
    port: u16,
    child: Mutex<Option<Child>>,
}

impl OwnS3 {
    /// Starts it; none where no program was given.
    pub(crate) fn start() -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "tests are told where the services are")]
        let Ok(program) = std::env::var("KAKITOME_TEST_S3") else {
            println!("S3 was not tried: KAKITOME_TEST_S3 is not set (see tests/with-services)");
            return None;
        };
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let (dir, child) = (tempfile::tempdir().unwrap(), Mutex::default());
        let server = Self { program: program.into(), dir, port: port.port(), child };
        // A folder is a bucket.
        std::fs::create_dir(server.bucket()).unwrap();
        server.up();
        Some(server)
    }

    /// Its address.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The folder in which the objects of the bucket are files.
    pub(crate) fn bucket(&self) -> PathBuf {
        self.dir.path().join(BUCKET)
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts it again, on the same port and with its objects.
    pub(crate) fn up(&self) {
        let started = Instant::now();
        let child = Command::new(&self.program)
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY])
            .arg(self.dir.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        *self.child.lock().unwrap() = Some(child);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(30), "the S3 server does not listen");
            std::thread::yield_now();
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Stops answering, without closing anything.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Answers again.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.lock().unwrap().as_ref().map(Child::id).unwrap();
        let done = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
        assert!(done.unwrap().success(), "the server takes signals");
    }
}

impl Drop for OwnS3 {
    fn drop(&mut self) {
        self.kill();
    }
}
