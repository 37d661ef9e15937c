//! What comes out of the queue, and what goes back.

use std::fmt;

use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable, ShortString},
};

use super::BrokerError;

const ERROR_HEADER: &str = "x-kakitome-error";
const REASON_HEADER: &str = "x-kakitome-reason";
const TRACE_HEADER: &str = "traceparent";
const PERSISTENT: u8 = 2;

/// A message as it lay in the queue. Nothing in it has been checked, except
/// that the broker vouches for `user_id` where it is present.
pub struct Message {
    /// The bytes.
    pub body: Vec<u8>,
    /// The account that published it, checked by the broker. A publisher may
    /// leave it out; then nobody vouches for the message.
    pub user_id: Option<String>,
    /// The AMQP property `type`.
    pub kind: Option<String>,
    /// The media type of the body.
    pub content_type: Option<String>,
    /// How the body is encoded, `hpke` for a sealed one.
    pub content_encoding: Option<String>,
    /// The publisher's name for this message.
    pub message_id: Option<String>,
    /// The publisher's name for what it answers.
    pub correlation_id: Option<String>,
    /// The W3C trace context the publisher sent along, as it came.
    pub traceparent: Option<String>,
    /// Whether it may have been delivered before, here or elsewhere.
    pub redelivered: bool,
    pub(super) tag: u64,
    pub(super) session: u64,
}

impl Message {
    pub(super) fn new(delivery: Delivery, session: u64) -> Self {
        let properties = delivery.properties;
        let text = |field: &Option<ShortString>| field.as_ref().map(|it| it.as_str().to_owned());
        let header = |name: &str| {
            let value = properties.headers().as_ref()?.inner().get(name)?;
            let AMQPValue::LongString(value) = value else { return None };
            std::str::from_utf8(value.as_bytes()).map(str::to_owned).ok()
        };
        Self {
            user_id: text(properties.user_id()),
            kind: text(properties.kind()),
            content_type: text(properties.content_type()),
            content_encoding: text(properties.content_encoding()),
            message_id: text(properties.message_id()),
            correlation_id: text(properties.correlation_id()),
            traceparent: header(TRACE_HEADER),
            redelivered: delivery.redelivered,
            body: delivery.data,
            tag: delivery.delivery_tag,
            session,
        }
    }
}

impl fmt::Debug for Message {
    /// Tells sizes and places only: everything else is the sender's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("tag", &self.tag)
            .field("session", &self.session)
            .field("redelivered", &self.redelivered)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// The exchange for jobs. A job that reaches no queue is unroutable.
    Jobs,
    /// The dead-letter exchange. A message that reaches no queue is unroutable.
    Dead,
    /// The exchange for events. Nobody need listen.
    Events,
    /// An exchange by name. Nobody need listen.
    Named(String),
}

impl Exchange {
    /// Whether the broker must say so when a message reaches no queue.
    pub(super) fn is_mandatory(&self) -> bool {
        match self {
            Self::Jobs | Self::Dead => true,
            Self::Events | Self::Named(_) => false,
        }
    }
}

/// A message to be published. It always survives a restart of the broker.
#[derive(Clone)]
pub struct Outgoing {
    /// Where to.
    pub exchange: Exchange,
    /// The routing key.
    pub routing_key: String,
    /// The bytes.
    pub body: Vec<u8>,
    /// The AMQP property `type`.
    pub kind: Option<String>,
    /// The media type of the body.
    pub content_type: Option<String>,
    /// How the body is encoded.
    pub content_encoding: Option<String>,
    /// Our name for this message, the same on every attempt.
    pub message_id: Option<String>,
    /// What it answers.
    pub correlation_id: Option<String>,
    /// The account that publishes it; the broker refuses any other.
    pub user_id: Option<String>,
    /// The code in the header `x-kakitome-error`, on refused jobs.
    pub error_code: Option<String>,
    /// What is wrong with a finished PDF, in the header `x-kakitome-reason`.
    pub error_reason: Option<String>,
    /// The W3C trace context.
    pub traceparent: Option<String>,
}

impl Outgoing {
    /// A message without properties.
    pub fn new(exchange: Exchange, routing_key: &str, body: Vec<u8>) -> Self {
        Self {
            exchange,
            routing_key: routing_key.to_owned(),
            body,
            kind: None,
            content_type: None,
            content_encoding: None,
            message_id: None,
            correlation_id: None,
            user_id: None,
            error_code: None,
            error_reason: None,
            traceparent: None,
        }
    }

    pub(super) fn properties(&self) -> Result<BasicProperties, BrokerError> {
        let mut properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        if let Some(kind) = &self.kind {
            properties = properties.with_type(short("type", kind)?);
        }
        if let Some(content_type) = &self.content_type {
            properties = properties.with_content_type(short("content type", content_type)?);
        }
        if let Some(encoding) = &self.content_encoding {
            properties = properties.with_content_encoding(short("content encoding", encoding)?);
        }
        if let Some(id) = &self.message_id {
            properties = properties.with_message_id(short("message id", id)?);
        }
        if let Some(id) = &self.correlation_id {
            properties = properties.with_correlation_id(short("correlation id", id)?);
        }
        if let Some(user) = &self.user_id {
            properties = properties.with_user_id(short("user id", user)?);
        }
        let mut headers = FieldTable::default();
        let own = [
            (ERROR_HEADER, &self.error_code),
            (REASON_HEADER, &self.error_reason),
            (TRACE_HEADER, &self.traceparent),
        ];
        for (name, value) in own {
            if let Some(value) = value {
                headers.insert(name.into(), AMQPValue::LongString(value.as_str().into()));
            }
        }
        if !headers.inner().is_empty() {
            properties = properties.with_headers(headers);
        }
        Ok(properties)
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("exchange", &self.exchange)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What became of one published message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirm {
    /// The broker has it: on disk in every queue it was routed to. An event
    /// that nobody wanted counts as stored.
    Stored,
    /// No queue is bound for it. Only jobs and dead letters are told.
    Unroutable,
    /// A queue refused it, usually because it is full. It may lie in other
    /// queues already.
    Refused,
}

/// A short string, or an error instead of the library's panic.
pub(super) fn short(what: &'static str, text: &str) -> Result<ShortString, BrokerError> {
    ShortString::try_new(text).map_err(|_| BrokerError::BadName { what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlong_name_is_an_error_and_not_a_panic() {
        let mut outgoing = Outgoing::new(Exchange::Dead, "job.refused", b"sealed".to_vec());
        outgoing.message_id = Some("x".repeat(256));
        let error = outgoing.properties().unwrap_err();
        assert_eq!(error.to_string(), "the message id must be 1 to 255 bytes long", "{error}");
    }

    #[test]
    fn debug_output_tells_nothing_of_the_content() {
        let mut delivery =
            Delivery::mock(7, "kakitome".into(), "job.send".into(), false, b"CANARY".to_vec());
        delivery.properties = BasicProperties::default().with_message_id("CANARY".into());
        let message = Message::new(delivery, 1);
        let mut outgoing = Outgoing::new(Exchange::Jobs, "CANARY", b"CANARY".to_vec());
        outgoing.message_id = Some("CANARY".to_owned());
        let text = format!("{message:?} {outgoing:?}");
        assert!(!text.contains("CANARY") && !text.contains("67, 65"), "{text}");
    }

    #[test]
    fn properties_come_back_as_they_were_sent() {
        let mut outgoing = Outgoing::new(Exchange::Jobs, "job.send", vec![]);
        outgoing.kind = Some("kakitome.job.v1".to_owned());
        outgoing.content_type = Some("application/json".to_owned());
        outgoing.user_id = Some("billing".to_owned());
        outgoing.traceparent = Some("00-aa-bb-01".to_owned());
        let mut delivery = Delivery::mock(1, "".into(), "".into(), true, vec![]);
        delivery.properties = outgoing.properties().unwrap();
        let message = Message::new(delivery, 1);
        assert_eq!(message.kind, outgoing.kind, "type");
        assert_eq!(message.content_type, outgoing.content_type, "content type");
        assert_eq!(message.user_id, outgoing.user_id, "user id");
        assert_eq!(message.traceparent, outgoing.traceparent, "trace context");
        assert_eq!(message.content_encoding, None, "absent stays absent");
        assert!(message.redelivered, "redelivered is passed on");
    }
}
