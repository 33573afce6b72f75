package xmpp

import (
	"hash/maphash"
	"strconv"
	"strings"
)

// The id of an event is a number that is never given twice, and a mark made of that number and its recipient. So a
// bounce proves that it answers an event that was sent to that address, and no table of what was sent is needed.
//
// The mark is a keyed hash and no cryptographic one: a server vouches for who sent the bounce, and what somebody can
// do with a forged one is to end his own subscription, which he may do anyway. It keeps mistaken bounces out.

func (s *Service) appendEventID(b []byte, sub *subscription) []byte {
	n := s.count.eventIDs.Add(1)
	b = strconv.AppendUint(b, n, 36)
	return strconv.AppendUint(append(b, '-'), s.mark(n, sub.mark), 36)
}

func (s *Service) mark(n, jid uint64) uint64 {
	return maphash.Comparable(s.seed, [2]uint64{n, jid})
}

// sentEvent tells whether an event with this id was sent to this JID.
func (s *Service) sentEvent(id, jid string) bool {
	number, mark, ok := strings.Cut(id, "-")
	n, err1 := strconv.ParseUint(number, 36, 64)
	m, err2 := strconv.ParseUint(mark, 36, 64)
	return ok && err1 == nil && err2 == nil && m == s.mark(n, maphash.String(s.seed, jid))
}
