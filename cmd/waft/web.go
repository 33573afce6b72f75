package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// The servers of the listeners, and what a slow client may take of each. On every one of them:
//
//	PROXY header     read_header_timeout, from the connection
//	TLS handshake    read_header_timeout, from there
//	request's head   read_header_timeout, from there or from its first byte
//	request's body   body_timeout, from the head; a poll's, Bayeux's 30 s
//	response         the handlers' own: outbox.write_timeout and their likes
//	next request     idle_timeout

// HTTP/2 only: a connection on which nothing comes is asked whether it is still there, as sockets are.
const (
	pingAfter  = 25 * time.Second
	pongWithin = 10 * time.Second
)

// newWeb makes the server of the public listener. It has no WriteTimeout and no ReadTimeout: a poll is answered when there is something to
// say, and the latter would end it.
func newWeb(s *settings, handler http.Handler, certs *certificates, logger *slog.Logger) *http.Server {
	web := &http.Server{
		Handler:           bodiesWithin(s.HTTP.BodyTimeout.Duration, handler),
		ReadHeaderTimeout: s.HTTP.ReadHeaderTimeout.Duration,
		IdleTimeout:       s.HTTP.IdleTimeout.Duration,
		MaxHeaderBytes:    s.HTTP.MaxHeader,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: s.HTTP.MaxStreams,
			SendPingTimeout:      pingAfter, PingTimeout: pongWithin, WriteByteTimeout: s.Outbox.WriteTimeout.Duration,
		},
	}
	if certs != nil {
		web.TLSConfig = certs.config(&s.TLS)
		web.ConnState = certs.observe
	}
	return web
}

// observe is http.Server.ConnState.
func (c *certificates) observe(nc net.Conn, state http.ConnState) {
	if conn, ok := nc.(*tls.Conn); ok && state == http.StateClosed && !conn.ConnectionState().HandshakeComplete {
		c.failed.Add(1)
	}
}

// newSide makes the server of a listener that answers at once: of the redirect, and of the admin, whose profiles take a while.
func newSide(handler http.Handler, logger *slog.Logger, level slog.Level, write time.Duration) *http.Server {
	return &http.Server{
		Handler:           bodiesWithin(sideTimeout, handler),
		ReadHeaderTimeout: sideTimeout,
		WriteTimeout:      write,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), level),
	}
}

const sideTimeout = 10 * time.Second

// bodiesWithin bounds the time that a request's body may take, also of one that nobody reads: net/http does, before the next request, which
// has a deadline of its own. Handlers that want another one set it.
func bodiesWithin(limit time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(limit)) // fails where there is no connection: in a test
		}
		next.ServeHTTP(w, r)
	})
}

// serveOn runs the server until it is closed; over TLS if it has certificates.
func serveOn(web *http.Server, l net.Listener) error {
	if web.TLSConfig != nil {
		return web.ServeTLS(l, "", "")
	}
	return web.Serve(l)
}

// listen opens the listeners. On an error some of them may be open.
func (s *server) listen(ctx context.Context, settings *settings) (err error) {
	if s.public, err = s.listenFor(ctx, settings, "listen", settings.Listen); err != nil {
		return err
	}
	if s.private, err = listen(ctx, "admin_listen", settings.AdminListen); err != nil {
		return err
	}
	if settings.TLS.Redirect != "" {
		s.plain, err = s.listenFor(ctx, settings, "tls.redirect", settings.TLS.Redirect)
	}
	return err
}

func (s *server) closeListeners() {
	for _, l := range []net.Listener{s.public, s.private, s.plain} {
		if l != nil {
			_ = l.Close() // it may be closed
		}
	}
}

// listenFor is listen, with the PROXY protocol if that is configured.
func (s *server) listenFor(ctx context.Context, settings *settings, what, address string) (net.Listener, error) {
	l, err := listen(ctx, what, address)
	if err != nil || !settings.ProxyProtocol {
		return l, err
	}
	return &proxyListener{Listener: l, trusted: s.proxies, within: settings.HTTP.ReadHeaderTimeout.Duration, logger: s.logger, stats: &s.proxyStats}, nil
}
