package mlflow

import (
	"context"
	"net"
	"net/http"
	"syscall"
	"time"
)

// newTransport makes a keep-alive transport whose TCP connections acknowledge at once,
// below TLS. MLflow's server leaves Nagle's algorithm on and writes head and body of an
// answer separately, so that a client which delays its ACK waits 40 ms per request.
//
// HTTP/2 stays off: MLflow's server does not speak it.
func newTransport(cfg Config) *http.Transport {
	n := cfg.MaxConns
	if n == 0 {
		n = 4
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	spread := &spreader{dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return quickAck(conn), nil
	}}
	return &http.Transport{
		Proxy:               cfg.Proxy,
		DialContext:         spread.DialContext,
		TLSClientConfig:     cfg.TLS,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConns:        2 * n,
		MaxIdleConnsPerHost: n,
		// Else each request that waits for a connection asks for one more, although it will get the
		// next that is free, and all of these are made at the same moment.
		MaxConnsPerHost: n,
		// MLflow's server closes what was idle for 5 s. A request that meets that moment fails
		// without an answer, and a create then counts as ambiguous.
		IdleConnTimeout:       4 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// quickAck makes conn acknowledge what it reads at once, where the system can.
func quickAck(conn net.Conn) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok || !haveQuickAck {
		return conn
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return conn
	}
	return &quickAckConn{Conn: conn, raw: raw}
}

// quickAckConn sets TCP_QUICKACK before each read, because the kernel falls back to
// delayed acknowledgements on its own.
type quickAckConn struct {
	net.Conn
	raw syscall.RawConn
}

func (c *quickAckConn) Read(b []byte) (int, error) {
	// An error means that the connection is broken, which Read will report.
	_ = c.raw.Control(setQuickAck)
	return c.Conn.Read(b)
}
