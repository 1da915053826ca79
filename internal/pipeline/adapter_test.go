package pipeline

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/retrieval"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/internal/wire"
)

// Links are read by the adapter of their rule. The spans of the stage and of the job name it,
// each request is a span, and no request tells of them.
func TestAdaptersAreRecordedAndTellNobodyOfTheTrace(t *testing.T) {
	answers := map[string]string{}
	for path, file := range map[string]string{
		"/api/query": "arxiv/paper.xml", "/repos/harbour-lab/tidebook": "github/repo.json",
		"/repos/harbour-lab/tidebook/readme": "github/readme.html", "/repos/harbour-lab/tidebook/releases/latest": "github/release.json",
	} {
		body, err := os.ReadFile(filepath.Join("..", "retrieval", "testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		answers[path] = string(body)
	}
	var mu sync.Mutex
	var asked []*http.Request
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r)
		mu.Unlock()
		if body, found := answers[r.URL.Path]; found {
			_, _ = w.Write([]byte(body))
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(page(1)))
	}))
	t.Cleanup(web.Close)
	requests := func() []*http.Request {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(asked)
	}

	r := newRig(t, rigConfig{mode: telemetry.ModeTracing})
	retriever, err := retrieval.New(retrieval.Config{
		AllowHosts: []string{"loopback"}, ArxivAPI: web.URL, ArxivSite: web.URL, GithubAPI: web.URL, ArxivInterval: time.Nanosecond,
		Rules: data.Default().Rules,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Retriever = retriever
	for _, tt := range []struct {
		link, adapter string
		requests      int
	}{
		{"https://arxiv.org/abs/2411.01234", "ArxivAdapter", 2}, // the API, and the PDF, which is not there
		{"https://github.com/harbour-lab/tidebook", "GithubAdapter", 3},
		{web.URL + "/article", "GenericAdapter", 1},
	} {
		before := len(requests())
		_, earlier := r.outbox(t)
		r.finish(t, r.jobs(t, tt.link)[0].ID)
		_, spans := r.outbox(t)
		gets, named := 0, 0
		for _, span := range spans[len(earlier):] {
			switch span.Name {
			case wire.SpanHTTPGet:
				gets++
			case wire.SpanJob, wire.SpanRetrieval:
				if named++; text(span, wire.AttrRetrievalAdapter) != tt.adapter {
					t.Errorf("%s: span %s names %q, want %s", tt.link, span.Name, text(span, wire.AttrRetrievalAdapter), tt.adapter)
				}
			}
		}
		if n := len(requests()) - before; n != tt.requests || gets != n || named != 2 {
			t.Errorf("%s: %d requests, %d spans of requests, %d spans with an adapter", tt.link, n, gets, named)
		}
	}
	for _, request := range requests() {
		for _, name := range []string{"Traceparent", "Tracestate", "Baggage", "Cookie"} {
			if value := request.Header.Get(name); value != "" {
				t.Errorf("%s was asked with %s: %s", request.URL, name, value)
			}
		}
	}
}
