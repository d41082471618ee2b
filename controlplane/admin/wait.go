package admin

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// progressEvery bounds how often an unfinished Wait sends its progress: a fleet acks in bursts.
const progressEvery = 100 * time.Millisecond

// Wait implements AdminService: the fleet's progress towards a revision, until every proxy that is not offline is there,
// also one that connects meanwhile. With none it is done at once. A refusal does not end it, since the proxy may yet
// come back as another process; the caller sees it counted and decides.
func (s *Service) Wait(req *gatehousev1.WaitRequest, out gatehousev1.AdminService_WaitServer) error {
	newest, err := s.load(out.Context(), 0)
	if err != nil {
		return s.status("wait", err)
	}
	revision := req.GetRevision()
	switch head := newest.Record.GetRevision(); {
	case revision == 0:
		revision = head
	case revision < 0 || revision > head:
		return s.status("wait", &requestError{field: "revision", message: "is not a revision of this store"})
	}
	w := wait{service: s, revision: revision, cond: req.GetCondition(), out: out}
	return w.run()
}

// wait is one Wait under way. It holds no lock between its looks at the fleet.
type wait struct {
	service  *Service
	revision int64
	cond     gatehousev1.WaitCondition
	out      gatehousev1.AdminService_WaitServer
}

// run sends progress whenever the fleet has changed, not too often, and the end at once.
func (w *wait) run() error {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	dirty := true // something to tell: the first progress goes out even if nothing happens
	for {
		changed := w.service.fleet.Changed() // before reading, so that no change is missed
		p := w.service.fleet.Progress(w.revision, w.cond)
		if p.GetDone() {
			return w.send(p)
		}
		select {
		case <-changed:
			dirty = true
		case <-tick.C:
			if !dirty {
				continue
			}
			if err := w.send(p); err != nil {
				return err
			}
			dirty = false
		case <-w.service.draining:
			return status.Error(codes.Unavailable, "the control plane is shutting down")
		case <-w.out.Context().Done():
			return status.FromContextError(w.out.Context().Err()).Err()
		}
	}
}

// send sends where the fleet stands. The counts and done are those of p; the list may be a moment newer.
func (w *wait) send(p *gatehousev1.WaitResponse) error {
	p.Proxies = w.service.fleet.Towards(w.revision, w.cond)
	return w.out.Send(p)
}
