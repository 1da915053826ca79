package main

import (
	"fmt"
	"net"
	"net/http"
	"time"
)

// loopback is an HTTP server of the demo itself.
type loopback struct {
	address string // "http://127.0.0.1:PORT"
	server  *http.Server
}

func serve(h http.Handler) (*loopback, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &loopback{address: "http://" + l.Addr().String(), server: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}}
	go func() { _ = s.server.Serve(l) }() // ends with close
	return s, nil
}

func (l *loopback) close() { _ = l.server.Close() }
