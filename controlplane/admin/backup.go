package admin

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// chunk is the most data that one message of a backup holds, in bytes.
const chunk = 64 << 10

// Backup implements AdminService: a consistent copy of the running store, then its digest. A copy pins a state of the
// store while it is under way, so a reader that stops reading ends it.
func (s *Service) Backup(_ *gatehousev1.BackupRequest, out gatehousev1.AdminService_BackupServer) error {
	ctx, cancel := context.WithCancel(out.Context())
	defer cancel()
	b := &backup{out: out, sum: sha256.New(), progress: make(chan struct{}, 1)}
	done := make(chan error, 1)
	// A send that is stuck in flow control ends only once this function has returned, so it cannot be waited for here.
	s.tasks.Go(func() { done <- s.copy(ctx, b) })
	stall := time.NewTimer(s.stall)
	defer stall.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-b.progress:
			stall.Reset(s.stall)
		case <-stall.C:
			return status.Errorf(codes.ResourceExhausted, "nothing of the backup was read for %s", s.stall)
		}
	}
}

// copy writes the store to b, and then what it is. Whoever has no last message, with a digest that is right, has no
// backup.
func (s *Service) copy(ctx context.Context, b *backup) error {
	revision, err := s.store.Backup(ctx, b)
	if err != nil {
		return s.status("backup", fmt.Errorf("copying the store: %w", err))
	}
	s.log.Info("backup taken", "revision", revision, "bytes", b.size)
	return b.out.Send(&gatehousev1.BackupResponse{Sha256: b.sum.Sum(nil), Revision: revision})
}

// backup is an io.Writer whose bytes go to the caller of Backup.
type backup struct {
	out      gatehousev1.AdminService_BackupServer
	sum      hash.Hash
	size     int64
	progress chan struct{} // one slot, filled by each send that went through
}

// Write implements io.Writer. Send has encoded the bytes when it returns, so they may be reused.
func (b *backup) Write(data []byte) (int, error) {
	for rest := data; len(rest) > 0; {
		piece := rest[:min(chunk, len(rest))]
		if err := b.out.Send(&gatehousev1.BackupResponse{Data: piece}); err != nil {
			return len(data) - len(rest), fmt.Errorf("sending %d bytes: %w", len(piece), err)
		}
		select {
		case b.progress <- struct{}{}:
		default: // the last one has not been seen yet
		}
		rest = rest[len(piece):]
	}
	b.sum.Write(data) // a hash never returns an error
	b.size += int64(len(data))
	return len(data), nil
}
