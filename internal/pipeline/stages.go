package pipeline

import (
	"context"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/gates"
)

// stage is a step of a job. Its work reads the values of the stages before it and sets its
// own, even when it returns an error: evidence of a page that could not be fetched, for
// instance.
type stage struct {
	name commentator.Stage
	work func(ctx context.Context, p *Pipeline, v *values, analysis *commentator.Analysis) error
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
	evidence, err := p.Retriever.Retrieve(ctx, v.job.URL)
	v.evidence = &evidence
	return err
}

func extractFacts(ctx context.Context, _ *Pipeline, v *values, analysis *commentator.Analysis) error {
	facts, used, err := v.analyser.ExtractFacts(ctx, *v.evidence)
	*analysis = used
	if err == nil {
		v.facts = &facts
	}
	return err
}

func compose(ctx context.Context, _ *Pipeline, v *values, analysis *commentator.Analysis) error {
	comment, used, err := v.analyser.Compose(ctx, *v.evidence, *v.facts)
	*analysis = used
	if err == nil {
		v.comment = &comment
	}
	return err
}

func checkGates(_ context.Context, p *Pipeline, v *values, _ *commentator.Analysis) error {
	report := gates.Check(*v.comment, p.Themes, p.Gates)
	v.gates = &report
	return nil
}

func post(ctx context.Context, p *Pipeline, v *values, _ *commentator.Analysis) error {
	post, err := p.Poster.Post(ctx, v.job, v.message, p.Render(*v.comment, v.job.URL))
	if err == nil {
		v.post = &post
	}
	return err
}
