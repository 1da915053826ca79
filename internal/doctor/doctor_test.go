package doctor

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("internal/poll.runtime_pollWait"), // keep-alive connections of test servers
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"),
	)
}

func TestEveryProbeSaysWhatItLooksAt(t *testing.T) {
	var ids []string
	for _, p := range Probes() {
		if !regexp.MustCompile(`^[a-z]+(-[a-z]+)?$`).MatchString(p.ID) || slices.Contains(ids, p.ID) {
			t.Errorf("%q is no id of its own", p.ID)
		}
		if p.Title == "" || p.run == nil || !strings.Contains(p.About, "(warn") && !strings.Contains(p.About, "(fail") {
			t.Errorf("%s does not say what it looks at and when it fails", p.ID)
		}
		for _, need := range p.Needs {
			if !slices.Contains(ids, need) {
				t.Errorf("%s needs %s, which is not made before it", p.ID, need)
			}
		}
		ids = append(ids, p.ID)
	}
	if _, err := Find([]string{"outbox", "outbux"}); err == nil || !strings.Contains(err.Error(), "outbux") || !strings.Contains(err.Error(), "disk") {
		t.Errorf("an unknown probe: %v", err)
	}
	chosen, err := Find([]string{"outbox", "settings"})
	if err != nil || len(chosen) != 2 || chosen[0].ID != "settings" {
		t.Errorf("chosen: %v, %v", chosen, err)
	}
}

// What another probe needs and that fails is told with it, once, and what depends on it is
// skipped with the reason.
func TestWhatAProbeNeedsIsToldWhenItFails(t *testing.T) {
	r := newRig(t, "MLFLOW_ENABLE_TRACKING=true")
	report := r.report(t, "mlflow-traces", "mlflow-artifacts")
	var got []string
	for _, one := range report.Probes {
		got = append(got, one.ID+" "+string(one.Status))
	}
	want := []string{"mlflow-reachable fail", "mlflow-traces skip", "mlflow-artifacts skip"}
	if !slices.Equal(got, want) || report.Status != Fail || report.Fail != 1 || report.Skip != 2 {
		t.Errorf("%v, want %v; %+v", got, want, report)
	}
}

// While nothing is recorded, programs that do not run are worth a warning and no more.
func TestNothingFailsWhereNothingIsRecorded(t *testing.T) {
	report := newRig(t).report(t)
	for _, one := range report.Probes {
		if one.Status == Fail {
			t.Errorf("%s fails: %s", one.ID, one.Found)
		}
	}
	if report.Status != Warn || report.Warn != 3 { // MLflow, the Collector, and its receiver
		t.Errorf("%d warnings, %s", report.Warn, report.Status)
	}
}

func TestNoSecretIsTold(t *testing.T) {
	const secret = "s3cr3t-s3cr3t"
	r := newRig(t, "MLFLOW_TRACKING_URI=http://user:"+secret+"@"+closed(t), "SLACK_BOT_TOKEN=xoxb-"+secret, "SLACK_APP_TOKEN=xapp-"+secret,
		"SLACK_API_URL="+serve(t, echo)+"/", "OPENAI_API_KEY=sk-"+secret, "OPENAI_BASE_URL="+serve(t, echo)+"/v1",
		"DATABASE_URL=postgres://user:"+secret+"@"+closed(t)+"/jobs", "OTEL_EXPORTER_OTLP_HEADERS=authorization="+secret)
	r.write(t, ".env", "SLACK_BOT_TOKEN=xoxb-other-"+secret+"\nSLACK_BOT_TOKEN=xoxb-third-"+secret+"\n")
	text, err := json.Marshal(r.report(t))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), secret) {
		t.Errorf("it is told: %s", text)
	}
}

// Not in the addresses that it names either, nor are its remedies masked.
func TestNoSecretOfAnAddressIsTold(t *testing.T) {
	const secret = "hush4hush"
	r := newRig(t, "OPENAI_API_KEY=sk-x", "OPENAI_BASE_URL=http://"+closed(t)+"/v1?api_key="+secret,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://"+secret+"@"+closed(t)+"?token="+secret,
		"SLACK_BOT_TOKEN=xoxb-1", "SLACK_API_URL=http://"+closed(t)+"/api/?key="+secret+"/", "MLFLOW_TRACKING_USERNAME=admin")
	text, err := json.Marshal(r.report(t))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), secret) || !strings.Contains(string(text), "/v1?api_key=REDACTED") {
		t.Errorf("it is told: %s", text)
	}
	if !strings.Contains(string(text), "write user:password@ before the host") {
		t.Errorf("the remedy is not told: %s", text)
	}
}

func TestInterruptedItEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := newRig(t)
	if report := Run(ctx, Probes(), r.patient(t), nil); len(report.Probes) != len(Probes()) {
		t.Errorf("%d results of %d", len(report.Probes), len(Probes()))
	}
}
