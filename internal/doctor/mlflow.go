package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/technoshare/commentator/internal/mlflow"
)

const (
	reachable = "mlflow-reachable"
	admitted  = "mlflow-host"
)

var mlflowProbes = []Probe{
	{
		ID: reachable, Title: "MLflow answers",
		About: "GET /health at MLFLOW_TRACKING_URI: no answer, or that of something else (fail, or warn while nothing is recorded).",
		run:   probeReachable,
	},
	{
		ID: admitted, Title: "MLflow takes the Host header",
		About: "A call of the API with the Host that the programs send, since /version and /health answer for any: refused by --allowed-hosts (fail); MLFLOW_UI_URL names a host that is refused (warn).",
		Needs: []string{reachable}, run: probeHost,
	},
	{
		ID: "mlflow-access", Title: "MLflow takes the credentials",
		About: "The experiment is asked for with the credentials of MLFLOW_TRACKING_URI: refused (fail); it was deleted (fail).",
		Needs: []string{reachable, admitted}, run: probeAccess,
	},
	{
		ID: "mlflow-version", Title: "Version of MLflow",
		About: "GET /version: older than 3.7, which takes no traces (fail, or warn without tracing), or newer than what was tried (warn).",
		Needs: []string{reachable, admitted, "mlflow-access"}, run: probeVersion,
	},
	{
		ID: "mlflow-store", Title: "Where MLflow keeps runs and traces",
		About: "By the words of an error of its database's driver, and by the server's process if it is on this host: a file store, which holds no traces (fail, or warn without tracing).",
		Needs: []string{reachable, admitted, "mlflow-access"}, run: probeStore,
	},
	{
		ID: "mlflow-workers", Title: "Server workers on SQLite",
		About: "The worker processes of a server on this host: more than two on SQLite (warn).",
		Needs: []string{reachable, admitted, "mlflow-access", "mlflow-store"}, run: probeWorkers,
	},
	{
		ID: "mlflow-traces", Title: "MLflow takes traces",
		About: "A span is sent to /v1/traces with these credentials for this experiment, read back and removed: refused, lost or not allowed (fail).",
		Needs: []string{reachable, admitted, "mlflow-access"}, run: probeTraces,
	},
	{
		ID: "mlflow-artifacts", Title: "MLflow takes artifacts",
		About: "A file is written to where the experiment's artifacts are, read back, compared and removed (fail); a place that cannot be tried without leaving something behind (warn).",
		Needs: []string{reachable, admitted, "mlflow-access"}, run: probeArtifacts,
	},
	{
		ID: "mlflow-latency", Title: "Delayed acknowledgements",
		About: "Requests on one connection, acknowledged at once and as the system does by itself: each takes 40 ms too long even so, by a proxy in between (warn), or is slow (warn).",
		Needs: []string{reachable}, run: probeLatency,
	},
	{
		ID: "clock", Title: "Clocks",
		About: "The Date header of MLflow, and of Slack if there is a token, against this host's clock: 5 s apart (warn), 2 min (fail).",
		run:   probeClock,
	},
}

// errNoMLflow is said of all that would ask a server whose address is wrong.
const noMLflow = "MLFLOW_TRACKING_URI is no address, see the probe settings"

func probeReachable(ctx context.Context, p *Patient) Finding {
	if p.MLflow == nil {
		return skip(noMLflow)
	}
	_, err := p.mlflowHealth(ctx)
	if err == nil {
		return ok("it answers on %s", p.MLflow.Endpoint())
	}
	var e *mlflow.Error
	if errors.As(err, &e) && e.Status != 0 {
		return p.gone(reachable, Finding{
			Found: fmt.Sprintf("%s answers %v", p.MLflow.Endpoint(), err),
			Means: "What is there is no MLflow, or MLflow is below another path.",
			Fix:   "Let MLFLOW_TRACKING_URI name the server with the path of its --static-prefix, and without that of a page of the UI.",
		})
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return p.gone(reachable, Finding{
			Found: fmt.Sprintf("%s has not answered for %v", p.MLflow.Endpoint(), p.Limits.Answer),
			Means: "Runs and traces wait in the Collector's queue on disk until it answers again.",
			Fix:   "Look at its log and its host, where it may be stopped, out of memory or busy beyond what it can do, or at the proxy in between; restart it.",
		})
	}
	return p.gone(reachable, Finding{
		Found: fmt.Sprintf("nothing answers on %s: %v", p.MLflow.Endpoint(), err),
		Means: "Runs and traces wait in the Collector's queue on disk until it is back.",
		Fix:   "Start it (scripts/start_mlflow.sh --background), or correct MLFLOW_TRACKING_URI; in a container 127.0.0.1 is the container itself.",
	})
}

// refusedHost reports whether an error is that of MLflow's check of the Host header.
func refusedHost(err error) bool {
	var e *mlflow.Error
	return errors.As(err, &e) && e.Status == http.StatusForbidden && strings.Contains(e.Message, "Invalid Host header")
}

func probeHost(ctx context.Context, p *Patient) Finding {
	_, err := p.theExperiment(ctx)
	host := p.MLflow.Base().Host
	if refusedHost(err) {
		return Finding{
			Status: Fail, Found: fmt.Sprintf("it refuses the Host %s: %v", host, err),
			Means: "Every call of the API is refused, although /version and /health answer; what comes stays in the Collector's queue.",
			Fix: fmt.Sprintf("Start MLflow with --allowed-hosts %s, which replaces its list (repeat the others, each with its port), or reach it by a name that it takes; "+
				"in a Collector configuration of your own `host_header` sends another name.", host),
		}
	}
	if ui, err := url.Parse(p.Collector.UIURL); err == nil && ui.Host != "" && ui.Host != host {
		if _, err := p.MLflow.AsHost(ui.Host).GetExperimentByName(ctx, p.Experiment); refusedHost(err) {
			return Finding{
				Status: Warn, Found: fmt.Sprintf("it takes %s and refuses %s, the host of MLFLOW_UI_URL", host, ui.Host),
				Means: "Links to runs and traces lead to a page that does not load, unless a proxy there changes the Host.",
				Fix:   fmt.Sprintf("Start MLflow with --allowed-hosts %s,%s.", host, ui.Host),
			}
		}
	}
	_, err = p.MLflow.AsHost("doctor.invalid").GetExperimentByName(ctx, p.Experiment)
	if refusedHost(err) {
		return ok("it takes %s, and refuses unknown names", host)
	}
	return ok("it takes %s, and any other name: its check is off, or it is older than 3.5", host)
}

func probeAccess(ctx context.Context, p *Patient) Finding {
	e, err := p.theExperiment(ctx)
	var answer *mlflow.Error
	isAnswer := errors.As(err, &answer)
	switch {
	case err == nil && e.Stage == mlflow.Deleted:
		return Finding{
			Status: Fail, Found: fmt.Sprintf("experiment %s (id %s) is deleted", e.Name, e.ID),
			Means: "Nothing can be written to it, and no other can have its name.",
			Fix:   "Restore it (mlflow experiments restore --experiment-id " + e.ID + "), or set MLFLOW_EXPERIMENT_NAME to another name.",
		}
	case err == nil:
		return ok("experiment %s has the id %s", e.Name, e.ID)
	case mlflow.IsCode(err, mlflow.CodeNotFound):
		return ok("there is no experiment %s yet; the Collector makes it with the first job", p.Experiment)
	case isAnswer && (answer.Status == http.StatusUnauthorized || answer.Status == http.StatusForbidden):
		return Finding{
			Status: Fail, Found: fmt.Sprintf("it refuses the credentials: %v", err),
			Means: "Every call is refused; what comes stays in the Collector's queue.",
			Fix:   p.credentials(answer.Status),
		}
	case isAnswer && answer.NoRoute():
		return Finding{
			Status: Fail, Found: fmt.Sprintf("%s has no API of MLflow: %v", p.MLflow.Endpoint(), err),
			Means: "It is another server, or MLflow is below another path.",
			Fix:   "Let MLFLOW_TRACKING_URI name the server with the path of its --static-prefix.",
		}
	}
	return Finding{
		Status: Fail, Found: fmt.Sprintf("it cannot say whether there is an experiment %s: %v", p.Experiment, err),
		Means: "It runs and does not work; its database may be away or locked.",
		Fix:   "Look at MLflow's own log.",
	}
}

func (p *Patient) credentials(status int) string {
	if status == http.StatusForbidden {
		return "Give the user the permission EDIT on the experiment, or let it make experiments."
	}
	if u, err := url.Parse(p.Config.TrackingURI); err == nil && u.User == nil {
		return "Write user and password into MLFLOW_TRACKING_URI, as user:password@ before the host, in the password / as %2F, ? as %3F, # as %23 and @ as %40. " +
			"MLFLOW_TRACKING_USERNAME and _PASSWORD are read by MLflow's Python client only."
	}
	return "Correct user and password in MLFLOW_TRACKING_URI; in the password / is %2F, ? is %3F, # is %23 and @ is %40."
}

// What was tried, see docs/COMPATIBILITY.md.
var (
	oldest = version{3, 7}
	newest = version{3, 17}
)

// version is major and minor.
type version [2]int

func (v version) before(o version) bool { return v[0] < o[0] || v[0] == o[0] && v[1] < o[1] }

func parseVersion(text string) (v version, ok bool) {
	parts := strings.SplitN(strings.TrimSpace(text), ".", 3)
	if len(parts) < 2 {
		return v, false
	}
	for i := range v {
		n, err := strconv.Atoi(parts[i])
		if err != nil {
			return v, false
		}
		v[i] = n
	}
	return v, true
}

func probeVersion(ctx context.Context, p *Patient) Finding {
	text, err := p.MLflow.Version(ctx)
	v, known := parseVersion(text)
	switch {
	case err != nil:
		return Finding{
			Status: Warn, Found: fmt.Sprintf("it does not say its version: %v", err),
			Means: "It is older than 1.x, or a proxy does not pass /version on; the Collector then takes it for one without traces.", Fix: "Let the proxy pass /version on.",
		}
	case !known:
		return Finding{
			Status: Warn, Found: fmt.Sprintf("it says that its version is %q", text),
			Means: "The Collector takes it for one without traces.", Fix: "Let MLFLOW_TRACKING_URI name MLflow itself, or a proxy that passes /version on.",
		}
	case v.before(oldest):
		return p.traceless(Finding{
			Found: "it is " + text + ", which takes no traces from OpenTelemetry",
			Means: "Runs and artifacts are written, traces are not.",
			Fix:   "Upgrade MLflow to 3.7 or later (its database first: mlflow db upgrade); docs/COMPATIBILITY.md says what was tried.",
		})
	case newest.before(v):
		return Finding{
			Status: Warn, Found: fmt.Sprintf("it is %s; the newest that was tried is %d.%d", text, newest[0], newest[1]),
			Means: "It may well work: nobody looked.", Fix: "Run make compat with its version, or wait for a release that names it.",
		}
	}
	return ok("it is %s", text)
}

// traceless is a failure when traces are wanted, else a warning.
func (p *Patient) traceless(f Finding) Finding {
	f.Status = Fail
	if !p.Config.EnableTracing {
		f.Status = Warn
		f.Means += " Traces are not asked for at present (MLFLOW_ENABLE_TRACING is not true)."
	}
	return f
}
