package broker

import "time"

// Tallies are what many have used of a Rate, by who they are. The zero value has room for as many as its first user says.
// It has no lock: whoever owns it has one.
//
// Who is at rest is as good as somebody who was never heard of, and needs no place. When there is none for somebody new, such a
// one is given up, or else any: he begins anew, which is to his advantage and to nobody's harm.
type Tallies[K comparable] struct{ known map[K]*Tally }

// looksForRoom is how many others a newcomer may cost a look at.
const looksForRoom = 32

// Of is the tally of who; most is how many may be known. now is as in Tally.Take.
func (x *Tallies[K]) Of(who K, most int, now int64) *Tally {
	t := x.known[who]
	if t != nil {
		return t
	}
	if x.known == nil {
		x.known = map[K]*Tally{}
	}
	if len(x.known) >= most {
		x.makeRoom(most, now)
	}
	t = new(Tally)
	x.known[who] = t
	return t
}

// Look is how long who has to wait for one more, as Tally.Wait; who is not known need not.
func (x *Tallies[K]) Look(who K, r Rate, now int64) time.Duration {
	if t := x.known[who]; t != nil && !r.Unlimited() {
		return t.Wait(r, now)
	}
	return 0
}

// Len is how many are known.
func (x *Tallies[K]) Len() int { return len(x.known) }

func (x *Tallies[K]) makeRoom(most int, now int64) {
	looks := 0
	var victim K
	for who, t := range x.known { // begins somewhere else each time
		victim = who
		if t.Idle(now) {
			delete(x.known, who) // and goes on: there may be many
		}
		if looks++; looks == looksForRoom {
			break
		}
	}
	if len(x.known) >= most {
		delete(x.known, victim)
	}
}
