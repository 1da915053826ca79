// Package mlflowtest holds an MLflow tracking server in memory, for tests that need speed
// or failures, and State, which reads back what a server holds, in memory or real.
//
// The server keeps the rules of MLflow 3.17 that a client can trip over: ids it draws
// itself, params that never change, points of metrics stored once, deleted runs that
// refuse writes, spans stored all or not at all. The contract tests of collector/
// mlflowexporter/internal/apply run over it and over the real server alike.
package mlflowtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/test/sandbox"
)

// Fault is what happens to a request instead of, or after, being served.
type Fault struct {
	// Serve lets the server do what was asked before it fails.
	Serve bool
	// Status is answered with Body; 0 breaks the connection without an answer.
	Status int
	Body   string
	// RetryAfter is the header of that name; empty: none.
	RetryAfter string
	// Kill ends the server instead of an answer, as kill -9 does: its database stays, and
	// until Revive nothing listens at its address.
	Kill bool
	// Hang lets the request wait until it is closed; nil: it does not wait.
	Hang <-chan struct{}
}

// Locked is how MLflow on SQLite answers when the database stays locked.
func Locked() *Fault {
	return &Fault{Status: http.StatusServiceUnavailable, Body: `{"error_code":"TEMPORARILY_UNAVAILABLE","message":"(sqlite3.OperationalError) database is locked"}`}
}

// Race is how MLflow answers when two writers meet in its database.
func Race() *Fault {
	return &Fault{Status: http.StatusBadRequest, Body: `{"error_code":"BAD_REQUEST","message":"(psycopg2.errors.UniqueViolation) duplicate key value violates unique constraint \"trace_info_pk\""}`}
}

// Internal is an error of the server that says nothing.
func Internal() *Fault {
	return &Fault{Status: http.StatusInternalServerError, Body: `{"error_code":"INTERNAL_ERROR","message":"something broke"}`}
}

// Lost does what was asked and breaks the connection before the answer.
func Lost() *Fault { return &Fault{Serve: true} }

// Server is an MLflow tracking server in memory.
type Server struct {
	URL string

	// OldTraces answers as MLflow 3.7 does when it is told of a trace of which it holds more: what
	// the info does not say is cut off, or fails to be. (Before 3.13 that is so of assessments, and
	// before 3.14 one that is there already is told in other words.)
	OldTraces bool
	// ShortLinks refuses to link a trace to a prompt whose name and version are too long for
	// PostgreSQL.
	ShortLinks bool
	// MaxTag, unless it is 0, is the length of the longest tag that the database takes.
	MaxTag int
	// Version is what GET /version answers.
	Version string
	// ArtifactRoot, if set, is the artifact address of experiments made from then on,
	// instead of one that the server serves.
	ArtifactRoot string
	// NoFolders keeps artifacts as S3 does: a file may have the name of a folder.
	NoFolders bool
	// IntoFolders writes a file that has the name of a folder into that folder, as MLflow 3.7 does on a disk.
	IntoFolders bool

	http *httptest.Server
	mux  *http.ServeMux

	mu          sync.Mutex
	dead        bool
	fail        func(*http.Request) *Fault
	calls       []string
	experiments []*experimentState
	runs        []*runState
	traces      map[string]*traceState
	files       map[string][]byte // by path below the artifact root
	folders     map[string]int    // how many files are below each
	prompts     map[string][]mlflow.ModelVersion
	models      map[string]*mlflow.Prompt
	datasets    []*datasetState
	clock       int64
}

// Start starts a server; Close stops it.
func Start() *Server {
	s := &Server{Version: "3.17.2", traces: map[string]*traceState{}, files: map[string][]byte{}, folders: map[string]int{}, prompts: map[string][]mlflow.ModelVersion{}, models: map[string]*mlflow.Prompt{}, mux: http.NewServeMux()}
	s.routes()
	l, err := listen()
	if err != nil {
		panic(fmt.Sprint("mlflowtest: ", err)) // as httptest does
	}
	s.serveOn(l)
	s.URL = s.http.URL
	return s
}

// listen takes an address that systems do not give to clients, so that it is free for Revive.
func listen() (l net.Listener, err error) {
	for range 10 { // somebody else may be faster
		var address string
		if address, err = sandbox.FreeAddress(); err != nil {
			return nil, err
		}
		var c net.ListenConfig
		if l, err = c.Listen(context.Background(), "tcp", address); err == nil {
			return l, nil
		}
	}
	return nil, err
}

func (s *Server) serveOn(l net.Listener) {
	s.http = &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: time.Minute}}
	s.http.Start()
}

// Revive starts a server that was killed again, at the same address and with what it held.
func (s *Server) Revive() error {
	s.http.Close()
	var listen net.ListenConfig
	l, err := listen.Listen(context.Background(), "tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		return fmt.Errorf("listen again: %w", err)
	}
	s.mu.Lock()
	s.dead = false
	s.mu.Unlock()
	s.serveOn(l)
	return nil
}

// Close stops the server.
func (s *Server) Close() { s.http.Close() }

// Calls lists the requests since the last Reset, as "METHOD path" without ids.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.calls...)
}

// Fail makes the server ask for a fault for each request from now on; nil ends that. The
// function is called concurrently.
func (s *Server) Fail(fault func(r *http.Request) *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fault
}

// Reset forgets the list of requests, and nothing else.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

// Purge removes a run for good, as `mlflow gc` does.
func (s *Server) Purge(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs = slices.DeleteFunc(s.runs, func(r *runState) bool { return r.info.ID == id })
}

// RunIDs are the ids of the runs that have a key, deleted ones included.
func (s *Server) RunIDs(key string) (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runs {
		if r.tags[wire.TagKey] == key {
			ids = append(ids, r.info.ID)
		}
	}
	return ids
}

// DropPrompt removes a prompt with all its versions.
func (s *Server) DropPrompt(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.prompts, name)
	delete(s.models, name)
}

// Wipe makes the server as if it had a new, empty database.
func (s *Server) Wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.experiments, s.runs, s.traces = nil, nil, map[string]*traceState{}
	s.files, s.folders = map[string][]byte{}, map[string]int{}
	s.prompts, s.models = map[string][]mlflow.ModelVersion{}, map[string]*mlflow.Prompt{}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls = append(s.calls, r.Method+" "+callName(r.URL.Path))
	fail, dead := s.fail, s.dead
	s.mu.Unlock()
	if dead {
		panic(http.ErrAbortHandler)
	}
	var fault *Fault
	if fail != nil {
		fault = fail(r)
	}
	if fault == nil {
		s.mux.ServeHTTP(w, r)
		return
	}
	if fault.Serve {
		s.mux.ServeHTTP(httptest.NewRecorder(), r)
	} else {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	if fault.Hang != nil {
		<-fault.Hang
	}
	if fault.Kill {
		s.mu.Lock()
		s.dead = true
		s.mu.Unlock()
		_ = s.http.Listener.Close() // connections that are open end with their next request
	}
	if fault.Status == 0 || fault.Kill {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	if fault.RetryAfter != "" {
		w.Header().Set("Retry-After", fault.RetryAfter)
	}
	w.WriteHeader(fault.Status)
	_, _ = io.WriteString(w, fault.Body)
}

// callName cuts ids off a path.
func callName(path string) string {
	for _, prefix := range []string{artifactPath, "/api/3.0/mlflow/traces/"} {
		if strings.HasPrefix(path, prefix) && len(path) > len(prefix) {
			return prefix + "…"
		}
	}
	return path
}

// failure is an answer in MLflow's form.
type failure struct {
	status        int
	code, message string
}

func (f failure) Error() string { return f.message }

func invalid(format string, args ...any) error {
	return failure{http.StatusBadRequest, "INVALID_PARAMETER_VALUE", fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return failure{http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", fmt.Sprintf(format, args...)}
}

// handle registers a call that takes JSON, or nothing, and answers JSON. It runs with the
// server locked.
func handle[In any](s *Server, pattern string, serve func(in In, r *http.Request) (any, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var in In
		if r.Method != http.MethodGet {
			if r.Header.Get("Content-Type") != "application/json" {
				answer(w, nil, failure{http.StatusBadRequest, "INVALID_PARAMETER_VALUE", "Bad Request. Content-Type must be 'application/json'."})
				return
			}
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
				http.Error(w, "<!doctype html><title>500</title>", http.StatusInternalServerError)
				return
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		out, err := serve(in, r)
		answer(w, out, err)
	})
}

func answer(w http.ResponseWriter, out any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		var f failure
		if !errors.As(err, &f) {
			f = failure{http.StatusInternalServerError, "INTERNAL_ERROR", err.Error()}
		}
		w.WriteHeader(f.status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error_code": f.code, "message": f.message})
		return
	}
	if out == nil {
		out = struct{}{}
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (s *Server) routes() {
	s.mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s.Version) })
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "<!doctype html>\n<title>404 Not Found</title>")
	})
	s.runRoutes()
	s.artifactRoutes()
	s.traceRoutes()
	s.assessmentRoutes()
	s.promptRoutes()
	s.datasetRoutes()
	s.probeRoutes()
}

// tick gives a time that is never given twice, in ms since 1970.
func (s *Server) tick() int64 {
	s.clock = max(s.clock+1, time.Now().UnixMilli())
	return s.clock
}
