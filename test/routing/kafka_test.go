package routing

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Between worker and MLflow lies Kafka. Two consumers share it; one goes away in the middle
// of jobs and the other goes on with them. MLflow gets every job once, also what is larger
// than Kafka takes by default, and each process has one service run.
func TestKafkaBetween(t *testing.T) {
	server := startMLflow(t)
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "commentator_spans", "commentator_metrics"), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "16777216"}))
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()
	t.Setenv("KAFKA_BROKERS", list(kafka.ListenAddrs()...))

	producer := start(t, newPlace(t), "full/kafka-producer.yaml")
	leaves := start(t, newPlace(t), "full/kafka-consumer.yaml")
	stays := start(t, newPlace(t), "full/kafka-consumer.yaml")
	jobs := copies(t, "success", 0, 10)
	for i, j := range jobs {
		jobs[i] = j.begunAt(time.Now())
	}
	jobs[0] = jobs[0].enlarged()

	for _, j := range jobs {
		producer.send(j.before("stage_b")...)
	}
	processes := []string{"w0", "w1", "w2", "w3", "w4", "w5"}
	for _, w := range processes {
		producer.sendMetrics(queueDepth(w))
	}
	await(t, "the first halves in MLflow", func() bool {
		return len(server.state(t).Runs) == 3*len(jobs) && leaves.metric("otelcol_exporter_queue_size")+stays.metric("otelcol_exporter_queue_size") == 0
	})
	server.serves(t, processes...)
	written := func(c *collector) float64 { return c.metric("otelcol_exporter_sent_metric_points") }
	await(t, "the first metrics", func() bool { return int(written(leaves)+written(stays)) == len(processes) })
	first := written(leaves)
	leaves.stop()
	for _, w := range processes {
		producer.sendMetrics(queueDepth(w))
	}
	for _, j := range jobs {
		producer.send(j.after("stage_b")...)
	}
	server.holds(t, jobs...)
	await(t, "the second metrics", func() bool { return int(first+written(stays)) >= 2*len(processes) })
	server.serves(t, processes...)
	for name, n := range map[string]float64{
		"by the producer's queue": producer.metric("otelcol_exporter_enqueue_failed_spans"), "by the producer": producer.metric("otelcol_exporter_send_failed_spans"),
		"by the consumer": stays.metric("otelcol_exporter_mlflow_dropped_items"),
	} {
		if n != 0 {
			t.Errorf("%v spans were dropped %s", n, name)
		}
	}
}
