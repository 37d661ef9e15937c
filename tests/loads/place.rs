//! A place with everything that the office's processes need around them.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use kakitome::{
    config::{Broker, Config, Declare, MailTls, Post, SecretSource, Tenant},
    domain::ids::TenantId,
    entropy::Entropy,
    store::keyring::MasterKey,
};

use crate::{
    services::{self, postgres::OwnPostgres, rabbitmq::OwnBroker},
    until,
};

/// Connections to the relay of each process.
pub(crate) const CONNECTIONS: u32 = 4;

/// A broker, two databases, a relay, a configuration.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) broker: OwnBroker,
    pub(crate) postgres: OwnPostgres,
    pub(crate) config: Config,
    relay: Child,
    processes: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone_already = self.relay.kill();
        drop(self.relay.wait());
        if std::thread::panicking() {
            for process in 1..=self.processes {
                let log = fs::read_to_string(self.log_file(process)).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let last = lines.len().saturating_sub(20);
                println!("process {process}:\n{}", lines[last..].join("\n"));
            }
        }
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let postgres = std::thread::spawn(OwnPostgres::start);
        let broker = OwnBroker::start();
        let postgres = postgres.join().unwrap();
        let taken = dir.path().join("taken");
        let relay = Command::new(services::python())
            .arg("tests/services/relay.py")
            .arg(&taken)
            .spawn()
            .unwrap();
        let port = dir.path().join("taken.port");
        let port = until("the relay", || fs::read_to_string(&port).ok());
        let mut config = config(&dir, &broker);
        config.mail.port = port.parse().unwrap();
        config.database.url = postgres.create("office");
        config.keys.url = services::postgres::create(
            &services::told("KAKITOME_TEST_KEYS_POSTGRES"),
            &format!("loads_{}", config.mail.port),
        );
        MasterKey::create_file(&dir.path().join("master.key"), &Entropy::from_os().unwrap())
            .unwrap();
        let place = Self { dir, broker, postgres, config, relay, processes: 0 };
        place.write_config();
        let migrated = place.kakitome(&["migrate"]).status().unwrap();
        assert!(migrated.success(), "the schema is there");
        place
    }

    fn log_file(&self, process: usize) -> PathBuf {
        self.dir.path().join(format!("serve-{process}.log"))
    }

    fn config_file(&self) -> PathBuf {
        self.dir.path().join("kakitome.toml")
    }

    /// Writes the configuration that the next process reads.
    pub(crate) fn write_config(&self) {
        fs::write(self.config_file(), toml::to_string(&self.config).unwrap()).unwrap();
    }

    /// The program with a command and our configuration.
    pub(crate) fn kakitome(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kakitome"));
        command.args(arguments).arg("--config").arg(self.config_file()).env_clear();
        command.stdin(Stdio::null());
        command
    }

    /// Starts one more process of the office.
    pub(crate) fn serve(&mut self) -> Process {
        self.serve_with(&[])
    }

    /// The same with more arguments.
    pub(crate) fn serve_with(&mut self, arguments: &[&str]) -> Process {
        self.processes = self.processes.saturating_add(1);
        let log = self.log_file(self.processes);
        let file = File::create(&log).unwrap();
        let mut serve = self.kakitome(&["serve"]);
        let child = serve.args(arguments).stdout(Stdio::null()).stderr(file).spawn().unwrap();
        let process = Process { child, log };
        until("the office to open", || {
            let text = fs::read_to_string(&process.log).unwrap();
            (text.contains("the office is open")).then_some(())
        });
        if self.processes == 1 {
            // It makes the queues; until then the broker refuses jobs.
            until("the queues", || {
                let queues = self.broker.ctl(&["list_queues", "name", "consumers"]);
                queues.contains("kakitome.jobs\t1").then_some(())
            });
        }
        process
    }

    /// What the relay took: every line of its book.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        let text = fs::read_to_string(self.dir.path().join("taken")).unwrap();
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until the relay has taken `count` mails.
    pub(crate) fn until_taken(&self, count: usize) {
        let book = self.dir.path().join("taken");
        until(&format!("{count} mails"), || {
            let lines = fs::read_to_string(&book).unwrap().lines().count();
            (lines >= count).then_some(())
        });
    }
}

/// A mail in the relay's book.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Taken {
    pub(crate) id: String,
    pub(crate) link: String,
}

fn config(dir: &tempfile::TempDir, broker: &OwnBroker) -> Config {
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let mut config = Config::default();
    config.office.state_dir = dir.path().join("state");
    fs::create_dir(&config.office.state_dir).unwrap();
    fs::set_permissions(&config.office.state_dir, fs::Permissions::from_mode(0o700)).unwrap();
    config.keys.master = SecretSource::path(dir.path().join("master.key"));
    config.blobs.dir = dir.path().join("segments");
    config.post = Some(Post { drop_dir: dir.path().join("post"), ..Post::default() });
    config.mail.tls = MailTls::None;
    config.mail.connections = CONNECTIONS;
    // The shortest that the configuration allows: a test waits for it.
    config.work.lease.0 = Duration::from_secs(5);
    let anywhere = "127.0.0.1:0".parse().unwrap();
    config.listen.operations = anywhere;
    config.listen.api = anywhere;
    config.listen.gateway = anywhere;
    let password = dir.path().join("guest");
    fs::write(&password, "guest").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o400)).unwrap();
    config.broker = Some(Broker {
        port: broker.port(),
        user: "guest".into(),
        password: Some(SecretSource::path(password)),
        declare: Declare::Create,
        ..Broker::default()
    });
    for name in ["acme", "globex"] {
        let tenant = Tenant {
            name: "株式会社青葉商事".into(),
            users: vec![name.into()],
            ..Tenant::default()
        };
        config.tenants.insert(TenantId::parse(name).unwrap(), tenant);
    }
    config
}

/// `kakitome serve`; killed with the test.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM: it ends in good order within its time.
    pub(crate) fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let started = Instant::now();
        let status = self.child.wait().unwrap();
        let log = fs::read_to_string(&self.log).unwrap();
        assert!(status.success(), "it ends well: {log}");
        assert!(started.elapsed() < Duration::from_secs(30), "in time: {log}");
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        drop(self.child.wait());
    }
}
