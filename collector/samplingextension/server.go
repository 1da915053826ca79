package samplingextension

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"
)

// path is where Jaeger's clients ask.
const path = "/sampling"

// server is the extension.
type server struct {
	cfg        *Config
	set        component.TelemetrySettings
	strategies *file

	http *http.Server
	done sync.WaitGroup

	mu   sync.Mutex
	said string // what was said last to be wrong with the file
}

// Start implements component.Component. Strategies that cannot be read are an error then.
func (s *server) Start(ctx context.Context, host component.Host) error {
	if _, err := s.strategies.read(); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+path, s.serve)
	var err error
	if s.http, err = s.cfg.HTTP.ToServer(ctx, host.GetExtensions(), s.set, mux); err != nil {
		return fmt.Errorf("make server: %w", err)
	}
	listener, err := s.cfg.HTTP.ToListener(ctx)
	if err != nil {
		return fmt.Errorf("listen for questions about sampling: %w", err)
	}
	s.set.Logger.Info("Serving sampling strategies", zap.String("url", "http://"+listener.Addr().String()+path), zap.String("file", s.cfg.File))
	s.done.Go(func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.set.Logger.Error("Sampling strategies are served no more", zap.Error(err))
		}
	})
	return nil
}

// Shutdown implements component.Component.
func (s *server) Shutdown(ctx context.Context) error {
	if s.http == nil {
		return nil
	}
	err := s.http.Shutdown(ctx)
	s.done.Wait()
	return err
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	service := r.URL.Query().Get("service")
	if service == "" {
		http.Error(w, "the query must name a service: "+path+"?service=NAME", http.StatusBadRequest)
		return
	}
	held, err := s.strategies.read()
	s.complain(err)
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(held.of(service)); err != nil {
		s.set.Logger.Debug("An answer was not sent", zap.Error(err))
	}
}

// complain says once what is wrong with the file; what it said before holds on.
func (s *server) complain(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != s.said && text != "" {
		s.set.Logger.Error("The file of sampling strategies is not used; what it said before holds on", zap.Error(err))
	}
	s.said = text
}
