// Package interop runs the built waft program against software that other
// people wrote and that is used unmodified: Faye, CometD, Chromium, Fanout's
// publishers, curl, slixmpp, xmpp.js, strophe.js, stanza, Prosody, ejabberd, nginx
// and HAProxy. (strace is there to slow waft down, from outside.)
//
// The tests carry the build tag interop and need those programs installed:
//
//	apt-get install curl nodejs ruby-faye prosody ejabberd python3-slixmpp chromium nginx haproxy strace
//	cd interop && npm ci
//	go test -tags interop ./interop/...
//
// A test whose peer is missing is skipped and says what to install; with CI=true
// in the environment it fails instead.
//
// # What is shown
//
//   - matrix_test.go: what any publisher sends, every subscriber receives: the
//     same JSON text, once, in order.
//   - life_test.go: every Bayeux client outside browsers (fleet_test.go), from handshake
//     to disconnect, beside strangers whose messages have its ids.
//   - cut_test.go: their connections are cut in the middle of a stream of messages.
//   - replay_test.go: clients with a replay extension leave and come back.
//   - moving_test.go: what the documentation tells those who come from Faye or CometD.
//   - browser_test.go: Faye and CometD in Chromium over every transport that
//     browsers have, from waft's own pages and from others; and the pages that
//     may not.
//   - sse_test.go: EventSource in Chromium and in Node.js, and curl, on event
//     streams that are cut off and that outlive a restart.
//   - proxies_test.go: every protocol through nginx and HAProxy, with the configurations
//     that docs/proxies.md shows; and the client's address, in headers and by the PROXY protocol.
//   - tls_test.go: TLS that waft ends itself, with curl, Node and Chromium.
//   - restart_test.go: waft dies and comes back; clients and links find their
//     way without help.
//   - linkcut_test.go: a link that is cut is made again, and its users notice a
//     gap at most.
//   - pubsub_test.go: owners, subscribers and their presence through both XMPP
//     servers; and that no message is lost when the link is cut.
//   - checklist_test.go: the numbered cases of XEP-0060 and its neighbours that users
//     can play, through both XMPP servers.
//   - crash_test.go: an XMPP server is killed in the middle of a burst; nothing is
//     lost, and the counts are logged.
//   - loss_test.go: publishers count and readers resume on every protocol, while nemesis_test.go kills, pauses, cuts, fills and, with
//     slowdisk_test.go, slows down; the package loss judges what was lost, came twice, changed places or was acknowledged too early
//     (`make loss` for long). lossmutant_test.go: and says so of a broken broker.
//   - hostile_test.go: no stanza of an XMPP user ends the link to her server.
//   - fanout_test.go: Fanout's publishers and what they are told, with the right
//     key and with a wrong one.
//   - soak_test.go: waves of plain clients over every transport; nothing is lost or
//     repeated, and nothing stays behind (`make soak` for long).
//   - idle_test.go: what a session that waits costs (`make bench-idle` for many).
//   - benchpeers_test.go, rivals_test.go, pushpin_test.go: waft, nchan, Faye, CometD and Pushpin under the same load, beside
//     floor/, which is the system calls alone (`make bench-peers`; nothing is measured otherwise). cores_test.go: measured while the
//     two cores are near each other.
//   - benchscale_test.go: waft and the floor with ever more subscribers (`make bench-scale`).
//   - overload_test.go: readers that stall, and every drop counted; overloadfull_test.go: what others notice of them (`make overload`).
//   - xmppclients_test.go: xmpp.js, strophe.js, stanza and slixmpp publish, receive and
//     use ad-hoc commands, over TCP and WebSocket.
//   - starting_test.go: Faye's client, also in Chromium, starts over connections that overtake each other, and hears everything once.
//   - quickstart_test.go: the commands that waft prints at its first start work.
//
// # How it is built
//
// Each client is driven by a short script in drivers/, which speaks JSON lines:
// commands on stdin, events on stdout (drivers/js/lines.mjs). The type driver
// runs one. Prosody and ejabberd are started once for all tests, on free ports
// and with files in a temporary directory; waft is started by every test, with
// a configuration file as a user would write it. Between waft and an XMPP
// server sits a relay that counts connections: it is how a test knows, from
// outside, that a link was never lost.
//
// Nothing here imports another package of waft, but for the judge in loss/.
package interop
