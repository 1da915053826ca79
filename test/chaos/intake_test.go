//go:build linux

package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/technoshare/commentator/test/sandbox"
)

// receiver counts the requests that reach it.
type receiver struct {
	collectorpb.UnimplementedTraceServiceServer
	requests chan struct{}
}

func (r receiver) Export(context.Context, *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	r.requests <- struct{}{}
	return &collectorpb.ExportTraceServiceResponse{}, nil
}

// between opens an intake between a client and a receiver.
func between(t *testing.T, options ...grpc.DialOption) (*bell, *intake, receiver, *grpc.Server, *grpc.ClientConn) {
	t.Helper()
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := receiver{requests: make(chan struct{}, 10)}
	server := grpc.NewServer()
	collectorpb.RegisterTraceServiceServer(server, r)
	go func() { _ = server.Serve(target) }()
	t.Cleanup(server.Stop)
	ports, err := sandbox.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	b := &bell{}
	i := &intake{bell: b, address: addressOf(ports[0]), target: target.Addr().String()}
	if err := i.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.close)
	conn, err := grpc.NewClient(i.address, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return b, i, r, server, conn
}

// TestIntakeHoldsRequestAndAnswer: at the one the receiver has seen nothing yet, at the other
// it has, and the sender knows of no answer.
func TestIntakeHoldsRequestAndAnswer(t *testing.T) {
	for on, seen := range map[event]int{eventExport: 0, eventTaken: 1} {
		t.Run(string(on), func(t *testing.T) {
			b, i, r, _, conn := between(t)
			send := func() error {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				_, err := collectorpb.NewTraceServiceClient(conn).Export(ctx, &collectorpb.ExportTraceServiceRequest{})
				return err
			}
			if err := send(); err != nil {
				t.Fatalf("nothing is held: %v", err)
			}
			<-r.requests
			var arrived atomic.Int64
			arrived.Store(-1)
			b.set(on, 1, func() {
				arrived.Store(int64(len(r.requests)))
				i.close() // as when the Collector is killed
			})
			if err := send(); status.Code(err) != codes.Unavailable {
				t.Errorf("the sender has an answer: %v", err)
			}
			if n := arrived.Load(); n != int64(seen) {
				t.Errorf("%d requests had arrived; want %d", n, seen)
			}
			if total := b.total(); total[eventExport] != 2 || total[eventTaken] != 1+seen {
				t.Errorf("events %v", total)
			}
		})
	}
}

// TestWhatIsCutOffDoesNotArrive: a sender that dies at its request has not sent it.
func TestWhatIsCutOffDoesNotArrive(t *testing.T) {
	b, i, r, server, conn := between(t, grpc.WithDisableRetry())
	b.set(eventExport, 1, func() {
		go func() { _ = conn.Close() }() // the sender dies
		i.cut()
	})
	if _, err := collectorpb.NewTraceServiceClient(conn).Export(t.Context(), &collectorpb.ExportTraceServiceRequest{}); err == nil {
		t.Error("the sender has an answer")
	}
	server.GracefulStop() // whatever arrived has been worked on
	if n := len(r.requests); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

// TestGateHoldsTheAnswerToACreate, and no answer else, for that event.
func TestGateHoldsTheAnswerToACreate(t *testing.T) {
	answered := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answered <- struct{}{}
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	defer server.Close()
	ports, err := sandbox.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	b := &bell{}
	g := newGate(b, addressOf(ports[0]), strings.TrimPrefix(server.URL, "http://"))
	if err := g.open(); err != nil {
		t.Fatal(err)
	}
	defer g.close()
	for path, method := range map[string]string{
		"/api/2.0/mlflow/runs/update": http.MethodPost, "/api/2.0/mlflow/runs/create": http.MethodGet,
	} {
		if err := ask(t, method, g.address, path); err != nil {
			t.Fatal(err)
		}
		<-answered
	}
	var arrived atomic.Int64
	arrived.Store(-1)
	b.set(eventCreated, 1, func() {
		arrived.Store(int64(len(answered)))
		g.close()
	})
	if err := ask(t, http.MethodPost, g.address, "/api/2.0/mlflow/runs/create"); err == nil {
		t.Error("the answer came")
	}
	if n := arrived.Load(); n != 1 {
		t.Errorf("MLflow had answered %d requests when the event came; want 1", n)
	}
	if total := b.total(); total[eventCreated] != 1 || total[eventRequest] != 3 {
		t.Errorf("events %v", total)
	}
}

func ask(t *testing.T, method, address, path string) error {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err == nil {
		err = res.Body.Close()
	}
	return err
}
