// Package system holds the tests of the whole: the programs as they are built, over TCP, with real child processes,
// killed and changed under load. It has no code of its own, and refuses to know more of Gatehouse than its users do.
package system
