package routing

import (
	"os"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/technoshare/commentator/internal/wire"
)

// Repairs need not come to the gateway that had the jobs: another one finds their runs in MLflow, makes
// what is missing, and nothing a second time.
func TestAnyGatewayTakesRepairs(t *testing.T) {
	server := startMLflow(t)
	one := start(t, newPlace(t), "gateway.yaml")
	other := start(t, newPlace(t), "gateway.yaml")
	repairs := *other
	var err error
	if repairs.conn, err = grpc.NewClient(os.Getenv("OTELCOL_REPLAY_ENDPOINT"), grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	defer repairs.conn.Close()
	begun := time.Now()
	jobs := copies(t, "success", 0, 4)
	sent := 0
	for i, j := range jobs {
		jobs[i] = j.begunAt(begun)
		for _, td := range jobs[i].before("stage_b") { // the rest was lost
			one.send(td)
			sent += td.SpanCount()
		}
	}
	written := func(c *collector) int { return int(c.metric("otelcol_exporter_sent_spans")) }
	await(t, "the first halves in MLflow", func() bool { return written(one) == sent })
	again := 0
	for _, j := range jobs {
		for _, td := range j.requests {
			marked := ptrace.NewTraces()
			td.CopyTo(marked)
			for _, rs := range marked.ResourceSpans().All() {
				rs.Resource().Attributes().PutStr(wire.ResRepair, wire.RepairAgain)
			}
			repairs.send(marked)
			again += marked.SpanCount()
		}
	}
	await(t, "the repairs in MLflow", func() bool { return written(other) == again })
	server.holds(t, jobs...)
}
