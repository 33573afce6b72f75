package wsread

import (
	"bufio"
	"net"
	"net/http"

	"github.com/gorilla/websocket"
)

// Upgrade is websocket.Upgrader.Upgrade for a connection that r will read. u must have no ReadBufferSize: then gorilla reads from where
// the server has read, which is here.
func (r *Reader) Upgrade(u *websocket.Upgrader, w http.ResponseWriter, request *http.Request) (err error) {
	r.conn, err = u.Upgrade(upgrading{w, &r.feed}, request, nil)
	r.feed.buffered = bufio.Reader{} // it was lent for the upgrade
	return err
}

type upgrading struct {
	http.ResponseWriter
	feed *feed
}

// Hijack implements http.Hijacker.
func (u upgrading) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil || rw.Reader.Buffered() > 0 { // gorilla refuses who has not waited for the answer
		return nc, rw, err
	}
	u.feed.buffered = *bufio.NewReaderSize(u.feed, bufferSize)
	return nc, bufio.NewReadWriter(&u.feed.buffered, rw.Writer), nil
}
