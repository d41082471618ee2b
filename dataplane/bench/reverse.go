package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// serveReverse is the plain reverse proxy that the gateway is compared with.
func serveReverse(addr, to string) error {
	target, err := url.Parse(to)
	if err != nil {
		return fmt.Errorf("parsing %q: %w", to, err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 256},
	}
	buffered := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body) // unbuffered, it cuts some large answers short
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}
	return http.ListenAndServe(addr, http.HandlerFunc(buffered))
}
