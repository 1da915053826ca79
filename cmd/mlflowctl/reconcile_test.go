package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/store"
)

// withDatabase runs the command with a job database that holds nothing, unless it is to be
// missing.
func withDatabase(t *testing.T, missing bool, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db.sqlite")
	if !missing {
		s, err := store.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	code = run(t.Context(), args, []string{"DB_PATH=" + path}, t.TempDir(), &out, &errs)
	return code, out.String(), errs.String()
}

func TestReconcileOfNothingIsWhole(t *testing.T) {
	s := startMLflow(t)
	code, stdout, stderr := withDatabase(t, false, "--tracking-uri", s.URL, "reconcile", "--json")
	var got map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 || got["whole"] != true {
		t.Errorf("exit %d, %v\n%s%s", code, err, stdout, stderr)
	}
	for _, list := range []string{"lost", "doubled", "wrong", "deleted", "renamed", "elsewhere", "waiting", "unrecorded"} {
		if l, ok := got[list].([]any); !ok || len(l) != 0 {
			t.Errorf("%s is %v; want an empty list", list, got[list])
		}
	}
	if code, stdout, _ = withDatabase(t, false, "--tracking-uri", s.URL, "reconcile"); code != 0 || !strings.Contains(stdout, "MLflow holds what was recorded.") {
		t.Errorf("exit %d\n%s", code, stdout)
	}
}

func TestReconcileAndValidateExplainWhatIsWrong(t *testing.T) {
	s := startMLflow(t)
	down := mlflowtest.Start()
	down.Close()
	for name, c := range map[string]struct {
		want    string
		code    int
		missing bool // the job database
		args    []string
	}{
		"no job database":     {"DB_PATH or DATABASE_URL says where", exitUsage, true, []string{"--tracking-uri", s.URL, "reconcile"}},
		"MLflow is down":      {"Is MLflow running on " + down.URL, exitFailed, false, []string{"--tracking-uri", down.URL, "reconcile"}},
		"negative wait":       {"--wait takes 0 or more, not -1s", exitUsage, false, []string{"--tracking-uri", s.URL, "reconcile", "--wait", "-1s"}},
		"validate, negative":  {"--wait takes 0 or more, not -1s", exitUsage, false, []string{"--tracking-uri", s.URL, "validate", "--wait", "-1s"}},
		"deleted alone":       {"give both", exitUsage, false, []string{"--tracking-uri", s.URL, "reconcile", "--deleted"}},
		"no time span":        {"no age", exitUsage, false, []string{"reconcile", "--since", "yesterday"}},
		"no address":          {"host:port", exitUsage, false, []string{"--tracking-uri", s.URL, "reconcile", "--repair", "--to", "ftp://x"}},
		"no test jobs":        {"--jobs takes 1 to", exitUsage, false, []string{"validate", "--jobs", "0"}},
		"bound below 1":       {"--bound 1 or more", exitUsage, false, []string{"validate", "--bound", "0.5"}},
		"no worker's program": {"--commentator says where", exitUsage, false, []string{"validate", "--commentator", "/no/such/program"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := withDatabase(t, c.missing, c.args...)
			if code != c.code || !strings.Contains(stderr, c.want) {
				t.Errorf("exit %d, want %d; stderr lacks %q:\n%s", code, c.code, c.want, stderr)
			}
		})
	}
}

func TestNoSecretOfAnAddressIsPrinted(t *testing.T) {
	const secret = "hush4hush"
	for _, address := range []string{"http://h:5000?token=" + secret, "http://" + secret + "@h:99?key=" + secret, "http://u:" + secret + "@h/?x=y"} {
		for _, args := range [][]string{{"reconcile"}, {"doctor", "--probe", "settings,mlflow-reachable"}, {"doctor", "--json", "--probe", "settings,mlflow-reachable"}} {
			var out, errs bytes.Buffer
			run(t.Context(), args, []string{"MLFLOW_TRACKING_URI=" + address}, t.TempDir(), &out, &errs)
			run(t.Context(), append([]string{"--tracking-uri", address}, args...), nil, t.TempDir(), &out, &errs)
			if said := out.String() + errs.String(); strings.Contains(said, secret) || !strings.Contains(said, "is not an address: want http://host") {
				t.Errorf("%s %v: %s", address, args, said)
			}
		}
	}
	s := startMLflow(t)
	if _, _, stderr := withDatabase(t, false, "--tracking-uri", s.URL, "reconcile", "--repair", "--to", "ftp://h?token="+secret); strings.Contains(stderr, secret) {
		t.Error(stderr)
	}
}
