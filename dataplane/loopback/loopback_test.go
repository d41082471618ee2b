package loopback_test

import (
	"net"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/loopback"
)

func TestAddressesAreFreeAndNamedOnce(t *testing.T) {
	const callers, each = 8, 16
	named := make(chan string, callers*each)
	var tasks sync.WaitGroup
	for range callers {
		tasks.Go(func() {
			for range each {
				addr, err := loopback.Addr()
				if err != nil {
					t.Errorf("Addr() = %v", err)
				}
				named <- addr
			}
		})
	}
	tasks.Wait()
	close(named)
	seen := map[string]bool{}
	for addr := range named {
		if seen[addr] {
			t.Errorf("%s was named twice", addr)
		}
		seen[addr] = true
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Errorf("listening on what Addr named: %v", err)
			continue
		}
		t.Cleanup(func() { l.Close() })
		if c, err := net.ListenPacket("udp", addr); err == nil {
			c.Close()
			t.Errorf("%s can be claimed again", addr)
		}
	}
}
