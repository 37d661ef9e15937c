//! What can be seen without connecting anywhere: secrets, folders, templates,
//! certificates, and settings that are sound each but not together.

use std::{
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::Access;
use secrecy::ExposeSecret as _;

use super::{Finding, State, sqlite_file};
use crate::{
    app::{Chain, brands, build, http::tls::Certificate},
    config::{BlobKind, Config, SecretSource, secret::SecretError},
    dispatch::email::Relay,
    store::keyring::MasterKey,
};

/// Shortest bearer token.
const TOKEN_CHARS_MIN: usize = 32;
/// Below this much room a disk is a problem.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// Looks at everything of this machine that the configuration names.
pub fn offline(config: &Config) -> Vec<Finding> {
    let mut found = settled(config);
    templates(config, &mut found);
    found
}

/// The same without the templates, which take a moment.
pub(super) fn settled(config: &Config) -> Vec<Finding> {
    let mut found = vec![Finding::well("configuration", "every setting is within its bounds")];
    secrets(config, &mut found);
    master(config, &mut found);
    folders(config, &mut found);
    certificates(config, &mut found);
    listeners(config, &mut found);
    logos(config, &mut found);
    notes(config, &mut found);
    found
}

fn secrets(config: &Config, found: &mut Vec<Finding>) {
    let broker = config.broker.as_ref().and_then(|broker| broker.password.as_ref());
    let mut named: Vec<(String, Option<&SecretSource>)> = vec![
        ("database.password".into(), config.database.password.as_ref()),
        ("keys.password".into(), config.keys.password.as_ref()),
        ("blobs.access_key".into(), config.blobs.access_key.as_ref()),
        ("blobs.secret_key".into(), config.blobs.secret_key.as_ref()),
        ("broker.password".into(), broker),
        ("mail.password".into(), config.mail.password.as_ref()),
    ];
    for (id, tenant) in &config.tenants {
        named.push((format!("tenants.{id}.token"), tenant.token.as_ref()));
    }
    for (key, source) in named {
        let Some(source) = source else { continue };
        found.push(match source.read() {
            Ok(secret) if key.starts_with("tenants.") => token(&key, secret.expose_secret().len()),
            Ok(_) => Finding::well(&key, "readable by the office alone"),
            Err(error) => closed(&key, &error),
        });
    }
}

fn logos(config: &Config, found: &mut Vec<Finding>) {
    for (id, tenant) in &config.tenants {
        let Some(path) = &tenant.logo else { continue };
        let key = format!("tenants.{id}.logo");
        found.push(match brands::logo(path) {
            Ok(_) => Finding::well(&key, "a picture that the pages can show"),
            Err(error) => Finding::new(&key, State::Wrong, format!("{error:#}"))
                .remedy("name a small PNG, or an SVG without scripts and references"),
        });
    }
}

fn token(key: &str, length: usize) -> Finding {
    if length >= TOKEN_CHARS_MIN {
        return Finding::well(key, "readable by the office alone");
    }
    let what = format!("the token is shorter than {TOKEN_CHARS_MIN} characters");
    Finding::new(key, State::Wrong, what).remedy("make one with `openssl rand -base64 32`")
}

fn closed(key: &str, error: &SecretError) -> Finding {
    match error {
        SecretError::NoCredentials => {
            Finding::new(key, State::Note, "a credential of the service; not to be seen from here")
        }
        SecretError::Unreadable { .. } => Finding::new(key, State::Wrong, Chain(error).to_string())
            .remedy("make the file, owned by the office's user, mode 0400"),
        SecretError::Open { .. } | SecretError::Foreign { .. } | SecretError::Empty { .. } => {
            Finding::new(key, State::Wrong, error.to_string())
        }
    }
}

fn master(config: &Config, found: &mut Vec<Finding>) {
    let key = "keys.master";
    let source = &config.keys.master;
    let finding = match source.check() {
        Err(SecretError::Unreadable { path, .. }) if !path.exists() => {
            Finding::new(key, State::Wrong, format!("there is no {}", path.display()))
                .remedy("make it with `kakitome keys init`, or bring it back from its copy")
        }
        Err(error) => closed(key, &error),
        Ok(path) => match MasterKey::from_file(&path, source.forbidden_bits()) {
            Ok(_) => Finding::well(key, "32 bytes, readable by the office alone"),
            Err(error) => Finding::new(key, State::Wrong, Chain(&error).to_string())
                .remedy("bring it back from its copy"),
        },
    };
    found.push(finding);
}

fn folders(config: &Config, found: &mut Vec<Finding>) {
    found.push(folder("office.state_dir", &config.office.state_dir, true));
    if config.blobs.kind == BlobKind::Files {
        found.push(folder("blobs.dir", &config.blobs.dir, true));
    }
    if let Some(post) = &config.post {
        found.push(folder("post.drop_dir", &post.drop_dir, true));
    }
    let database = sqlite_file(&config.database.url);
    let keys = sqlite_file(&config.keys.url);
    let parent = |file: &PathBuf| file.parent().map(Path::to_path_buf).unwrap_or_default();
    for (key, file) in [("database.url", &database), ("keys.url", &keys)] {
        if let Some(file) = file {
            found.push(folder(key, &parent(file), false));
        }
    }
    if let (Some(database), Some(keys)) = (&database, &keys)
        && parent(database) == parent(keys)
    {
        let what = "the key store lies in the database's folder";
        found.push(
            Finding::new("keys.url", State::Note, what).remedy(
                "give it a folder of its own: a backup that holds both keeps destroyed keys",
            ),
        );
    }
}

/// A folder that the office writes to; `made` says that it makes it itself.
fn folder(key: &str, path: &Path, made: bool) -> Finding {
    let shown = path.display();
    let Ok(meta) = std::fs::metadata(path) else {
        if made && path.ancestors().skip(1).find(|up| up.exists()).is_some_and(writable) {
            return Finding::well(key, format!("{shown} will be made"));
        }
        return Finding::new(key, State::Wrong, format!("there is no folder {shown}"))
            .remedy(format!("as the office's user: install -d -m 0700 {shown}"));
    };
    if !meta.is_dir() {
        return Finding::new(key, State::Wrong, format!("{shown} is not a folder"));
    }
    if !writable(path) {
        return Finding::new(key, State::Wrong, format!("{shown} cannot be written to"))
            .remedy(format!("chown {shown} to the office's user"));
    }
    let free = rustix::fs::statvfs(path).map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    if free.is_ok_and(|free| free < FREE_BYTES_MIN) {
        return Finding::new(key, State::Away, format!("the disk of {shown} is almost full"))
            .remedy("make room: below 1 GiB nothing is safe to accept");
    }
    if meta.mode() & 0o007 != 0 {
        return Finding::new(key, State::Note, format!("{shown} is open to every user"))
            .remedy(format!("chmod 0700 {shown}"));
    }
    Finding::well(key, format!("{shown} can be written to"))
}

fn writable(path: &Path) -> bool {
    rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

fn templates(config: &Config, found: &mut Vec<Finding>) {
    let key = "office.templates_dir";
    let finding = match build::renderer(config) {
        Ok(renderer) => {
            let names = renderer.template_names().join(", ");
            Finding::well("templates", format!("fonts load, and these render: {names}"))
        }
        Err(error) => Finding::new(key, State::Wrong, format!("{error:#}"))
            .remedy("correct the template; `kakitome templates check` says where it fails"),
    };
    found.push(finding);
}

fn certificates(config: &Config, found: &mut Vec<Finding>) {
    if let (Some(chain), Some(key)) = (&config.listen.certificate, &config.listen.private_key) {
        found.push(match Certificate::open(chain.clone(), key.clone()) {
            Ok(_) => Finding::well("listen.certificate", "a certificate and its key"),
            Err(error) => Finding::new("listen.certificate", State::Wrong, format!("{error:#}"))
                .remedy(
                    "name the full chain in PEM and its key, owned by the office's user, mode 0400",
                ),
        });
    }
    // The relay's settings are read as they will be used, certificates too;
    // a password that is missing was reported above.
    let mail = crate::config::Mail { user: None, password: None, ..config.mail.clone() };
    let relay = build::relay(&mail).and_then(|settings| Ok(Relay::new(settings)?));
    if let Err(error) = relay {
        found.push(Finding::new("mail", State::Wrong, format!("{error:#}")));
    }
    if let Some(broker) = &config.broker {
        let nobodys = crate::config::Broker { password: None, ..broker.clone() };
        if let Err(error) = build::broker(&nobodys, "kakitome check") {
            found.push(Finding::new("broker", State::Wrong, format!("{error:#}")));
        }
    }
}

fn listeners(config: &Config, found: &mut Vec<Finding>) {
    let listen = &config.listen;
    let all: [(&str, SocketAddr); 3] = [
        ("listen.gateway", listen.gateway),
        ("listen.api", listen.api),
        ("listen.operations", listen.operations),
    ];
    for (index, (key, address)) in all.iter().enumerate() {
        let same = all.iter().take(index).find(|(_, other)| other == address && other.port() != 0);
        if let Some((other, _)) = same {
            let what = format!("the same address as {other}");
            found.push(Finding::new(key, State::Wrong, what).remedy("give each its own port"));
        }
    }
    for (key, address) in [("listen.api", listen.api), ("listen.operations", listen.operations)] {
        if !address.ip().is_loopback() {
            let what = format!("{address} can be reached from outside this machine");
            found.push(Finding::new(key, State::Note, what).remedy(
                "keep it inside: it speaks plain HTTP, so put TLS in front or bind to loopback",
            ));
        }
    }
    if config.office.public_url.starts_with("https://") && config.office.trusted_proxies.is_empty()
    {
        let what = "no proxy is trusted, so every visitor has the proxy's address in the log";
        found.push(
            Finding::new("office.trusted_proxies", State::Note, what)
                .remedy("name the addresses of the proxy that speaks TLS, such as 10.0.0.0/8"),
        );
    }
}

fn notes(config: &Config, found: &mut Vec<Finding>) {
    let mut note = |key: &str, what: &str, remedy: &str| {
        found.push(Finding::new(key, State::Note, what).remedy(remedy));
    };
    if config.tenants.is_empty() {
        note("tenants", "there is no tenant, so nobody can send", "add [tenants.NAME]");
    }
    for (id, tenant) in &config.tenants {
        let key = format!("tenants.{id}");
        if tenant.test_mode {
            note(&key, "test mode: nothing leaves the house", "remove test_mode for real mail");
        }
        if tenant.token.is_none() && (config.broker.is_none() || tenant.users.is_empty()) {
            note(&key, "has no way to send", "give it broker `users` or a `token`");
        }
    }
    if config.broker.as_ref().is_some_and(|broker| broker.single_tenant.is_some()) {
        note(
            "broker.single_tenant",
            "DEVELOPMENT MODE: whoever publishes is taken for this tenant",
            "remove it before anybody else can reach the broker",
        );
    }
}
