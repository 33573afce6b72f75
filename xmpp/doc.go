// Package xmpp is waft's door for XMPP: a publish-subscribe service (XEP-0060) with JSON payloads (XEP-0335), reached
// through an XMPP server as a component of it (XEP-0114, package component).
//
//	create     <create node='/chat/42'/>
//	publish    <publish node='/chat/42'><item id='7'><json xmlns='urn:xmpp:json:0'>{"n":1}</json></item></publish>
//	subscribe  <subscribe node='/chat/42' jid='bob@example.org'/>
//	read       <items node='/chat/42' max_items='10'/>, <query xmlns='urn:xmpp:mam:2' node='/chat/42'/>
//	event      <items node='/chat/42'><item id='7'><json xmlns='urn:xmpp:json:0'>{"n":1}</json></item></items>
//
// # What flows
//
//	link's read goroutine        workers                                  broker
//	stanza ─▶ receive ─▶ inbox ─▶ iq ─▶ publisher, subscriber, items … ─▶ Publish, Subscribe, History
//	          by sender, bounded   └▶ answer ─▶ link.Send
//
//	notifier                                                              broker
//	link.Send ◀─ one event for each subscribed JID ◀─ Session.Receive ◀── the session: everything anybody subscribed to
//
//	announcer
//	link.Send ◀─ what is no item: a node was deleted, a subscription ended, a new subscriber's last item ◀── workers
//
// To the broker the whole service is one session. Who among its users wants what is kept in the audience; the broker is
// asked, with the subscriber's rights, for each subscription that is made.
//
// # What a node is
//
// A node is a channel, with or without the leading slash; answers and events spell it as the client did. It needs no
// creating: a channel that the rules let somebody subscribe to or publish to is a node to that person (auto-create), and
// a name that they do not, or that is no channel, is item-not-found in service discovery. Subscribing to and reading a
// channel that the rules close is not-allowed + closed-node, publishing to it forbidden.
//
// Creating makes a channel somebody's own: it gets owners, a configuration and affiliations (a leaf). They are a further
// filter for what comes and goes by XMPP: the rules are asked first and in any case, and nothing that an owner sets lets
// anybody do what they forbid. Who may manage a channel, by the rules, does with the node what its owners may. Other
// protocols know nothing of it. Who may publish to a channel may create it, unless
// others use it already; then only somebody who may manage it. How much of a channel is kept is up to the rules; the
// node's max_items and item_expire can show less of that, never more. Purging and deleting take the items off the channel
// itself, and so away from everybody.
//
// A pattern, /chat/* or /chat/**, can be subscribed to and unsubscribed from like a node, and nothing else. Its events
// name the channel that was published to, with the slash if the subscription was written with one. Somebody whose
// subscriptions match a message several times gets one event; the narrowest one decides about the slash.
//
// # What is promised
//
//   - Every iq get or set gets exactly one answer, unless the link dies. Nothing else is ever answered twice or in
//     circles: no error, no result, no headline. A chat is told that nobody reads here, unless it is a command of an admin.
//   - What one sender asks is done and answered in that order. Events and answers have no order between them.
//   - The events of a channel come in the channel's order. One goes to each subscribed JID, which is not the same as to
//     each user: a bare and a full JID are two.
//   - A batch is published whole or not at all. The result waits for the engine, not for the notifier; nor does an owner's
//     wait for the announcer.
//   - After the result of unsubscribe no event of that subscription follows. After that of subscribe none is missing;
//     the first ones may be of messages that were published before, while the link was down or slow.
//   - The JSON that went in comes out: only white space is removed, and U+FFFE and U+FFFF, which XML cannot carry, are
//     written as escapes. A message with more than a stanza has room for is announced without its payload.
//   - XEP-0114 has no acknowledgements. While the link is down, messages wait in the session, bounded and counted, and
//     go out when it is back. Events that the link had been given, and that the server is not proven to have read, are sent
//     again with the same ids: an event can come twice, also to somebody who has unsubscribed on the lost link. What a server
//     does with what it has read nobody can tell; reading the node's items closes the gap.
//   - A subscription that waits for an owner's word has no events and opens nothing. The rules are asked when it is made and
//     again when the owner says yes.
//   - Nothing that users send is unbounded: stanzas by rate, inboxes by number, memory and sender, payloads, batches, pages,
//     subscriptions by user and in all.
//   - Nodes and the subscriptions of bare JIDs last as long as the Store. What is answered with a result has been stored.
//     A subscription ends with a bounce that says its address is gone, when its user may not read the node any more, or at the
//     time that he has set; one of a full JID also with the farewell (unavailable presence) of that client, and with Run.
//   - What is known of users' presence is bounded, and never in the way: in doubt an event is sent.
//   - An owner's change counts from the next request and event on, before its result is sent.
//
// # Commands
//
// What the HTTP API does can be done by ad-hoc command, and in chats by those who manage the realm. A command makes the calls
// that every protocol makes, with the rights of who asks, and passes the same nodes. What needs to manage the realm is
// hidden from everybody else.
//
// # Who somebody is
//
// The server vouches for the from of a stanza. A sender whose JID the profiles of RFC 7622 refuse (servers let '☃' pass)
// is answered and has the rights of anybody, but cannot subscribe. The service has no users and no resources: at
// any address but its own everything is service-unavailable.
//
// # Files
//
//	options.go     what can be set
//	service.go     the service and its life
//	receive.go     from the link to a worker, and the answer back
//	limiter.go     how fast somebody may send
//	inbox.go       what waits for a worker
//	gate.go        waiting for the link to be up, or to have room
//	iq.go          what is asked, and that it is answered once
//	verbs.go       the verbs of pubsub, offered and not
//	entity.go      what a node is                            XEP-0060 §4.6, §5
//	leaf.go        what makes it somebody's own
//	registry.go    the leaves, in memory and in the store
//	config.go      a node's configuration                    XEP-0060 §16.4.4
//	affiliation.go who may do what with it                   XEP-0060 §4.1
//	view.go        what a node shows of what is kept
//	form.go        data forms                                XEP-0004
//	disco.go       service discovery                         XEP-0060 §5, XEP-0030
//	subscriber.go  subscribe and unsubscribe                 XEP-0060 §6.1, §6.2
//	preferences.go options of a subscription                 XEP-0060 §6.3, §6.4, §12.4, §12.18
//	items.go       retrieve items                            XEP-0060 §6.5
//	archive.go     archives                                  XEP-0313, XEP-0442
//	archivefind.go from times and publishers to places
//	paging.go      result sets                               XEP-0059
//	publisher.go   publish                                   XEP-0060 §7.1
//	full.go        nodes that take no more                   XEP-0060 §7.1.3.4
//	retract.go     remove an item                            XEP-0060 §7.2
//	owner.go       create, configure, delete, purge          XEP-0060 §8.1 to §8.5
//	lists.go       subscriptions and affiliations            XEP-0060 §5.6, §5.7, §8.8, §8.9
//	approval.go    who asks the owners to let him in         XEP-0060 §8.6, §8.7
//	announcer.go   what waits to be announced
//	announce.go    events of nodes and of subscriptions, and a new subscriber's last item
//	command.go     ad-hoc commands: the protocol             XEP-0050
//	commandrun.go  those that somebody has begun
//	commandform.go their forms and outcomes
//	commandlist.go finding them
//	commandchannel.go, commandrealm.go, commandnode.go, admin.go   what they do
//	chat.go        the same in chats                 chatlimit.go  and never in circles
//	outbound.go    messages that items of other doors carry
//	payload.go     JSON in XML                              XEP-0335
//	audience.go    who has subscribed to what
//	shelf.go       the subscriptions that last
//	recheck.go     what changed rules end and bring back
//	notify.go      from the session to events
//	event.go       an event's bytes                          XEP-0060 §12.4
//	eventid.go     ids that prove a bounce
//	message.go     bounces, and who chats                    XEP-0060 §12.4
//	presence.go    who comes and goes                        RFC 6121, XEP-0060 §12.5
//	whereabouts.go who is online
//	misc.go        ping, version, time                       XEP-0199, XEP-0092, XEP-0202
//	errors.go      the one table of errors                   XEP-0060 §11
//	reply.go       answers' bytes
//	stats.go
//
// # Locks
//
// runs.mu, chats.mu, bell.mu and admins.change before admins.mu stand by themselves; admins.change is held while the store writes.
//
// Outermost first: one of shelf.locks (held while the store writes a subscription), audience.change (held while the
// broker's session is asked), then audience.mu or subscription.mu, never both. registry.change (held while the store writes
// a node) comes before registry.mu and has nothing to do with the others. Innermost: inbox.mu, gate.mu, announcer.mu, counters.mu,
// whereabouts.mu (taken under subscription.mu). One of doors is held while a batch is published to a node that can be full; under
// it the broker is asked. While
// subscription.mu is held an event is queued on the link, which does not block. Only workers and the start of Run wait for the
// store: neither the link's goroutine nor the notifier does.
//
// # Deliberately not done
//
// The access models presence and roster: each is
// refused by the name of its feature, or unknown. A subscription identifier (subid) is never given out. Events carry no stanza-id
// (XEP-0313 §3.5): not everybody who may subscribe may read the archive, and an event is rendered once for all. Several processes
// may write the records of one domain without losing a change, but none learns of another's before it writes the same
// record or starts anew. Where a node or a subscriber does not say otherwise, events go to
// whoever subscribed, online or not, as headlines, which servers do not store.
package xmpp
