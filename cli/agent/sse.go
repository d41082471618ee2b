package agent

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
)

// messages visits the messages of an answer: the one of a JSON body, or each of an event stream. The bytes are valid only
// during the visit.
func messages(resp *http.Response, visit func([]byte) error) error {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("reading content type: %w", err)
	}
	body := io.LimitReader(resp.Body, maxBody)
	if kind == "text/event-stream" {
		return events(body, visit)
	}
	if kind != "application/json" {
		return fmt.Errorf("content type is %s, want application/json or text/event-stream", kind)
	}
	all, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	return visit(all)
}

// isJSON says whether an answer claims to hold one JSON value, with whatever parameters beside it.
func isJSON(resp *http.Response) bool {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// events visits the data of each event of a stream (HTML Living Standard §9.2.6). Comments and other fields do not count.
func events(r io.Reader, visit func([]byte) error) error {
	lines := bufio.NewReader(r)
	var data []byte
	for {
		line, err := lines.ReadBytes('\n')
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if rest, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			data = append(append(data, bytes.TrimPrefix(rest, []byte(" "))...), '\n')
		}
		if len(line) == 0 && len(data) > 0 {
			if err := visit(bytes.TrimSuffix(data, []byte("\n"))); err != nil {
				return err
			}
			data = data[:0]
		}
		if ended {
			return nil // an event without the empty line after it is incomplete
		}
	}
}
