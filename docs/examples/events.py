#!/usr/bin/env python3
"""Prints what happens to a tenant's jobs: Kakitome's result events over AMQP.

    pip install pika
    ./events.py --user acme --password-file acme.txt --tenant acme
    ./events.py --tenant acme --only bounced --only undeliverable

What it shows, and what your application should do as well:

- Have a durable queue of your own, bound to the exchange with
  `delivery.<event>.<tenant>`; `*` stands for every event. Events that no queue
  is bound for are gone.
- Acknowledge after you have acted. An event may come twice, with the same
  `id`; `sequence` orders the events of one job.
"""

import argparse
import json
import pathlib
import ssl
import sys


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, help="default: 5672, or 5671 with TLS")
    parser.add_argument("--vhost", default="/")
    parser.add_argument("--user", default="guest", help="the tenant's account (default: guest)")
    parser.add_argument("--password-file", type=pathlib.Path, help="default: the password guest")
    parser.add_argument("--tls-ca", type=pathlib.Path, help="speak TLS, trusting this certificate")
    parser.add_argument("--exchange", default="kakitome.events")
    parser.add_argument("--tenant", help="the tenant's short name (default: the user)")
    parser.add_argument("--queue", help="our queue (default: USER.events)")
    parser.add_argument(
        "--only", action="append", metavar="EVENT", help="such as bounced; default: every event"
    )
    parser.add_argument("--count", type=int, metavar="N", help="end after N events")
    parser.add_argument("--json", action="store_true", help="print the events as they came")
    return parser.parse_args()


def connect(options):
    import pika

    password = "guest"
    if options.password_file:
        password = options.password_file.read_text(encoding="utf-8").strip()
    tls = None
    if options.tls_ca:
        tls = pika.SSLOptions(ssl.create_default_context(cafile=options.tls_ca), options.host)
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            host=options.host,
            port=options.port or (5671 if tls else 5672),
            virtual_host=options.vhost,
            credentials=pika.PlainCredentials(options.user, password),
            ssl_options=tls,
            client_properties={"connection_name": "events.py"},
        )
    )


def line(event):
    data = event["data"]
    words = [event["time"], data["event"]]
    words += [f"{name}={data[name]}" for name in ("key", "job", "code") if name in data]
    return " ".join(words)


def main():
    options = arguments()
    connection = connect(options)
    channel = connection.channel()
    queue = options.queue or f"{options.user}.events"
    tenant = options.tenant or options.user
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
    for event in options.only or ["*"]:
        channel.queue_bind(queue, options.exchange, f"delivery.{event}.{tenant}")
    channel.basic_qos(prefetch_count=64)
    seen = 0
    try:
        for method, _, body in channel.consume(queue):
            print(body.decode() if options.json else line(json.loads(body)), flush=True)
            channel.basic_ack(method.delivery_tag)
            seen += 1
            if seen == options.count:
                break
    except KeyboardInterrupt:
        print(f"{seen} events", file=sys.stderr)
    channel.cancel()
    connection.close()


if __name__ == "__main__":
    main()
