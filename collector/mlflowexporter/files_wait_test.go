package mlflowexporter

import (
	"net/http"
	"testing"
	"time"

	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/apply"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
)

// While MLflow can write no file, messages with files wait, and those without go on although there are as
// many of the others as consumers. Nothing is given up: all of it is there when files can be written again.
func TestFilesThatWaitDoNotBlockTheQueue(t *testing.T) {
	withFiles, without := faultyMessages(t), joined(otherApplication(t, map[string]any{"service.name": "etl"}))
	whole := newFaultyDelivery(t)
	send, end := whole.start(t)
	for _, td := range append(withFiles, without) {
		send(td)
	}
	whole.delivered(t)
	end()

	d := newFaultyDelivery(t)
	d.cfg.Queue.Get().NumConsumers = 2
	d.server.Fail(func(r *http.Request) *mlflowtest.Fault {
		if r.Method == http.MethodPut {
			return mlflowtest.Internal()
		}
		return nil
	})
	send, end = d.start(t)
	defer end()
	for _, td := range withFiles {
		send(td)
	}
	for range 10 {
		d.waitForFailure(t)
	}
	send(without)
	key := wire.JobKey(wire.TraceID{1, 15: 1})
	for late := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if run := readState(t, d.server).Runs[key]; run != nil && run.Status == "FINISHED" {
			break
		}
		if time.Now().After(late) {
			t.Error("a job without files waits for those with files")
			break
		}
	}
	d.server.Fail(nil)
	d.delivered(t)
	d.check(t, readState(t, whole.server))
}

// Where a message is delivered before whoever sent it goes on, and where retries end, it is not given to
// the queue again.
func TestWhichQueuesTakeMessagesBack(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   bool
	}{
		"as it is":          {func(*Config) {}, true},
		"no queue":          {func(c *Config) { c.Queue = configoptional.None[exporterhelper.QueueBatchConfig]() }, false},
		"senders that wait": {func(c *Config) { c.Queue.Get().WaitForResult = true }, false},
		"no retries":        {func(c *Config) { c.Retry.Enabled = false }, false},
		"retries that end":  {func(c *Config) { c.Retry.MaxElapsedTime = time.Minute }, false},
	} {
		config := createDefaultConfig().(*Config)
		if c.change(config); putsBack(config) != c.want {
			t.Errorf("%s: puts back is %v", name, !c.want)
		}
	}
}

// The status and one line of the log tell that files wait, and that none does any more. While MLflow is
// away it is not known.
func TestStatusTellsOfFilesThatWait(t *testing.T) {
	logged, entries := observer.New(zap.InfoLevel)
	s := status{log: zap.New(logged)}
	told := &watched{}
	s.join(told)
	for _, state := range []apply.State{
		{Files: "artifact a"}, {Files: "artifact b"}, {Away: "refused"}, {Files: "artifact b"}, {Files: "artifact b"}, {},
	} {
		s.update(func() apply.State { return state })
	}
	told.check(t, "with files that wait", recoverable, recoverable, recoverable, ok)
	var said []string
	for _, e := range entries.TakeAll() {
		said = append(said, e.Level.String()+" "+e.Message[:12])
	}
	if len(said) != 4 || said[0] != "warn MLflow fails" || said[3] != "info No artifact " {
		t.Errorf("logged %q", said)
	}
}
