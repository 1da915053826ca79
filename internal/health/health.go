// Package health answers those who watch the worker: whether it is alive (/healthz), whether
// it does its work (/readyz), and what it measures (/metrics). It has an address of its own,
// on loopback, and asks for no password.
package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Check is a condition that has to hold.
type Check struct {
	Name  string // such as "database"
	Check func(context.Context) error
}

// Config configures a Server.
type Config struct {
	// Addr is host:port; port 0 is one that is free.
	Addr string
	// Alive has to hold for both answers; a worker of which it does not hold is to be started
	// anew. Ready has to hold for /readyz alone.
	Alive, Ready []Check
	// Metrics answers /metrics; nil: nobody does.
	Metrics http.Handler
	// Timeout bounds the checks of one request. Default 2 s.
	Timeout time.Duration
	// Logger is told when a condition ceases to hold and when it holds again, and why, which
	// the answer does not say. Default: nobody is.
	Logger *slog.Logger
}

// Server answers.
type Server struct {
	cfg    Config
	server *http.Server
	addr   net.Addr
	done   chan struct{}

	mu     sync.Mutex
	failed map[string]bool // as it was said last
}

// Start listens and answers until Stop.
func Start(cfg Config) (*Server, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = 2 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	l, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("METRICS_ADDR: listen on %s: %w", cfg.Addr, err)
	}
	s := &Server{cfg: cfg, addr: l.Addr(), done: make(chan struct{}), failed: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, cfg.Alive) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, cfg.Alive, cfg.Ready) })
	if cfg.Metrics != nil {
		mux.Handle("GET /metrics", cfg.Metrics)
	}
	s.server = &http.Server{Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	go s.serve(l)
	return s, nil
}

func (s *Server) serve(l net.Listener) {
	defer close(s.done)
	if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		s.cfg.Logger.Error("health and metrics are no longer answered", "err", err)
	}
}

// Addr is where it listens.
func (s *Server) Addr() string { return s.addr.String() }

// Stop ends it; requests under way may end as long as ctx allows.
func (s *Server) Stop(ctx context.Context) error {
	if s == nil {
		return nil
	}
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = s.server.Close()
	}
	<-s.done
	return err
}

// status is the body of an answer.
type status struct {
	Status string   `json:"status"` // ok or failing
	Failed []string `json:"failed"` // names of the checks that failed
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, groups ...[]Check) {
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.Timeout)
	defer cancel()
	out := status{Status: "ok", Failed: []string{}}
	code := http.StatusOK
	for _, group := range groups {
		for _, c := range group {
			err := c.Check(ctx)
			if r.Context().Err() != nil {
				return // the client is gone, which says nothing about the worker
			}
			if s.note(ctx, c.Name, err); err != nil {
				out.Status, code = "failing", http.StatusServiceUnavailable
				out.Failed = append(out.Failed, c.Name)
			}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(out) // the client may be gone
}

// note says a change once.
func (s *Server) note(ctx context.Context, name string, err error) {
	s.mu.Lock()
	before := s.failed[name]
	s.failed[name] = err != nil
	s.mu.Unlock()
	switch {
	case err != nil && !before:
		s.cfg.Logger.WarnContext(ctx, "the worker is not well", "check", name, "err", err)
	case err == nil && before:
		s.cfg.Logger.InfoContext(ctx, "the worker is well again", "check", name)
	}
}
