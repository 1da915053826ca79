package cassette_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/evaluation/cassette"
)

func ask(t *testing.T, c *cassette.Cassette, url, body string, repetition int) (string, error) {
	t.Helper()
	ctx, _ := c.At(t.Context(), repetition)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk-secret")
	resp, err := c.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", string(answer)), nil
}

func TestGivesBackWhatWasRecorded(t *testing.T) {
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		n++
		if strings.Contains(string(body), "fail") {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		fmt.Fprintf(w, `{"n": %d}`, n)
	}))
	defer server.Close()
	path := filepath.Join(t.TempDir(), "cassette.jsonl")
	head := cassette.Header{About: "a test", ModelA: "m", ModelB: "m"}
	c, err := cassette.Record(path, head, http.DefaultTransport)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{`200 {"n": 1}`, `200 {"n": 2}`} {
		if got, err := ask(t, c, server.URL, `{"model": "m"}`, i+1); got != want || err != nil {
			t.Fatalf("recording: %q, %v", got, err)
		}
	}
	if got, _ := ask(t, c, server.URL, `{"fail": true}`, 1); got != "502 " {
		t.Errorf("an error became %q", got)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), "secret") || strings.Count(string(text), "\n") != 3 {
		t.Errorf("the file is %q, %v", text, err)
	}

	back, err := cassette.Open(path)
	if err != nil || back.Header() != head {
		t.Fatalf("header %+v, %v", back.Header(), err)
	}
	for repetition, want := range map[int]string{1: `200 {"n":1}`, 2: `200 {"n":2}`, 3: `200 {"n":1}`} { // of two, in turn
		if got, err := ask(t, back, "http://nowhere.example", `{"model": "m"}`, repetition); got != want || err != nil {
			t.Errorf("repetition %d: %q, %v; want %q", repetition, got, err, want)
		}
	}
	if back.Missed() != nil {
		t.Errorf("missed %v", back.Missed())
	}
	_, err = ask(t, back, "http://nowhere.example", `{"model": "m", "messages": [{"content": "Another prompt"}]}`, 1)
	if !errors.Is(err, cassette.ErrMiss) || !errors.Is(back.Missed(), cassette.ErrMiss) || !strings.Contains(err.Error(), "Another prompt") {
		t.Errorf("a miss is %v", err)
	}
	if _, err := cassette.Record(path, cassette.Header{ModelA: "other", ModelB: "m"}, http.DefaultTransport); err == nil {
		t.Error("answers of another model were added")
	}
	head, warm := back.Header(), 0.7
	head.Temperature, head.MaxTokens = &warm, 100
	_, err = cassette.Record(path, head, http.DefaultTransport)
	if err == nil || !strings.Contains(err.Error(), "temperature 0.7 and at most 100 tokens") {
		t.Errorf("answers with other settings: %v", err)
	}
	if _, err := cassette.Record(path, back.Header(), http.DefaultTransport); err != nil {
		t.Errorf("answers with the same settings: %v", err)
	}
}

// What a process wrote of a line before it was killed costs that answer alone.
func TestRecordingGoesOnBehindATornLine(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"n": 2}`) }))
	defer server.Close()
	const head, first = `{"about":"a test","model_stage_a":"m","model_stage_b":"m"}` + "\n", `{"key":"k","repetition":1,"elapsed_ms":1,"body":{}}`
	for name, tc := range map[string]struct {
		text  string
		lines int // at the end
	}{
		"no file":                   {"", 2},
		"an empty file":             {"\n", 2},
		"a torn head":               {`{"about":"a te`, 2},
		"a torn answer":             {head + first + "\n" + `{"key":"ab","repet`, 3},
		"an answer without its end": {head + first, 3},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "cassette.jsonl")
			if name != "no file" {
				if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c, err := cassette.Record(path, cassette.Header{About: "a test", ModelA: "m", ModelB: "m"}, http.DefaultTransport)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ask(t, c, server.URL, `{"model": "m"}`, 1); err != nil {
				t.Fatal(err)
			}
			back, err := cassette.Open(path) // as the next process finds it when this one is killed
			if err != nil {
				t.Fatal(err)
			}
			if got, err := ask(t, back, "http://nowhere.example", `{"model": "m"}`, 1); got != `200 {"n":2}` || err != nil {
				t.Errorf("it gives back %q, %v", got, err)
			}
			text, err := os.ReadFile(path)
			if got := strings.Count(strings.TrimSpace(string(text)), "\n") + 1; got != tc.lines || err != nil {
				t.Errorf("%d lines, want %d, %v:\n%s", got, tc.lines, err, text)
			}
		})
	}
}

// What was paid for is in memory, also when somebody removes the file.
func TestCassetteWhoseFileWasRemovedIsWrittenWhole(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"n": 2}`) }))
	defer server.Close()
	path := filepath.Join(t.TempDir(), "cassette.jsonl")
	c, err := cassette.Record(path, cassette.Header{About: "a test", ModelA: "m", ModelB: "m"}, http.DefaultTransport)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t, c, server.URL, `{"model": "m"}`, 1); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	back, err := cassette.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ask(t, back, "http://nowhere.example", `{"model": "m"}`, 1); got != `200 {"n":2}` || err != nil {
		t.Errorf("it gives back %q, %v", got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("its mode is %v, %v", info, err)
	}
}

func TestABrokenCassetteIsRefusedWithTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"{\"about\": \"x\"}\n{\"key\": 1}\n":          "delete line 2",
		"{\"about\": \"x\"}\n\n{\"key\": \"a\", \"re": "delete line 3",
		"":                "it is empty; record answers",
		"{\"about\": \"x": "line 1 is not the head of a cassette",
	} {
		path := filepath.Join(t.TempDir(), "cassette.jsonl")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := cassette.Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", text, err)
		}
	}
	if _, err := cassette.Open(filepath.Join(t.TempDir(), "none.jsonl")); err == nil {
		t.Error("a cassette that is not there was opened")
	}
}
