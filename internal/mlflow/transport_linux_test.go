package mlflow

import (
	"io"
	"net"
	"syscall"
	"testing"
)

func TestReadsAcknowledgeAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	defer close(done)
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = io.WriteString(c, "x")
			<-done // the end of a connection switches the kernel back to delayed acknowledgements
			_ = c.Close()
		}
	}()
	plain, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	conn := quickAck(plain)
	wrapped, ok := conn.(*quickAckConn)
	if !ok {
		t.Fatalf("got %T", conn)
	}
	option := func(set bool) (value int) {
		err := wrapped.raw.Control(func(fd uintptr) {
			if set {
				_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 0)
			}
			value, _ = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK)
		})
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	if option(true) != 0 {
		t.Fatal("quick acknowledgement cannot be switched off here")
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if option(false) == 0 {
		t.Error("a read left delayed acknowledgements on")
	}
}
