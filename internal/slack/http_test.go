package slack

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/technoshare/commentator/internal/commentator"
)

const secret = "8f742231b10e8888abcd99yyyzzz85a5"

// sink keeps what it is given and fails as it is told.
type sink struct {
	mu         sync.Mutex
	err        error
	deliveries []Delivery
	refusals   []Refusal
	took       chan Delivery // when set, gets each delivery
}

func (s *sink) Deliver(_ context.Context, d Delivery) error {
	s.mu.Lock()
	s.deliveries = append(s.deliveries, d)
	err := s.err
	s.mu.Unlock()
	if s.took != nil {
		s.took <- d
	}
	if err == nil {
		_, err = ParseEnvelope(d.Raw, d.ReceivedAt)
	}
	return err
}

func (s *sink) Refused(_ context.Context, _ Source, why Refusal, _ bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals = append(s.refusals, why)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newEventsServer(t *testing.T, s Sink) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(EventsPath, NewEvents(EventsConfig{SigningSecret: secret, Sink: s, Logger: quiet()}))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL + EventsPath
}

func do(t *testing.T, method, address string, header http.Header, body []byte) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(answer)
}

func TestEventsAreAnsweredAsTheyDeserve(t *testing.T) {
	now := time.Now()
	message := envelope(`{"type":"message","channel":"C1","ts":"1.0","user":"U1","text":"x"}`)
	signed := func(body []byte, change ...func(http.Header)) http.Header {
		h := Sign(secret, now, body)
		for _, c := range change {
			c(h)
		}
		return h
	}
	large := append([]byte(`{"type":"event_callback","padding":"`), bytes.Repeat([]byte("x"), MaxEnvelope)...)
	tests := []struct {
		name      string
		method    string
		header    http.Header
		body      []byte
		status    int
		refusal   Refusal // "": it is delivered
		delivered bool
	}{
		{"good", "POST", signed(message), message, 200, "", true},
		{"unknown event", "POST", signed(envelope(`{"type":"moon_landed"}`)), envelope(`{"type":"moon_landed"}`), 200, "", true},
		{"malformed", "POST", signed([]byte(`{"type":`)), []byte(`{"type":`), 400, "", true},
		{"empty", "POST", signed(nil), nil, 400, "", true},
		{"other secret", "POST", Sign("other", now, message), message, 401, RefusedSignature, false},
		{"other body", "POST", signed([]byte("x")), message, 401, RefusedSignature, false},
		{"no signature", "POST", http.Header{}, message, 401, RefusedSignature, false},
		{"no timestamp", "POST", signed(message, func(h http.Header) { h.Del("X-Slack-Request-Timestamp") }), message, 401, RefusedSignature, false},
		{"strange timestamp", "POST", signed(message, func(h http.Header) { h.Set("X-Slack-Request-Timestamp", "soon") }), message, 401, RefusedSignature, false},
		{"strange signature", "POST", signed(message, func(h http.Header) { h.Set("X-Slack-Signature", "v0=zz") }), message, 401, RefusedSignature, false},
		{"old", "POST", Sign(secret, now.Add(-6*time.Minute), message), message, 401, RefusedTimestamp, false},
		{"ahead", "POST", Sign(secret, now.Add(6*time.Minute), message), message, 401, RefusedTimestamp, false},
		{"four minutes old", "POST", Sign(secret, now.Add(-4*time.Minute), message), message, 200, "", true},
		{"large", "POST", signed(large), large, 413, RefusedSize, false},
		{"get", "GET", http.Header{}, nil, 405, RefusedMethod, false},
		{"put", "PUT", signed(message), message, 405, RefusedMethod, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &sink{}
			resp, _ := do(t, tt.method, newEventsServer(t, s), tt.header, tt.body)
			if resp.StatusCode != tt.status || (len(s.deliveries) == 1) != tt.delivered {
				t.Errorf("status %d, %d deliveries", resp.StatusCode, len(s.deliveries))
			}
			var want []Refusal
			if tt.refusal != "" {
				want = []Refusal{tt.refusal}
			}
			if diff := cmp.Diff(want, s.refusals); diff != "" {
				t.Errorf("refusals (-want +got):\n%s", diff)
			}
			if again := resp.Header.Get(headerNoRetry) == ""; again != (tt.status == 200) {
				t.Errorf("Slack is to send it again: %v", again)
			}
		})
	}
}

func TestSlackAsksWhetherTheAddressIsOurs(t *testing.T) {
	body := []byte(`{"token":"x","challenge":"3eZbrw1aB","type":"url_verification"}`)
	resp, answer := do(t, "POST", newEventsServer(t, &sink{}), Sign(secret, time.Now(), body), body)
	if resp.StatusCode != http.StatusOK || answer != "3eZbrw1aB" || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("%d %q", resp.StatusCode, answer)
	}
}

func TestWhatCannotBeWrittenIsAskedForAgain(t *testing.T) {
	s := &sink{err: errors.New("disk full")}
	body := envelope(`{"type":"moon_landed"}`)
	resp, answer := do(t, "POST", newEventsServer(t, s), Sign(secret, time.Now(), body), body)
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get(headerNoRetry) != "" || strings.Contains(answer, "disk") {
		t.Errorf("%d %q, no retry %q", resp.StatusCode, answer, resp.Header.Get(headerNoRetry))
	}
	s.err = &commentator.Error{Code: CodeMalformedEvent, Message: "x"}
	if resp, _ := do(t, "POST", newEventsServer(t, s), Sign(secret, time.Now(), body), body); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("%d for what cannot be read", resp.StatusCode)
	}
}

func TestSlackSaysThatItRepeats(t *testing.T) {
	s := &sink{}
	body := envelope(`{"type":"moon_landed"}`)
	header := Sign(secret, time.Now(), body)
	do(t, "POST", newEventsServer(t, s), header.Clone(), body)
	header.Set("X-Slack-Retry-Num", "1")
	header.Set("X-Slack-Retry-Reason", "http_timeout")
	do(t, "POST", newEventsServer(t, s), header, body)
	if len(s.deliveries) != 2 || s.deliveries[0].Retry || !s.deliveries[1].Retry {
		t.Errorf("%+v", s.deliveries)
	}
}

// The budget is shorter than Slack's patience, and ends the delivery's context.
func TestADeliveryEndsBeforeSlackGivesUp(t *testing.T) {
	if deliverBudget >= 3*time.Second {
		t.Errorf("%s is Slack's own patience", deliverBudget)
	}
	deadline := make(chan time.Time, 1)
	h := NewEvents(EventsConfig{SigningSecret: secret, Logger: quiet(), Sink: sinkFunc(func(ctx context.Context) error {
		at, _ := ctx.Deadline()
		deadline <- at
		return nil
	})})
	body := []byte(`{"type":"x"}`)
	r := httptest.NewRequestWithContext(t.Context(), "POST", EventsPath, bytes.NewReader(body))
	r.Header = Sign(secret, time.Now(), body)
	h.ServeHTTP(httptest.NewRecorder(), r)
	if left := time.Until(<-deadline); left <= 0 || left > deliverBudget {
		t.Errorf("%s are left", left)
	}
}

type sinkFunc func(context.Context) error

func (f sinkFunc) Deliver(ctx context.Context, _ Delivery) error        { return f(ctx) }
func (sinkFunc) Refused(_ context.Context, _ Source, _ Refusal, _ bool) {}
