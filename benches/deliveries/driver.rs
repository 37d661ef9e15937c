//! Publishes, waits, counts.

use std::{
    collections::HashMap,
    path::PathBuf,
    process::Child,
    time::{Duration, Instant},
};

use kakitome::{
    app::build,
    broker::{BrokerSettings, Declare, Exchange, Outgoing, Publisher},
    config::{self, Config, MailTls, SecretSource, Tenant},
    domain::ids::TenantId,
    entropy::Entropy,
    store::keyring::MasterKey,
};
use tokio::{io::AsyncReadExt, net::TcpStream, time::sleep};

use crate::{
    process::{again, cpu_of_tree, memory},
    sink::micros,
};

const INVOICE: &str = include_str!("../../docs/examples/email-invoice.json");
const TENANTS: [&str; 5] = ["bench-a", "bench-b", "bench-c", "bench-d", "bench-e"];

/// The services around a run, from the environment of `tests/with-services`.
struct Services {
    postgres: String,
    keys: String,
    amqp: BrokerSettings,
    postgres_pid: u32,
    keys_pid: u32,
    broker_pid: u32,
}

impl Services {
    fn find() -> Self {
        let var = |name: &str| {
            std::env::var(name).unwrap_or_else(|_| panic!("{name}: start with tests/with-services"))
        };
        let pid = |path: String| -> u32 {
            let text = std::fs::read_to_string(path).unwrap();
            text.lines().next().unwrap().trim().parse().unwrap()
        };
        let amqp = var("KAKITOME_TEST_AMQP");
        let port = amqp.rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap();
        let mut amqp = BrokerSettings::new("127.0.0.1", port, "guest", "guest".to_owned().into());
        amqp.declare = Declare::Create;
        Self {
            postgres: var("KAKITOME_TEST_POSTGRES"),
            keys: var("KAKITOME_TEST_KEYS_POSTGRES"),
            postgres_pid: pid(format!("{}/data/postmaster.pid", var("KAKITOME_TEST_PG_DIR"))),
            keys_pid: pid(format!("{}/data/postmaster.pid", var("KAKITOME_TEST_KEYS_PG_DIR"))),
            broker_pid: pid(format!("{}/beam.pid", var("KAKITOME_TEST_RMQ_DIR"))),
            amqp,
        }
    }
}

/// One run: its folder, queue, databases, sink and configuration.
struct Run {
    /// Goes when the run does.
    _dir: tempfile::TempDir,
    config: Config,
    config_file: PathBuf,
    amqp: BrokerSettings,
    sink: Child,
    told: u16,
    worker: Option<Child>,
}

impl Drop for Run {
    fn drop(&mut self) {
        let _killed = self.sink.kill();
        let _reaped = self.sink.wait();
        self.kill_worker();
    }
}

impl Run {
    async fn new(services: &Services, name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sink");
        let sink = again(&["as-sink", file.to_str().unwrap()]).spawn().unwrap();
        let ports = loop {
            if let Some(ports) = std::fs::read_to_string(&file).ok().filter(|t| t.contains(' ')) {
                break ports;
            }
            sleep(Duration::from_millis(10)).await;
        };
        let (smtp, told) = ports.split_once(' ').unwrap();
        let mut amqp = services.amqp.clone();
        amqp.names.jobs_queue = format!("bench.{name}.{}", micros());
        amqp.names.job_key.clone_from(&amqp.names.jobs_queue);
        let unique = format!("bench_{}", micros());
        create_database(&services.postgres, &unique);
        create_database(&services.keys, &unique);
        let mut config = Config::default();
        config.office.state_dir = dir.path().join("state");
        config.database.url = format!("{}/{unique}", services.postgres);
        config.keys.url = format!("{}/{unique}", services.keys);
        let master = dir.path().join("master.key");
        MasterKey::create_file(&master, &Entropy::from_os().unwrap()).unwrap();
        config.keys.master = SecretSource::path(master);
        config.blobs.dir = dir.path().join("segments");
        config.mail.port = smtp.parse().unwrap();
        config.mail.tls = MailTls::None;
        config.listen.operations = "127.0.0.1:0".parse().unwrap();
        config.listen.api = "127.0.0.1:0".parse().unwrap();
        config.broker = Some(config::Broker {
            port: amqp.port,
            user: "guest".into(),
            declare: config::Declare::Create,
            queue: amqp.names.jobs_queue.clone(),
            routing_key: amqp.names.job_key.clone(),
            single_tenant: Some(TenantId::parse(TENANTS[0]).unwrap()),
            ..config::Broker::default()
        });
        for name in TENANTS {
            let tenant = Tenant { name: "株式会社青葉商事".into(), ..Tenant::default() };
            config.tenants.insert(TenantId::parse(name).unwrap(), tenant);
        }
        let config_file = dir.path().join("kakitome.toml");
        std::fs::write(&config_file, toml::to_string(&config).unwrap()).unwrap();
        build::database(&config, None).await.unwrap().migrate().await.unwrap();
        let told = told.trim().parse().unwrap();
        Self { _dir: dir, config, config_file, amqp, sink, told, worker: None }
    }

    fn start_worker(&mut self, press: &str) {
        let config = self.config_file.to_str().unwrap();
        self.worker = Some(again(&["as-worker", config, press]).spawn().unwrap());
    }

    fn kill_worker(&mut self) {
        if let Some(mut worker) = self.worker.take() {
            let _killed = worker.kill();
            let _reaped = worker.wait();
        }
    }

    fn worker_pid(&self) -> u32 {
        self.worker.as_ref().unwrap().id()
    }

    async fn ask_sink(&self, word: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.told)).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, word.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    async fn caught(&self) -> usize {
        self.ask_sink("c").await.lines().next().unwrap().parse().unwrap()
    }

    async fn publisher(&self) -> Publisher {
        Publisher::connect(&self.amqp).await.unwrap()
    }

    fn job(&self, number: usize) -> Outgoing {
        let mut job: serde_json::Value = serde_json::from_str(INVOICE).unwrap();
        let object = job.as_object_mut().unwrap();
        object.shift_remove("tenant");
        object.shift_remove("evidence");
        job["key"] = format!("bench/{number}").into();
        job["recipient"]["email"] = format!("user{number}@example.jp").into();
        job["document"]["data"]["number"] = format!("INV-{number:06}").into();
        let body = serde_json::to_vec(&job).unwrap();
        let mut outgoing = Outgoing::new(Exchange::Jobs, &self.amqp.names.job_key, body);
        outgoing.kind = Some("kakitome.send.v1".into());
        outgoing.content_type = Some("application/json".into());
        outgoing
    }

    async fn publish(&self, numbers: std::ops::Range<usize>) {
        let mut publisher = self.publisher().await;
        for start in numbers.clone().step_by(500) {
            let end = (start + 500).min(numbers.end);
            let batch: Vec<Outgoing> = (start..end).map(|n| self.job(n)).collect();
            publisher.publish_all(&batch).await.unwrap();
        }
        publisher.close().await.unwrap();
    }
}

fn create_database(server: &str, name: &str) {
    let sql = format!("CREATE DATABASE {name}");
    let status = std::process::Command::new("psql")
        .args([&format!("{server}/postgres"), "-q", "-c", &sql])
        .status();
    assert!(status.unwrap().success(), "psql creates {name}");
}

/// Runs the measurements that `words` name, or all.
pub(crate) async fn run(words: &[String], jobs: usize) {
    let services = Services::find();
    let wanted = |word: &str| words.is_empty() || words.iter().any(|one| one == word);
    for (word, press) in [("fixed", "fixed"), ("rendered", "real")] {
        if wanted(word) {
            throughput(&services, word, press, jobs).await;
        }
    }
    if wanted("latency") {
        for rate in [100, 300] {
            latency(&services, rate).await;
        }
    }
    if wanted("memory") {
        backlog(&services).await;
    }
}

async fn throughput(services: &Services, word: &str, press: &str, jobs: usize) {
    let mut run = Run::new(services, word).await;
    // The worker makes the topology; then everything waits in the queue.
    run.start_worker(press);
    run.publish(0..50).await;
    while run.caught().await < 50 {
        sleep(Duration::from_millis(20)).await;
    }
    run.kill_worker();
    run.publish(50..jobs + 50).await;
    let before = [services.postgres_pid, services.keys_pid, services.broker_pid].map(cpu_of_tree);
    let sink_before = cpu_of_tree(run.sink.id());
    run.start_worker(press);
    let started = Instant::now();
    while run.caught().await < jobs + 50 {
        assert!(started.elapsed() < Duration::from_mins(10), "the jobs do not come through");
        sleep(Duration::from_millis(50)).await;
    }
    sleep(Duration::from_millis(500)).await;
    let all = run.ask_sink("a").await;
    let mut times: Vec<u128> =
        all.lines().skip(1).map(|l| l.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    times.sort_unstable();
    let window = &times[50..];
    let seconds = (window[window.len() - 1] - window[0]) as f64 / 1e6;
    let per = |cpu: f64| cpu * 1e6 / jobs as f64;
    let after = [services.postgres_pid, services.keys_pid, services.broker_pid].map(cpu_of_tree);
    let worker = per(cpu_of_tree(run.worker_pid()));
    let database = per(after[0] - before[0] + after[1] - before[1]);
    let broker = per(after[2] - before[2]);
    let sink = per(cpu_of_tree(run.sink.id()) - sink_before);
    println!(
        "{word:<9} {jobs} jobs: {:.0} deliveries/s; CPU per delivery: worker {worker:.0} + \
         database {database:.0} + broker {broker:.0} + sink {sink:.0} = {:.0} us; worker peak {:.0} MiB",
        window.len() as f64 / seconds,
        worker + database + broker + sink,
        memory(run.worker_pid(), "VmHWM"),
    );
}

async fn latency(services: &Services, rate: usize) {
    let mut run = Run::new(services, "latency").await;
    run.start_worker("real");
    run.publish(0..200).await;
    while run.caught().await < 200 {
        sleep(Duration::from_millis(20)).await;
    }
    let count = rate * 20;
    let mut publisher = run.publisher().await;
    let mut published = HashMap::new();
    let start = tokio::time::Instant::now();
    for number in 0..count {
        let job = run.job(1_000_000 + number);
        tokio::time::sleep_until(start + Duration::from_secs_f64(number as f64 / rate as f64))
            .await;
        published.insert(format!("user{}@example.jp", 1_000_000 + number), micros());
        publisher.publish_all(&[job]).await.unwrap();
    }
    while run.caught().await < count + 200 {
        sleep(Duration::from_millis(20)).await;
    }
    let all = run.ask_sink("a").await;
    let mut took: Vec<f64> = all
        .lines()
        .skip(1)
        .filter_map(|line| {
            let (to, at) = line.split_once(' ')?;
            Some((at.parse::<u128>().unwrap() - published.get(to)?) as f64 / 1e3)
        })
        .collect();
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!(
        "latency   {rate}/s, publish to 250 with rendering: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

async fn backlog(services: &Services) {
    let mut run = Run::new(services, "memory").await;
    // A relay that is away: everything stays on the books.
    run.config.mail.port = 1;
    std::fs::write(&run.config_file, toml::to_string(&run.config).unwrap()).unwrap();
    run.start_worker("fixed");
    sleep(Duration::from_secs(2)).await;
    let idle = memory(run.worker_pid(), "VmRSS");
    run.publish(0..100_000).await;
    let started = Instant::now();
    loop {
        let rows = count(&run.config.database.url, "work");
        if rows >= 100_000 {
            break;
        }
        assert!(started.elapsed() < Duration::from_mins(10), "the jobs do not reach the books");
        sleep(Duration::from_millis(500)).await;
    }
    sleep(Duration::from_secs(3)).await;
    let pid = run.worker_pid();
    println!(
        "memory    100,000 jobs on the books: resident {:.0} MiB (anonymous {:.0}, peak {:.0}), \
         {idle:.0} MiB before",
        memory(pid, "VmRSS"),
        memory(pid, "RssAnon"),
        memory(pid, "VmHWM"),
    );
}

fn count(url: &str, table: &str) -> usize {
    let sql = format!("SELECT count(*) FROM {table}");
    let output =
        std::process::Command::new("psql").args([url, "-At", "-c", &sql]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
}
