package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"

	"waft/auth"
)

func (p *program) serveCommand() *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "run a server",
		Description: "With nothing configured it serves this machine only, makes a key, and prints commands to try.\n" +
			"SIGTERM or SIGINT ends it cleanly, a second one at once. SIGHUP reloads rules, keys, limits and certificates.\n\n" +
			"Variables: " + envConfig + ", " + envListen + ", " + envAdminListen + " and " + envData + " stand for the flags; " + envRealmKey +
			" is the key (base64) of the realm `" + defaultRealm + "`.",
		Flags: []cli.Flag{
			configFlag(),
			&cli.StringFlag{Name: "listen", Usage: "serve the protocols on `ADDRESS` (default 127.0.0.1:8080)"},
			&cli.StringFlag{Name: "admin-listen", Usage: "serve health, metrics and profiles on `ADDRESS` (default 127.0.0.1:8081)"},
			&cli.StringFlag{Name: "data", Usage: "keep histories and state in `DIR`, through restarts (default: in memory)"},
		},
		Action: p.serve,
	}
}

func (p *program) serve(c *cli.Context) error {
	settings, err := p.loadFor(c)
	if err != nil {
		return err
	}
	made, err := settings.makeKeys()
	if err != nil {
		return err
	}
	logger := newLogger(p.stderr, settings.LogFormat, settings.LogLevel)
	s, err := newServer(c.Context, settings, p.env, logger)
	if err != nil {
		return err
	}
	if p.hangups == nil {
		hangups := make(chan os.Signal, 1)
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
		p.hangups = hangups
	}
	s.start()
	if p.started != nil {
		p.started(s)
	}
	logger.Info("listening", slog.String("scheme", settings.TLS.scheme()), slog.Any("address", s.public.Addr()), slog.Any("admin", s.private.Addr()), slog.String("version", versionText()))
	if !isLoopback(c.Context, settings.AdminListen) {
		logger.Warn("the admin listener can be reached from other machines, and asks nobody who they are", slog.Any("address", s.private.Addr()))
	}
	for _, f := range made {
		f.program, f.scheme, f.address = p.invoked, settings.TLS.scheme(), s.public.Addr()
		if err := f.print(p.stdout); err != nil {
			logger.Error("printing the first steps failed", slog.Any("error", err))
		}
	}

	failed := p.untilStopped(c, s)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context), settings.Drain.Duration)
	defer cancel()
	if err := s.stop(ctx); err != nil {
		return firstError(failed, fmt.Errorf("stopping: %w", err))
	}
	logger.Info("stopped")
	return failed
}

// untilStopped waits for the signal to stop, or for a listener that fails, and reloads the configuration whenever it is asked to.
func (p *program) untilStopped(c *cli.Context, s *server) (failed error) {
	for {
		select {
		case failed = <-s.failed:
			s.logger.Error("a listener failed; stopping", slog.Any("error", failed))
			return failed
		case <-c.Context.Done():
			return nil
		case <-p.hangups:
			_ = p.reload(c, s)
		case done := <-s.reloads:
			done <- p.reload(c, s)
		}
	}
}

// reload loads the configuration and puts it in effect, or says why not.
func (p *program) reload(c *cli.Context, s *server) error {
	next, err := p.loadFor(c)
	if err == nil {
		err = s.reload(c.Context, next, p.env)
	}
	if err != nil {
		s.logger.Error("the configuration was not reloaded, and nothing has changed", slog.Any("error", err))
	}
	return err
}

// makeKeys makes a key for every realm that has none, and what to tell the user about it.
func (s *settings) makeKeys() ([]*firstRun, error) {
	var made []*firstRun
	for i := range s.Realms {
		r := &s.Realms[i]
		if !r.keyless() {
			continue
		}
		text := auth.GenerateSecret()
		r.Keys = []keySettings{{ID: "main", secretSettings: secretSettings{Secret: newSecret(text)}}}
		r.Keys[0].complete()
		r.keyMade = true
		key, err := r.Keys[0].key(nil, "")
		if err != nil {
			return nil, err
		}
		made = append(made, &firstRun{realm: r.ID, key: key, text: text})
	}
	return made, nil
}
