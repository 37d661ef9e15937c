#!/usr/bin/env python3
"""Publishes send jobs to Kakitome over AMQP, the way an application should.

    pip install pika
    ./publish.py --user acme --password-file acme.txt            one e-mail job
    ./publish.py --count 100 --example post-invoice              100 letters
    ./publish.py --bad                                           every refused example
    ./publish.py --dry-run --count 2                             print, publish nothing

What it shows, and what your application should do as well:

- Publish with confirms and `mandatory`. Only the confirm means that the broker
  has the job; only the event `accepted` (see events.py) that Kakitome has it.
- Set `type`, `content_type` and, always, `user_id`: the broker checks that it
  is the account that publishes, and Kakitome takes the tenant from it.
- Choose a `key` that names the delivery for ever, such as the invoice number.
  Publishing the same job again is then harmless, and the way to be sure after
  a lost connection; the same key with another payload is refused.
- `message_id` is yours; here it is the key.
"""

import argparse
import json
import pathlib
import ssl
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TYPE = "kakitome.send.v1"
CONTENT_TYPE = "application/json"


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    broker = parser.add_argument_group("the broker")
    broker.add_argument("--host", default="127.0.0.1")
    broker.add_argument("--port", type=int, help="default: 5672, or 5671 with TLS")
    broker.add_argument("--vhost", default="/")
    broker.add_argument("--user", default="guest", help="the tenant's account (default: guest)")
    broker.add_argument("--password-file", type=pathlib.Path, help="default: the password guest")
    broker.add_argument("--tls-ca", type=pathlib.Path, help="speak TLS, trusting this certificate")
    broker.add_argument("--exchange", default="kakitome")
    broker.add_argument("--routing-key", default="job.send")
    jobs = parser.add_argument_group("the jobs")
    jobs.add_argument("--count", type=int, default=1, metavar="N", help="valid jobs (default: 1)")
    jobs.add_argument(
        "--example",
        default="email-invoice",
        choices=sorted(path.stem for path in HERE.glob("*.json")),
        help="which example they are made from (default: email-invoice)",
    )
    jobs.add_argument(
        "--keys",
        default=None,
        metavar="PREFIX",
        help="keys are PREFIX-1, PREFIX-2 and so on (default: the time); repeat a prefix "
        "to publish the same jobs again",
    )
    jobs.add_argument("--to", metavar="ADDRESS", help="the recipient's e-mail address")
    jobs.add_argument(
        "--bad", action="store_true", help="publish the refused examples instead, as they are"
    )
    jobs.add_argument("--dry-run", action="store_true", help="print the jobs, publish nothing")
    return parser.parse_args()


def valid_jobs(options):
    """Yields (key, body) of jobs that differ in their key and document number."""
    example = json.loads((HERE / f"{options.example}.json").read_text(encoding="utf-8"))
    example.pop("tenant", None)
    prefix = options.keys or time.strftime("%Y%m%d-%H%M%S")
    for n in range(1, options.count + 1):
        job = json.loads(json.dumps(example))
        job["key"] = f"{prefix}-{n}"
        data = job["document"].get("data", {})
        if "number" in data:
            data["number"] = f"{prefix}-{n}"
            if "number" in job.get("evidence", {}):
                job["evidence"]["number"] = data["number"]
        if options.to:
            job["recipient"]["email"] = options.to
        yield job["key"], json.dumps(job, ensure_ascii=False).encode()


def bad_jobs():
    """Yields (the file's name, its bytes): some of them are not even JSON."""
    for path in sorted((HERE / "refused").glob("*.json")):
        yield path.stem, path.read_bytes()


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
            client_properties={"connection_name": "publish.py"},
        )
    )


def main():
    options = arguments()
    jobs = bad_jobs() if options.bad else valid_jobs(options)
    if options.dry_run:
        for name, body in jobs:
            sys.stdout.buffer.write(f"# {name}\n".encode() + body.rstrip() + b"\n")
        return
    import pika

    connection = connect(options)
    channel = connection.channel()
    channel.confirm_delivery()
    started = time.monotonic()
    published = 0
    for name, body in jobs:
        properties = pika.BasicProperties(
            type=TYPE,
            content_type=CONTENT_TYPE,
            user_id=options.user,
            message_id=name,
            delivery_mode=2,
        )
        try:
            # Returns once the broker has confirmed.
            channel.basic_publish(
                options.exchange, options.routing_key, body, properties, mandatory=True
            )
        except pika.exceptions.UnroutableError:
            sys.exit(f"{name}: no queue is bound for {options.routing_key}; is Kakitome set up?")
        except pika.exceptions.NackError:
            sys.exit(f"{name}: the queue is full; try again later")
        published += 1
        print(name)
    took = time.monotonic() - started
    print(f"{published} published and confirmed in {took:.2f} s", file=sys.stderr)
    connection.close()


if __name__ == "__main__":
    main()
