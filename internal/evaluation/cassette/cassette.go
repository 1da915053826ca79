// Package cassette records the answers of a model server in a file, and gives them back without
// the server: an evaluation that is repeated costs nothing, needs no network, and meets the same
// answers.
package cassette

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/technoshare/commentator/internal/wholefile"
)

// answer is a line of the file.
type answer struct {
	// Key is the SHA-256 of the request's path and body, in hex. Keys of the client are no part
	// of either, and are in no file.
	Key string `json:"key"`
	// Repetition of the example in which the answer was given, the first is 1.
	Repetition int             `json:"repetition"`
	ElapsedMS  int64           `json:"elapsed_ms"`
	Body       json.RawMessage `json:"body"`
}

// Header is the first line of the file: what was asked when it was recorded. Requests are the same only
// under the same models and settings.
type Header struct {
	// About says where the answers come from.
	About       string   `json:"about"`
	ModelA      string   `json:"model_stage_a"`
	ModelB      string   `json:"model_stage_b"`
	Temperature *float64 `json:"temperature,omitempty"`
	MaxTokens   int      `json:"max_tokens,omitempty"`
}

// settings are those of a request to the models.
func (h Header) settings() string {
	temperature := "the models' own temperature"
	if h.Temperature != nil {
		temperature = fmt.Sprintf("temperature %g", *h.Temperature)
	}
	if h.MaxTokens == 0 {
		return temperature
	}
	return fmt.Sprintf("%s and at most %d tokens", temperature, h.MaxTokens)
}

// Cassette answers requests from a file, or records them into it. It is an http.RoundTripper and
// safe for concurrent use.
type Cassette struct {
	path string
	next http.RoundTripper // nil: it only gives back
	head Header

	mu      sync.Mutex
	answers map[string][]answer // by key, sorted by repetition
	missed  error
}

// Open reads a cassette to give back what it holds.
func Open(path string) (*Cassette, error) {
	c := &Cassette{path: path, answers: map[string][]answer{}}
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("open cassette %s: %w", path, err)
	}
	return c, nil
}

// Record makes a cassette that asks next and keeps its answers, beside those that the file has. What a
// process left of a line while it died is taken out.
func Record(path string, head Header, next http.RoundTripper) (*Cassette, error) {
	c := &Cassette{path: path, next: next, answers: map[string][]answer{}}
	err := mend(path)
	if err == nil {
		err = c.read()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errEmpty):
		c.head = head
		err = c.append(head)
	case err == nil && (c.head.ModelA != head.ModelA || c.head.ModelB != head.ModelB):
		err = fmt.Errorf("it holds answers of %s and %s; record those of other models in another file", c.head.ModelA, c.head.ModelB)
	case err == nil && c.head.settings() != head.settings(): // those of the file are asked with when it is played
		err = fmt.Errorf("it holds answers with %s; record those with %s in another file", c.head.settings(), head.settings())
	}
	if err != nil {
		return nil, fmt.Errorf("record cassette %s: %w", path, err)
	}
	return c, nil
}

// Header tells what the answers are.
func (c *Cassette) Header() Header { return c.head }

// mend ends the last line of a file that lacks its end: whole JSON is kept, and what is no JSON goes.
func mend(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	end := bytes.LastIndexByte(text, '\n') + 1
	switch last := text[end:]; {
	case len(last) == 0:
		return nil
	case !json.Valid(last):
		return os.Truncate(path, int64(end))
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("\n")
	return errors.Join(err, f.Close())
}

var errEmpty = errors.New("it is empty; record answers in it with --record")

func (c *Cassette) read() error {
	f, err := os.Open(c.path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	headed := false
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		if !headed {
			if err := json.Unmarshal(lines.Bytes(), &c.head); err != nil {
				return fmt.Errorf("line %d is not the head of a cassette (%w); record another one with --record", n, err)
			}
			headed = true
			continue
		}
		var a answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return fmt.Errorf("line %d is no answer (%w); delete line %d, and record with --record what is missed then", n, err, n)
		}
		c.keep(a)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if !headed {
		return errEmpty
	}
	return nil
}

func (c *Cassette) keep(a answer) {
	list := slices.DeleteFunc(c.answers[a.Key], func(o answer) bool { return o.Repetition == a.Repetition })
	list = append(list, a)
	slices.SortFunc(list, func(x, y answer) int { return cmp.Compare(x.Repetition, y.Repetition) })
	c.answers[a.Key] = list
}

type tapeKey struct{}

// tape is where a try is on the cassette.
type tape struct {
	repetition int
	mu         sync.Mutex
	elapsed    time.Duration
}

// At returns a context in which requests are of a repetition of an example, and how long their
// answers took when they were recorded.
func (c *Cassette) At(ctx context.Context, repetition int) (context.Context, func() time.Duration) {
	t := &tape{repetition: repetition}
	return context.WithValue(ctx, tapeKey{}, t), func() time.Duration {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.elapsed
	}
}

// ErrMiss means that the cassette lacks the answer to a request.
var ErrMiss = errors.New("the cassette has no answer to a request")

// Missed is the first request that the cassette could not answer, nil when there is none.
func (c *Cassette) Missed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.missed
}

// RoundTrip answers a request from the cassette, or asks and records.
func (c *Cassette) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err = errors.Join(err, req.Body.Close()); err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	key := keyOf(req.URL.Path, body)
	t, _ := req.Context().Value(tapeKey{}).(*tape)
	if t == nil {
		t = &tape{repetition: 1}
	}
	if c.next != nil {
		return c.ask(req, key, body, t)
	}
	a, ok := c.find(key, t.repetition)
	if !ok {
		return nil, c.miss(body)
	}
	t.mu.Lock()
	t.elapsed += time.Duration(a.ElapsedMS) * time.Millisecond
	t.mu.Unlock()
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(a.Body)), Body: io.NopCloser(bytes.NewReader(a.Body)),
	}, nil
}

// find gives the answer of a repetition. When fewer were recorded they are taken in turn.
func (c *Cassette) find(key string, repetition int) (answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.answers[key]
	if len(list) == 0 {
		return answer{}, false
	}
	for _, a := range list {
		if a.Repetition == repetition {
			return a, true
		}
	}
	return list[(repetition-1)%len(list)], true
}

// miss notes the first request without an answer, in words that tell which one it was.
func (c *Cassette) miss(body []byte) error {
	var asked struct {
		Model    string `json:"model"`
		Messages []struct {
			Content string `json:"content"`
		} `json:"messages"`
	}
	_ = json.Unmarshal(body, &asked) // what cannot be read is not described
	about := ""
	if len(asked.Messages) > 0 {
		about = fmt.Sprintf(", prompt %.60q…", asked.Messages[0].Content)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.missed == nil {
		c.missed = fmt.Errorf("%w to model %s%s: %s is of other prompts, models, settings or evidence; record it anew with --record",
			ErrMiss, asked.Model, about, c.path)
	}
	return c.missed
}

// ask passes a request on and records a good answer.
func (c *Cassette) ask(req *http.Request, key string, body []byte, t *tape) (*http.Response, error) {
	next := req.Clone(req.Context())
	next.Body, next.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	start := time.Now()
	resp, err := c.next.RoundTrip(next)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	said, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(said)), int64(len(said))
	var compact bytes.Buffer
	if !json.Valid(said) {
		return resp, nil // no answer that could be given back
	}
	if err := json.Compact(&compact, said); err != nil {
		return nil, fmt.Errorf("record answer: %w", err)
	}
	a := answer{Key: key, Repetition: t.repetition, ElapsedMS: time.Since(start).Milliseconds(), Body: compact.Bytes()}
	return resp, c.write(a)
}

// write appends an answer at once, so that a process that dies has kept what it paid for.
func (c *Cassette) write(a answer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(a)
	return c.append(a)
}

func (c *Cassette) append(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("record answer: %w", err)
	}
	f, err := os.OpenFile(c.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("record answer: %w", err)
	}
	_, err = f.Write(append(line, '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("record answer: %w", err)
	}
	return nil
}

// Close orders the file that was recorded, so that the same answers are the same bytes.
func (c *Cassette) Close() error {
	if c.next == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var b bytes.Buffer
	head, err := json.Marshal(c.head)
	if err != nil {
		return fmt.Errorf("write cassette: %w", err)
	}
	b.Write(append(head, '\n'))
	keys := make([]string, 0, len(c.answers))
	for key := range c.answers {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		for _, a := range c.answers[key] {
			line, err := json.Marshal(a)
			if err != nil {
				return fmt.Errorf("write cassette: %w", err)
			}
			b.Write(append(line, '\n'))
		}
	}
	mode := fs.FileMode(0o644) // of a file that somebody removed meanwhile
	info, err := os.Stat(c.path)
	if err == nil {
		mode = info.Mode().Perm()
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = wholefile.Write(c.path, b.Bytes(), mode)
	}
	if err != nil {
		return fmt.Errorf("write cassette: %w", err)
	}
	return nil
}

func keyOf(path string, body []byte) string {
	h := sha256.New()
	h.Write([]byte(path + "\n"))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}
