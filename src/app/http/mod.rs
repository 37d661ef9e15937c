//! Serves the pages and the interface over HTTP/1.1, within limits, with TLS of
//! our own or behind a proxy that has it.
//!
//! Connections are counted, all of them and those of one address; handshakes,
//! heads and answers have a time; who takes no byte for half a minute is cut; and a
//! shutdown lets running answers end. A request that has been read is worked on to
//! its end, whether or not its sender still waits.

mod begun;
mod patience;
mod seats;
pub mod tls;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use ipnet::IpNet;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::{ServiceExt as _, service_fn};

use super::worker::{Loops, wait};
use crate::gateway::Hangup;
use begun::Begun;
use patience::Patient;
use seats::Seats;

/// Connections of one listener, at the most, where the system allows as many files;
/// the next one waits to be accepted.
const CONNECTIONS_MAX: usize = 12_000;
/// Connections from one address, at the most; the next one is closed at once. A
/// trusted proxy has as many as it likes.
const CONNECTIONS_OF_ONE_MAX: usize = 128;
/// Bytes of a request's head, at the most.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Time for a TLS handshake, for a request's head, and between two requests of a
/// connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Time from a request's head to the head of its answer, with the request's body
/// between them; later is 408. Where files are uploaded it is the connection's.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// Time in which a reader must take some byte of what is sent.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time for a whole connection: a slow reader of 20 MiB at 200 kbit/s.
const CONNECTION_TIMEOUT: Duration = Duration::from_mins(15);

/// How a listener is served.
#[derive(Clone)]
pub struct Serving {
    /// TLS of our own; without it a proxy has it, or nobody is outside.
    pub tls: Option<TlsAcceptor>,
    /// Proxies, whose connections are those of many.
    pub proxies: Vec<IpNet>,
    /// Time from a request's head to the head of its answer.
    pub answer_within: Duration,
}

impl Default for Serving {
    fn default() -> Self {
        Self { tls: None, proxies: Vec::new(), answer_within: ANSWER_TIMEOUT }
    }
}

impl Serving {
    /// The same for a listener that takes files, over slow lines too.
    #[must_use]
    pub fn with_uploads(self) -> Self {
        Self { answer_within: CONNECTION_TIMEOUT, ..self }
    }
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serving").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

/// Serves `router` on `listener` until `stop`, then lets running answers end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    serving: Serving,
    loops: Loops,
    stop: CancellationToken,
) {
    let all = seats::allowed(CONNECTIONS_MAX);
    let seats = Arc::new(Seats::new(all, CONNECTIONS_OF_ONE_MAX, serving.proxies));
    let house = House { router, loops: loops.clone(), answer_within: serving.answer_within };
    loop {
        let Some(room) = seats.room().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(seat) = seats.take(room, peer.ip()) else { continue };
                let (house, tls, stop) = (house.clone(), serving.tls.clone(), stop.clone());
                loops.spawn(async move {
                    accept(stream, peer, tls, house, stop).await;
                    drop(seat);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: some will be freed.
                tracing::warn!("a connection could not be accepted: {error}");
                wait(Duration::from_millis(100)).await;
            }
        }
    }
}

/// What answers on every connection of a listener.
#[derive(Clone)]
struct House {
    router: Router,
    loops: Loops,
    answer_within: Duration,
}

async fn accept(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    house: House,
    stop: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("a connection ended at once: {error}");
        return;
    }
    let stream = Patient::new(stream, PATIENCE);
    let Some(tls) = tls else { return connection(stream, peer, house, stop).await };
    match timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, peer, house, stop).await,
        Ok(Err(error)) => tracing::debug!("a handshake failed: {error}"),
        Err(_) => tracing::debug!("a handshake took too long"),
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: SocketAddr,
    house: House,
    stop: CancellationToken,
) {
    let House { router, loops, answer_within } = house;
    let line = Hangup::default();
    let hangup = line.clone();
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(hangup.next_request());
        let answer = Begun::new(router.clone().oneshot(request), loops.clone());
        async move {
            let answer: Result<Response, Infallible> = match timeout(answer_within, answer).await {
                Ok(Some(answer)) => answer,
                Ok(None) => Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
                Err(_) => Ok(late()),
            };
            answer
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        // What it was sending was taken back.
        () = line.cut_off() => Ok(()),
        () = wait(CONNECTION_TIMEOUT) => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended early: {error}");
    }
}

/// The answer to a request whose body did not come.
fn late() -> Response {
    StatusCode::REQUEST_TIMEOUT.into_response()
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::config::SecretSource;

    const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: a.example.jp\r\nConnection: close\r\n\r\n";

    async fn started(serving: Serving) -> (SocketAddr, CancellationToken) {
        let router = Router::new().route("/", get(|| async { "a page" }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (at, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let loops = Loops::new();
        let inner = loops.clone();
        loops.spawn(serve(listener, router, serving, inner, stop.clone()));
        (at, stop)
    }

    async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
        stream.write_all(ASK).await.unwrap();
        let mut text = Vec::new();
        // A peer that speaks another protocol ends the connection in any way.
        let _read = stream.read_to_end(&mut text).await;
        String::from_utf8_lossy(&text).into_owned()
    }

    #[tokio::test]
    async fn pages_are_served_with_a_certificate_of_our_own() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["a.example.jp".to_owned()]).unwrap();
        let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
        std::fs::write(&chain, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o400)).unwrap();
        let certificate = tls::Certificate::open(chain, SecretSource::path(key)).unwrap();
        let tls = Some(certificate.acceptor().unwrap());
        let serving = Serving { tls, ..Serving::default() };
        let (at, stop) = started(serving).await;

        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = tokio_rustls::TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from("a.example.jp").unwrap();
        let stream = client.connect(name, TcpStream::connect(at).await.unwrap()).await.unwrap();
        let page = answer(stream).await;
        assert!(page.starts_with("HTTP/1.1 200") && page.ends_with("a page"), "{page}");
        let plain = answer(TcpStream::connect(at).await.unwrap()).await;
        assert!(!plain.contains("a page"), "nothing without TLS: {plain}");
        stop.cancel();
    }

    #[tokio::test]
    async fn one_address_cannot_take_every_connection() {
        let (at, stop) = started(Serving::default()).await;
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS_OF_ONE_MAX {
            let mut stream = TcpStream::connect(at).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
            held.push(stream);
        }
        // Accepted in order: when the last is closed all before it are seated.
        let refused = answer(TcpStream::connect(at).await.unwrap()).await;
        assert_eq!(refused, "", "one too many");
        held.pop();
        let mut page = String::new();
        for _ in 0..1_000 {
            page = answer(TcpStream::connect(at).await.unwrap()).await;
            if !page.is_empty() {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert!(page.starts_with("HTTP/1.1 200"), "a seat that was left: {page}");
        stop.cancel();
    }
}
