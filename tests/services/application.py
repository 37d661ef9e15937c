"""What an application may do on the broker, and what it may not: run against a
private broker on PORT with the accounts of rabbitmq.sh and our topology."""

import sys

import pika

port = int(sys.argv[1])


def connect(user):
    credentials = pika.PlainCredentials(user, user)
    return pika.BlockingConnection(
        pika.ConnectionParameters("127.0.0.1", port, "/", credentials)
    )


def refused(what, act):
    connection = connect("acme")
    try:
        act(connection.channel())
    except pika.exceptions.ChannelClosedByBroker as closed:
        assert closed.reply_code == 403, (what, closed)
        return
    finally:
        if connection.is_open:
            connection.close()
    sys.exit(f"the broker let an application {what}")


def publish(user, name):
    connection = connect(user)
    channel = connection.channel()
    channel.confirm_delivery()
    properties = pika.BasicProperties(user_id=name, delivery_mode=2)
    channel.basic_publish("kakitome", "job.send", b"{}", properties, mandatory=True)
    connection.close()


publish("acme", "acme")
try:
    publish("acme", "globex")
except pika.exceptions.ChannelClosedByBroker as closed:
    assert closed.reply_code == 406, closed
else:
    sys.exit("the broker let acme publish as globex")

connection = connect("acme")
channel = connection.channel()
channel.queue_declare("acme.events", durable=True)
channel.queue_bind("acme.events", "kakitome.events", "delivery.sealed.acme")
connection.close()


def bind(key):
    return lambda channel: channel.queue_bind("acme.events", "kakitome.events", key)


refused("bind another tenant's events", bind("delivery.sealed.globex"))
refused("bind everybody's events", bind("#"))
refused("read the jobs", lambda channel: channel.basic_get("kakitome.jobs"))
refused("read dead letters", lambda channel: channel.basic_get("kakitome.jobs.dead"))
refused("publish events", lambda channel: (
    channel.confirm_delivery(),
    channel.basic_publish("kakitome.events", "delivery.sealed.acme", b"{}"),
))
