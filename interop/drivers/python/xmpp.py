"""Drives slixmpp (Debian python3-slixmpp), unmodified: one user of an XMPP
server who publishes and subscribes at waft's component by XEP-0060, with
XEP-0335 payloads. Commands and events are as in ../js/lines.mjs.
Options: host, port, jid, password, service.
"""

import asyncio
import json
import sys
from xml.etree import ElementTree

from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError, IqTimeout

JSON = "{urn:xmpp:json:0}json"
REPLY_TIMEOUT = 5  # seconds; a server that lost its component may never answer


def emit(ev, **fields):
    print(json.dumps({"ev": ev, **fields}), flush=True)


class User(ClientXMPP):
    def __init__(self, options):
        super().__init__(options["jid"], options["password"])
        self.service = options["service"]
        self.register_plugin("xep_0050")
        self.register_plugin("xep_0060")
        self["feature_mechanisms"].unencrypted_plain = True
        self.online = self.loop.create_future()
        self.add_event_handler("session_start", self.start)
        self.add_event_handler("failed_auth", lambda _: emit("failed", error="not authorized"))
        self.add_event_handler("pubsub_publish", self.received)
        self.connect((options["host"], options["port"]), disable_starttls=True, force_starttls=False)

    def start(self, _):
        self.send_presence()  # events go to the bare JID, and so to whoever is present
        self.online.set_result(None)

    def received(self, message):
        items = message["pubsub_event"]["items"]
        payload = items["item"]["payload"]
        if payload is None or payload.tag != JSON:
            emit("failed", error=f"an event without JSON: {message}")
            return
        emit("message", channel=items["node"], text=payload.text)

    async def subscribe(self, channels, **_):
        try:
            for channel in channels:
                await self["xep_0060"].subscribe(self.service, channel, bare=True, timeout=REPLY_TIMEOUT)
        except (IqError, IqTimeout) as error:
            emit("failed", error=error.condition)
        else:
            emit("ready")

    async def publish(self, channel, text, **_):
        payload = ElementTree.Element(JSON)
        payload.text = text
        reply = self["xep_0060"].publish(self.service, channel, payload=payload, timeout=REPLY_TIMEOUT)
        # Not awaited here: XMPP keeps the order of what one user sends.
        asyncio.ensure_future(self.published(reply))

    async def published(self, reply):
        try:
            await reply
        except (IqError, IqTimeout) as error:
            emit("failed", error=error.condition)
        else:
            emit("published")

    async def command(self, name, fields, **_):
        """Finds the command, executes it, and submits its form."""
        try:
            listed = await self["xep_0050"].get_commands(self.service, timeout=REPLY_TIMEOUT)
            node = "waft#" + name
            if node not in [item[1] for item in listed["disco_items"]["items"]]:
                raise LookupError(node)
            begun = await self["xep_0050"].send_command(self.service, node, timeout=REPLY_TIMEOUT)
            form = self["xep_0004"].make_form(ftype="submit")
            for var, value in fields.items():
                form.add_field(var=var, value=value)
            done = await self["xep_0050"].send_command(
                self.service, node, action="complete", payload=form, sessionid=begun["command"]["sessionid"], timeout=REPLY_TIMEOUT)
        except (IqError, IqTimeout) as error:
            emit("failed", error=error.condition)
        except LookupError as error:
            emit("failed", error=f"no command {error}")
        else:
            emit("message", channel="command", text=f"{done['command']['status']}: {done['command']['notes'][0][1]}")


async def serve(user):
    lines = asyncio.StreamReader(limit=1 << 20)
    await user.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    await user.online
    while line := await lines.readline():
        command = json.loads(line)
        await getattr(user, command.pop("op"))(**command)
    await user.disconnect()


if __name__ == "__main__":
    asyncio.set_event_loop(asyncio.new_event_loop())
    driven = User(json.loads(sys.argv[1]))
    driven.loop.run_until_complete(serve(driven))
