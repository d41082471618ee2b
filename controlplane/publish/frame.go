package publish

import (
	"fmt"
	"time"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that Codec falls back to
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Frame is one snapshot as it goes over the wire, shared by all streams. It MUST NOT be changed.
type Frame struct {
	// Position names the snapshot.
	Position *gatehousev1.Position
	// RequiredFeatures are what a proxy must understand; one that lacks any is not sent the frame.
	RequiredFeatures []string
	// Published is when the frame became the newest.
	Published time.Time
	// Size is the length of the encoded frame in bytes.
	Size int

	wire mem.BufferSlice
}

// encode makes the frame of s: a FollowResponse, marshalled once. It is the only place where a snapshot is encoded for the
// wire; its content inside was encoded when it was resolved, and is copied as it is.
func encode(s *gatehousev1.Snapshot, now time.Time) (*Frame, error) {
	m := &gatehousev1.FollowResponse{Message: &gatehousev1.FollowResponse_Snapshot{Snapshot: s}}
	b, err := proto.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding the snapshot of revision %d: %w", s.GetPosition().GetRevision(), err)
	}
	return &Frame{
		Position:         s.GetPosition(),
		RequiredFeatures: s.GetRequiredFeatures(),
		Published:        now,
		Size:             len(b),
		wire:             mem.BufferSlice{mem.SliceBuffer(b)},
	}, nil
}

// codec passes a *Frame through as the bytes it already is. gRPC compression must stay off with it, since that would be
// done anew for each stream.
type codec struct{ encoding.CodecV2 }

// Codec returns the codec that a gRPC server needs for SendMsg to take a *Frame; all other messages are plain protobuf.
func Codec() encoding.CodecV2 {
	return codec{CodecV2: encoding.GetCodecV2("proto")}
}

// Marshal implements encoding.CodecV2. The buffer of a frame is not pooled, so gRPC's Free of it does nothing.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*Frame); ok {
		return f.wire, nil
	}
	return c.CodecV2.Marshal(v)
}
