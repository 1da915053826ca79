package slackfake

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	socketPath = "/socket/"
	maxSockets = 10
	pingEvery  = 5 * time.Second
	writeLimit = 5 * time.Second
)

// socket is a connection of Socket Mode.
type socket struct {
	conn  *websocket.Conn
	gone  chan struct{} // closed when the connection is
	write sync.Mutex

	mu      sync.Mutex
	leaving bool                     // Slack asked the app to leave: no new event comes
	waiting map[string]chan struct{} // for an acknowledgement, by envelope
}

// sockets are those that are open.
type sockets struct {
	mu      sync.Mutex
	tickets map[string]bool
	issued  int
	open    map[*socket]bool
	opened  int
}

// ticket is an address that is good for one connection.
func (s *sockets) ticket(host string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tickets == nil {
		s.tickets = map[string]bool{}
	}
	s.issued++
	id := fmt.Sprintf("%d", s.issued)
	s.tickets[id] = true
	return "ws://" + host + socketPath + id
}

func (w *Workspace) serveSocket(out http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, socketPath)
	w.sockets.mu.Lock()
	good := w.sockets.tickets[id]
	delete(w.sockets.tickets, id)
	w.sockets.mu.Unlock()
	if !good {
		http.Error(out, "the address was used before", http.StatusForbidden)
		return
	}
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := upgrader.Upgrade(out, r, nil)
	if err != nil {
		return // it has answered
	}
	s := &socket{conn: conn, gone: make(chan struct{}), waiting: map[string]chan struct{}{}}
	n := w.sockets.add(s)
	if n > maxSockets {
		_ = s.send(map[string]any{"type": "disconnect", "reason": "too_many_websockets"})
		s.close()
		w.sockets.remove(s)
		return
	}
	_ = s.send(map[string]any{
		"type": "hello", "num_connections": n, "connection_info": map[string]any{"app_id": AppID},
		"debug_info": map[string]any{"host": "applink-fake", "build_number": 1, "approximate_connection_time": 18060},
	})
	go s.ping()
	s.read()
	s.close()
	w.sockets.remove(s)
}

func (s *sockets) add(one *socket) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[*socket]bool{}
	}
	s.open[one] = true
	s.opened++
	return len(s.open)
}

func (s *sockets) remove(one *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, one)
}

// choose returns one of those that take events, nil when there is none.
func (s *sockets) choose() *socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*socket
	for one := range s.open {
		one.mu.Lock()
		if !one.leaving && !one.ended() {
			list = append(list, one)
		}
		one.mu.Unlock()
	}
	if len(list) == 0 {
		return nil
	}
	return list[rand.IntN(len(list))]
}

func (s *sockets) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for one := range s.open {
		one.close()
	}
}

// Sockets is how many connections are open, and how many there have been.
func (w *Workspace) Sockets() (open, ever int) {
	w.sockets.mu.Lock()
	defer w.sockets.mu.Unlock()
	return len(w.sockets.open), w.sockets.opened
}

// DropSocket cuts one of the connections off as a broken network does, without a word.
func (w *Workspace) DropSocket() {
	if s := w.sockets.choose(); s != nil {
		s.close()
	}
}

// RefreshSocket asks the app to leave one of the connections for another, as Slack does every
// few hours, and closes it after a time.
func (w *Workspace) RefreshSocket(after time.Duration) {
	s := w.sockets.choose()
	if s == nil {
		return
	}
	s.mu.Lock()
	s.leaving = true
	s.mu.Unlock()
	_ = s.send(map[string]any{"type": "disconnect", "reason": "refresh_requested", "debug_info": map[string]any{"host": "applink-fake"}})
	w.courier.running.Go(func() {
		select {
		case <-w.courier.ctx.Done():
		case <-s.gone:
		case <-time.After(after):
		}
		s.close()
	})
}

func (s *socket) send(v any) error {
	s.write.Lock()
	defer s.write.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeLimit))
	return s.conn.WriteJSON(v)
}

func (s *socket) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.gone:
	default:
		close(s.gone)
		_ = s.conn.NetConn().Close()
	}
}

// ended reports whether the connection is closed, although what serves it may not know yet.
func (s *socket) ended() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// ping lets the app see that the connection lives.
func (s *socket) ping() {
	for {
		if s.conn.WriteControl(websocket.PingMessage, []byte("ping"), time.Now().Add(writeLimit)) != nil {
			return
		}
		select {
		case <-s.gone:
			return
		case <-time.After(pingEvery):
		}
	}
}

// read takes acknowledgements.
func (s *socket) read() {
	for {
		_, raw, err := s.conn.ReadMessage()
		if err != nil {
			return
		}
		var ack struct {
			EnvelopeID string `json:"envelope_id"`
		}
		if json.Unmarshal(raw, &ack) != nil {
			continue
		}
		s.mu.Lock()
		if c := s.waiting[ack.EnvelopeID]; c != nil {
			close(c)
			delete(s.waiting, ack.EnvelopeID)
		}
		s.mu.Unlock()
	}
}

// await returns a channel that is closed when the envelope is acknowledged on this connection.
func (s *socket) await(envelope string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(chan struct{})
	s.waiting[envelope] = c
	return c
}
