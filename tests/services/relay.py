"""A mail relay that takes everything and writes down what it took: one JSON
line a mail, in FILE, before the 250 goes out. Its port goes into FILE.port.

    relay.py FILE
"""

import asyncio
import email
import email.policy
import json
import pathlib
import re
import sys

from aiosmtpd.smtp import SMTP

LINK = re.compile(r"https?://\S+/d/[A-Za-z0-9_-]+")


class Book:
    def __init__(self, path):
        self.file = open(path, "w", encoding="utf-8")

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        text = mail.get_body(("plain",)).get_content()
        line = {
            "to": envelope.rcpt_tos,
            "id": mail["Message-ID"],
            "link": LINK.search(text).group(),
        }
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()
        return "250 2.0.0 taken"


async def main(path):
    book = Book(path)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(book, hostname="relay.test", loop=loop), "127.0.0.1", 0
    )
    port = pathlib.Path(f"{path}.port")
    port.with_suffix(".new").write_text(str(server.sockets[0].getsockname()[1]))
    port.with_suffix(".new").rename(port)
    await server.serve_forever()


asyncio.run(main(sys.argv[1]))
