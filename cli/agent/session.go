package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// initialized is what a client sends once initialize was answered.
const initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`

// session is the legacy session of a bridge, as far as there is one. It survives the gateway's losing it: a client on a
// pipe cannot know of sessions, so it cannot begin a new one.
type session struct {
	renewing  sync.Mutex // held while a lost session is replaced, so that one request does it and the others wait
	once      sync.Once  // of listening
	listening sync.WaitGroup

	mu      sync.Mutex // guards below
	id      string
	version string
	hello   []byte // the initialize that began it
}

// set takes the session that an answer to initialize gave.
func (s *session) set(id, version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.version = id, version
}

// greet keeps the message that begins a session.
func (s *session) greet(line []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hello = line
}

// current returns the session's id, empty where there is none.
func (s *session) current() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// write adds the session to the headers of a request.
func (s *session) write(h http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id != "" {
		h.Set(mcp.HeaderSession, s.id)
		h.Set(mcp.HeaderVersion, s.version)
	}
}

// post sends a message. Where the gateway does not know the session any more, nothing has been executed, so the message
// goes out once more in a new one (MCP 2025-11-25, basic/transports §Session Management).
func (b *bridge) post(ctx context.Context, line []byte, m mcp.Message) (*http.Response, error) {
	if m.Method == "initialize" {
		b.session.greet(line)
	}
	header := b.header(m)
	resp, err := b.client.post(ctx, line, header)
	lost := header.Get(mcp.HeaderSession)
	if err != nil || resp.StatusCode != http.StatusNotFound || lost == "" || m.Kind == mcp.Response {
		return resp, err
	}
	if b.renew(ctx, lost) != nil {
		return resp, nil //nolint:nilerr // the first answer says what is the matter
	}
	resp.Body.Close()
	return b.client.post(ctx, line, b.header(m))
}

// renew begins a session in place of a lost one, unless another request has done so meanwhile.
func (b *bridge) renew(ctx context.Context, lost string) error {
	s := &b.session
	s.renewing.Lock()
	defer s.renewing.Unlock()
	s.mu.Lock()
	hello, renewed := s.hello, s.id != lost
	s.mu.Unlock()
	if renewed {
		return nil
	}
	resp, err := b.client.post(ctx, hello, nil)
	if err != nil {
		return fmt.Errorf("beginning another session: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("beginning another session: %w", statusError(resp))
	}
	err = messages(resp, func(message []byte) error {
		if answer, err := mcp.ScanMessage(message); err == nil && answer.Result != nil {
			s.set(resp.Header.Get(mcp.HeaderSession), versionOf(answer.Result))
		}
		return nil
	})
	if err != nil || s.current() == lost {
		return errors.Join(errNoAnswer, err)
	}
	return b.confirm(ctx)
}

// confirm says that the new session may be used.
func (b *bridge) confirm(ctx context.Context) error {
	header := make(http.Header)
	b.session.write(header)
	resp, err := b.client.post(ctx, []byte(initialized), header)
	if err != nil {
		return fmt.Errorf("beginning another session: %w", err)
	}
	return resp.Body.Close()
}

// listenOnce begins to listen to what the gateway says outside of calls, once there is a session to listen in.
func (b *bridge) listenOnce(ctx context.Context) {
	if b.session.current() == "" {
		return
	}
	b.session.once.Do(func() { b.session.listening.Go(func() { b.listen(ctx) }) })
}

// listen writes what the gateway says outside of calls, until ctx ends or the gateway has no such stream.
func (b *bridge) listen(ctx context.Context) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 500*time.Millisecond, 30*time.Second
	for ctx.Err() == nil {
		id := b.session.current()
		heard, status := b.hear(ctx)
		switch {
		case heard:
			pause.Reset()
		case status == http.StatusNotFound && b.renew(ctx, id) == nil:
		case !passes(status):
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// passes says whether what kept a stream from opening may pass: nobody answered (0), or nobody could.
func passes(status int) bool {
	return status == 0 || status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}

// hear reads one stream to its end; false says that there was none, with the status that came in its place, if any.
func (b *bridge) hear(ctx context.Context) (heard bool, status int) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.client.URL, http.NoBody)
	if err != nil {
		return false, http.StatusBadRequest
	}
	b.session.write(req.Header)
	req.Header.Set("Accept", "text/event-stream")
	b.client.authorize(req)
	resp, err := b.client.http().Do(req)
	if err != nil {
		return false, 0
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return false, resp.StatusCode
	}
	_ = messages(resp, func(message []byte) error { // however it ends, it is opened again
		if _, err := mcp.ScanMessage(message); err != nil {
			return nil //nolint:nilerr // not for a client
		}
		return b.write(message)
	})
	return true, resp.StatusCode
}

// endSession tells the gateway that the client is gone.
func (b *bridge) endSession(ctx context.Context) error {
	id := b.session.current()
	if id == "" {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, b.client.URL, http.NoBody)
	if err != nil {
		return fmt.Errorf("ending session: %w", err)
	}
	req.Header.Set(mcp.HeaderSession, id)
	b.client.authorize(req)
	resp, err := b.client.http().Do(req)
	if err != nil {
		return fmt.Errorf("ending session: %w", err)
	}
	return resp.Body.Close()
}
