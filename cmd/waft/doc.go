// Command waft is a publish-subscribe broker for JSON messages that speaks HTTP, Bayeux and XMPP.
//
// # What flows
//
//	flags > environment > file > defaults ──load──▶ settings ──newServer──▶ listeners ─▶ router ─▶ realms
//
// A server is its listeners, its realms and what they share (timers, the outbox, the log). The other commands talk to a
// server as any stranger would, and share nothing with it but the protocols.
//
// # What is promised
//
// Data is on stdout, everything else on stderr. The exit code is 0 when the command did what it was asked, 1 when
// that failed, and 2 when it was asked for something that makes no sense: a flag, a variable, a configuration.
// The first SIGINT or SIGTERM ends a command cleanly, the second one at once. No token, key or client id is ever logged.
//
// # Files
//
//	main.go            what the commands have in common; one file each: serve.go, token.go (with token_check.go, token_apikey.go), publish.go, subscribe.go, config.go,
//	                   bench.go (the load generator is package bench), version.go. arguments.go lets flags stand anywhere
//	settings.go        the shape of the configuration, with settings_auth.go (_pair, _jwks, _apikey, _revoked), settings_bayeux.go, settings_disk.go, settings_tls.go,
//	                   settings_presence.go, settings_http.go and settings_xmpp.go
//	settings_load.go   where it comes from; settings_check.go what is wrong with it; settings_keys.go and suggest.go how to say
//	                   so; environment.go, secret.go, units.go
//	server.go          a server's life; realm.go a realm's; listen.go, web.go (the servers, and what slow clients may take of them), router.go, admin.go, admin_subscribers.go; metrics.go and metrics_*.go
//	reload.go          new rules, keys, limits and certificates on SIGHUP
//	clientaddr.go      whose request it is, behind proxies; proxyheader.go the same by the PROXY protocol
//	certificates.go    what is shown over TLS; acme.go where an authority makes it; redirect.go for who comes without TLS
//	logging.go         log lines; what sessions do; sparingly.go those that strangers can bring about
//	firstrun.go        what to paste when nothing is configured
//	data.go            the data directory: backup, check, export, import, with data_lines.go; control.go the socket in it, by which a
//	                   server that runs is asked
//	client.go          what publish, subscribe and bench have in common
//	bayeux_client.go   the Bayeux client of subscribe: sockets; bayeux_replies.go: what comes over them
//	check.go           the outside monitor: its flags; check_tokens.go its credentials; check_run.go the check of one server;
//	                   check_ear.go judges what one protocol brings; check_doors.go lists the protocols: check_bayeux.go,
//	                   check_events.go, check_messages.go; check_report.go text, JSON and metrics
//
// # Deliberately not done
//
// TLS of the admin listener, certificates of clients, stapled OCSP; and reloading anything but rules, keys, limits and certificates.
package main
