package interop_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestServerEndsItsStreamsBeforeTheAnswer has a tool of the Go SDK end the stream of its call a few times (SEP-1699) before it
// answers. The server keeps its events, so the gateway can go on; without a store the answer is lost, which agents hear at once.
func TestServerEndsItsStreamsBeforeTheAnswer(t *testing.T) {
	for name, store := range map[string]mcp.EventStore{"kept": mcp.NewMemoryEventStore(nil), "lost": nil} {
		t.Run(name, func(t *testing.T) {
			again := make(chan struct{}, 64) // each time that the gateway takes the stream up
			server := mcp.NewServer(&mcp.Implementation{Name: "poller", Version: "1"}, nil)
			mcp.AddTool(server, &mcp.Tool{Name: "slow"}, func(ctx context.Context, r *mcp.CallToolRequest, _ any) (*mcp.CallToolResult, any, error) {
				for taken := 0; taken < 8; {
					r.Extra.CloseSSEStream(mcp.CloseSSEStreamArgs{RetryAfter: time.Millisecond}) // without effect until it is open again
					select {
					case <-again:
						taken++
					case <-time.After(20 * time.Millisecond):
						if store == nil {
							taken++
						}
					case <-ctx.Done():
						return nil, nil, ctx.Err()
					}
				}
				return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil, nil
			})
			handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{EventStore: store})
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Last-Event-ID") != "" {
					again <- struct{}{}
				}
				handler.ServeHTTP(w, r)
			}))
			t.Cleanup(func() { upstream.CloseClientConnections(); upstream.Close() })
			url := startWith(t, object{"poller": object{"type": "http", "url": upstream.URL}}, anybody)
			client, err := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1"}, nil).
				Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: url + "/poller"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			got, err := client.CallTool(t.Context(), &mcp.CallToolParams{Name: "slow"})
			if store == nil {
				var e *jsonrpc.Error
				if !errors.As(err, &e) || e.Code != -32603 || !strings.Contains(string(e.Data), "SERVER_UNAVAILABLE") {
					t.Errorf("CallTool = %+v, %v, want error -32603 with SERVER_UNAVAILABLE", got, err)
				}
				return
			}
			if err != nil || len(got.Content) != 1 || got.Content[0].(*mcp.TextContent).Text != "done" {
				t.Errorf("CallTool = %+v, %v, want what the tool says in the end", got, err)
			}
		})
	}
}
