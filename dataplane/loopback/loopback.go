// Package loopback names addresses on this machine for the programs that tests and benchmarks start.
//
// A program that is told port 0 gets a free one, but one that is started before others know its address, or again on the
// same one, has to be told a number. A number that the kernel gave out a moment ago is a poor choice: as soon as it is let
// go, the kernel may give it to the next connection of any process.
package loopback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// The ports to choose from. They end where the kernel's own begin: Linux gives out 32768 to 60999
// (ip_local_port_range), others 49152 to 65535 (RFC 6335 §6), so that no connection and no listener on port 0 takes one.
const (
	firstPort = 16384
	endPort   = 32768
)

var (
	mu     sync.Mutex       // guards below
	claims []net.PacketConn // keep what Addr named from other processes
)

// Addr names an address of 127.0.0.1 on which nobody listens over TCP. It is named once only until this process ends, to
// any caller of Addr in any process: the UDP port of the same number is held as the sign that it is taken.
func Addr() (string, error) {
	mu.Lock()
	defer mu.Unlock()
	start := rand.IntN(endPort - firstPort) //nolint:gosec // G404: only keeps processes from trying the same ports in turn
	for i := range endPort - firstPort {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+(start+i)%(endPort-firstPort))
		claim, err := net.ListenPacket("udp", addr)
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			claim.Close()
			continue
		}
		l.Close()
		claims = append(claims, claim)
		return addr, nil
	}
	return "", errors.New("finding a free port on 127.0.0.1: all are taken")
}
