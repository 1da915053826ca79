package routing

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// configuration is what the rules of docs/ROUTING.md speak of.
type configuration struct {
	Receivers map[string]struct {
		Protocols struct {
			GRPC struct {
				Endpoint string `yaml:"endpoint"`
				MiB      int64  `yaml:"max_recv_msg_size_mib"`
			} `yaml:"grpc"`
			HTTP struct {
				Endpoint string `yaml:"endpoint"`
				Bytes    int64  `yaml:"max_request_body_size"`
			} `yaml:"http"`
		} `yaml:"protocols"`
	} `yaml:"receivers"`
	Extensions map[string]struct {
		HTTP struct {
			Endpoint string `yaml:"endpoint"`
		} `yaml:"http"`
	} `yaml:"extensions"`
	Processors map[string]any `yaml:"processors"`
	Exporters  map[string]struct {
		DeadLetters string `yaml:"dead_letter_directory"`
		UI          string `yaml:"ui_url"`
		Queue       struct {
			Storage string `yaml:"storage"`
			Size    int64  `yaml:"queue_size"`
			Block   bool   `yaml:"block_on_overflow"`
			Batch   struct {
				Min *int64 `yaml:"min_size"`
				Max int64  `yaml:"max_size"`
			} `yaml:"batch"`
		} `yaml:"sending_queue"`
		Retry struct {
			Limit string `yaml:"max_elapsed_time"`
		} `yaml:"retry_on_failure"`
	} `yaml:"exporters"`
	Service struct {
		Extensions []string `yaml:"extensions"`
		Pipelines  map[string]struct {
			Receivers  []string `yaml:"receivers"`
			Processors []string `yaml:"processors"`
			Exporters  []string `yaml:"exporters"`
		} `yaml:"pipelines"`
	} `yaml:"service"`
}

func read(t *testing.T, file string) configuration {
	t.Helper()
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var c configuration
	if err := yaml.Unmarshal(body, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// No configuration gives up what it has taken, keeps it in memory or lets another backend
// stand in MLflow's way. What a test would have to wait five minutes to see is read here.
func TestConfigurationsKeepTheRules(t *testing.T) {
	const backendTakes = 4 << 20 // bytes of a request, Jaeger and gRPC servers in general
	for _, file := range recipes(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c := read(t, file)
			for name, e := range c.Exporters {
				if name == "mlflow" || name == "prometheus" { // the one by its defaults, the other has no queue
					continue
				}
				if e.Queue.Storage == "" || e.Queue.Size == 0 || e.Queue.Block || e.Retry.Limit != "0s" {
					t.Errorf("%s has the queue %+v and gives up after %q", name, e.Queue, e.Retry.Limit)
				}
				if b := e.Queue.Batch; name == "otlp_grpc" && (b.Min == nil || *b.Min != 0 || b.Max == 0 || b.Max >= backendTakes) {
					t.Errorf("%s sends requests of up to %d bytes, which another backend need not take", name, b.Max)
				}
			}
			for name, p := range c.Service.Pipelines {
				if len(p.Processors) == 0 || p.Processors[0] != "memory_limiter" {
					t.Errorf("%s does not begin with the memory limiter", name)
				}
				forMLflow := []string{"memory_limiter", "filter/lifecycle", "transform/redact"}
				if slices.Contains(p.Exporters, "mlflow") && slices.ContainsFunc(p.Processors, func(s string) bool { return !slices.Contains(forMLflow, s) }) {
					t.Errorf("%s leads to MLflow through %v", name, p.Processors)
				}
				if slices.Contains(p.Exporters, "otlp_grpc") && (!slices.Contains(p.Processors, "filter/backend") || p.Processors[len(p.Processors)-1] != "batch/backend") {
					t.Errorf("%s leads to another backend through %v", name, p.Processors)
				}
			}
		})
	}
}

// A worker sends traces and metrics to one address: what takes the one takes the other, brings
// it as far, and masks it alike.
func TestConfigurationsTakeMetrics(t *testing.T) {
	for _, file := range recipes(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c := read(t, file)
			_, writes := c.Exporters["mlflow"]
			for receiver := range c.Receivers {
				if receiver == "otlp/replay" {
					continue
				}
				if !slices.ContainsFunc(slices.Collect(maps.Keys(c.Service.Pipelines)), func(name string) bool {
					p := c.Service.Pipelines[name]
					return strings.HasPrefix(name, "metrics") && slices.Contains(p.Receivers, receiver) && slices.Contains(p.Exporters, "mlflow") == writes
				}) {
					t.Errorf("no pipeline takes the metrics that come to %s", receiver)
				}
			}
			_, masks := c.Processors["transform/redact"]
			for name, p := range c.Service.Pipelines {
				if strings.HasPrefix(name, "metrics") && slices.Contains(p.Processors, "transform/redact") != masks {
					t.Errorf("%s leads through %v", name, p.Processors)
				}
			}
		})
	}
}

// Who sends to one of them, by gRPC or by HTTP, may be sent to another; and links lead to the UI
// that people reach.
func TestConfigurationsListenAtTheSameAddresses(t *testing.T) {
	const (
		grpc = "${env:OTELCOL_GRPC_ENDPOINT:-127.0.0.1:4317}"
		http = "${env:OTELCOL_HTTP_ENDPOINT:-127.0.0.1:4318}"
		ui   = "${env:MLFLOW_UI_URL:-}"
	)
	checked := 0
	for _, file := range recipes(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c := read(t, file)
			if r, ok := c.Receivers["otlp"]; ok {
				checked++
				p := r.Protocols
				if p.GRPC.Endpoint != grpc || p.HTTP.Endpoint != http || p.GRPC.MiB == 0 || p.HTTP.Bytes != p.GRPC.MiB<<20 {
					t.Errorf("it takes OTLP by gRPC at %+v, by HTTP at %+v", p.GRPC, p.HTTP)
				}
			}
			if e, ok := c.Exporters["mlflow"]; ok && e.UI != ui {
				t.Errorf("the UI is at %q", e.UI)
			}
		})
	}
	if checked < 9 {
		t.Errorf("only %d configurations take OTLP", checked)
	}
}

// What MLflow refused, and what it lacks, can be sent again, to MLflow alone and by the same
// processors as the first time; and whether MLflow is there can be asked.
func TestConfigurationsTakeRepairs(t *testing.T) {
	const repairs, status = "${env:OTELCOL_REPLAY_ENDPOINT:-127.0.0.1:4319}", "${env:OTELCOL_STATUS_ENDPOINT:-127.0.0.1:13134}"
	checked := 0
	for _, file := range recipes(t) {
		c := read(t, file)
		if _, ok := c.Exporters["mlflow"]; !ok {
			if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "mlflowctl reconcile --repair --to ") {
				t.Errorf("%s takes no repairs and does not say which Collector does: %v", filepath.Base(file), err)
			}
			continue
		}
		checked++
		t.Run(filepath.Base(file), func(t *testing.T) {
			if c.Exporters["mlflow"].DeadLetters == "" {
				t.Error("what MLflow refuses is kept nowhere")
			}
			var first, again [][]string
			for name, p := range c.Service.Pipelines {
				takesRepairs := slices.ContainsFunc(p.Receivers, func(r string) bool { return c.Receivers[r].Protocols.GRPC.Endpoint == repairs })
				switch {
				case takesRepairs && (len(p.Receivers) != 1 || !slices.Equal(p.Exporters, []string{"mlflow"}) || !strings.HasPrefix(name, "traces")):
					t.Errorf("repairs go through %s from %v to %v", name, p.Receivers, p.Exporters)
				case takesRepairs:
					again = append(again, p.Processors)
				case strings.HasPrefix(name, "traces") && slices.Contains(p.Exporters, "mlflow"):
					first = append(first, p.Processors)
				}
			}
			if len(first) != 1 || len(again) != 1 || !slices.Equal(first[0], again[0]) {
				t.Errorf("spans go to MLflow through %v, and repairs through %v", first, again)
			}
			if !slices.ContainsFunc(c.Service.Extensions, func(e string) bool { return c.Extensions[e].HTTP.Endpoint == status }) {
				t.Errorf("none of %v tells at OTELCOL_STATUS_ENDPOINT whether MLflow is there", c.Service.Extensions)
			}
		})
	}
	if checked < 9 {
		t.Errorf("only %d configurations have the exporter mlflow", checked)
	}
}

// tailSampling is what full/tail-sampling.yaml says of the processor of that name.
type tailSampling struct {
	Wait      string           `yaml:"decision_wait"`
	AfterRoot string           `yaml:"decision_wait_after_root_received"`
	Traces    int              `yaml:"num_traces"`
	Size      int              `yaml:"maximum_trace_size_bytes"`
	Cache     map[string]int   `yaml:"decision_cache"`
	Policies  []map[string]any `yaml:"policies"`
}

func readTailSampling(t *testing.T) tailSampling {
	t.Helper()
	text, err := yaml.Marshal(read(t, filepath.Join("..", "..", "otel-config", "full", "tail-sampling.yaml")).Processors["tail_sampling"])
	if err != nil {
		t.Fatal(err)
	}
	var s tailSampling
	if err := yaml.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTailSampling changes the waits and the share of the rest; here is what they are. What waits
// and what is remembered has bounds, and decisions are remembered for longer than spans.
func TestTailSamplingWaitsAndForgets(t *testing.T) {
	s := readTailSampling(t)
	if s.Wait != "5m" || s.AfterRoot != "5s" {
		t.Errorf("a decision comes after %s, and %s after the root", s.Wait, s.AfterRoot)
	}
	if s.Traces == 0 || s.Size == 0 || s.Cache["sampled_cache_size"] <= s.Traces || s.Cache["non_sampled_cache_size"] <= s.Traces {
		t.Errorf("%d traces of %d bytes wait, decisions on %v are remembered", s.Traces, s.Size, s.Cache)
	}
	rest := s.Policies[len(s.Policies)-1]
	if share, _ := rest["probabilistic"].(map[string]any); rest["type"] != "probabilistic" || share["sampling_percentage"] != 10 {
		t.Errorf("of the rest %v are taken", rest)
	}
}
