package mlflowtest

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Files lists what is kept of artifacts, by path below the artifact root.
func (s *Server) Files() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.files))
}

// probeRoutes are those that only mlflowctl calls.
func (s *Server) probeRoutes() {
	s.mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "OK") })
	s.mux.HandleFunc("GET "+artifactPath+"{path...}", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		content, found := s.files[r.PathValue("path")]
		if !found {
			answer(w, nil, failure{http.StatusInternalServerError, "INTERNAL_ERROR", "No such file or directory"})
			return
		}
		_, _ = w.Write(content)
	})
	s.mux.HandleFunc("DELETE "+artifactPath+"{path...}", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for path := range s.files {
			if path == r.PathValue("path") || strings.HasPrefix(path, r.PathValue("path")+"/") {
				s.remove(path)
			}
		}
		answer(w, nil, nil)
	})
	handle(s, "POST "+api2+"/traces/delete-traces", func(in struct {
		Experiment string   `json:"experiment_id"`
		IDs        []string `json:"request_ids"`
	}, _ *http.Request,
	) (any, error) {
		n := 0
		for id, t := range s.traces {
			if slices.Contains(in.IDs, id) && t.info.Location.Experiment.ID == in.Experiment {
				delete(s.traces, id)
				n++
			}
		}
		return map[string]int{"traces_deleted": n}, nil
	})
}
