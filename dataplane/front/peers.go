package front

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// tellWithin bounds how long one other proxy may take to hear of something.
	tellWithin = 2 * time.Second
	// maxTelling bounds the messages to other proxies under way at the same time. What comes while all are taken is not told.
	maxTelling = 256
)

// peers are the other proxies of the fleet. The zero value must be given a client.
type peers struct {
	client  *http.Client
	telling sync.WaitGroup

	mu sync.Mutex // guards below
	// avoided :: address → until when it is not dialled; only addresses that fleet members sealed or the control plane named
	// get here, and entries are dropped once they are over
	avoided map[string]time.Time
	under   int  // messages under way
	closed  bool // nothing is told any more
}

// send sends a request to a peer, and returns its answer once that begins. The error is errUnreached where nothing was sent.
func (p *peers) send(ctx context.Context, address string, head *http.Request, body []byte) (*http.Response, error) {
	if p.avoids(address) {
		return nil, errAvoided
	}
	resp, err := p.client.Do(request(ctx, address, head, body)) //nolint:gosec // addresses are the fleet's, never an agent's
	if errors.Is(err, errUnreached) && ctx.Err() == nil {
		p.avoid(address)
	}
	return resp, err
}

// avoids says whether a peer is not to be dialled yet.
func (p *peers) avoids(address string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	until, ok := p.avoided[address]
	if ok && !time.Now().Before(until) {
		delete(p.avoided, address)
		ok = false
	}
	return ok
}

// avoid has a peer not be dialled for a while.
func (p *peers) avoid(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for other, until := range p.avoided {
		if !now.Before(until) {
			delete(p.avoided, other)
		}
	}
	if p.avoided == nil {
		p.avoided = make(map[string]time.Time)
	}
	p.avoided[address] = now.Add(avoidFor)
}

// expect has a peer be dialled at once that was not there a moment ago.
func (p *peers) expect(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.avoided, address)
}

// tell sends a request to one peer in the background, as far as there is room; whether it arrives, nobody learns.
func (p *peers) tell(ctx context.Context, address string, head *http.Request, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.under >= maxTelling {
		return
	}
	p.under++
	p.telling.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, tellWithin)
		defer cancel()
		if resp, err := p.send(ctx, address, head, body); err == nil {
			_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection can be used again
			resp.Body.Close()
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.under--
	})
}

// close waits for what is being told, which does not take long, and lets connections go.
func (p *peers) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.telling.Wait()
	p.client.CloseIdleConnections()
}

// broadcast sends a request to all other proxies but one, in the background, unless it came from one of them: what it is
// about may be with any of them, or with none. Nothing waits for a proxy that does not answer.
func (h *Handler) broadcast(r *http.Request, x *exchange, but string) {
	if h.conf.Peers == nil || h.conf.Address == "" || forwarded(r) {
		return
	}
	all := h.conf.Peers()
	if len(all) == 0 {
		return
	}
	head := onward(r, h.conf.Address)
	body := bytes.Clone(x.body)
	ctx := context.WithoutCancel(r.Context())
	for _, address := range all {
		if address != h.conf.Address && address != but {
			h.peers.tell(ctx, address, head, body)
		}
	}
}
