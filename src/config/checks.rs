//! Everything that must hold of a configuration before anything starts.

use std::{fmt, net::IpAddr, path::Path, time::Duration};

use super::{BlobKind, Blobs, Config, MailTls, SecretSource, Span, Tenant};

/// One thing that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, like `mail.connections`; empty where the file itself is wrong.
    pub key: String,
    /// What is wrong and what to do.
    pub what: String,
}

impl Problem {
    fn at(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { key: key.into(), what: what.into() }
    }

    pub(super) fn file(path: &Path, kind: std::io::ErrorKind) -> Self {
        Self::at("", format!("cannot read {}: {kind}", path.display()))
    }

    pub(super) fn toml(message: &str) -> Self {
        Self::at("", message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            f.write_str(&self.what)
        } else {
            write!(f, "{}: {}", self.key, self.what)
        }
    }
}

struct Findings(Vec<Problem>);

impl Findings {
    fn note(&mut self, bad: bool, key: &str, what: &str) {
        if bad {
            self.0.push(Problem::at(key, what));
        }
    }

    fn within<T: PartialOrd + fmt::Display>(&mut self, key: &str, value: &T, low: &T, high: &T) {
        if value < low || value > high {
            self.0.push(Problem::at(key, format!("must lie between {low} and {high}")));
        }
    }

    fn secret(&mut self, key: &str, source: Option<&SecretSource>) {
        let bad = source.is_some_and(|source| !source.is_well_formed());
        self.note(bad, key, "name an absolute path or credential:NAME");
    }

    fn span(&mut self, key: &str, value: Span, low: u64, high: u64) {
        let second = |seconds| Span(Duration::from_secs(seconds));
        self.within(key, &value, &second(low), &second(high));
    }
}

/// Every problem of a configuration; empty when it may be used.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let mut found = Findings(Vec::new());
    office(config, &mut found);
    storage(config, &mut found);
    broker(config, &mut found);
    mail(config, &mut found);
    post(config, &mut found);
    uploads(config, &mut found);
    work(config, &mut found);
    tenants(config, &mut found);
    found.0
}

fn office(config: &Config, found: &mut Findings) {
    let office = &config.office;
    let https = office.public_url.strip_prefix("https://");
    let host = https.or_else(|| office.public_url.strip_prefix("http://"));
    found.note(
        host.is_none_or(|host| host.is_empty() || host.contains(['/', '?', '#', '@', ' '])),
        "office.public_url",
        "write https:// and a host, without a path",
    );
    let plain_host = host.map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
    found.note(
        https.is_none() && !plain_host.is_some_and(is_loopback),
        "office.public_url",
        "links must be https:// outside this machine",
    );
    found.note(
        office.roles.is_empty(),
        "office.roles",
        "name at least one of intake, work, gateway, retention",
    );
    let listen = &config.listen;
    found.secret("listen.private_key", listen.private_key.as_ref());
    found.note(
        listen.certificate.is_some() != listen.private_key.is_some(),
        "listen.certificate",
        "name both the certificate and listen.private_key, or neither",
    );
    for block in &office.trusted_proxies {
        let (address, bits) = block.split_once('/').unwrap_or((block, ""));
        let width = address.parse::<IpAddr>().map(|ip| if ip.is_ipv4() { 32 } else { 128 });
        let fits = width.is_ok_and(|width| {
            bits.is_empty() || bits.parse::<u8>().is_ok_and(|bits| bits <= width)
        });
        found.note(!fits, "office.trusted_proxies", "write CIDR blocks like 10.0.0.0/8");
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn storage(config: &Config, found: &mut Findings) {
    for (key, url) in [("database.url", &config.database.url), ("keys.url", &config.keys.url)] {
        let known = url.starts_with("sqlite:") || url.starts_with("postgres://");
        found.note(!known, key, "write sqlite:PATH or postgres://user@host/name");
        let password = url
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('@'))
            .is_some_and(|(login, _)| login.contains(':'));
        found.note(password, key, "put the password into a file and name it in `password`");
    }
    found.note(
        same_store(&config.database.url, &config.keys.url),
        "keys.url",
        "the key store must not live in the database's file or cluster: its backups would keep \
         destroyed keys",
    );
    found.secret("database.password", config.database.password.as_ref());
    found.secret("keys.password", config.keys.password.as_ref());
    found.secret("keys.master", Some(&config.keys.master));
    found.secret("keys.master_next", config.keys.master_next.as_ref());
    found.within("database.max_connections", &config.database.max_connections, &2, &200);
    found.span("database.statement_timeout", config.database.statement_timeout, 1, 600);
    blobs(&config.blobs, found);
}

fn blobs(blobs: &Blobs, found: &mut Findings) {
    found.within("blobs.segment_bytes_max", &blobs.segment_bytes_max, &(1 << 20), &(1 << 36));
    found.span("blobs.timeout", blobs.timeout, 1, 300);
    found.secret("blobs.access_key", blobs.access_key.as_ref());
    found.secret("blobs.secret_key", blobs.secret_key.as_ref());
    if blobs.kind == BlobKind::Files {
        return;
    }
    found.note(blobs.bucket.is_none(), "blobs.bucket", "name the bucket");
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            && !part.bytes().all(|byte| byte == b'.')
    };
    found.note(
        blobs.prefix.len() > 100 || !blobs.prefix.split('/').all(part),
        "blobs.prefix",
        "1 to 100 letters, digits, `-`, `_`, `.`, with `/` between folders",
    );
    found.note(
        blobs.access_key.is_some() != blobs.secret_key.is_some(),
        "blobs.access_key",
        "name both keys, or neither where the machine's role is to be asked",
    );
    let Some(endpoint) = &blobs.endpoint else { return };
    let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
    let sound = host.is_some_and(|host| {
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"@?#".contains(&byte);
        !host.is_empty() && host.bytes().all(plain)
    });
    found.note(!sound, "blobs.endpoint", "write https://HOST or https://HOST:PORT");
    found.note(
        endpoint.starts_with("http://") && !blobs.allow_http,
        "blobs.endpoint",
        "speak https://, or set allow_http where the storage is on this machine",
    );
}

/// Whether two URLs name one file, or one PostgreSQL cluster.
fn same_store(data: &str, keys: &str) -> bool {
    let cluster = |url: &str| {
        let rest = url.strip_prefix("postgres://")?;
        let host = rest.split_once('@').map_or(rest, |(_, host)| host);
        Some(host.split(['/', '?']).next().unwrap_or(host).to_owned())
    };
    match (cluster(data), cluster(keys)) {
        (Some(data), Some(keys)) => data == keys,
        (None, None) => data == keys,
        _ => false,
    }
}

fn broker(config: &Config, found: &mut Findings) {
    let Some(broker) = &config.broker else { return };
    found.within("broker.prefetch", &broker.prefetch, &1, &10_000);
    found.span("broker.heartbeat", broker.heartbeat, 2, 300);
    found.span("broker.publish_timeout", broker.publish_timeout, 1, 600);
    found.secret("broker.password", broker.password.as_ref());
    found.note(
        !broker.tls && !is_loopback(&broker.host) && broker.host.contains('.'),
        "broker.tls",
        "a broker outside this machine is spoken to with TLS",
    );
    let names = [
        ("broker.exchange", &broker.exchange),
        ("broker.queue", &broker.queue),
        ("broker.routing_key", &broker.routing_key),
        ("broker.dead_exchange", &broker.dead_exchange),
        ("broker.dead_queue", &broker.dead_queue),
        ("broker.events_exchange", &broker.events_exchange),
    ];
    for (key, name) in names {
        let fits = (1..=120).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
        found.note(!fits, key, "1 to 120 visible ASCII characters");
    }
    if let Some(tenant) = &broker.single_tenant {
        found.note(
            !config.tenants.contains_key(tenant),
            "broker.single_tenant",
            "name a tenant of this file",
        );
    }
}

fn mail(config: &Config, found: &mut Findings) {
    let mail = &config.mail;
    found.note(
        mail.tls == MailTls::None && !is_loopback(&mail.relay),
        "mail.tls",
        "a relay outside this machine is spoken to with starttls or tls",
    );
    found.within("mail.connections", &mail.connections, &1, &256);
    found.span("mail.give_up_after", mail.give_up_after, 60, 30 * 86_400);
    found.span("mail.final_timeout", mail.final_timeout, 1, 3_600);
    found.secret("mail.password", mail.password.as_ref());
    found.note(mail.user.is_some() != mail.password.is_some(), "mail.user", "needs a password");
    found.note(
        mail.user.is_some() && mail.tls == MailTls::None && !is_loopback(&mail.relay),
        "mail.user",
        "a password is never sent in clear",
    );
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic()) && !text.is_empty();
    let address = mail
        .from
        .split_once('@')
        .is_some_and(|(local, host)| plain(local) && plain(host) && !host.contains('@'));
    found.note(!address, "mail.from", "write one address, like noreply@example.jp");
    found.note(!plain(&mail.bounce_domain), "mail.bounce_domain", "write a domain name");
    found.note(!plain(&mail.hello_name), "mail.hello_name", "write a host name");
}

fn post(config: &Config, found: &mut Findings) {
    let Some(post) = &config.post else { return };
    let cutoff = chrono::NaiveTime::parse_from_str(&post.cutoff, "%H:%M");
    found.note(cutoff.is_err(), "post.cutoff", "write the hour and minute, like 15:00");
    found.note(!post.drop_dir.is_absolute(), "post.drop_dir", "write an absolute path");
    found.span("post.silent_after", post.silent_after, 86_400, 30 * 86_400);
    found.within("post.sender_lines", &post.sender_lines.len(), &0, &6);
    let named = (1..=32).contains(&post.partner.len())
        && post.partner.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    found.note(!named, "post.partner", "1 to 32 characters of a-z, 0-9 and -");
}

fn uploads(config: &Config, found: &mut Findings) {
    let uploads = &config.uploads;
    found.within("uploads.bytes_max", &uploads.bytes_max, &(64 << 10), &(100 << 20));
    found.span("uploads.keep", uploads.keep, 3_600, 30 * 86_400);
    found.within("uploads.per_tenant", &uploads.per_tenant, &1, &1_000_000);
    found.within("uploads.at_once", &uploads.at_once, &1, &64);
}

fn work(config: &Config, found: &mut Findings) {
    let work = &config.work;
    found.within("work.batch", &work.batch, &1, &4_096);
    found.within("work.in_flight", &work.in_flight, &1, &65_536);
    found.within("work.in_flight_per_tenant", &work.in_flight_per_tenant, &1, &65_536);
    found.within("work.render_threads", &work.render_threads, &0, &256);
    found.within("work.render_chunk", &work.render_chunk, &1, &256);
    found.within(
        "work.linger",
        &work.linger,
        &Span(Duration::ZERO),
        &Span(Duration::from_millis(100)),
    );
    found.span("work.lease", work.lease, 5, 600);
    found.within("work.backlog_max", &work.backlog_max, &1_000, &100_000_000);
    found.within("work.crashes_max", &work.crashes_max, &1, &100);
    found.span("work.drain", work.drain, 1, 300);
    found.span("work.poll", work.poll, 1, 60);
    let retention = &config.retention;
    found.within("retention.months", &retention.months, &1, &120);
    found.within("retention.undispatched_days_max", &retention.undispatched_days_max, &1, &365);
    found.span("retention.clock_tolerance", retention.clock_tolerance, 60, 86_400);
    found.span("retention.every", retention.every, 1, 3_600);
    found.within("retention.batch", &retention.batch, &1, &10_000);
    found.within("retention.evidence_years", &retention.evidence_years, &1, &30);
}

fn tenants(config: &Config, found: &mut Findings) {
    let mut users = std::collections::BTreeSet::new();
    for (id, tenant) in &config.tenants {
        let key = |name: &str| format!("tenants.{id}.{name}");
        found.note(
            id.as_str().starts_with('-') || id.as_str().ends_with('-'),
            &format!("tenants.{id}"),
            "a tenant's short name neither begins nor ends with a hyphen",
        );
        tenant_texts(id.as_str(), tenant, found);
        found.secret(&key("token"), tenant.token.as_ref());
        for user in &tenant.users {
            let fits =
                (1..=128).contains(&user.len()) && user.bytes().all(|b| b.is_ascii_graphic());
            found.note(!fits, &key("users"), "1 to 128 visible ASCII characters each");
            found.note(!users.insert(user), &key("users"), "a broker user belongs to one tenant");
        }
        for event in &tenant.events {
            let known = event == "*" || event.bytes().all(|b| b.is_ascii_lowercase());
            found.note(!known, &key("events"), "names of result events, or \"*\"");
        }
    }
}

fn tenant_texts(id: &str, tenant: &Tenant, found: &mut Findings) {
    let key = |name: &str| format!("tenants.{id}.{name}");
    let clean = |text: &str| !text.chars().any(char::is_control);
    let length = tenant.name.chars().count();
    found.note(
        !(1..=100).contains(&length) || !clean(&tenant.name),
        &key("name"),
        "the name that recipients see, 1 to 100 characters",
    );
    if let Some(contact) = &tenant.contact {
        let length = contact.chars().count();
        found.note(
            !(1..=200).contains(&length) || !clean(contact),
            &key("contact"),
            "1 to 200 characters",
        );
    }
    if let Some(colour) = &tenant.colour {
        let digits = colour.strip_prefix('#').unwrap_or_default();
        let whole = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        found.note(!whole, &key("colour"), "a colour as `#rrggbb`");
    }
}
