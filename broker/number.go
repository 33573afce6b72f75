package broker

// A position as a number, for clients that know no other: Salesforce's, whose libraries keep it as a double or as a long. It
// has 53 bits, which every JSON parser reads exactly: above, 21 bits folded from the epoch; below, 32 of the offset.
//
// Taken for a position of another epoch it would hand out the wrong messages, so the epoch's bits are compared. They
// agree by chance once in two million new epochs (restarts, evictions), and even then the offset must lie in the new
// history. Offsets beyond 32 bits, which a channel with a thousand messages a second has after fifty days, have no number.
const (
	numberEpochBits  = 21
	numberOffsetBits = 32
)

// Number is the position as a number from 1 to 2^53-1. ok is false if it has none.
func (p Position) Number() (n int64, ok bool) {
	if p.Offset == 0 || p.Offset>>numberOffsetBits != 0 {
		return 0, false
	}
	return int64(p.fold()<<numberOffsetBits | p.Offset), true
}

// fold mixes the epoch before it is cut: an engine may count its epochs.
func (p Position) fold() uint64 {
	const golden = 0x9e3779b97f4a7c15 // 2^64 by the golden ratio: neighbours end up far apart (Fibonacci hashing)
	return p.Epoch * golden >> (64 - numberEpochBits)
}

// at is the position in p's epoch that has the number; ok is false if it is none of this epoch.
func (p Position) at(number int64) (_ Position, ok bool) {
	at := Position{Epoch: p.Epoch, Offset: uint64(number) & (1<<numberOffsetBits - 1)}
	n, ok := at.Number()
	return at, ok && n == number && !p.IsZero()
}
