package ws

import (
	"errors"
	"time"

	"github.com/gorilla/websocket"

	"waft/broker"
	"waft/broker/outbox/wsframe"
)

// Why sessions end, beside the broker's own reasons.
var (
	errGone     = &broker.Error{Kind: broker.Closed, Text: "the client has gone"}
	errSilent   = &broker.Error{Kind: broker.Closed, Text: "the client did not answer"}
	errBroken   = &broker.Error{Kind: broker.Invalid, Text: "the client broke the WebSocket protocol"}
	errBinary   = &broker.Error{Kind: broker.Invalid, Text: "frames must be text"}
	errNoText   = &broker.Error{Kind: broker.Invalid, Text: "a frame is not valid UTF-8"}
	errNobody   = &broker.Error{Kind: broker.Unauthenticated, Text: "no credential was shown in time"}
	errBad      = &broker.Error{Kind: broker.Unauthenticated, Text: "the credential was refused"}
	errTooLarge = &broker.Error{Kind: broker.TooLarge, Text: "a frame is too large"}
)

// Close codes of the door's own. (RFC 6455 §7.4.2) docs/websocket.md explains them.
const (
	closeCredential = 4401 // no credential in time, a bad one, or it has expired
	closeSlow       = 4408 // more was waiting than may
	closeEnded      = 4410 // somebody ended the session: do not come back by yourself
)

// codeOf is the close code for the reason with which a session ended.
func codeOf(reason error) int {
	switch endOf(reason) {
	case EndClient:
		return websocket.CloseNormalClosure
	case EndSilent, EndShutdown:
		return websocket.CloseGoingAway
	case EndCredential, EndExpired:
		return closeCredential
	case EndSlow:
		return closeSlow
	case EndMalformed:
		switch {
		case errors.Is(reason, errBinary):
			return websocket.CloseUnsupportedData
		case errors.Is(reason, errNoText):
			return websocket.CloseInvalidFramePayloadData
		}
		return websocket.CloseProtocolError
	case EndLarge:
		return websocket.CloseMessageTooBig
	case EndClosed, ends:
	}
	return closeEnded
}

// closeWait is how long the peer has to answer a close frame.
const closeWait = 2 * time.Second

// end ends the session for a reason of the door's own: before the peer can answer the close frame and seem to have gone by itself.
func (s *socket) end(reason error) {
	s.session.Close(reason)
	s.shut(reason)
}

// ended implements broker.SessionOptions.Ended. Before attach there is nobody to tell; attach looks by itself.
func (s *socket) ended(_ *broker.Session, reason error) {
	if s.conn.Load() != nil {
		s.shut(reason)
	}
}

// shut sends the close frame, with the reason's name, and ends the connection soon after. It may be called again.
func (s *socket) shut(reason error) { s.sendClose(codeOf(reason), endOf(reason).String()) }

func (s *socket) sendClose(code int, reason string) {
	s.mu.Lock()
	again := s.closing
	s.closing = true
	s.mu.Unlock()
	if again {
		return
	}
	_ = s.conn.Load().Write(wsframe.Closing(code, reason)) // a failed write is a failed read soon
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.timer.Reset(closeWait)
	}
}

// peerCloses answers the peer's close frame, unless it is an answer itself.
func (s *socket) peerCloses(code int, _ string) error {
	if code == websocket.CloseNoStatusReceived {
		code = websocket.CloseNormalClosure
	}
	s.sendClose(code, "")
	return nil
}
