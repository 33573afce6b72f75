"""Plays a scene of XEP-0060 with slixmpp (Debian python3-slixmpp), unmodified:
alice owns nodes of waft's component, bob and carol subscribe, mallory floods.
Each step that went as it must is a line {"step": name}; the first that did not is
{"step": name, "error": text}, and the end.
Options: host, port, domain, password, service, prefix (of the nodes).
"""

import asyncio
import json
import sys
import time
import traceback
from xml.etree import ElementTree

from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0059 import Set
from slixmpp.plugins.xep_0060.stanza import Pubsub
from slixmpp.xmlstream import register_stanza_plugin

JSON = "{urn:xmpp:json:0}json"
PUBSUB = "http://jabber.org/protocol/pubsub"
PATIENCE = 8  # seconds for any one thing

register_stanza_plugin(Pubsub, Set)  # slixmpp 1.8 pages through discoveries by itself, and through items when it is told how


class User(ClientXMPP):
    def __init__(self, name, options):
        super().__init__(f"{name}@{options['domain']}/scene", options["password"])
        self.service = options["service"]
        for plugin in ("xep_0004", "xep_0030", "xep_0059", "xep_0060", "xep_0092", "xep_0199"):
            self.register_plugin(plugin)
        self["feature_mechanisms"].unencrypted_plain = True
        self.online = self.loop.create_future()
        self.events, self.states, self.forms = asyncio.Queue(), asyncio.Queue(), asyncio.Queue()
        self.add_event_handler("session_start", self.start)
        self.add_event_handler("pubsub_publish", self.published)
        self.add_event_handler("pubsub_subscription", self.changed)
        self.add_event_handler("message_xform", self.forms.put_nowait)
        self.connect((options["host"], options["port"]), disable_starttls=True, force_starttls=False)

    async def start(self, _):
        await self.get_roster()  # and with it, answer who asks to see our presence
        self.send_presence()
        self.online.set_result(None)

    def published(self, message):
        item = message["pubsub_event"]["items"]["item"]
        self.events.put_nowait((message["pubsub_event"]["items"]["node"], item["payload"].text, message["id"]))

    def changed(self, message):
        s = message["pubsub_event"]["subscription"]
        self.states.put_nowait((s["node"], str(s["jid"]), s["subscription"]))

    @property
    def pubsub(self):
        return self["xep_0060"]

    def form(self, kind, **fields):
        form = self["xep_0004"].make_form(ftype="submit")
        form.add_field(var="FORM_TYPE", ftype="hidden", value=f"{PUBSUB}#{kind}")
        for name, value in fields.items():
            form.add_field(var=f"pubsub#{name.replace('_values', '-values')}", value=value)
        return form

    async def create(self, node, **config):
        await self.pubsub.create_node(self.service, node, config=self.form("node_config", **config))

    async def configure(self, node, **config):
        await self.pubsub.set_node_config(self.service, node, self.form("node_config", **config))

    async def publish(self, node, text, id=None):
        payload = ElementTree.Element(JSON)
        payload.text = text
        await self.pubsub.publish(self.service, node, id=id, payload=payload)

    async def subscribe(self, node, bare=True, **options):
        form = self.form("subscribe_options", **options) if options else None
        reply = await self.pubsub.subscribe(self.service, node, bare=bare, options=form)
        return reply["pubsub"]["subscription"]["subscription"]

    async def options(self, node):
        reply = await self.pubsub.get_subscription_options(self.service, node, self.boundjid.bare)
        return reply["pubsub"]["options"]["options"].get_values()

    async def prefer(self, node, **options):
        iq = self.make_iq_set(ito=self.service)  # slixmpp's own set_subscription_options sends a get, which sets nothing
        iq["pubsub"]["options"]["node"] = node
        iq["pubsub"]["options"]["jid"] = self.boundjid.bare
        iq["pubsub"]["options"].append(self.form("subscribe_options", **options))
        await iq.send()

    async def subscriptions(self):
        reply = await self.pubsub.get_subscriptions(self.service)
        return {s["node"]: s["subscription"] for s in reply["pubsub"]["subscriptions"]}


async def gets(queue):
    return await asyncio.wait_for(queue.get(), PATIENCE)


def same(got, want):
    assert got == want, f"{got!r} instead of {want!r}"


async def until(what, test):
    end = time.monotonic() + PATIENCE
    while not await test():
        assert time.monotonic() < end, f"never: {what}"
        await asyncio.sleep(0.05)


async def refused(request, condition):
    try:
        await request
    except IqError as error:
        same(error.condition, condition)
        return
    raise AssertionError(f"done, and not refused with {condition}")


class Scene:
    def __init__(self, options):
        self.prefix = options["prefix"]
        self.service = options["service"]
        self.alice, self.bob, self.carol, self.mallory = (User(n, options) for n in ("alice", "bob", "carol", "mallory"))

    async def features(self):
        info = await self.bob["xep_0030"].get_info(self.service)
        features = {f.removeprefix(PUBSUB + "#") for f in info["disco_info"]["features"]}
        for f in ("access-authorize", "subscription-options", "retrieve-default-sub", "leased-subscription", "presence-notifications"):
            assert f in features, f"{f} is not announced"

    async def version(self):
        reply = await self.bob["xep_0092"].get_version(self.service)
        same(reply["software_version"]["name"], "waft")

    async def pages(self):
        node = self.prefix + "/pages"
        want = [f"i{n:02}" for n in range(25)]
        for id in want:
            await self.alice.publish(node, "1", id=id)
        listed, items = [], []
        async for page in await self.bob["xep_0030"].get_items(self.service, node=node, iterator=True):
            listed += [name for _, _, name in page["disco_items"].get_items()]
        same(sorted(listed), want)
        query = self.bob.Iq(sto=self.service, stype="get")
        query["pubsub"]["items"]["node"] = node
        async for page in self.bob["xep_0059"].iterate(query, "pubsub"):
            items += [item["id"] for item in page["pubsub"]["items"]["substanzas"]]
        same(items, want)

    async def an_owner_lets_somebody_in(self):
        node = self.prefix + "/authorize"
        await self.alice.create(node, access_model="authorize", notify_sub="1")
        same(await self.bob.subscribe(node), "pending")
        same((await self.bob.subscriptions())[node], "pending")
        await refused(self.bob.subscribe(node), "not-authorized")
        await refused(self.bob.pubsub.get_items(self.service, node), "not-authorized")
        asked = await gets(self.alice.forms)
        values = asked["form"].get_values()
        same((values["pubsub#node"], values["pubsub#subscriber_jid"]), (node, self.bob.boundjid.bare))
        answer = self.alice.make_message(self.service, mtype="normal")
        answer["id"] = asked["id"]
        answer.append(self.alice.form("subscribe_authorization", node=node, subscriber_jid=self.bob.boundjid.bare, allow="true"))
        answer.send()
        same(await gets(self.bob.states), (node, self.bob.boundjid.bare, "subscribed"))
        same(await gets(self.alice.states), (node, self.bob.boundjid.bare, "subscribed"))
        await self.alice.publish(node, '"in"')
        same((await gets(self.bob.events))[:2], (node, '"in"'))
        same(await self.carol.subscribe(node), "pending")
        await gets(self.alice.forms)
        await self.alice.pubsub.modify_subscriptions(self.service, node, [(self.carol.boundjid.bare, "none")])
        same(await gets(self.carol.states), (node, self.carol.boundjid.bare, "none"))

    async def options(self):
        node = self.prefix + "/options"
        await self.alice.create(node)
        same(await self.bob.subscribe(node, deliver="0"), "subscribed")
        same((await self.bob.options(node))["pubsub#deliver"], False)
        await self.alice.publish(node, '"unheard"')
        await self.bob.prefer(node, deliver="1")
        await self.alice.publish(node, '"heard"')
        same((await gets(self.bob.events))[:2], (node, '"heard"'))
        await refused(self.bob.prefer(node, expire="soon"), "bad-request")

    async def a_term(self):
        node = self.prefix + "/term"
        same(await self.bob.subscribe(node), "subscribed")
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
        await self.bob.prefer(node, expire=at)
        same(await gets(self.bob.states), (node, self.bob.boundjid.bare, "none"))
        assert node not in await self.bob.subscriptions()

    async def presence(self):
        node, brief = self.prefix + "/presence", self.prefix + "/brief"
        await self.alice.create(node, presence_based_delivery="1", send_last_published_item="on_sub_and_presence")
        same(await self.carol.subscribe(node), "subscribed")  # the service asks to see her presence, and slixmpp lets it
        same(await self.carol.subscribe(brief, expire="presence"), "subscribed")

        sent = 0

        async def heard():
            nonlocal sent
            sent += 1
            await self.alice.publish(node, str(sent))
            await asyncio.sleep(0.1)
            return not self.carol.events.empty()

        await until("an event for somebody who is online", heard)
        self.carol.send_presence(ptype="unavailable")

        async def gone():
            return brief not in await self.carol.subscriptions()

        await until("the end of a subscription that lasts as long as she is online", gone)
        while not self.carol.events.empty():
            self.carol.events.get_nowait()
        await self.alice.publish(node, '"while away"')
        await self.alice.publish(node, '"the last"')
        await asyncio.sleep(0.5)
        assert self.carol.events.empty(), "an event came to somebody who is away"
        self.carol.send_presence()
        same((await gets(self.carol.events))[:2], (node, '"the last"'))

    async def a_full_node(self):
        node = self.prefix + "/full"
        await self.alice.create(node, max_items="2", publish_node_full="reject")
        for id in ("1", "2", "1"):
            await self.alice.publish(node, "1", id=id)
        await refused(self.alice.publish(node, "1", id="3"), "conflict")

    async def the_end_of_a_node(self):
        node = self.prefix + "/options"
        gone = asyncio.Queue()
        self.bob.add_event_handler("pubsub_delete", lambda m: gone.put_nowait(m["pubsub_event"]["delete"]["node"]))
        await self.alice.pubsub.delete_node(self.service, node)
        same(await gets(gone), node)

    async def a_flood(self):
        answers, last = [], self.mallory.loop.create_future()

        def note(stanza):
            if stanza.xml.get("id", "").startswith("flood"):
                answers.append(stanza.xml)
                if len(answers) == 1500:
                    last.set_result(None)
            return stanza

        self.mallory.add_filter("in", note)
        ping = "<iq type='get' id='flood%d' to='" + self.service + "'><ping xmlns='urn:xmpp:ping'/></iq>"
        self.mallory.send_raw("".join(ping % i for i in range(1500)))
        for _ in range(5):
            await self.bob["xep_0199"].send_ping(self.service, timeout=PATIENCE)
        await asyncio.wait_for(last, 20)
        errors = [a.find("{jabber:client}error") for a in answers if a.get("type") == "error"]
        assert errors, "she was never told to wait"
        for error in errors:
            same(error.get("type"), "wait")
            assert error.find("{urn:ietf:params:xml:ns:xmpp-stanzas}policy-violation") is not None


async def play(scene):
    for user in (scene.alice, scene.bob, scene.carol, scene.mallory):
        await asyncio.wait_for(user.online, 20)
    for step in (scene.features, scene.version, scene.pages, scene.an_owner_lets_somebody_in, scene.options, scene.a_term, scene.presence, scene.a_full_node,
                 scene.the_end_of_a_node, scene.a_flood):
        try:
            await asyncio.wait_for(step(), 25)
        except Exception as error:
            print(json.dumps({"step": step.__name__, "error": f"{error!r}\n{traceback.format_exc()}"}), flush=True)
            return
        print(json.dumps({"step": step.__name__}), flush=True)
    for user in (scene.alice, scene.bob, scene.carol, scene.mallory):
        user.disconnect()


if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(play(Scene(json.loads(sys.argv[1]))))
