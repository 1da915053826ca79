package pipeline

import (
	"fmt"
	"html"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// sentences are what the pages of the test site are made of. Each speaks of one of the
// themes of the default project context, or of none.
var sentences = []string{
	"The team runs an evaluation of every prompt before a release and compares the accuracy with the version before.",
	"A regression test on two hundred recorded questions takes four minutes and costs less than a coffee.",
	"Tracing each request shows which part of the latency belongs to the language model and which to the network.",
	"The monitoring dashboard shows tokens, cost and error rates for each deployment.",
	"Retrieval finds the ten most similar paragraphs with an embedding index and a keyword search side by side.",
	"The vector index is rebuilt each night, because documents change faster than their owners believe.",
	"A reranker reads the first fifty hits and puts the best document on top.",
	"Chunks of three hundred words gave better answers than chunks of a thousand words in every search experiment.",
	"An agent calls a tool, reads its output, and decides on the next step of the workflow.",
	"The orchestration layer retries a failed step twice and hands the task to a person after that.",
	"Planning in small steps made the agent slower and far more reliable.",
	"Annotators label eighty images an hour when the tool proposes a label first.",
	"Synthetic data filled the gaps where real examples were rare or private.",
	"The labeling guide has twelve pages, and every annotator reads it before the first data set.",
	"Video frames are sampled twice a second and described by a multimodal model.",
	"Audio and images share one embedding space, which makes search across media simple.",
	"The database keeps every answer together with the sources that it was built from.",
	"Engineers on call asked for fewer dashboards and better alerts.",
	"The migration took a weekend and nobody noticed it.",
	"Old scripts were deleted once nothing had called them for a month.",
	"The project is written in Go and runs on two small machines.",
	"Documentation lives beside the code and is tested like code.",
	"A change is merged when two people have read it and the tests are green.",
	"Users report mistakes with one click, and each report becomes a test case.",
	"Caching identical questions saved a third of all requests.",
	"The queue survives a restart of every process at any moment.",
	"Backups are restored once a month to prove that they work.",
	"Nobody edits configuration by hand on a server any more.",
	"Latency fell by half when the connection to the model was kept open.",
	"The authors publish their benchmark, the raw numbers and the code that made the figures.",
}

// page returns the HTML of article n; the same number always gives the same page.
func page(n int) string {
	random := rand.New(rand.NewPCG(uint64(n), 7))
	order := random.Perm(len(sentences))[:16+random.IntN(len(sentences)-16)]
	var b strings.Builder
	fmt.Fprintf(&b, `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Report %d on how we work</title></head><body>`, n)
	b.WriteString(`<nav><a href="/">Home</a> <a href="/about">About</a></nav><article>`)
	fmt.Fprintf(&b, "<h1>Report %d on how we work</h1>", n)
	for len(order) > 0 {
		k := min(len(order), 2+random.IntN(3))
		b.WriteString("<p>")
		for _, i := range order[:k] {
			b.WriteString(html.EscapeString(sentences[i]) + " ")
		}
		b.WriteString("</p>\n")
		order = order[k:]
	}
	b.WriteString("</article><footer>All rights reserved.</footer></body></html>")
	return b.String()
}

// site serves the pages /article/N, /thin (readable, too short) and /gone (404), and counts
// the requests for each path.
type site struct {
	*httptest.Server
	mu   sync.Mutex
	hits map[string]int
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{hits: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.hits[r.URL.Path]++
	hits := s.hits[r.URL.Path]
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	var n int
	switch _, err := fmt.Sscanf(r.URL.Path, "/article/%d", &n); {
	case err == nil:
		fmt.Fprint(w, page(n))
	case r.URL.Path == "/thin":
		fmt.Fprint(w, "<html><head><title>Thin</title></head><body><p>"+sentences[0]+" "+sentences[4]+"</p></body></html>")
	case r.URL.Path == "/flaky" && hits == 1:
		w.WriteHeader(http.StatusServiceUnavailable)
	case r.URL.Path == "/flaky":
		fmt.Fprint(w, page(1))
	case r.URL.Path == "/broken":
		w.WriteHeader(http.StatusInternalServerError)
	default:
		http.NotFound(w, r)
	}
}

func (s *site) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hits[path]
}
