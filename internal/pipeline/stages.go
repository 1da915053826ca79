package pipeline

import (
	"context"

	"github.com/technoshare/commentator/internal/analysis"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/counted"
	"github.com/technoshare/commentator/internal/gates"
)

// stage is a step of a job. Its work reads the values of the stages before it and sets its
// own, even when it returns an error: evidence of a page that could not be fetched, for
// instance.
type stage struct {
	name commentator.Stage
	work func(ctx context.Context, p *Pipeline, v *values, spent *commentator.Analysis) error
}

// stages are the steps in the order in which a job meets them.
var stages = []stage{
	{commentator.StageRetrieval, retrieve},
	{commentator.StageA, extractFacts},
	{commentator.StageB, compose},
	{commentator.StageQualityGates, checkGates},
	{commentator.StageSlackPost, post},
}

func retrieve(ctx context.Context, p *Pipeline, v *values, _ *commentator.Analysis) error {
	left := p.Patience - max(0, p.Now().Sub(v.job.StartedAt)) // of all attempts together, so that it has an end
	evidence, err := p.Retriever.Retrieve(commentator.WithPatience(ctx, left), v.job.URL)
	v.evidence = &evidence
	return err
}

func extractFacts(ctx context.Context, _ *Pipeline, v *values, spent *commentator.Analysis) error {
	facts, used, err := v.analyser.ExtractFacts(ctx, *v.evidence)
	*spent = used
	if err == nil {
		v.facts = &facts
	}
	return err
}

func compose(ctx context.Context, _ *Pipeline, v *values, spent *commentator.Analysis) error {
	comment, used, err := v.analyser.Compose(ctx, *v.evidence, *v.facts)
	*spent = used
	if err == nil {
		v.comment, v.provider = &comment, used.Provider
	}
	return err
}

func checkGates(_ context.Context, p *Pipeline, v *values, _ *commentator.Analysis) error {
	report := gates.Check(*v.comment, p.Themes, p.Gates)
	if why := v.tooLittle(p.Gates.SummaryMin); why != "" {
		for i := range report.Failures {
			if f := &report.Failures[i]; f.Gate == gates.SummarySentenceCount {
				f.Message += " " + why
			}
		}
	}
	v.gates = &report
	return nil
}

// tooLittle says what to do when a comment came out short because the page has fewer sentences
// than a summary needs; "" when that is not the reason. A model writes its own: without one, each
// sentence that can be shown is a fact.
func (v *values) tooLittle(needed int) string {
	n := len(v.facts.KeyFacts)
	switch {
	case v.provider != analysis.ProviderOffline || n >= needed:
		return ""
	case len(v.evidence.Snippets) == 0:
		return "The page has no text that can be read, as when scripts build it in the browser; share a page with an article."
	}
	return "The page has " + counted.Of(n, "sentence") + " that can be shown, and without a model a comment is made of nothing else; share a page with an article, or set OPENAI_API_KEY."
}

func post(ctx context.Context, p *Pipeline, v *values, _ *commentator.Analysis) error {
	post, err := p.Poster.Post(ctx, v.job, v.message, p.Render(*v.comment, v.job.URL))
	if err == nil {
		v.post = &post
	}
	return err
}
