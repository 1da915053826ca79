package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// letter is what is read of a dead letter; collector/mlflowexporter/deadletter writes them.
type letter struct {
	TraceID string    `json:"trace_id"`
	Time    time.Time `json:"time"`
	Refused []struct {
		Kind   string `json:"kind"`
		Name   string `json:"name"`
		Reason string `json:"reason"`
	} `json:"refused"`
}

func probeDeadLetters(ctx context.Context, p *Patient) Finding {
	dir := filepath.Join(p.path(p.Collector.DataDir), "dead-letter")
	n, newest, err := letters(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return skip("they cannot be read: %v", err)
	}
	where, replay := dir, "otelcol-mlflow replay "+dir
	if n == 0 { // the Collector may keep them elsewhere
		samples, scrapeErr := scrape(ctx, fmt.Sprintf("http://127.0.0.1:%d/metrics", p.Collector.MetricsPort))
		for _, s := range samples {
			if s.name == "otelcol_exporter_mlflow_dead_letters" {
				n += int(s.value)
			}
		}
		if scrapeErr != nil && errors.Is(err, fs.ErrNotExist) {
			return skip("there is no directory %s, and no Collector that tells", dir)
		}
		where = "the Collector's own dead-letter directory"
		replay = "on its host, as who may write there: otelcol-mlflow replay FOLDER, where FOLDER is dead-letter in its OTELCOL_DATA_DIR " +
			"(/var/lib/otelcol-mlflow/dead-letter under the units of deploy/systemd)"
	}
	if n == 0 {
		return ok("there are none")
	}
	found := fmt.Sprintf("%d in %s", n, where)
	if newest != nil {
		found += fmt.Sprintf(", the newest of %s: trace %s", newest.Time.Local().Format(time.DateTime), newest.TraceID)
		if len(newest.Refused) > 0 {
			r := newest.Refused[len(newest.Refused)-1]
			found += fmt.Sprintf(", %s %s: %s", r.Kind, r.Name, cut(r.Reason, 300))
		}
	}
	return Finding{
		Status: Warn, Found: found,
		Means: "MLflow refused these parts of jobs for good. The rest of the jobs is there.",
		Fix:   "Mend what the reasons name, then send them again: " + replay,
	}
}

// letters counts the dead letters of a directory and reads the newest.
func letters(dir string) (n int, newest *letter, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, nil, err
	}
	var last os.FileInfo
	for _, e := range entries {
		// .sending is added while one is sent again
		if e.IsDir() || !strings.HasSuffix(strings.TrimSuffix(e.Name(), ".sending"), ".json") || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		n++
		if info, err := e.Info(); err == nil && (last == nil || info.ModTime().After(last.ModTime())) {
			last = info
		}
	}
	if last == nil {
		return n, nil, nil
	}
	return n, readLetter(filepath.Join(dir, last.Name())), nil
}

// readLetter reads a dead letter; nil: it was sent meanwhile, or cannot be read.
func readLetter(path string) *letter {
	var l letter
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &l) != nil {
		return nil
	}
	return &l
}

// cut shortens a text to n bytes.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}
