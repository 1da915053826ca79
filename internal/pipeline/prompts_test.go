package pipeline

import (
	"context"
	"slices"
	"testing"

	"github.com/technoshare/commentator/internal/commentator"
)

// named makes the comment as another analyser does, and says which prompt it was.
type named struct {
	commentator.Analyser
	prompt string
}

func (n named) ExtractFacts(ctx context.Context, e commentator.Evidence) (commentator.Facts, commentator.Analysis, error) {
	f, a, err := n.Analyser.ExtractFacts(ctx, e)
	a.PromptName, a.PromptSHA = "extract", n.prompt
	return f, a, err
}

func (n named) Compose(ctx context.Context, e commentator.Evidence, f commentator.Facts) (commentator.Comment, commentator.Analysis, error) {
	c, a, err := n.Analyser.Compose(ctx, e, f)
	a.PromptName, a.PromptSHA = "compose", n.prompt
	return c, a, err
}

// Prompts that change while jobs run hold from the next job on, and each job records those that
// it used.
func TestAJobKeepsThePromptsThatItBeganWith(t *testing.T) {
	web := newSite(t)
	r := newRig(t, rigConfig{})
	asked := 0
	r.Analysers = func() commentator.Analyser {
		asked++
		return named{r.Analyser, string(rune('a' + asked - 1))}
	}
	for i, want := range []string{"a", "b"} {
		j := r.jobs(t, web.URL+"/article/1")[0].ID
		if _, err := r.Attempt(t.Context(), j, nil); err != nil {
			t.Fatal(err)
		}
		records, err := r.Store.Stages(t.Context(), j)
		if err != nil {
			t.Fatal(err)
		}
		var used []string
		for _, rec := range records {
			if rec.Analysis.PromptName != "" {
				used = append(used, rec.Analysis.PromptSHA)
			}
		}
		if !slices.Equal(used, []string{want, want}) || asked != i+1 {
			t.Errorf("job %d used %v, want %s; asked %d times", j, used, want, asked)
		}
	}
}
