package routing

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// configuration is what the rules of docs/ROUTING.md speak of.
type configuration struct {
	Exporters map[string]struct {
		Queue struct {
			Storage string `yaml:"storage"`
			Size    int64  `yaml:"queue_size"`
			Block   bool   `yaml:"block_on_overflow"`
		} `yaml:"sending_queue"`
		Retry struct {
			Limit string `yaml:"max_elapsed_time"`
		} `yaml:"retry_on_failure"`
	} `yaml:"exporters"`
	Service struct {
		Pipelines map[string]struct {
			Processors []string `yaml:"processors"`
			Exporters  []string `yaml:"exporters"`
		} `yaml:"pipelines"`
	} `yaml:"service"`
}

// No configuration gives up what it has taken, keeps it in memory or lets another backend
// stand in MLflow's way. What a test would have to wait five minutes to see is read here.
func TestConfigurationsKeepTheRules(t *testing.T) {
	for _, file := range recipes(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var c configuration
			if err := yaml.Unmarshal(body, &c); err != nil {
				t.Fatal(err)
			}
			for name, e := range c.Exporters {
				if name == "mlflow" || name == "prometheus" { // the one by its defaults, the other has no queue
					continue
				}
				if e.Queue.Storage == "" || e.Queue.Size == 0 || e.Queue.Block || e.Retry.Limit != "0s" {
					t.Errorf("%s has the queue %+v and gives up after %q", name, e.Queue, e.Retry.Limit)
				}
			}
			for name, p := range c.Service.Pipelines {
				if !strings.HasPrefix(name, "traces") {
					continue
				}
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
