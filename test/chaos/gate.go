//go:build linux

package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

// gate is where the Collector finds MLflow. It rings at each request and each answer, which
// it holds meanwhile, and is closed while MLflow is down, so that a connection is refused as
// it would be without it.
type gate struct {
	address string
	handler http.Handler

	mu     sync.Mutex
	server *http.Server
}

func newGate(b *bell, address, target string) *gate {
	to := &url.URL{Scheme: "http", Host: target}
	return &gate{address: address, handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			b.ring(eventRequest, 1)
			r.SetURL(to)
		},
		ModifyResponse: func(r *http.Response) error {
			if r.StatusCode == http.StatusOK && strings.HasSuffix(r.Request.URL.Path, "/runs/create") {
				b.ring(eventCreated, 1)
			}
			b.ring(eventAnswer, 1)
			return nil
		},
		// MLflow leaves Nagle's algorithm on; only a new connection acknowledges at once.
		Transport: &http.Transport{DisableKeepAlives: true},
		// What MLflow does not answer ends without an answer.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:     log.New(io.Discard, "", 0), // that a connection was cut is no news here
	}}
}

func (g *gate) open() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.server != nil {
		return nil
	}
	l, err := net.Listen("tcp", g.address)
	if err != nil {
		return err
	}
	g.server = &http.Server{Handler: g.handler, ErrorLog: log.New(io.Discard, "", 0)}
	go func(s *http.Server) { _ = s.Serve(l) }(g.server)
	return nil
}

// close cuts all connections off. It may be called while the bell rings.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.server != nil {
		_ = g.server.Close()
		g.server = nil
	}
}
