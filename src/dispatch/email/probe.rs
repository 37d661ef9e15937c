//! Talks to the relay as far as a mail would go, and leaves again: for
//! `kakitome check`.

use super::{Outcome, Relay, session::Session};

/// Connects, greets, starts TLS and logs in, as the settings say, and takes
/// leave. The error is what would have become of a mail.
pub async fn probe(relay: &Relay) -> Result<(), Outcome> {
    let session = Session::open(relay).await.map_err(Outcome::from)?;
    session.quit().await;
    Ok(())
}
