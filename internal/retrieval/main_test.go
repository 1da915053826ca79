package retrieval

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/technoshare/commentator/internal/commentator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testTime = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// newTest returns a Retriever that may read loopback.
func newTest(t testing.TB, change ...func(*Config)) *Retriever {
	t.Helper()
	cfg := Config{AllowHosts: []string{"loopback"}, PDFCacheDir: pdfCache(), Now: func() time.Time { return testTime }}
	for _, c := range change {
		c(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// pdfCache is a folder that tests share, also with later runs.
func pdfCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "technoshare-commentator-test", "pdf")
}

func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// serveBody answers every request with a body of a content type.
func serveBody(t testing.TB, contentType, body string) *httptest.Server {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{contentType}
		if contentType == "" {
			w.Header()["Content-Type"] = nil
		}
		w.Write([]byte(body))
	})
}

func get(t testing.TB, r *Retriever, link string) commentator.Evidence {
	t.Helper()
	e, err := r.Retrieve(t.Context(), link)
	if err != nil {
		t.Fatalf("Retrieve: %v", err)
	}
	return e
}

func textOf(e commentator.Evidence) string {
	var parts []string
	for _, s := range e.Snippets {
		parts = append(parts, s.Content)
	}
	return strings.Join(parts, " ")
}

// article is a page with n paragraphs of two sentences, a menu and a footer.
func article(n int) string {
	var b strings.Builder
	b.WriteString(`<!doctype html><html><head><title>Tides | Site</title><meta property="og:title" content="Tides"></head><body>
<nav><a href="/a">Home</a> <a href="/b">Archive of all older pages</a></nav><article><h1>Tides</h1>`)
	for i := range n {
		b.WriteString("<p>The harbour master wrote down the height of the water every hour of day " + ordinal(i) +
			", in ink, without exception. His tables are still the longest <em>continuous</em> record of the coast.</p>\n")
	}
	b.WriteString(`</article><footer>Copyright of the harbour museum, all rights reserved.</footer><script>alert("no text")</script></body></html>`)
	return b.String()
}

func ordinal(i int) string {
	return strings.Repeat("x", i%7) + string(rune('a'+i%26))
}

func itoa(i int) string { return strconv.Itoa(i) }

// quiet swallows what a test server has to say about handshakes that fail on purpose.
var quiet = log.New(io.Discard, "", 0)
