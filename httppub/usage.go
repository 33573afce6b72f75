package httppub

import (
	"math"
	"time"

	"waft/broker"
)

// showUsage answers what the realm has used of this process since it started: counters that only grow, of which a reader takes
// differences.
func (h *Reader) showUsage(c *call) error {
	if err := h.opts.Broker.May(c.Context(), c.who, broker.ActManage, "/**"); err != nil {
		return err
	}
	s := h.opts.Broker.Stats()
	reply := struct {
		Since       time.Time          `json:"since"`
		MessagesIn  uint64             `json:"messages_in"`   // published and accepted
		MessagesOut uint64             `json:"messages_out"`  // queued for sessions, once for each
		Read        uint64             `json:"messages_read"` // from histories over HTTP, by those who waited too
		BytesIn     uint64             `json:"bytes_in"`      // texts of messages_in
		BytesOut    uint64             `json:"bytes_out"`     // texts of messages_out
		Minutes     map[string]float64 `json:"connection_minutes"`
		Connections map[string]int     `json:"connections"` // sessions now
	}{
		Since: s.Began.UTC(), MessagesIn: s.Published, MessagesOut: s.Delivered, Read: h.counters.messages.Load(),
		BytesIn: s.PublishedBytes, BytesOut: s.DeliveredBytes,
		Minutes: map[string]float64{}, Connections: s.Sessions,
	}
	for protocol, lived := range s.SessionTime {
		reply.Minutes[protocol] = math.Round(lived.Minutes()*1000) / 1000
	}
	h.answer(c, encode(reply))
	return nil
}
