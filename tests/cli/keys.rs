//! Keys are replaced and destroyed while a server serves, and a server gives
//! nothing of its memory away.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        process::CommandExt as _,
    },
    process::{Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use super::{
    Place, example,
    office::{Served, free_ports, serve, until},
};

/// A relay that takes every mail and keeps it.
fn relay() -> (u16, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (keep, kept) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let keep = keep.clone();
            std::thread::spawn(move || converse(stream.unwrap(), |mail| keep.send(mail).unwrap()));
        }
    });
    (port, kept)
}

fn converse(stream: TcpStream, keep: impl Fn(Vec<u8>)) {
    let mut say = stream.try_clone().unwrap();
    let mut lines = BufReader::new(stream);
    say.write_all(b"220 relay\r\n").unwrap();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if !line.starts_with("DATA") {
            say.write_all(b"250 fine\r\n").unwrap();
            continue;
        }
        say.write_all(b"354 go on\r\n").unwrap();
        let mut mail = Vec::new();
        while !mail.ends_with(b"\r\n.\r\n") {
            assert!(lines.read_until(b'\n', &mut mail).unwrap() > 0, "the mail has an end");
        }
        keep(mail);
        say.write_all(b"250 taken\r\n").unwrap();
    }
}

/// The path of the link in a mail.
fn link_of(mail: &[u8]) -> String {
    let mail = mail_parser::MessageParser::default().parse(mail).unwrap();
    let text = mail.body_text(0).unwrap();
    let start = text.find("http://127.0.0.1:8080/").expect("the mail has a link");
    let url = text[start..].split_whitespace().next().unwrap();
    url.strip_prefix("http://127.0.0.1:8080").unwrap().to_owned()
}

/// Asks the gateway; gives status, head and body.
pub(super) fn ask(port: u16, request: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, bytes[end + 4..].to_vec())
}

pub(super) fn get(port: u16, path: &str) -> (u16, String, Vec<u8>) {
    ask(port, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nConnection: close\r\n\r\n"))
}

/// Opens a link as a person does; gives the status of the last answer and
/// whether it was a PDF.
fn open(port: u16, link: &str) -> (u16, bool) {
    match viewer(port, link) {
        Ok(place) => {
            let (status, _, file) = get(port, &format!("{place}/file"));
            (status, file.starts_with(b"%PDF-"))
        }
        Err(status) => (status, false),
    }
}

/// Opens a link; gives its viewer's path, or the status of the page that says
/// why not.
pub(super) fn viewer(port: u16, link: &str) -> Result<String, u16> {
    let (status, _, page) = get(port, link);
    if status != 200 {
        return Err(status);
    }
    let page = String::from_utf8(page).unwrap();
    let field = |name: &str| {
        let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let form = format!("token={}&nonce={}", field("token"), field("nonce"));
    let (status, head, _) = ask(
        port,
        &format!(
            "POST /o HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nOrigin: http://127.0.0.1:8080\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{form}",
            form.len()
        ),
    );
    assert_eq!(status, 303, "the form opens: {head}");
    let place = head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap();
    Ok(place.split('?').next().unwrap().to_owned())
}

/// An office that sends real mail to a relay of ours.
pub(super) struct Sending {
    pub(super) place: Place,
    pub(super) gateway: u16,
    pub(super) operations: u16,
    pub(super) mails: Receiver<Vec<u8>>,
}

impl Sending {
    fn new() -> Self {
        Self::with(|_| {})
    }

    /// The same with another configuration.
    pub(super) fn with(change: impl FnOnce(&Self)) -> Self {
        let [gateway, api, operations] = free_ports();
        let (port, mails) = relay();
        let place = Place::new(&format!(
            "[listen]\ngateway = \"127.0.0.1:{gateway}\"\napi = \"127.0.0.1:{api}\"\n\
             operations = \"127.0.0.1:{operations}\"\n[mail]\nport = {port}\ntls = \"none\"\n"
        ));
        let this = Self { place, gateway, operations, mails };
        this.edit("test_mode = true", "test_mode = false");
        change(&this);
        this.place.run(&["keys", "init"]).ends(0);
        this.place.run(&["migrate"]).ends(0);
        this
    }

    /// Changes the configuration.
    pub(super) fn edit(&self, from: &str, to: &str) {
        let file = self.place.path("kakitome.toml");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from} is in the configuration");
        fs::write(&file, text.replacen(from, to, 1)).unwrap();
    }

    pub(super) fn serve(&self) -> Served {
        serve(&self.place, self.operations)
    }

    /// Sends a document; gives its job and its link.
    pub(super) fn send(&self, key: &str) -> (String, String) {
        let text = fs::read_to_string(example("minimal.json")).unwrap();
        let file = self.place.path("job.json");
        fs::write(&file, text.replacen("\"key\": \"1\"", &format!("\"key\": \"{key}\""), 1))
            .unwrap();
        let file = file.display().to_string();
        let sent = self.place.run(&["enqueue", "--json", &file]).ends(0);
        let job = sent.lines()[0]["job"].as_str().unwrap().to_owned();
        until(&self.place, &job, "dispatched");
        let mail = self.mails.recv_timeout(Duration::from_mins(1)).unwrap();
        (job, link_of(&mail))
    }

    /// How often the log of a tenant, or of the office (`-`), says this.
    pub(super) fn told(&self, tenant: &str, kind: &str) -> usize {
        let tenant = format!("--tenant={tenant}");
        self.place
            .run(&["audit", "search", &tenant, "--kind", kind, "--json"])
            .ends(0)
            .lines()
            .len()
    }
}

#[test]
fn keys_are_replaced_while_a_server_serves() {
    let office = Sending::new();
    let new = office.place.at("master-next.key");
    let to_new = ["keys", "rotate", "master", "--json", "--to", new.as_str()];
    let served = office.serve();
    let (_, early) = office.send("early");
    office.place.run(&["keys", "init", "--master", &new]).ends(0);
    let refused = office.place.run(&to_new).ends(3);
    assert!(refused.err.contains("has not been given it"), "not behind its back: {}", refused.err);
    assert!(refused.err.contains("this configuration"), "nor ours: {}", refused.err);

    let old = office.place.at("master.key");
    office.edit("[blobs]", &format!("master_next = \"{new}\"\n[blobs]"));
    let refused = office.place.run(&to_new).ends(3);
    assert!(refused.err.contains("has not been given it"), "the server first: {}", refused.err);
    drop(served);
    let served = office.serve();
    let done = office.place.run(&to_new).ends(0).lines();
    assert_eq!(
        (&done[0]["from_version"], &done[0]["to_version"]),
        (&0.into(), &1.into()),
        "{done:?}"
    );
    assert!(done[0]["rewrapped"].as_u64().unwrap() > 5, "every key: {done:?}");
    let again = office.place.run(&to_new).ends(0).lines();
    assert_eq!(again[0]["rewrapped"], 0, "twice is once");
    assert_eq!(office.told("-", "key_rotated"), 2, "begun and done are in the log, once");

    assert_eq!(open(office.gateway, &early), (200, true), "a link from before opens");
    let (_, later) = office.send("later");
    assert_eq!(open(office.gateway, &later), (200, true), "and a new one");
    drop(served);

    // The old key is not needed any more, and does not help any more.
    fs::remove_file(&old).unwrap();
    fs::rename(&new, &old).unwrap();
    office.edit(&format!("master_next = \"{new}\"\n"), "");
    let _served = office.serve();
    assert_eq!(open(office.gateway, &early), (200, true), "after a restart with the new key alone");

    let links = office.place.run(&["keys", "rotate", "links", "--json"]).ends(0).lines();
    assert_eq!(links[0]["key"], 2, "a second pair of link keys");
    office.place.run(&["keys", "rotate", "tenant", "acme", "--service", "mail"]).ends(0);
    let status = office.place.run(&["keys", "status", "--json"]).ends(0).lines();
    assert_eq!(status[0]["link_keys"]["good"], serde_json::json!([1, 2]), "both are good");
    assert_eq!(status[0]["master"][0]["version"], 1, "the version of the master key");
    let tenants = status[0]["tenants"].as_array().unwrap();
    let mail: Vec<_> = tenants.iter().filter(|one| one["service"] == "mail").collect();
    assert_eq!(mail.len(), 2, "two versions of the tenant's key: {tenants:?}");
    let (_, last) = office.send("last");
    assert_eq!(open(office.gateway, &last), (200, true), "under the new tenant key");
    assert_eq!(open(office.gateway, &later), (200, true), "and under the old one");
    let words = office.place.run(&["keys", "status"]).ends(0);
    assert!(words.out.contains("acme mail: version 2, made"), "for people: {}", words.out);
}

#[test]
fn a_tenant_who_leaves_takes_the_documents_along() {
    let office = Sending::new();
    let served = office.serve();
    let (_, link) = office.send("one");
    let unsure = ["keys", "destroy", "tenant", "acme", "--service", "mail"];
    let asked = office.place.run(&unsure).ends(2);
    assert!(asked.err.contains("--yes"), "it asks first: {}", asked.err);
    assert_eq!(open(office.gateway, &link), (200, true), "and does nothing");
    let sure = [&unsure[..], &["--yes", "--json"]].concat();
    let first = office.place.run(&sure).ends(0).out;
    assert_eq!(office.told("acme", "key_destroyed"), 1, "the log knows");
    assert_eq!(office.place.run(&sure).ends(0).out, first, "twice is once");
    assert_eq!(office.told("acme", "key_destroyed"), 1, "in the log too");
    // A process that has looked at the key within the last minute believes it
    // for the rest of that minute; one that starts now does not.
    drop(served);
    let _served = office.serve();
    assert_eq!(get(office.gateway, &link).0, 410, "the document is gone");
    office.place.run(&["keys", "rotate", "tenant", "acme", "--service", "mail"]).ends(1);
    office.place.run(&["keys", "rotate", "tenant", "acme", "--service", "postal"]).ends(0);
    office.place.run(&["keys", "destroy", "tenant", "acme", "--service", "audit", "--yes"]).ends(2);
}

#[test]
fn a_master_key_that_others_can_read_stops_everything() {
    let place = Place::ready("");
    for mode in [0o444, 0o440, 0o404] {
        fs::set_permissions(place.path("master.key"), fs::Permissions::from_mode(mode)).unwrap();
        for arguments in [&["serve"][..], &["keys", "status"], &["retention", "run"]] {
            let run = place.run(arguments).ends(1);
            assert!(run.err.contains("chmod 0400"), "{mode:o} {arguments:?}: {}", run.err);
        }
    }
}

#[test]
fn a_server_dumps_no_core() {
    let office = Sending::new();
    let served = office.serve();
    let limits = fs::read_to_string(format!("/proc/{}/limits", served.0.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let values: Vec<&str> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(values, ["0", "0"], "neither now nor later: {core}");
}

/// The kernel gives what lies under /proc/PID to root once a process may not
/// be dumped; whoever owns these files may read its memory.
#[test]
fn no_other_process_of_the_same_user_reads_a_command_s_memory() {
    let nobody = 65_534;
    let root = rustix::process::geteuid().is_root();
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("kakitome");
    fs::copy(env!("CARGO_BIN_EXE_kakitome"), &program).unwrap();
    let owner = |mut command: Command| {
        if root {
            command.uid(nobody);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // It waits for the end of its input, so it is there to be looked at.
        let environ = format!("/proc/{}/environ", child.id());
        let mut uid = fs::metadata(&environ).unwrap().uid();
        for _ in 0..200 {
            if uid == 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
            uid = fs::metadata(&environ).unwrap().uid();
        }
        drop(child.stdin.take());
        child.wait().unwrap();
        uid
    };
    let mut cat = Command::new("cat");
    cat.env_clear().env("PATH", "/usr/bin:/bin");
    assert_ne!(owner(cat), 0, "another program's files belong to its user");
    let mut ours = Command::new(&program);
    ours.args(["check-pdf", "-"]).env_clear();
    assert_eq!(owner(ours), 0, "ours belong to root alone");
}
