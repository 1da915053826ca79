package doctor

import (
	"context"
	"errors"
	"strings"

	"github.com/technoshare/commentator/internal/boundedfile"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/telemetry"
)

// probeSampling looks at the file that says at run time what is recorded, which a worker reads
// with its next job and not at its start.
func probeSampling(ctx context.Context, p *Patient) Finding {
	path := p.path(p.Config.SamplingPath())
	mode, why := p.Config.Mode()
	s, revision, err := telemetry.ReadSampling(path)
	if err != nil {
		f := Finding{
			Status: Fail, Found: p.hide(err.Error()),
			Means: "A worker goes on with what it read of the file before; one that is started records jobs as the settings say.",
			Fix:   "Correct the file where the text says, or let `commentator tracing reset` write it anew.",
		}
		if errors.Is(err, boundedfile.ErrNotRegular) {
			f.Fix = "Put a file of rules there, or let SAMPLING_FILE name one; commentator tracing replaces neither pipes nor devices."
		}
		last, _, lastErr := telemetry.LastSampling(path)
		kept := p.inForce(ctx, last)
		switch {
		case mode == telemetry.ModeOff:
			f.Status, f.Means = Warn, "Nothing is recorded at present ("+why+"), so the file has no effect yet."
		case lastErr == nil && len(kept) > 0:
			f.Means = "Until it is mended, the rules that " + telemetry.LastSamplingPath(path) + " keeps of it hold: " + joined(kept) + "."
		}
		return f
	}
	rules := p.inForce(ctx, s)
	var idle []string
	for _, r := range s.Rules {
		if why := r.FitsNone(); why != "" {
			idle = append(idle, "rule "+r.ID+" fits no job: "+why)
		}
	}
	switch {
	case len(idle) > 0:
		return Finding{
			Status: Warn, Found: p.hide(path + ", revision " + revision + ":\n" + strings.Join(append(idle, rules...), "\n")),
			Means: "A rule that fits no job does nothing; the others hold.",
			Fix:   "Correct its domain in the file, or take it out; any other rule of `commentator tracing` removes it too.",
		}
	case revision == "":
		return ok("there is no file %s: the settings say what is recorded", path)
	case len(rules) == 0:
		return ok("no rule holds in %s, revision %s: the settings say what is recorded", path, revision)
	case mode == telemetry.ModeOff:
		return ok("%s no effect, since %s", counted.Form(len(rules), "rule in "+path+" has", "rules in "+path+" have"), why)
	}
	return Finding{
		Status: Warn, Found: path + ", revision " + revision + ":\n" + strings.Join(rules, "\n"),
		Means: "Jobs that a rule fits are recorded as it says, whatever the settings say.",
		Fix:   "`commentator tracing` shows the rules; `commentator tracing reset` ends them. If they are meant, nothing.",
	}
}

// inForce are the rules in words, without those that are over or fit no job.
func (p *Patient) inForce(ctx context.Context, s telemetry.Sampling) (rules []string) {
	for _, r := range s.Rules {
		var decided int64
		if r.Jobs > 0 {
			if db, err := p.database(ctx); err == nil { // else the rule may be over, which its text tells
				decided, _ = db.Decided(ctx, r.ID)
			}
		}
		if !r.Over(p.Now(), decided) && r.FitsNone() == "" {
			rules = append(rules, r.String())
		}
	}
	return rules
}
