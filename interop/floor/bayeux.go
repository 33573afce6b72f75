//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"time"
)

// converse says yes to whatever a Bayeux client wants, until its connect waits (Bayeux 1.0 §4.2). It makes a floor for clients that answer: TCP
// acknowledges what they read at another time than for those who only read, and another core does.
func converse(nc net.Conn, in *bufio.Reader) {
	for connects := 0; connects < 2; {
		text, err := readFrame(in)
		if err != nil {
			log.Fatal("floor: reading a Bayeux message: ", err)
		}
		var asked []struct {
			Channel      string `json:"channel"`
			ID           string `json:"id"`
			Subscription string `json:"subscription"`
		}
		if err := json.Unmarshal(text, &asked); err != nil {
			log.Fatal("floor: what is not Bayeux: ", err)
		}
		for _, m := range asked {
			if m.Channel == "/meta/connect" {
				if connects++; connects == 2 {
					return
				}
			}
			reply := fmt.Appendf(nil, `[{"channel":%q,"id":%q,"clientId":"1","successful":true,"subscription":%q,"version":"1.0","supportedConnectionTypes":["websocket"]}]`,
				m.Channel, m.ID, m.Subscription)
			if _, err := nc.Write(frame(reply)); err != nil {
				log.Fatal("floor: answering: ", err)
			}
		}
	}
}

// readFrame takes a client's text message, which is in one frame and masked (RFC 6455 §5.3).
func readFrame(in *bufio.Reader) ([]byte, error) {
	var head [8]byte // of a length below 126: two bytes and the mask; of others two more
	if _, err := io.ReadFull(in, head[:6]); err != nil {
		return nil, err
	}
	size, mask := int(head[1]&0x7f), head[2:6]
	if size == 126 {
		if _, err := io.ReadFull(in, head[6:8]); err != nil {
			return nil, err
		}
		size, mask = int(binary.BigEndian.Uint16(head[2:4])), head[4:8]
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(in, text); err != nil {
		return nil, err
	}
	for i := range text {
		text[i] ^= mask[i%4]
	}
	return text, nil
}

// ask pings the clients that answer once a second, as servers of WebSockets do: else their TCP would take them for such that only read, after a
// pause of 40 ms. What they answer is not read.
func (f *floor) ask() {
	for range time.Tick(time.Second) {
		f.mu.Lock()
		for _, fd := range f.asked {
			write(fd, []byte{0x89, 0})
		}
		f.mu.Unlock()
	}
}
