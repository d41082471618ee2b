// Package stream speaks SnapshotService to proxies: one stream each, newest snapshot down, ack or nack up, and it knows
// of the fleet which proxy serves what.
//
// Latest wins: a stream holds at most the one shared frame that its proxy has not answered yet, and takes the newest
// next. A position that a process refused is not sent to it again. A send that makes no progress ends the stream, so a
// proxy that does not read costs one frame for a bounded time.
//
// It refuses a stream without hello, one whose proxy was replaced by a newer process of the same id, and to send a
// snapshot to a proxy that lacks a feature it requires.
package stream
