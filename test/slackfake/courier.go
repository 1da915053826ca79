package slackfake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Event is what is delivered to the app.
type Event struct {
	N       int    // counts from 1
	ID      string // Slack's event_id
	Kind    string // its type or, of a message that is not new, its subtype
	Channel string
	TS      string // of the message that it is about
	Body    []byte // the envelope of the Events API
}

// Treatment is what happens to the deliveries of an event.
type Treatment struct {
	// Delay is how late it is delivered first, so that later events overtake it.
	Delay time.Duration
	// ByHTTP: it goes to Config.EventsURL; else through a socket.
	ByHTTP bool
	// Unheard is how many acknowledgements Slack does not hear, so that it delivers again.
	Unheard int
	// Again delivers it once more that much later, although it was acknowledged. 0: not.
	Again time.Duration
}

// courier delivers events.
type courier struct {
	ctx     context.Context // of what runs in the background
	stop    context.CancelFunc
	running sync.WaitGroup

	mu sync.Mutex
	d  Deliveries
}

// Deliveries says what became of events.
type Deliveries struct {
	Events     int       `json:"events"`
	Attempts   int       `json:"attempts"`
	Retries    int       `json:"retries"`    // attempts after the first that the app got, each with its number
	Again      int       `json:"duplicates"` // deliveries of events that were acknowledged before
	Unheard    int       `json:"unheard"`    // acknowledgements that Slack did not hear
	NoSocket   int       `json:"no_socket"`  // attempts while no connection was open
	Failed     int       `json:"failed"`     // attempts that were not acknowledged in time
	GivenUp    []Event   `json:"-"`          // events that were never acknowledged
	AckMS      []float64 `json:"ack_ms"`     // from sending an event to its acknowledgement
	Underway   int       `json:"-"`
	LastStatus int       `json:"-"` // of an HTTP delivery
}

// Deliveries says what became of events so far.
func (w *Workspace) Deliveries() Deliveries {
	w.courier.mu.Lock()
	defer w.courier.mu.Unlock()
	d := w.courier.d
	d.GivenUp, d.AckMS = slices.Clone(d.GivenUp), slices.Clone(d.AckMS)
	return d
}

// newEvent wraps an inner event. The caller holds the lock of the workspace.
func (w *Workspace) newEvent(channel, ts string, inner map[string]any) Event {
	w.events++
	e := Event{N: w.events, ID: fmt.Sprintf("Ev0FAKE%06d", w.events), Channel: channel, TS: ts}
	e.Kind, _ = inner["type"].(string)
	if subtype, ok := inner["subtype"].(string); ok {
		e.Kind = subtype
	}
	body, err := json.Marshal(map[string]any{
		"token": "unused", "team_id": TeamID, "api_app_id": AppID, "type": "event_callback", "event": inner,
		"event_id": e.ID, "event_time": time.Now().Unix(), "event_context": "4-" + e.ID, "is_ext_shared_channel": false,
		"authorizations": []any{map[string]any{"team_id": TeamID, "user_id": BotUser, "is_bot": true}},
	})
	if err != nil {
		panic(err) // maps of texts
	}
	e.Body = body
	return e
}

// send delivers an event in the background.
func (c *courier) send(w *Workspace, e Event) {
	t := w.cfg.Treat(e)
	c.note(func(d *Deliveries) { d.Events++; d.Underway++ })
	c.running.Go(func() {
		defer c.note(func(d *Deliveries) { d.Underway-- })
		c.deliver(w, e, t)
	})
	if t.Again > 0 {
		c.note(func(d *Deliveries) { d.Underway++ })
		c.running.Go(func() {
			defer c.note(func(d *Deliveries) { d.Underway-- })
			if c.sleep(t.Delay + t.Again) {
				c.note(func(d *Deliveries) { d.Again++ })
				_, _ = c.attempt(w, e, t, 0, "")
			}
		})
	}
}

func (c *courier) note(change func(*Deliveries)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.d)
}

func (c *courier) sleep(d time.Duration) bool { return sleep(c.ctx, d) }

// sleep reports whether the context lasted that long.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// deliver tries until the event is acknowledged or all attempts are spent.
func (c *courier) deliver(w *Workspace, e Event, t Treatment) {
	wait, reason := t.Delay, ""
	for n := 0; ; n++ {
		if !c.sleep(wait) {
			return
		}
		took, err := c.attempt(w, e, t, n, reason)
		switch {
		case err == nil && n >= t.Unheard:
			c.note(func(d *Deliveries) { d.AckMS = append(d.AckMS, float64(took.Microseconds())/1000) })
			w.cfg.Happen(Acked)
			return
		case err == nil:
			c.note(func(d *Deliveries) { d.Unheard++ })
			reason = "timeout"
			if !w.cfg.Wait(c.ctx, w.cfg.AckWithin-took) {
				return
			}
		case errors.Is(err, errNoRetry):
			c.note(func(d *Deliveries) { d.GivenUp = append(d.GivenUp, e) })
			return
		default:
			c.note(func(d *Deliveries) { d.Failed++ })
			reason = "connection_failed"
			if errors.Is(err, errLate) {
				reason = "http_timeout"
			}
		}
		if n >= len(w.cfg.Redeliver) {
			c.note(func(d *Deliveries) { d.GivenUp = append(d.GivenUp, e) })
			return
		}
		wait = w.cfg.Redeliver[n]
	}
}

var (
	errLate    = errors.New("not acknowledged in time")
	errNoRetry = errors.New("the app asked not to deliver it again")
)

// attempt delivers once and returns after what time it was acknowledged.
func (c *courier) attempt(w *Workspace, e Event, t Treatment, n int, reason string) (time.Duration, error) {
	c.note(func(d *Deliveries) {
		if d.Attempts++; n > 0 {
			d.Retries++
		}
	})
	ctx, cancel := context.WithTimeout(c.ctx, w.cfg.AckWithin)
	defer cancel()
	if t.ByHTTP && w.cfg.EventsURL != "" {
		return c.byHTTP(ctx, w, e, n, reason)
	}
	return c.bySocket(ctx, w, e, n, reason)
}

func (c *courier) bySocket(ctx context.Context, w *Workspace, e Event, n int, reason string) (time.Duration, error) {
	s := w.sockets.choose()
	if s == nil {
		c.note(func(d *Deliveries) { d.NoSocket++ })
		return 0, errors.New("no connection is open")
	}
	id := fmt.Sprintf("%s-%d-%d", e.ID, n, time.Now().UnixNano())
	acked, start := s.await(id), time.Now()
	err := s.send(map[string]any{
		"type": "events_api", "envelope_id": id, "payload": json.RawMessage(e.Body), "accepts_response_payload": false,
		"retry_attempt": n, "retry_reason": reason,
	})
	if err != nil {
		return 0, err
	}
	cut := w.cfg.Happen(Delivered)
	select {
	case <-acked:
		if cut {
			return 0, errLate
		}
		return time.Since(start), nil
	case <-s.gone:
		return 0, errors.New("the connection ended")
	case <-ctx.Done():
		return 0, errLate
	}
}

func (c *courier) byHTTP(ctx context.Context, w *Workspace, e Event, n int, reason string) (time.Duration, error) {
	r, err := SignedRequest(ctx, w.cfg.EventsURL, w.cfg.SigningSecret, time.Now(), e.Body)
	if err != nil {
		return 0, err
	}
	if n > 0 {
		r.Header.Set("X-Slack-Retry-Num", strconv.Itoa(n))
		r.Header.Set("X-Slack-Retry-Reason", reason)
	}
	start := time.Now()
	type outcome struct {
		res *http.Response
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		res, err := client.Do(r) //nolint:bodyclose // closed below, where it is read
		done <- outcome{res, err}
	}()
	cut := w.cfg.Happen(Delivered)
	o := <-done
	took := time.Since(start)
	if o.err != nil {
		if ctx.Err() != nil {
			return 0, errLate
		}
		return 0, o.err
	}
	defer o.res.Body.Close()
	_, _ = io.Copy(io.Discard, o.res.Body)
	c.note(func(d *Deliveries) { d.LastStatus = o.res.StatusCode })
	switch {
	case o.res.StatusCode >= 200 && o.res.StatusCode < 300 && !cut:
		return took, nil
	case o.res.StatusCode >= 300 && o.res.Header.Get("X-Slack-No-Retry") == "1":
		return 0, errNoRetry
	}
	return 0, fmt.Errorf("the app answered %s", o.res.Status)
}

// client posts events, each on a connection of its own, as Slack's many senders do.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// SignedRequest is a request of the Events API, signed as Slack signs.
func SignedRequest(ctx context.Context, url, secret string, at time.Time, body []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	stamp := strconv.FormatInt(at.Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Slack-Request-Timestamp", stamp)
	r.Header.Set("X-Slack-Signature", Signature(secret, stamp, body))
	return r, nil
}
