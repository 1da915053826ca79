package validate

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSettingsKeepTestJobsApart(t *testing.T) {
	dir := t.TempDir()
	got, err := Settings(map[string]string{
		"PATH": "/bin", "DATABASE_URL": "postgres://x/y", "SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "SLACK_SIGNING_SECRET": "s",
		"OPENAI_API_KEY": "k", "MLFLOW_ENABLE_TRACKING": "true", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=x", "REDACTION_FILE": "rules.yaml",
		"COMMENTATOR_PROFILE": "production", "OTEL_RESOURCE_ATTRIBUTES": "team=search", "LOG_FILE": "worker.log", "DATA_DIR": "/srv/data",
	}, dir, "db.sqlite.sampling.yaml", "people_validation")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"PATH": "/bin", "MLFLOW_ENABLE_TRACKING": "true", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=x", "MLFLOW_EXPERIMENT_NAME": "people_validation",
		"REDACTION_FILE": filepath.Join(dir, "rules.yaml"), "DATA_DIR": "/srv/data", "SAMPLING_FILE": filepath.Join(dir, "db.sqlite.sampling.yaml"),
		"OTEL_RESOURCE_ATTRIBUTES": "team=search,deployment.environment.name=production",
	} {
		if got[name] != want {
			t.Errorf("%s is %q; want %q", name, got[name], want)
		}
	}
	for _, name := range foreign {
		if value, ok := got[name]; ok {
			t.Errorf("%s is handed on: %q", name, value)
		}
	}
}

func TestEnvironmentOfTestJobs(t *testing.T) {
	w := &Worker{Dir: t.TempDir(), Settings: map[string]string{"MLFLOW_ENABLE_TRACKING": "true", "MAX_LINKS_PER_MESSAGE": "1", "DB_PATH": "people.sqlite"}}
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for _, off := range []bool{false, true} {
		env := w.environ(5, off)
		for _, want := range []string{
			"MLFLOW_ENABLE_TRACKING=" + map[bool]string{false: "true", true: "false"}[off], "MAX_LINKS_PER_MESSAGE=5",
			"DB_PATH=" + filepath.Join(w.Dir, "db.sqlite"), "TECHNOSHARE_CHANNEL_ID=" + Channel, "LINK_POLICY=each",
		} {
			if !slices.Contains(env, want) {
				t.Errorf("off %v: %s is not in %v", off, want, env)
			}
		}
	}
	first, err := w.event(2)
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.event(2)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(first), "/0>") && !strings.Contains(string(first), `/0\u003e`) || strings.Contains(string(second), w.pages.host+`/1\u003e`) || !strings.Contains(string(second), w.pages.host+`/3`) {
		t.Errorf("links repeat: %s and %s", first, second)
	}
	res, err := http.Get("http://" + w.pages.host + "/12")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || len(page) < 1000 {
		t.Errorf("page: %s, %d bytes, %v", res.Status, len(page), err)
	}
}

func TestProgramIsFound(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	self := filepath.Join(dir, "bin", "mlflowctl")
	if _, err := FindProgram("", self); err == nil || !strings.Contains(err.Error(), "--commentator") {
		t.Errorf("nowhere: %v", err)
	}
	if _, err := FindProgram(filepath.Join(dir, "no"), self); err == nil || !strings.Contains(err.Error(), "--commentator") {
		t.Errorf("not where it is said to be: %v", err)
	}
	inPath := filepath.Join(dir, "commentator")
	beside := filepath.Join(dir, "bin", "commentator")
	for _, path := range []string{inPath, beside} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o700); err != nil {
			t.Fatal(err)
		}
		if got, err := FindProgram("", self); err != nil || got != path {
			t.Errorf("found %s, %v; want %s", got, err, path)
		}
	}
}

func TestJobsAreParsed(t *testing.T) {
	got, err := parseJobs([]byte(`{"job_id":1,"outcome":"success","seconds":0.3,"detail":"full","comment":"x"}` + "\n" + `{"job_id":2,"outcome":"error","error_type":"http_404","error":"gone"}`))
	if err != nil || len(got) != 2 || got[0] != (Job{ID: 1, Outcome: "success", Seconds: 0.3, Detail: "full"}) || got[1].ErrorType != "http_404" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := parseJobs([]byte("Traceback")); err == nil {
		t.Error("anything is taken for a job")
	}
}
