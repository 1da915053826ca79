package doctor

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/counted"
)

var settingsProbes = []Probe{
	{
		ID: "settings", Title: "Settings in the environment and in .env",
		About: "Keys that are repeated, misspelt, overruled or without effect, values that cannot be read or look like a slip, secrets that others may read (warn); what no program starts with (fail).",
		run:   probeSettings,
	},
	{
		ID: "sampling", Title: "Rules of the sampling file",
		About: "SAMPLING_FILE, which `commentator tracing` writes: rules hold that record jobs otherwise than the settings say, or one fits no job (warn); it cannot be read (fail).",
		Needs: []string{"settings"}, run: probeSampling,
	},
	{
		ID: "ports", Title: "Addresses that the programs listen on",
		About: "Two settings with one address, or one that another program has already, or a Collector that does not answer at OTELCOL_HEALTH_ENDPOINT (fail); the worker sends to another address than the Collector listens on (warn).",
		run:   probePorts,
	},
}

func probeSettings(_ context.Context, p *Patient) Finding {
	var wrong, odd []string
	for _, err := range []error{p.Problem, p.CollectorProblem} {
		if err != nil {
			wrong = append(wrong, strings.Split(err.Error(), "\n")...)
		}
	}
	for _, w := range append(p.Warnings, config.Shadowed(p.Options)...) {
		odd = append(odd, w.Message)
	}
	odd = append(odd, p.pointless()...)
	open := readable(p.Options.Dir)
	f := Finding{Status: OK, Found: counted.Form(p.set(), "setting is", "settings are") + " set, none is wrong"}
	switch {
	case len(wrong) > 0:
		f = Finding{
			Status: Fail, Found: strings.Join(append(wrong, odd...), "\n"),
			Means: "The programs refuse to start with these settings.", Fix: correct,
		}
	case len(odd) > 0:
		f = Finding{
			Status: Warn, Found: strings.Join(odd, "\n"),
			Means: "What is written there does something else than it seems to, or nothing.", Fix: correct,
		}
	}
	if len(open) > 0 {
		f = f.withOpen(open)
	}
	return f
}

const correct = "Correct the lines; `commentator config` shows each setting and where its value is from."

// withOpen adds files with secrets that others may read: nothing is wrong in their lines.
func (f Finding) withOpen(files []string) Finding {
	var found []string
	for _, file := range files {
		found = append(found, file+" holds secrets, and others on this host may read it.")
	}
	const means = "Who has an account on this host can read the tokens and passwords."
	fix := "Run chmod 600 " + strings.Join(files, " ") + "; whoever may have read a secret already has it until it is replaced."
	if f.Status == OK {
		return Finding{Status: Warn, Found: strings.Join(found, "\n"), Means: means, Fix: fix}
	}
	f.Found, f.Means, f.Fix = f.Found+"\n"+strings.Join(found, "\n"), f.Means+" "+means, f.Fix+" "+fix
	return f
}

func (p *Patient) set() (n int) {
	for _, s := range p.Config.Settings {
		if s.Source != config.FromDefault && s.Source != config.Unset {
			n++
		}
	}
	return n
}

// pointless are settings that are right by themselves and lead nowhere together.
func (p *Patient) pointless() (odd []string) {
	c := p.Config
	say := func(when bool, text string) {
		if when {
			odd = append(odd, text)
		}
	}
	say(c.EnableTracing && !c.EnableTracking, "MLFLOW_ENABLE_TRACING=true has no effect without MLFLOW_ENABLE_TRACKING=true: nothing is recorded.")
	say(c.EnableTracking && c.SDKDisabled, "OTEL_SDK_DISABLED=true switches off what MLFLOW_ENABLE_TRACKING=true asks for.")
	say(c.EnableTracking && c.TracesExporter == "none", "OTEL_TRACES_EXPORTER=none switches off what MLFLOW_ENABLE_TRACKING=true asks for.")
	u, err := url.Parse(c.TrackingURI)
	values, _ := config.Values(p.Options) // what is wrong with the files is said already
	say(err == nil && u.User == nil && values["MLFLOW_TRACKING_USERNAME"] != "",
		"MLFLOW_TRACKING_USERNAME is read by MLflow's Python client only; for the Collector and mlflowctl write user:password@ before the host in MLFLOW_TRACKING_URI, in the password / as %2F, ? as %3F, # as %23 and @ as %40.")
	say(values["MLFLOW_TRACKING_TOKEN"] != "", "MLFLOW_TRACKING_TOKEN is read by MLflow's Python client only; give the mlflow exporter `headers` or `auth` in a configuration of your own.")
	return odd
}

// readable names files with secrets that everybody on this host may read.
func readable(dir string) (open []string) {
	if dir == "" {
		return nil
	}
	files, _ := filepath.Glob(filepath.Join(dir, ".env*")) // the pattern is right
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil || info.IsDir() || info.Mode().Perm()&0o044 == 0 {
			continue
		}
		values, _, _ := config.Dotenv(path) // what is wrong with it is said already, or it is none of ours
		for name, value := range values {
			u, err := url.Parse(value)
			password := err == nil && u.User != nil
			if value != "" && (config.IsSecret(name) || password) {
				open = append(open, path)
				break
			}
		}
	}
	return open
}
