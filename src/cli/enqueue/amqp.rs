//! Jobs to the broker, with confirms.

use secrecy::SecretString;

use super::{Answer, Enqueue, Parcel, Report, Seal, secret, usage};
use crate::{
    app::build,
    broker::{BrokerSettings, Confirm, Declare, Exchange, Outgoing, Publisher},
    cli::{
        Failure,
        context::Context,
        job_file::{Entry, JobFile},
    },
    config,
    domain::{
        ids::TenantId,
        job::{CONTENT_TYPE, MESSAGE_TYPE},
    },
};

/// Jobs that are published together.
const BATCH: usize = 200;
/// Bytes that are published together.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// The content encoding of a sealed body.
const SEALED: &str = "hpke";

pub(super) async fn send(
    enqueue: &Enqueue,
    context: &Context,
    file: &JobFile,
    report: &mut Report,
) -> Result<(), Failure> {
    let Some(broker) = &context.config.broker else { return usage("there is no `[broker]`") };
    let settings = settings(enqueue, broker)?;
    let tenant = tenant(enqueue, context, broker, &settings.user)?;
    let seal = if enqueue.seal { Some(Seal::of(enqueue, context, &tenant).await?) } else { None };
    let mut line = Line {
        publisher: Publisher::connect(&settings).await?,
        routing_key: settings.names.job_key.clone(),
        user: settings.user.clone(),
        context,
        seal,
    };
    let mut batch = Vec::with_capacity(BATCH);
    let mut bytes = 0_usize;
    for entry in file.entries()? {
        let Entry { line: number, body } = entry?;
        bytes = bytes.saturating_add(body.len());
        batch.push(Parcel { line: number, body });
        if batch.len() >= BATCH || bytes >= BATCH_BYTES_MAX {
            line.publish(&mut batch, report).await?;
            bytes = 0;
        }
    }
    line.publish(&mut batch, report).await?;
    line.publisher.close().await?;
    Ok(())
}

/// The configured broker, under the name that was asked for.
fn settings(enqueue: &Enqueue, broker: &config::Broker) -> Result<BrokerSettings, Failure> {
    let (Some(user), Some(file)) = (&enqueue.user, &enqueue.password_file) else {
        return Ok(build::broker(broker, "kakitome enqueue")?);
    };
    // The office's own password is none of this sender's business.
    let nobodys = config::Broker { password: None, ..broker.clone() };
    let mut settings = build::broker(&nobodys, "kakitome enqueue")?;
    settings.user.clone_from(user);
    let password: SecretString = secret(file)?;
    settings.password = password;
    settings.declare = Declare::Passive;
    Ok(settings)
}

/// The tenant that the office will take these jobs for.
fn tenant(
    enqueue: &Enqueue,
    context: &Context,
    broker: &config::Broker,
    user: &str,
) -> Result<TenantId, Failure> {
    let config = &context.config;
    let by_user = broker.single_tenant.as_ref().or_else(|| config.tenant_of_user(user));
    match (by_user, &enqueue.tenant) {
        (Some(tenant), Some(named)) if tenant.as_str() != named => usage(&format!(
            "jobs of the broker user {user} are taken for the tenant {tenant}; name another user \
             with --user and --password-file"
        )),
        (Some(tenant), _) => Ok(tenant.clone()),
        // The office may know more users than this file does.
        (None, Some(_)) if enqueue.user.is_some() => enqueue.tenant(config),
        (None, _) => usage(&format!(
            "the broker user {user} belongs to no tenant (`tenants.*.users`), so the office would \
             refuse its jobs; name a tenant's user with --user and --password-file"
        )),
    }
}

struct Line<'a> {
    publisher: Publisher,
    routing_key: String,
    user: String,
    context: &'a Context,
    seal: Option<Seal>,
}

impl Line<'_> {
    /// Publishes a batch and empties it.
    async fn publish(
        &mut self,
        batch: &mut Vec<Parcel>,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let mut items = Vec::with_capacity(batch.len());
        for parcel in batch.iter() {
            items.push(self.outgoing(&parcel.body)?);
        }
        let confirms = self.publisher.publish_all(&items).await.map_err(|error| {
            anyhow::Error::from(error).context(
                "the broker was lost; send the whole file again: what it has already is not sent \
                 twice",
            )
        })?;
        for (parcel, confirm) in batch.drain(..).zip(confirms) {
            let (state, code) = match confirm {
                Confirm::Stored => ("published", None),
                Confirm::Unroutable => ("unroutable", Some("unroutable")),
                Confirm::Refused => ("refused", Some("queue_full")),
            };
            let code = code.map(str::to_owned);
            report.add(&Answer { line: parcel.line, state, code, ..Answer::default() });
        }
        Ok(())
    }

    fn outgoing(&self, body: &[u8]) -> anyhow::Result<Outgoing> {
        let body = match &self.seal {
            Some(seal) => seal.seal(body)?,
            None => body.to_vec(),
        };
        let mut item = Outgoing::new(Exchange::Jobs, &self.routing_key, body);
        item.kind = Some(MESSAGE_TYPE.to_owned());
        item.content_type = Some(CONTENT_TYPE.to_owned());
        item.content_encoding = self.seal.as_ref().map(|_| SEALED.to_owned());
        // Not the job's key: that may name people, and this is never sealed.
        item.message_id = Some(self.context.entropy.id(self.context.clock.now())?.to_string());
        item.user_id = Some(self.user.clone());
        Ok(item)
    }
}
