package bench

// plan says which message goes where, the same in every process, so that nobody has to be told.
//
// Subscriber i has the channel i mod channels. Each publisher goes round all channels, beginning at a place of its own;
// its j-th message is the j/channels-th to its channel.
type plan struct {
	channels, publishers int
}

// channelOf is where publisher p's j-th message goes, and its number there.
func (l plan) channelOf(p int, j uint64) (channel int, n uint64) {
	return int((j + l.offset(p)) % uint64(l.channels)), j / uint64(l.channels)
}

// sentTo is how many of publisher p's first j messages go to channel.
func (l plan) sentTo(p int, j uint64, channel int) uint64 {
	c := uint64(l.channels)
	place := (uint64(channel) + c - l.offset(p)) % c // in p's round
	return (j + c - 1 - place) / c
}

// index is j, given where the message went.
func (l plan) index(p, channel int, n uint64) uint64 {
	c := uint64(l.channels)
	return n*c + (uint64(channel)+c-l.offset(p))%c
}

// offset spreads the publishers over the channels; it is below channels.
func (l plan) offset(p int) uint64 {
	return uint64(p) * uint64(l.channels) / uint64(l.publishers)
}

// members is how many of the subscribers first … first+count-1 have channel.
func (l plan) members(first, count, channel int) int {
	below := func(i int) int { return (i + l.channels - 1 - channel) / l.channels } // of 0 … i-1
	return below(first+count) - below(first)
}
