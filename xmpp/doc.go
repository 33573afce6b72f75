// Package xmpp is waft's door for XMPP: a publish-subscribe service (XEP-0060) with JSON payloads (XEP-0335), reached
// through an XMPP server as a component of it (XEP-0114, package component).
//
//	publish    <publish node='/chat/42'><item id='7'><json xmlns='urn:xmpp:json:0'>{"n":1}</json></item></publish>
//	subscribe  <subscribe node='/chat/42' jid='bob@example.org'/>
//	read       <items node='/chat/42' max_items='10'/>
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
// A pattern, /chat/* or /chat/**, can be subscribed to and unsubscribed from like a node, and nothing else. Its events
// name the channel that was published to, with the slash if the subscription was written with one. Somebody whose
// subscriptions match a message several times gets one event; the narrowest one decides about the slash.
//
// # What is promised
//
//   - Every iq get or set gets exactly one answer, unless the link dies. Nothing else is ever answered twice or in
//     circles: no error, no result, no headline. A chat is told that nobody reads here.
//   - What one sender asks is done and answered in that order. Events and answers have no order between them.
//   - The events of a channel come in the channel's order. One goes to each subscribed JID, which is not the same as to
//     each user: a bare and a full JID are two.
//   - A batch is published whole or not at all. The result waits for the engine, not for the notifier.
//   - After the result of unsubscribe no event of that subscription follows. After that of subscribe none is missing;
//     the first ones may be of messages that were published before, while the link was down or slow.
//   - The JSON that went in comes out: only white space is removed, and U+FFFE and U+FFFF, which XML cannot carry, are
//     written as escapes. A message with more than a stanza has room for is announced without its payload.
//   - XEP-0114 has no acknowledgements. While the link is down, messages wait in the session, bounded and counted, and
//     go out when it is back; what had been given to the link when it died is lost or not, nobody can tell (the link
//     counts what it had not written). So an event comes at most once. Reading the node's items closes the gap.
//   - Nothing that users send is unbounded: inboxes by number, memory and sender, payloads, batches, pages,
//     subscriptions by user and in all.
//   - Subscriptions last as long as Run: a client subscribes again when it has lost sight of the service.
//     A subscription ends earlier with a bounce that says its address is gone, and one of a full JID with the farewell
//     (unavailable presence) of that client.
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
//	inbox.go       what waits for a worker
//	gate.go        waiting for the link to be up, or to have room
//	iq.go          what is asked, and that it is answered once
//	verbs.go       the verbs of pubsub, offered and not
//	entity.go      what a node is                            XEP-0060 §4.6, §5
//	disco.go       service discovery                         XEP-0060 §5, XEP-0030
//	subscriber.go  subscribe and unsubscribe                 XEP-0060 §6.1, §6.2
//	items.go       retrieve items                            XEP-0060 §6.5
//	paging.go      result sets                               XEP-0059
//	publisher.go   publish                                   XEP-0060 §7.1
//	payload.go     JSON in XML                               XEP-0335
//	audience.go    who has subscribed to what
//	notify.go      from the session to events
//	event.go       an event's bytes                          XEP-0060 §12.4
//	eventid.go     ids that prove a bounce
//	message.go     bounces, and chats                        XEP-0060 §12.4
//	presence.go                                              RFC 6121
//	misc.go        ping, version, time                       XEP-0199, XEP-0092, XEP-0202
//	errors.go      the one table of errors                   XEP-0060 §11
//	reply.go       answers' bytes
//	stats.go
//
// # Locks
//
// Outermost first: audience.change (held while the broker's session is asked), then audience.mu or subscription.mu,
// never both. Innermost: inbox.mu, gate.mu, counters.mu. While subscription.mu is held an event is queued on the link,
// which does not block.
//
// # Deliberately not done
//
// Creating, configuring and deleting nodes, affiliations, lists of one's subscriptions, subscription options, retract
// and purge, ad-hoc commands, archives (XEP-0313): each is refused by the name of its feature, or unknown.
// publish-options are refused rather than ignored, since a precondition that is not looked at is worse than none; an
// empty form is let pass. A subscription identifier (subid) is never given out. The publisher of an item is not named in
// events. Presence is not asked for: events go to whoever subscribed, online or not, as headlines, which servers do
// not store.
package xmpp
