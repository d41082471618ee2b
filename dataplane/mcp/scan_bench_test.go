package mcp_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// results are what upstreams answer, of about n bytes each.
func results(n int) map[string]string {
	text := strings.Repeat("The quick brown fox jumps over the lazy dog and then it does so again. ", n/71+1)[:n]
	var rows strings.Builder
	for i := 0; rows.Len() < n; i++ {
		fmt.Fprintf(&rows, `{"id":%d,"name":"row %d","ok":true,"score":%d.25,"tags":["a","bc"]},`, i, i, i)
	}
	return map[string]string{
		"text":   `{"content":[{"type":"text","text":"` + text + `"}]}`,
		"lines":  `{"content":[{"type":"text","text":"` + strings.ReplaceAll(text, ". ", `.\n`) + `"}]}`,
		"umlaut": `{"content":[{"type":"text","text":"` + strings.ReplaceAll(text, "o", "ö") + `"}]}`,
		"base64": `{"content":[{"type":"image","mimeType":"image/png","data":"` + base64.StdEncoding.EncodeToString([]byte(text))[:n] + `"}]}`,
		"quoted": `{"content":[{"type":"text","text":"` + strings.ReplaceAll(rows.String(), `"`, `\"`) + `"}]}`,
		"rows":   `{"content":[],"structuredContent":{"rows":[` + rows.String() + `null]}}`,
	}
}

func BenchmarkScanResult(b *testing.B) {
	for _, n := range []int{100, 64 << 10, 1 << 20} {
		for _, name := range []string{"text", "lines", "umlaut", "base64", "quoted", "rows"} {
			message := []byte(`{"jsonrpc":"2.0","id":12,"result":` + results(n)[name] + `}`)
			b.Run(fmt.Sprintf("%s/%dk", name, n>>10), func(b *testing.B) {
				b.SetBytes(int64(len(message)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := mcp.ScanMessage(message); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
