package disk

import (
	"encoding/binary"

	"waft/broker"
)

// The first byte of a key says what it is; see the package documentation. Realms and channels have no zero byte.
const (
	headKind    = 'h' // realm 0 channel → head
	messageKind = 'c' // realm 0 channel 0 offset → message
	itemKind    = 'i' // realm 0 channel 0 id → offset of the newest message with the id
	keyKind     = 'k' // bucket realm 0 channel 0 key → receipt
	recordKind  = 's' // realm 0 key → revision, value
	metaKind    = 'm' // name → a fact about the database
)

// inRealm is kind, realm and the zero byte behind it.
func inRealm(kind byte, realm string) []byte {
	b := make([]byte, 0, 2+len(realm)+64)
	b = append(b, kind)
	b = append(b, realm...)
	return append(b, 0)
}

func headKey(realm string, c broker.Channel) []byte { return append(inRealm(headKind, realm), c...) }

// channelKey is the prefix of what a channel has of a kind.
func channelKey(kind byte, realm string, c broker.Channel) []byte {
	return append(append(inRealm(kind, realm), c...), 0)
}

// offsetKey is the key of a message; big-endian, so that their order is that of the offsets.
func offsetKey(messages []byte, offset uint64) []byte {
	b := make([]byte, len(messages), len(messages)+8)
	copy(b, messages)
	return binary.BigEndian.AppendUint64(b, offset)
}

// offsetOf is the offset in a message's key.
func offsetOf(key []byte) uint64 { return binary.BigEndian.Uint64(key[len(key)-8:]) }

func join(prefix []byte, rest string) []byte {
	b := make([]byte, len(prefix), len(prefix)+len(rest))
	copy(b, prefix)
	return append(b, rest...)
}

// after is the first key behind all that begin with prefix.
func after(prefix []byte) []byte {
	b := append([]byte(nil), prefix...)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return b[:i+1]
		}
	}
	return nil
}

// bucketSpan is how many nanoseconds of idempotency keys lie together, to be dropped together.
const bucketSpan = 60_000_000_000

func bucketKey(bucket int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyKind}, uint64(bucket))
}

// keyKey is the key of an idempotency key that was used in a bucket's time.
func keyKey(bucket int64, realm string, c broker.Channel, key string) []byte {
	b := append(bucketKey(bucket), realm...)
	b = append(append(b, 0), c...)
	return append(append(b, 0), key...)
}

func metaKey(name string) []byte { return append([]byte{metaKind}, name...) }
