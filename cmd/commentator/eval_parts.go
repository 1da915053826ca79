package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/analysis"
	"github.com/technoshare/commentator/internal/boundedfile"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/evaluation/cassette"
	"github.com/technoshare/commentator/internal/evaluation/scorers"
	"github.com/technoshare/commentator/internal/gates"
	"github.com/technoshare/commentator/internal/pause"
	"github.com/technoshare/commentator/internal/pricing"
	"github.com/technoshare/commentator/internal/render"
	"github.com/technoshare/commentator/internal/telemetry"
)

// evalParts holds what an evaluation works with.
type evalParts struct {
	app       *app
	data      *data.Data
	config    evaluation.Config
	spec      evaluation.Spec
	store     *evaluation.Store
	telemetry *telemetry.Provider // nil: off
	cassette  *cassette.Cassette  // nil: there is none
	openAI    *analysis.OpenAI    // nil: no model is asked
	progress  *progress
}

// prepare opens everything, what may be wrong with the input first.
func (c *evalRunCommand) prepare(ctx context.Context, a *app) (_ *evalParts, err error) {
	loaded, err := data.Load(ctx, a.cfg.DataDir)
	if err != nil {
		return nil, err
	}
	dataset, err := evaluation.LoadDataset(c.datasetPath(a), loaded.ThemeNames())
	if err != nil {
		return nil, err
	}
	examples, err := dataset.Select(c.ID, c.Tag)
	if err != nil {
		return nil, err
	}
	prices, err := readPrices(c.Prices)
	if err != nil {
		return nil, err
	}
	if c.Out != "" {
		if err := evaluation.CheckWritable(c.Out); err != nil { // before a model is paid
			return nil, fmt.Errorf("--out: %w; name another file, or keep the results in the database alone by --out ''", err)
		}
	}
	p := &evalParts{app: a, data: loaded}
	p.config = evaluation.Config{
		Dataset: dataset, Examples: examples, Themes: loaded.ThemeNames(), Limits: gates.DefaultLimits, Gates: gates.Check, Render: render.Slack,
		Revision: readBuild().Revision, Repetitions: c.Repetitions, Parallel: c.Parallel, MaxCostUSD: c.MaxCost,
		Retries: c.Retries, Wait: waitForModel, Now: time.Now,
		Price: func(an commentator.Analysis, at time.Time) (float64, bool) {
			price, ok := prices.Price(an.Provider, an.Model, at)
			return price.Cost(pricing.Usage{
				Input: an.Usage.Input, Output: an.Usage.Output, CacheRead: an.Usage.CacheRead, CacheWrite: an.Usage.CacheCreation,
			}).Total(), ok
		},
	}
	if err := c.openAnalyser(p); err != nil {
		return nil, err
	}
	if _, err := c.scorers(p); err != nil { // a wrong name is said before a file is made
		return nil, err
	}
	if p.store, err = evaluation.OpenStore(ctx, a.cfg.EvalDBPath); err != nil {
		return nil, err
	}
	if p.config.Scorers, err = c.scorers(p); err == nil {
		p.config.Settings, err = c.settings(p)
	}
	if err == nil {
		err = p.startTelemetry(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, p.store.Close())
	}
	p.config.Store, p.config.Telemetry = p.store, p.telemetry
	p.spec = p.config.Spec()
	return p, nil
}

// settings are what decides, beside models and prompts, what an evaluation comes to.
func (c *evalRunCommand) settings(p *evalParts) (string, error) {
	var list []string
	note := func(name string, value any) { list = append(list, fmt.Sprintf("%s %v", name, value)) }
	for _, file := range []struct {
		name    string
		content any
	}{{data.ProjectContextFile, p.data.Themes}, {data.SimilarTechFile, p.data.Tech}} {
		text, err := json.Marshal(file.content)
		if err != nil {
			return "", fmt.Errorf("hash %s: %w", file.name, err)
		}
		note(file.name, fmt.Sprintf("%.6x", sha256.Sum256(text)))
	}
	if c.MaxLatency > 0 {
		note("--max-latency", c.MaxLatency)
	}
	if c.MaxTryCost > 0 {
		note("--max-try-cost", c.MaxTryCost)
	}
	for _, s := range p.config.Scorers {
		if judge := s.Info().Judge; judge != "" {
			note("judge", judge)
		}
	}
	switch p.config.AnalyserKind {
	case evaluation.AnalyserCassette:
		note("--cassette", c.Cassette)
	case evaluation.AnalyserLive:
		cfg := p.app.cfg
		if cfg.ModelTemperature != nil {
			note("MODEL_TEMPERATURE", *cfg.ModelTemperature)
		}
		note("MODEL_MAX_TOKENS", cfg.ModelMaxTokens)
		note("at", p.app.redactor.Text(cmpURL(cfg.OpenAIBaseURL)))
	}
	return strings.Join(list, ", "), nil
}

// openAnalyser makes what makes the comments.
func (c *evalRunCommand) openAnalyser(p *evalParts) error {
	cfg, d := p.app.cfg, p.data
	model := analysis.OpenAIConfig{
		APIKey: cfg.OpenAIKey, BaseURL: cfg.OpenAIBaseURL, ModelStageA: cfg.ModelA, ModelStageB: cfg.ModelB,
		Temperature: cfg.ModelTemperature, MaxTokens: cfg.ModelMaxTokens,
	}
	kind := c.Analyser
	switch {
	case c.Cassette != "":
		kind = evaluation.AnalyserCassette
		played, err := cassette.Open(c.Cassette)
		if err != nil {
			return err
		}
		h := played.Header()
		model.APIKey, model.BaseURL, model.ModelStageA, model.ModelStageB = "of the cassette", "", h.ModelA, h.ModelB
		model.Temperature, model.MaxTokens, model.Transport = h.Temperature, h.MaxTokens, played
		p.cassette, p.config.Replayed, p.config.Fatal = played, played.At, played.Missed
	case kind == "auto" && cfg.OpenAIKey == "" && c.Record == "":
		kind = evaluation.AnalyserOffline
	case kind != evaluation.AnalyserOffline && cfg.OpenAIKey == "":
		return errors.New("a live evaluation needs OPENAI_API_KEY; --analyser offline and --cassette FILE need none")
	case kind != evaluation.AnalyserOffline:
		kind = evaluation.AnalyserLive
	}
	p.config.AnalyserKind = kind
	if kind == evaluation.AnalyserOffline {
		p.config.Analyser = analysis.NewOffline(d)
		p.config.Models = models(analysis.ProviderOffline, analysis.ModelExtractive, analysis.ModelExtractive)
		return nil
	}
	if c.Record != "" {
		taped, err := cassette.Record(c.Record, cassette.Header{
			About:  "Answers of " + cmpURL(cfg.OpenAIBaseURL) + ".",
			ModelA: model.ModelStageA, ModelB: model.ModelStageB, Temperature: model.Temperature, MaxTokens: model.MaxTokens,
		}, http.DefaultTransport)
		if err != nil {
			return err
		}
		model.Transport, p.cassette = taped, taped
		p.config.Replayed = func(ctx context.Context, repetition int) (context.Context, func() time.Duration) {
			ctx, _ = taped.At(ctx, repetition)
			return ctx, func() time.Duration { return 0 }
		}
	}
	var err error
	if p.openAI, err = analysis.NewOpenAI(model, d); err != nil {
		return err
	}
	p.config.Analyser = p.openAI
	p.config.Models = models(analysis.ProviderOpenAI, model.ModelStageA, model.ModelStageB)
	p.config.Prompts = []evaluation.PromptRef{
		{Stage: commentator.StageA, Name: d.StageA.Name, SHA256: d.StageA.SHA256()},
		{Stage: commentator.StageB, Name: d.StageB.Name, SHA256: d.StageB.SHA256()},
	}
	return nil
}

func cmpURL(base string) string {
	if base == "" {
		return "OpenAI"
	}
	return base
}

func models(provider, stageA, stageB string) []evaluation.ModelRef {
	return []evaluation.ModelRef{
		{Stage: commentator.StageA, Provider: provider, Model: stageA}, {Stage: commentator.StageB, Provider: provider, Model: stageB},
	}
}

// scorers are those that were asked for.
func (c *evalRunCommand) scorers(p *evalParts) ([]evaluation.Scorer, error) {
	o := scorers.Options{MaxLatency: c.MaxLatency, MaxCost: c.MaxTryCost}
	if p.openAI != nil {
		model := c.JudgeModel
		if model == "" {
			model = p.config.Models[len(p.config.Models)-1].Model
		}
		ask := func(ctx context.Context, e commentator.Evidence, cm commentator.Comment) (scorers.Judgement, error) {
			said, _, err := p.openAI.Judge(ctx, model, scorers.Rubric, e, cm)
			return scorers.Judgement(said), err
		}
		o.Judge = scorers.NewJudge(model, ask, p.store, time.Now)
	}
	return scorers.Select(c.Scorer, o)
}

// readPrices is the built-in table of prices, with a file laid over it.
func readPrices(path string) (*pricing.Table, error) {
	if path == "" {
		return pricing.Default(), nil
	}
	text, err := boundedfile.Read(path, boundedfile.MaxSettings)
	if err != nil {
		return nil, fmt.Errorf("read prices: %w", err)
	}
	return pricing.Default().With(path, text)
}

// waitForModel waits before a model is asked again: a second, then twice as long each time.
func waitForModel(ctx context.Context, retry int) error {
	return pause.For(ctx, time.Second<<min(retry-1, 5))
}
