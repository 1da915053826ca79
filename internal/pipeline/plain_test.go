package pipeline

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/internal/wire"
)

// escapesOfHTML are what encoding/json makes of &, < and >.
var escapesOfHTML = []string{`\u0026`, `\u003c`, `\u003e`}

// An earlier version stored &, < and > escaped. Its job goes on, and people read the characters.
func TestAJobOfAnEarlierVersionGoesOn(t *testing.T) {
	web := newSite(t)
	r := newRig(t, rigConfig{mode: telemetry.ModeTracing})
	calls := 0
	r.Analyser = faulty{r.Analyser, func(context.Context) error {
		if calls++; calls == 1 {
			return errors.New("out of cheese")
		}
		return nil
	}}
	id := r.jobs(t, web.URL+"/article/1?a=1&b=2")[0].ID
	if _, err := r.Attempt(t.Context(), id, nil); err == nil {
		t.Fatal("the first attempt did not fail")
	}
	changed, err := r.Store.DB().ExecContext(t.Context(), `UPDATE stages SET result = REPLACE(result, '&', '\u0026') WHERE result LIKE '%a=1&b=2%'`)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := changed.RowsAffected(); n != 1 || err != nil {
		t.Fatalf("%d rows had the link as people read it, %v", n, err)
	}
	report := r.finish(t, id)
	if report.Outcome != commentator.OutcomeSuccess || web.count("/article/1") != 1 {
		t.Errorf("outcome %s, %d requests for the page", report.Outcome, web.count("/article/1"))
	}
	_, spans := r.outbox(t)
	links := map[string]int{}
	for _, s := range spans {
		text := s.String() // in which a backslash is two
		for _, escape := range escapesOfHTML {
			if strings.Contains(text, `\`+escape) {
				t.Errorf("%s has %s: %s", s.Name, escape, text)
			}
		}
		links[s.Name] += strings.Count(text, "a=1&b=2")
	}
	for _, name := range []string{wire.SpanJob, string(commentator.StageRetrieval), string(commentator.StageA), string(commentator.StageB)} {
		if links[name] == 0 {
			t.Errorf("%s does not show the link", name)
		}
	}
	records, err := r.Store.Stages(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range records {
		for _, escape := range escapesOfHTML {
			if rec.Stage != commentator.StageRetrieval && rec.Stage != commentator.StageSlackPost && strings.Contains(string(rec.Result), escape) {
				t.Errorf("the row of %s has %s", rec.Stage, escape)
			}
		}
	}
}
