//! A second gateway on the same books, a proxy that counts what comes out of
//! it, and readers that behave badly on purpose.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use kakitome::{
    app::{
        http::{self, Serving},
        worker::Loops,
    },
    clock::Clock as _,
    domain::ids::Epoch,
    gateway::{self, Gateway, GatewaySettings},
    store::{
        Db, DbOptions,
        keyring::{KeyRing, MasterKey},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Notify,
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::{house::House, letters::Delivery, stand_ins::Names};

/// Another process of the same office: connections, keys and memory of its own,
/// served as the program serves.
pub(crate) struct Neighbour {
    pub(crate) gateway: Gateway,
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl House {
    /// Opens another gateway on this house's books.
    pub(crate) async fn neighbour(&self) -> Neighbour {
        let db = Db::open(&self.database, DbOptions::default()).await.unwrap();
        let keys_url = format!("sqlite:{}", self.folder.path().join("keys.db").display());
        let master = MasterKey::from_bytes(Zeroizing::new(vec![7; 32])).unwrap();
        let (clock, entropy) = (self.clock.clone(), self.entropy.clone());
        let keys = KeyRing::open(&keys_url, master, clock.clone(), entropy.clone()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings =
            GatewaySettings { public_url: format!("http://{address}"), ..Default::default() };
        let parts = gateway::Parts {
            db,
            keys,
            blobs: self.blobs.clone(),
            epoch: Epoch(entropy.id(clock.now()).unwrap()),
            clock,
            entropy,
            scribe: self.scribe.clone(),
            tenants: Arc::new(Names),
            announce: self.herald(),
            meter: self.ear.clone(),
        };
        let gateway = Gateway::new(&settings, parts).unwrap();
        let stop = CancellationToken::new();
        let (loops, router) = (Loops::new(), gateway::router(gateway.clone()));
        // Everybody comes from one address here.
        let serving =
            Serving { proxies: vec!["127.0.0.0/8".parse().unwrap()], ..Serving::default() };
        loops.spawn(http::serve(listener, router, serving, loops.clone(), stop.clone()));
        Neighbour { gateway, address, stop }
    }
}

impl Neighbour {
    /// Presses the button of a delivery's page here; the answer's status.
    pub(crate) async fn press(&self, house: &House, delivery: &Delivery, nonce: &str) -> u16 {
        let url = format!("http://{}", self.address);
        let request = house
            .client
            .post(format!("{url}/o"))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", url)
            .body(format!("token={}&nonce={nonce}", delivery.token));
        request.send().await.unwrap().status().as_u16()
    }
}

/// Counts the bytes of documents that come out of a gateway.
pub(crate) struct Proxy {
    /// Where readers go.
    pub(crate) address: SocketAddr,
    /// What it has seen.
    pub(crate) seen: Arc<Seen>,
    stop: CancellationToken,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What a proxy has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    bytes: AtomicU64,
    connections: AtomicU64,
    news: Notify,
}

impl Seen {
    /// Bytes of bodies of 200 and 206 that came out so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }

    /// Waits until it has seen this many bytes in all, or no connection is left.
    pub(crate) async fn until(&self, bytes: u64) {
        self.when(|seen| seen.bytes() >= bytes || seen.is_idle()).await;
    }

    /// Waits until no connection is left.
    pub(crate) async fn idle(&self) {
        self.when(Self::is_idle).await;
    }

    fn is_idle(&self) -> bool {
        self.connections.load(Ordering::SeqCst) == 0
    }

    async fn when(&self, done: impl Fn(&Self) -> bool) {
        loop {
            let news = self.news.notified();
            if done(self) {
                return;
            }
            news.await;
        }
    }
}

impl Proxy {
    /// A proxy before a gateway.
    pub(crate) async fn before(gateway: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let seen = Arc::new(Seen::default());
        let (counted, ended, loops) = (Arc::clone(&seen), stop.clone(), Loops::new());
        let tasks = loops.clone();
        loops.spawn(async move {
            loop {
                let (client, _) = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap(),
                    () = ended.cancelled() => return,
                };
                let seen = Arc::clone(&counted);
                tasks.spawn(async move {
                    pass(client, gateway, &seen).await;
                    seen.connections.fetch_sub(1, Ordering::SeqCst);
                    seen.news.notify_waiters();
                });
            }
        });
        Self { address, seen, stop }
    }

    /// A reader on its way to this proxy; it counts as a connection from now on.
    pub(crate) fn expect(&self) {
        self.seen.connections.fetch_add(1, Ordering::SeqCst);
    }
}

/// One request to the gateway, its answer back; whatever ends one side ends
/// the other.
async fn pass(mut client: TcpStream, gateway: SocketAddr, seen: &Seen) {
    let mut server = TcpStream::connect(gateway).await.unwrap();
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let up = tokio::io::copy(&mut from_client, &mut to_server);
    let down = async {
        let (mut head, mut chunk) = (Some(Vec::new()), vec![0; 16 << 10]);
        let mut counts = false;
        loop {
            let Ok(count @ 1..) = from_server.read(&mut chunk).await else { return };
            let mut body = count;
            if let Some(mut begun) = head.take() {
                let before = begun.len();
                begun.extend_from_slice(&chunk[..count]);
                if let Some(at) = begun.windows(4).position(|four| four == b"\r\n\r\n") {
                    counts = begun.starts_with(b"HTTP/1.1 20");
                    body = before + count - (at + 4);
                } else {
                    body = 0;
                    head = Some(begun);
                }
            }
            if counts {
                seen.bytes.fetch_add(body as u64, Ordering::SeqCst);
                seen.news.notify_waiters();
            }
            if to_client.write_all(&chunk[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = up => {}
        () = down => {}
    }
}

/// How a reader behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// Reads to the end.
    Patient,
    /// Hangs up after so many bytes.
    HangsUp(usize),
    /// Stops reading after so many bytes, and goes on when it is told to.
    Stalls(usize),
}

/// Fetches a path and gives how many bytes of the document arrived. `go_on`
/// wakes one that stalls.
pub(crate) async fn fetch(
    to: SocketAddr,
    host: SocketAddr,
    path: &str,
    range: &str,
    manner: Manner,
    go_on: &CancellationToken,
) -> u64 {
    let socket = TcpSocket::new_v4().unwrap();
    // So that a reader who stops reading is soon noticed.
    socket.set_recv_buffer_size(16 << 10).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{range}connection: close\r\n\r\n");
    if stream.write_all(request.as_bytes()).await.is_err() {
        return 0;
    }
    let (mut all, mut chunk, mut body) = (Vec::new(), vec![0; 8 << 10], None);
    let mut got = 0_usize;
    loop {
        let most = match manner {
            Manner::HangsUp(at) if got >= at => return got as u64,
            Manner::Stalls(at) if got >= at => {
                go_on.cancelled().await;
                chunk.len()
            }
            Manner::HangsUp(at) | Manner::Stalls(at) => (at - got).clamp(1, chunk.len()),
            Manner::Patient => chunk.len(),
        };
        let Ok(count @ 1..) = stream.read(&mut chunk[..most]).await else { return got as u64 };
        if body.is_some() {
            got += count;
            continue;
        }
        all.extend_from_slice(&chunk[..count]);
        if let Some(at) = all.windows(4).position(|four| four == b"\r\n\r\n") {
            if !all.starts_with(b"HTTP/1.1 20") {
                return 0;
            }
            body = Some(at + 4);
            got = all.len() - (at + 4);
        }
    }
}
