package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"waft/broker"
	"waft/broker/disk"
)

// controlName is the socket in the data directory by which commands reach the process that has it open. Who may write to the directory
// may ask: it has the messages anyway, which the admin listener, open to everybody on the machine, must not give away.
const controlName = "waft.sock"

// control serves the socket.
type control struct {
	http    *http.Server
	on      net.Listener
	serving sync.WaitGroup
}

// newControl opens the socket of a data directory that this process has locked.
func newControl(ctx context.Context, dir string, db *disk.DB, logger *slog.Logger) (*control, error) {
	path := filepath.Join(dir, controlName)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a process that was killed
		return nil, err
	}
	short, done, err := shortPath(path)
	if err != nil {
		return nil, err
	}
	defer done()
	on, err := new(net.ListenConfig).Listen(ctx, "unix", short)
	if err != nil {
		return nil, err
	}
	on.(*net.UnixListener).SetUnlinkOnClose(false) // under the short name, it may be another's by then
	if err := os.Chmod(path, 0o600); err != nil {
		_ = on.Close()
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /backup", func(w http.ResponseWriter, r *http.Request) { backUp(w, r, db, logger) })
	c := &control{http: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn)}, on: on}
	c.serving.Go(func() { _ = c.http.Serve(on) })
	return c, nil
}

// close waits for what is under way.
func (c *control) close(dir string) {
	_ = c.http.Shutdown(context.Background())
	c.serving.Wait()
	_ = os.Remove(filepath.Join(dir, controlName))
}

// backUp answers POST /backup?to=/path: 200 when the backup is there.
func backUp(w http.ResponseWriter, r *http.Request, db *disk.DB, logger *slog.Logger) {
	to, began := r.URL.Query().Get("to"), time.Now()
	err := error(broker.Errorf(broker.Invalid, "a backup needs a directory, as an absolute path"))
	if filepath.IsAbs(to) {
		err = db.Backup(filepath.Clean(to))
	}
	if err != nil {
		logger.ErrorContext(r.Context(), "a backup failed", slog.String("directory", to), slog.Any("error", err))
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	logger.InfoContext(r.Context(), "a backup was made", slog.String("directory", to), slog.Duration("took", time.Since(began)))
	plain(w, http.StatusOK, "done\n")
}

// errNobody is that no process serves the data directory's socket.
var errNobody = errors.New("no process serves it")

// askControl asks the process that has a data directory open. errNobody: there is none.
func askControl(ctx context.Context, dir, path string, query url.Values) error {
	short, done, err := shortPath(filepath.Join(dir, controlName))
	if err != nil {
		return errNobody
	}
	defer done()
	var unreachable error
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, "unix", short)
			unreachable = err
			return nc, err
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://waft"+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		if unreachable != nil && ctx.Err() == nil {
			return errNobody
		}
		return fmt.Errorf("asking the process that has %s open: %w", dir, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(bodyText(response.Body))
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// shortPath gives another name of a socket whose path is too long for the system (about 100 bytes), until done.
func shortPath(path string) (short string, done func(), err error) {
	if len(path) < 100 || runtime.GOOS != "linux" {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)), func() { _ = dir.Close() }, nil
}
