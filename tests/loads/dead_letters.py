"""Takes every refused message out of its queue, on the broker at PORT, and
prints one line each: what it was called, and why it was refused."""

import sys

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(sys.argv[1])))
channel = connection.channel()
while True:
    frame, properties, body = channel.basic_get("kakitome.jobs.dead", auto_ack=True)
    if frame is None:
        break
    assert b"{" not in body[:1], "a refused body rests sealed"
    print(properties.message_id, properties.headers["x-kakitome-error"])
connection.close()
