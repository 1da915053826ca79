package mlflow

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The second connection is made while the first one waits for an answer, neither at the same
// moment nor after it.
func TestConnectionsAreMadeWhileTheServerIsBusy(t *testing.T) {
	defer goleak.VerifyNone(t)
	asked := make(chan struct{}, 2)
	answer := make(chan struct{})
	server, accepted := watched(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-answer
	})
	defer server.Close()
	transport := newTransport(Config{})
	defer transport.CloseIdleConnections()
	dialled := make(chan *watchedConn, 2)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err == nil {
			dialled <- c.(*watchedConn)
		}
		return c, err
	}
	client := &http.Client{Transport: transport}
	one := ask(t, client, server.URL, 1)
	<-asked
	first := time.Unix(0, (<-dialled).asked.Load()) // the server may have noticed much later
	other := ask(t, client, server.URL, 1)
	<-asked // both wait for their answers, so there are two connections
	close(answer)
	one.Wait()
	other.Wait()
	made := accepted()
	if len(made) != 2 {
		t.Fatalf("%d connections, want 2", len(made))
	}
	if after := made[1].Sub(first); after < busyFrom {
		t.Errorf("the second connection came %v after the first request, want it in the middle of that", after)
	}
}

func TestConnectionsDoNotWaitForever(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var d net.Dialer
	s := &spreader{dial: d.DialContext}
	for range 3 { // nothing is sent on any of them
		c, err := s.DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.DialContext(ctx, "tcp", l.Addr().String()); err == nil {
		t.Error("a dial that nobody wants any more succeeded")
	}
	if len(s.open) != 3 {
		t.Errorf("%d connections are remembered, want 3", len(s.open))
	}
}

// A connection that failed or is closed is no longer waited for.
func TestClosedConnectionsAreForgotten(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	s := &spreader{dial: func(context.Context, string, string) (net.Conn, error) { return a, nil }}
	c, err := s.DialContext(t.Context(), "tcp", "x")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, b) }()
	watched := c.(*watchedConn)
	other := &watchedConn{}
	s.add(other)
	for request, withSpans := range map[string]bool{"GET /version HTTP/1.1\r\n\r\n": false, "POST /prefix/v1/traces HTTP/1.1\r\n\r\n": true} {
		watched.asked.Store(0) // it was answered
		for _, part := range []string{request, "GET /v1/traces HTTP/1.1 in a body"} {
			if _, err := c.Write([]byte(part)); err != nil {
				t.Fatal(err)
			}
		}
		asked := time.Unix(0, watched.asked.Load())
		if s.busy(other, asked.Add(busyFrom-1), false) || !s.busy(other, asked.Add(busyFrom), false) || s.busy(other, asked.Add(busyTo+1), false) {
			t.Error("the middle of a request is not between busyFrom and busyTo")
		}
		if s.busy(other, asked.Add(busyFrom), true) != withSpans {
			t.Errorf("%q: spans are taken for something else", request)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if len(s.open) != 1 || !s.busy(other, time.Now(), true) {
		t.Errorf("%d connections are remembered, want only the one that is left, which waits for nobody", len(s.open))
	}
}

// A request that waits takes the next connection that is free, and none is made that nobody needs.
func TestWaitingRequestsMakeNoConnections(t *testing.T) {
	defer goleak.VerifyNone(t)
	const n = 60 // on one connection they take longer than the second one waits at most
	var asked atomic.Int64
	var accepted func() []time.Time
	server, accepted := watched(func(http.ResponseWriter, *http.Request) {
		time.Sleep(5 * time.Millisecond)
		if asked.Add(1) < n {
			return
		}
		// On a busy machine nobody may have come to make the second connection yet.
		for deadline := time.Now().Add(20 * time.Second); len(accepted()) < 2 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	})
	defer server.Close()
	transport := newTransport(Config{MaxConns: 2})
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	ask(t, client, server.URL, n).Wait()
	if made := len(accepted()); made != 2 {
		t.Errorf("%d requests made %d connections, want 2", n, made)
	}
}

// watched is a server that knows when connections came. The caller ends it.
func watched(handler http.HandlerFunc) (server *httptest.Server, accepted func() []time.Time) {
	var mu sync.Mutex
	var times []time.Time
	server = httptest.NewUnstartedServer(handler)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			mu.Lock()
			defer mu.Unlock()
			times = append(times, time.Now())
		}
	}
	server.Start()
	return server, func() []time.Time {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(times)
	}
}

// ask makes n requests at once.
func ask(t *testing.T, client *http.Client, url string, n int) *sync.WaitGroup {
	var requests sync.WaitGroup
	for range n {
		requests.Go(func() {
			resp, err := client.Get(url)
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
		})
	}
	return &requests
}
