//! Clients: the Python one that applications copy, and recipients.

use std::process::{Child, Command, Stdio};

use reqwest::{Client, StatusCode, header, redirect::Policy};

use crate::{place::Place, services};

/// The address that no file of ours may hold in clear.
pub(crate) const CANARY: &str = "canary-7b3e@example.jp";

impl Place {
    /// docs/examples/publish.py, started.
    pub(crate) fn publishes(&self, user: &str, arguments: &[&str]) -> Publishing {
        let password = self.dir.path().join(format!("{user}.password"));
        std::fs::write(&password, user).unwrap();
        let child = Command::new(services::python())
            .arg("docs/examples/publish.py")
            .args(["--port", &self.broker.port().to_string(), "--user", user])
            .arg("--password-file")
            .arg(&password)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Publishing(child)
    }

    /// Publishes `count` mail jobs of `acme` with keys `prefix-1`, `prefix-2`…
    pub(crate) fn publish_mails(&self, count: usize, prefix: &str) -> Publishing {
        let count = count.to_string();
        self.publishes("acme", &["--count", &count, "--keys", prefix, "--to", CANARY])
    }

    /// A Python script beside the tests, with the broker's port.
    pub(crate) fn python(&self, script: &str) -> String {
        let done = Command::new(services::python())
            .arg(script)
            .arg(self.broker.port().to_string())
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{script}: {words}");
        String::from_utf8(done.stdout).unwrap()
    }
}

/// A client at work.
pub(crate) struct Publishing(Child);

impl Publishing {
    /// Waits for its end; the names of what the broker confirmed.
    pub(crate) fn done(self) -> Vec<String> {
        let done = self.0.wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "the client ends well: {words}");
        String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect()
    }
}

/// Opens a link the way its page asks for; the document's bytes.
pub(crate) async fn open(http: &Client, link: &str) -> Vec<u8> {
    let (public, _) = link.split_once("/d/").unwrap();
    let page = http.get(link).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK, "the link has its page");
    let page = page.text().await.unwrap();
    let form = ["token", "nonce"].map(|name| format!("{name}={}", field(&page, name))).join("&");
    let answer = http
        .post(format!("{public}/o"))
        .header(header::ORIGIN, public)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "the link opens");
    let place = answer.headers()[header::LOCATION].to_str().unwrap();
    let place = place.split('?').next().unwrap();
    let file = http.get(format!("{public}{place}/file")).send().await.unwrap();
    assert_eq!(file.status(), StatusCode::OK, "the document comes");
    file.bytes().await.unwrap().to_vec()
}

/// A browser of a recipient: follows nothing by itself.
pub(crate) fn browser() -> Client {
    Client::builder().redirect(Policy::none()).no_proxy().build().unwrap()
}

/// The value of a hidden field of a form.
fn field<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("name=\"{name}\"")).expect("the field is there");
    let (_, rest) = rest.split_once("value=\"").expect("it has a value");
    rest.split('"').next().unwrap()
}
