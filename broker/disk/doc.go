// Package disk is the engine for one machine whose histories outlive the process: messages, idempotency keys and the records of a
// broker.Store in one Pebble database, of all realms of the process.
//
// # The path of a publish
//
//	Engine.Publish   finds the channel's state, encodes the message                       publish.go, channel.go, record.go
//	DB.commitAll     the committer, one goroutine: key known? position, batch, fsync      commit.go
//	channel.drain    delivers what is stored, in order, on the publisher's goroutine      channel.go
//
// While the committer waits for the disk, publishes of all channels and realms queue up and become its next batch: one fsync is for
// all of them. It delivers nothing itself, so that a channel with many readers does not hold up the others; whoever waits for a
// channel delivers what is due, under the channel's turn. History shows what has been delivered, not what is stored: storing and
// delivering are one step for every reader.
//
// What was delivered last stays in memory (tail.go), for readers who resume: a storm of them asks the disk once for each channel, if at
// all. A reading is answered from there (recent.go) or from Pebble (history.go), and the two say the same.
//
// What a channel does not keep (a rule without history) does not see the disk: its offsets and idempotency keys are in memory, and its
// epoch ends with the process.
//
// # What is promised
//
//   - With FsyncAlways a publish that was acknowledged, its idempotency key and its place survive a power cut; so do records and
//     removals. A batch is on the disk whole or not at all: there are no holes. With FsyncInterval and FsyncNever what
//     was acknowledged last can be lost when the process does not end cleanly.
//   - Positions stand through restarts. A channel begins a new epoch, so that readers are told HistoryLost, when its old offsets might be
//     given out twice: after an unclean end without FsyncAlways; when the directory is a copy (a backup that was put back, a
//     move to another disk), which is told by the inode and change time of the file waft-identity, on Linux; when the channel had
//     nothing to keep for Options.Forget; when its rule came to keep nothing. A snapshot of a whole disk cannot be told from
//     the disk: whoever puts one back removes waft-identity before the start.
//   - A batch is one commit: all of it is stored, or nothing.
//   - Whoever publishes fails for his own message, or because of the disk, and never for another's: what meets a damaged record is
//     told so (Internal), and those whose wait for the disk it shared are stored without it.
//   - What is forgotten for another reason than a limit changes the realm's mark, in the commit that forgets it (mark.go).
//   - A backup is a whole database as of one moment after it was asked for, or not there; its failures are none of the database's.
//   - What has grown too old stays away when the channel's age limit grows: with the message that brings the new limit, what had expired
//     under the old one is lost for good. (Messages expire in their order. One that is older than those before it goes with them.)
//   - Time that goes back keeps messages until it has caught up, and forgets no idempotency key early or late: those count on a
//     clock that goes on from the newest key.
//
// # When the disk fails
//
// With less than Options.MinFree left nothing new is stored; what frees room still is. A write or fsync that fails blows the fuse
// (fuse.go): no file is changed any more, publishes that have to be stored are refused as Unavailable, history is read as long as that
// works, channels without history go on. The repair (repair.go) tries the disk every Options.Retry, and when it takes writes, opens the
// database as after a crash. A publish that failed in that moment may have been stored all the same: then it is delivered late, and
// its key is known.
//
// # The database
//
//	h realm 0 channel            head: epoch, newest offset, what is lost, counts              record.go
//	c realm 0 channel 0 offset   message; offset in 8 bytes, big-endian
//	i realm 0 channel 0 id       offset of the newest message with the id; each message knows the one before it
//	k minute realm 0 channel 0 key   receipt of an idempotency key
//	s realm 0 key                revision, value of a record
//	m name                       format, salt, identity, unclean, state, how often a realm has forgotten something
//
// An epoch is the channel's own random number xored with the database's salt, so that one write begins new epochs everywhere. A
// message that falls out of the history is behind the head's `lost` at once, and is swept off the disk later, with range
// deletions. The format has a number, and a newer one is refused.
//
// # Locks
//
// Outermost first: DB.pebbleMu (read to use Pebble, write to replace it), a channel's turn, Engine.mu, a channel's mu, tails.mu. A channel's
// turn is held while a message is delivered, which does not block. The committer takes no turn, but of a channel that a repair has
// emptied.
//
// # Files
//
// db.go opens and closes; create.go makes directories; keys.go and record.go are the schema; batch.go publishes several messages at once;
// history.go, recent.go, tail.go, listing.go and remove.go are the rest of broker.Engine; trim.go is what falls out of a history, sweep.go what goes off
// the disk; mark.go how readers of wildcards are told of what was forgotten; store.go records; identity_linux.go how copies are told; stats.go counts.
// backup.go copies a database that is in use; readonly.go reads one that is not, and check.go holds its parts against one another.
//
// # Not here
//
// Replication.
package disk
