//! Opens a connection, and tells others how it is doing.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_rs::{Runtime, Tokio, util::RuntimeParts};
use futures::Stream;
use lapin::{
    AsyncTcpStream, Connection, ConnectionProperties, ConnectionStatus, Event,
    types::LongString,
    uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo},
};
use secrecy::ExposeSecret;

use super::{
    BrokerError, BrokerSettings,
    dial::{Dialler, Socket},
    error::within,
};

/// What metrics and the readiness page may know about one supervised
/// connection. Clones look at the same connection, whichever it is just now.
#[derive(Clone, Default)]
pub struct Link(Arc<State>);

#[derive(Default)]
struct State {
    status: Mutex<Option<ConnectionStatus>>,
    opened: AtomicU64,
    lost: AtomicU64,
    failed: AtomicU64,
}

/// How often a supervised connection came and went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions opened.
    pub opened: u64,
    /// Sessions that were open and are gone, for whatever reason.
    pub lost: u64,
    /// Attempts that did not lead to a session.
    pub failed: u64,
}

impl Link {
    /// Whether a session is open just now.
    pub fn is_connected(&self) -> bool {
        self.status().as_ref().is_some_and(ConnectionStatus::connected)
    }

    /// Whether the broker has stopped reading from us, being short of memory
    /// or disk. What is published meanwhile waits, and then times out.
    pub fn is_blocked(&self) -> bool {
        self.status().as_ref().is_some_and(ConnectionStatus::blocked)
    }

    /// How often the connection came and went since the start.
    pub fn counts(&self) -> Counts {
        Counts {
            opened: self.0.opened.load(Ordering::Relaxed),
            lost: self.0.lost.load(Ordering::Relaxed),
            failed: self.0.failed.load(Ordering::Relaxed),
        }
    }

    pub(super) fn note_open(&self, status: ConnectionStatus) {
        *self.status() = Some(status);
        self.0.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_lost(&self) {
        if self.status().take().is_some() {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn note_failed(&self) {
        self.0.failed.fetch_add(1, Ordering::Relaxed);
    }

    fn status(&self) -> std::sync::MutexGuard<'_, Option<ConnectionStatus>> {
        self.0.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("connected", &self.is_connected())
            .field("blocked", &self.is_blocked())
            .field("counts", &self.counts())
            .finish()
    }
}

/// One open connection. Dropping it cuts the socket at once.
pub(super) struct Wire {
    connection: Connection,
    socket: Socket,
}

impl Wire {
    pub(super) async fn open(settings: &BrokerSettings) -> Result<Self, BrokerError> {
        let settings = settings.checked()?;
        within(settings.connect_timeout, "connecting", connect(settings)).await
    }

    pub(super) async fn channel(&self) -> Result<lapin::Channel, BrokerError> {
        self.connection.create_channel().await.map_err(BrokerError::lost("opening a channel"))
    }

    pub(super) fn status(&self) -> ConnectionStatus {
        self.connection.status().clone()
    }

    pub(super) fn events(&self) -> impl Stream<Item = Event> + Send + 'static {
        self.connection.events_listener()
    }

    /// Says goodbye; the broker then returns at once what was unacknowledged.
    pub(super) async fn close(self, patience: Duration) -> Result<(), BrokerError> {
        let goodbye = async {
            self.connection.close(200, "closing".into()).await.map_err(BrokerError::lost("closing"))
        };
        within(patience, "closing", goodbye).await
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.socket.cut();
    }
}

async fn connect(settings: &BrokerSettings) -> Result<Wire, BrokerError> {
    let addresses: Vec<SocketAddr> =
        tokio::net::lookup_host((settings.host.as_str(), settings.port))
            .await
            .map_err(|source| BrokerError::UnknownHost { host: settings.host.clone(), source })?
            .collect();
    let dialler = Dialler::new(settings)?;
    let socket = dialler.socket();
    // From here on, giving up means cutting the socket.
    let mut guard = CutOnDrop(Some(socket.clone()));
    let runtime = Runtime::new(RuntimeParts::new(Tokio::current(), dialler));
    let properties = ConnectionProperties::default()
        .with_connection_name(LongString::from(settings.connection_name.as_str()));
    let connection = Connection::connector(
        uri(settings),
        runtime,
        async move |_uri, runtime| {
            let stream = AsyncTcpStream::connect(&runtime, addresses.clone()).await;
            stream.map_err(lapin::Error::from)
        },
        properties,
    );
    let connection = connection.await.map_err(|source| BrokerError::opening(source, settings))?;
    guard.0 = None;
    Ok(Wire { connection, socket })
}

/// Cuts the socket unless the connection was handed on.
struct CutOnDrop(Option<Socket>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        if let Some(socket) = &self.0 {
            socket.cut();
        }
    }
}

fn uri(settings: &BrokerSettings) -> AMQPUri {
    AMQPUri {
        // The dialler encrypts; the library is not to know.
        scheme: AMQPScheme::AMQP,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: settings.user.clone(),
                password: settings.password.expose_secret().to_owned(),
            },
            host: settings.host.clone(),
            port: settings.port,
        },
        vhost: settings.vhost.clone(),
        query: AMQPQueryString {
            heartbeat: Some(u16::try_from(settings.heartbeat.as_secs()).unwrap_or(u16::MAX)),
            ..AMQPQueryString::default()
        },
    }
}
