package stream

import (
	"slices"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// peers are the addresses of the proxies that are connected and named one.
type peers struct {
	addresses []string      // sorted, each once; replaced, never changed
	moved     chan struct{} // closed and replaced when they are
}

// connectedLocked notes that a proxy has come or gone. Most changes of a fleet are not of this kind, so whoever follows the
// addresses is woken for these alone.
func (f *Fleet) connectedLocked() {
	var addresses []string
	for _, m := range f.members {
		if m.conn != nil && m.address != "" {
			addresses = append(addresses, m.address)
		}
	}
	slices.Sort(addresses)
	addresses = slices.Compact(addresses)
	if slices.Equal(addresses, f.peers.addresses) {
		return
	}
	close(f.peers.moved)
	f.peers = peers{addresses, make(chan struct{})}
}

// connected returns who is connected, and a channel that closes when that changes.
func (f *Fleet) connected() peers {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.peers
}

// tellPeers returns the message that tells the proxy of the others, or nil where it knows.
func (n *session) tellPeers() *gatehousev1.FollowResponse {
	now := n.svc.fleet.connected()
	n.peersDue, n.moved = false, now.moved
	others := slices.DeleteFunc(slices.Clone(now.addresses), func(a string) bool { return a == n.address })
	if n.peersTold && slices.Equal(others, n.peers) {
		return nil
	}
	n.peers, n.peersTold = others, true
	return &gatehousev1.FollowResponse{Message: &gatehousev1.FollowResponse_Peers{Peers: &gatehousev1.Peers{Addresses: others}}}
}
