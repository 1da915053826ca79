package retrieval

import (
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/technoshare/commentator/data"
)

// recorded reads an answer of testdata.
func recorded(t testing.TB, name string) string {
	t.Helper()
	body, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// hangs is the status of a reply that does not come.
const hangs = -1

// reply is what a service answers a path with.
type reply struct {
	status int // 0: 200
	header http.Header
	body   string
}

// service stands in for the API and the site of arXiv or GitHub. It answers by the path and
// query of a request, else 404, and keeps what it was asked.
type service struct {
	*httptest.Server
	replies map[string]reply

	mu    sync.Mutex
	asked []*http.Request
}

func newService(t testing.TB, replies map[string]reply) *service {
	t.Helper()
	s := &service{replies: replies}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Clone(r.Context()))
	answer, found := s.replies[r.URL.RequestURI()]
	s.mu.Unlock()
	if answer.status == hangs {
		<-r.Context().Done()
		return
	}
	if !found {
		answer = reply{status: http.StatusNotFound, body: `{"message": "Not Found"}`}
	}
	for name, values := range answer.header {
		w.Header()[name] = values
	}
	if answer.status == 0 {
		answer.status = http.StatusOK
	}
	w.WriteHeader(answer.status)
	w.Write([]byte(answer.body))
}

// all lists the requests that came, in order.
func (s *service) all() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// requests lists the paths that were asked for, in order.
func (s *service) requests() []string {
	var paths []string
	for _, r := range s.all() {
		paths = append(paths, r.URL.RequestURI())
	}
	return paths
}

func mediaType(kind string) http.Header { return http.Header{"Content-Type": {kind}} }

// newSpecial returns a Retriever whose arXiv and GitHub are s, by the default rules with some
// more. The links of s itself are read by an adapter when more says so.
func newSpecial(t testing.TB, s *service, more string, change ...func(*Config)) *Retriever {
	t.Helper()
	dir := t.TempDir()
	rules := `
default: {adapter: generic}
github.com: {adapter: github}
arxiv.org: {adapter: arxiv}
`
	if err := os.WriteFile(dir+"/"+data.DomainRulesFile, []byte(rules+more), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := data.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	own := func(c *Config) {
		c.Rules, c.ArxivAPI, c.ArxivSite, c.GithubAPI = loaded.Rules, s.URL, s.URL, s.URL
		c.ArxivInterval = time.Nanosecond
	}
	return newTest(t, append([]func(*Config){own}, change...)...)
}
