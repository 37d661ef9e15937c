//! Against a real server that speaks S3: refusals, deaths, delays.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream::FuturesUnordered};

use super::{
    super::{Act, S3Settings, Trouble},
    server::{ACCESS_KEY, BUCKET, OwnS3, SECRET_KEY},
    *,
};

pub(super) fn settings(endpoint: &str) -> S3Settings {
    S3Settings {
        bucket: BUCKET.into(),
        prefix: "kakitome/segments".into(),
        endpoint: Some(endpoint.into()),
        region: "us-east-1".into(),
        keys: Some((ACCESS_KEY.to_owned().into(), SECRET_KEY.to_owned().into())),
        authority: None,
        allow_http: true,
        timeout: Duration::from_secs(2),
    }
}

pub(super) fn blobs(server: &OwnS3) -> Blobs {
    Blobs::s3(&settings(&server.endpoint()), entropy()).unwrap()
}

fn why<T: std::fmt::Debug>(result: Result<T, BlobError>) -> Trouble {
    match result {
        Err(error @ BlobError::Objects { .. }) => {
            assert!(error.may_pass(), "it may pass: {error}");
            match error {
                BlobError::Objects { why, .. } => why,
                other => panic!("{other}"),
            }
        }
        other => panic!("the storage was to fail: {other:?}"),
    }
}

fn code(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Keys(code) | Trouble::Denied(code) | Trouble::Answered(code) => code.to_string(),
        Trouble::Busy(code) | Trouble::Clock(code) => code.to_string(),
        other => panic!("no code: {other}"),
    }
}

#[tokio::test]
async fn a_segment_is_one_object_with_our_name_and_nothing_else() {
    let Some(server) = OwnS3::start() else { return };
    let kept = blobs(&server).append(noon(), vec![piece(1, 5), piece(2, 7)]).await.unwrap();
    let file = server.bucket().join(format!("kakitome/segments/{}.kks", kept.segment));
    let bytes = fs::read(file).unwrap();
    assert_eq!(bytes, [header(kept.segment), piece(1, 5), piece(2, 7)].concat(), "the segment");
}

#[tokio::test]
async fn other_peoples_objects_are_none_of_our_business() {
    let Some(server) = OwnS3::start() else { return };
    let blobs = blobs(&server);
    let id = SegmentId(entropy().id(noon()).unwrap());
    let ours = blobs.append(noon(), vec![piece(1, 5)]).await.unwrap().segment;
    let folder = server.bucket().join("kakitome/segments");
    let theirs = [
        server.bucket().join("report.csv"),
        server.bucket().join(format!("{id}.kks")),
        folder.join("notes.txt"),
        folder.join(format!("{}.kks", id.0.simple())),
        server.bucket().join(format!("kakitome/segments-of-others-{id}.kks")),
    ];
    for file in &theirs {
        fs::write(file, "theirs").unwrap();
    }
    assert_eq!(blobs.list().await.unwrap(), [ours], "ours alone");
    blobs.destroy(ours).await.unwrap();
    // An id of theirs is no name of ours.
    blobs.destroy(id).await.unwrap();
    for file in &theirs {
        assert_eq!(fs::read(file).unwrap(), b"theirs", "{} stays", file.display());
    }
}

#[tokio::test]
async fn wrong_keys_are_told_in_our_words() {
    let Some(server) = OwnS3::start() else { return };
    let good = blobs(&server).append(noon(), vec![piece(1, 5)]).await.unwrap();
    let with = |id: &str, secret: &str| {
        let keys = Some((id.to_owned().into(), secret.to_owned().into()));
        Blobs::s3(&S3Settings { keys, ..settings(&server.endpoint()) }, entropy()).unwrap()
    };
    let secret = "wrong-secret-canary";
    for (id, secret, said) in [
        (ACCESS_KEY, secret, "SignatureDoesNotMatch"),
        ("nobody-canary", SECRET_KEY, "NotSignedUp"),
    ] {
        let blobs = with(id, secret);
        let failed = [
            why(blobs.append(noon(), vec![piece(2, 5)]).await),
            why(read_all(&blobs, &good.places[0]).await),
            why(blobs.destroy(good.segment).await),
            why(blobs.list().await),
        ];
        for trouble in failed {
            assert!(matches!(trouble, Trouble::Keys(_)), "{trouble}");
            assert_eq!(code(&trouble), said, "the storage's own word");
            assert!(trouble.remedy().contains("blobs.secret_key"), "and what to do");
        }
        let error = blobs.append(noon(), vec![piece(2, 5)]).await.unwrap_err();
        let told = format!("{} {error:?} {}", error.told(), error.word());
        assert!(!told.contains("canary") && !told.contains("127.0.0.1"), "no name: {told}");
    }
    let left = read_all(&blobs(&server), &good.places[0]).await.unwrap();
    assert_eq!(left, piece(1, 5), "it was not destroyed");
}

/// Answers every request with this status and these words.
fn canned(status: u16, words: &str) -> String {
    let length = words.len();
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{words}"
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 8_192];
            drop(stream.read(&mut head));
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn what_the_storage_says_is_told_by_its_code_alone() {
    let place = Place { segment: SegmentId(entropy().id(noon()).unwrap()), offset: 24, len: 5 };
    let bucket = "<Error><Code>NoSuchBucket</Code><BucketName>canary</BucketName></Error>";
    let skew = "<Error><Code>RequestTimeTooSkewed</Code></Error>";
    for (status, words, wanted) in [
        (404, bucket, "there is no such bucket"),
        (403, "<b>canary</b>", "our keys may not do this (HTTP 403)"),
        (400, "<Code>canary\u{1b}[31m 'x'; --</Code>", "it answers HTTP 400"),
        (403, skew, "it says that our clock is wrong (RequestTimeTooSkewed)"),
    ] {
        let blobs = Blobs::s3(&settings(&canned(status, words)), entropy()).unwrap();
        for trouble in [
            why(blobs.append(noon(), vec![piece(1, 5)]).await),
            why(read_all(&blobs, &place).await),
            why(blobs.destroy(place.segment).await),
            why(blobs.list().await),
        ] {
            assert_eq!(trouble.to_string(), wanted, "for {words:?}");
        }
    }
}

/// Whether the server is in the middle of writing an object.
fn is_writing(server: &OwnS3) -> bool {
    let names = fs::read_dir(server.dir()).unwrap();
    names.into_iter().any(|entry| entry.unwrap().file_name().to_string_lossy().contains(".part"))
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_promises_nothing() {
    const LARGE: usize = 8 << 20;
    let Some(server) = OwnS3::start() else { return };
    let blobs = blobs(&server);
    let kept = blobs.append(noon(), vec![vec![9; LARGE]]).await.unwrap();
    for round in 0..4 {
        let put = blobs.append(noon(), vec![vec![7; LARGE]]);
        let read = read_all(&blobs, &kept.places[0]);
        let kill = async {
            // Every other time at the beginning, else in the middle of the object.
            while round % 2 == 1 && !is_writing(&server) {
                tokio::task::yield_now().await;
            }
            server.kill();
        };
        let (put, read, ()) = tokio::join!(put, read, kill);
        assert!(matches!(why(put), Trouble::Unreachable | Trouble::BrokenOff), "round {round}");
        assert!(read.is_err() || read.is_ok_and(|bytes| bytes == vec![9; LARGE]), "all or none");
        let away = blobs.fares(Act::Write).trouble;
        assert_eq!(away, Some("the object storage is away"), "and it is known");
        assert_eq!(why(read_all(&blobs, &kept.places[0]).await), Trouble::Unreachable, "away");
        server.up();
        assert_eq!(read_all(&blobs, &kept.places[0]).await.unwrap(), vec![9; LARGE], "back");
        assert_eq!(blobs.fares(Act::Read).trouble, None, "and that is known too");
        assert_eq!(blobs.list().await.unwrap(), [kept.segment], "no half object has a name");
    }
    let again = blobs.append(noon(), vec![piece(2, 50)]).await.unwrap();
    assert_eq!(read_all(&blobs, &again.places[0]).await.unwrap(), piece(2, 50), "work goes on");
    assert_eq!(blobs.fares(Act::Write).trouble, None, "as is known");
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let Some(server) = OwnS3::start() else { return };
    let timeout = Duration::from_secs(1);
    let settings = S3Settings { timeout, ..settings(&server.endpoint()) };
    let blobs = Blobs::s3(&settings, entropy()).unwrap();
    let kept = blobs.append(noon(), vec![piece(1, 100)]).await.unwrap();
    server.freeze();
    for at in 0..3 {
        let started = Instant::now();
        let trouble = match at {
            0 => why(blobs.append(noon(), vec![piece(2, 100)]).await),
            1 => why(read_all(&blobs, &kept.places[0]).await),
            _ => why(blobs.list().await),
        };
        let took = started.elapsed();
        assert_eq!(trouble, Trouble::Late, "it hangs");
        assert!(took >= timeout && took < timeout * 4, "bounded: {took:?}");
    }
    server.thaw();
    assert_eq!(read_all(&blobs, &kept.places[0]).await.unwrap(), piece(1, 100), "it goes on");
}

#[test]
fn plain_http_is_spoken_only_where_it_is_allowed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Some(server) = OwnS3::start() else { return };
    let settings = S3Settings { allow_http: false, ..settings(&server.endpoint()) };
    let blobs = Blobs::s3(&settings, entropy()).unwrap();
    let refused = runtime.block_on(blobs.append(noon(), vec![piece(1, 100)]));
    assert!(refused.is_err(), "nothing is sent in clear");
    assert!(fs::read_dir(server.bucket()).unwrap().next().is_none(), "nothing came");
}

/// TLS before a server, with a certificate for this name; its address, and the
/// authority.
fn with_tls(server: &OwnS3, name: &str) -> (String, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let inside = server.port();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let mut running = FuturesUnordered::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => running.push(async {
                        let outer = acceptor.accept(accepted.unwrap().0).await;
                        let inner = tokio::net::TcpStream::connect(("127.0.0.1", inside)).await;
                        if let (Ok(mut outer), Ok(mut inner)) = (outer, inner) {
                            drop(tokio::io::copy_bidirectional(&mut outer, &mut inner).await);
                        }
                    }),
                    Some(()) = running.next(), if !running.is_empty() => {}
                }
            }
        });
    });
    (format!("https://localhost:{port}"), made.cert.pem().into_bytes())
}

#[tokio::test]
async fn a_certificate_is_believed_from_its_authority_alone() {
    let Some(server) = OwnS3::start() else { return };
    let (endpoint, pem) = with_tls(&server, "localhost");
    let with = |endpoint: &str, authority: Option<&Vec<u8>>| {
        let authority = authority.cloned();
        let settings = S3Settings { allow_http: false, authority, ..settings(endpoint) };
        Blobs::s3(&settings, entropy()).unwrap()
    };
    let trusted = with(&endpoint, Some(&pem));
    let kept = trusted.append(noon(), vec![piece(1, 70_000)]).await.unwrap();
    assert_eq!(read_all(&trusted, &kept.places[0]).await.unwrap(), piece(1, 70_000), "over TLS");
    let (elsewhere, other) = with_tls(&server, "other.example.jp");
    for (what, blobs) in [
        ("the platform's authorities", with(&endpoint, None)),
        ("another authority", with(&endpoint, Some(&other))),
        ("another name", with(&elsewhere, Some(&other))),
    ] {
        let trouble = why(read_all(&blobs, &kept.places[0]).await);
        assert_eq!(trouble, Trouble::Certificate, "{what}");
    }
    let nonsense = S3Settings { authority: Some(b"-----BEGIN".to_vec()), ..settings(&endpoint) };
    let refused = Blobs::s3(&nonsense, entropy()).map(drop);
    assert_eq!(why(refused), Trouble::Settings, "an authority that is none");
}
