package analysis

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

var _ commentator.Analyser = (*OpenAI)(nil)

// ProviderOpenAI is what OpenAI calls itself, whichever compatible server answers.
const ProviderOpenAI = "openai"

// defaultBaseURL is OpenAI's own server.
const defaultBaseURL = "https://api.openai.com/v1"

// OpenAIConfig says which server and models to use.
type OpenAIConfig struct {
	// APIKey is sent as a bearer token. Needed; servers without keys take any text.
	APIKey string
	// BaseURL of the server, with /v1. Default https://api.openai.com/v1.
	BaseURL string

	// ModelStageA and ModelStageB name the models. Needed; they may be the same.
	ModelStageA string
	ModelStageB string

	// Temperature of all calls. Default: not sent, the model's own; reasoning models take no other.
	Temperature *float64
	// MaxTokens limits the completion of one call, reasoning included. Default: not sent,
	// the model's own. An answer that is cut off is an error.
	MaxTokens int

	// Timeout of one call. Default 2 minutes.
	Timeout time.Duration
	// Transport carries the requests. Default http.DefaultTransport.
	Transport http.RoundTripper
	// Now is the clock behind the durations of calls. Default time.Now.
	Now func() time.Time
}

// Validate names each setting that is missing or wrong.
func (c OpenAIConfig) Validate() error {
	var errs []error
	for _, s := range []struct{ key, value string }{
		{"OPENAI_API_KEY", c.APIKey}, {"MODEL_STAGE_A", c.ModelStageA}, {"MODEL_STAGE_B", c.ModelStageB},
	} {
		if strings.TrimSpace(s.value) == "" {
			errs = append(errs, fmt.Errorf("%s: is missing", s.key))
		}
	}
	if c.BaseURL != "" {
		u, err := url.Parse(c.BaseURL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			errs = append(errs, fmt.Errorf("OPENAI_BASE_URL: %q is no http or https address", c.BaseURL))
		} else if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			errs = append(errs, errors.New("OPENAI_BASE_URL: must not hold a user, a query or a fragment"))
		}
	}
	if c.Temperature != nil && (*c.Temperature < 0 || *c.Temperature > 2) {
		errs = append(errs, fmt.Errorf("temperature: %g is not between 0 and 2", *c.Temperature))
	}
	if c.MaxTokens < 0 {
		errs = append(errs, fmt.Errorf("max tokens: %d is negative", c.MaxTokens))
	}
	if c.Timeout < 0 {
		errs = append(errs, fmt.Errorf("timeout: %s is negative", c.Timeout))
	}
	return errors.Join(errs...)
}

// OpenAI asks an OpenAI-compatible chat completions server for schema-bound output. It
// makes no second attempt at a call that fails: the job's own attempts do that. It is safe
// for concurrent use.
type OpenAI struct {
	cfg    OpenAIConfig
	data   *data.Data
	index  *index
	client *http.Client

	chatA, chatB string // names of the spans of calls, made once

	server  string // host and port, for messages
	address string
	port    int
}

// NewOpenAI returns an analyser, or an error that names each setting that is missing or wrong.
func NewOpenAI(cfg OpenAIConfig, d *data.Data) (*OpenAI, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure model server: %w", err)
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = defaultBaseURL
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Transport == nil {
		cfg.Transport = http.DefaultTransport
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	u, err := url.Parse(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("configure model server: %w", err)
	}
	o := &OpenAI{
		cfg: cfg, data: d, index: newIndex(d.Tech), chatA: wire.SpanChatPrefix + cfg.ModelStageA, chatB: wire.SpanChatPrefix + cfg.ModelStageB,
		server: u.Host, address: u.Hostname(), port: 443,
	}
	if u.Scheme == "http" {
		o.port = 80
	}
	if p, err := strconv.Atoi(u.Port()); err == nil {
		o.port = p
	}
	// The span of a call is its request's too: no second one for the same thing.
	o.client = &http.Client{Transport: cfg.Transport, CheckRedirect: noRedirect}
	return o, nil
}

// What the model is told, as JSON.
type (
	stageAInput struct {
		Sources  []sourceInput        `json:"sources"`
		Coverage commentator.Coverage `json:"coverage"`
		Snippets []snippetInput       `json:"snippets"`
	}
	stageBInput struct {
		Themes   []themeInput         `json:"themes"` // first: the same for all jobs, so that it is cached
		Sources  []sourceInput        `json:"sources"`
		Coverage commentator.Coverage `json:"coverage"`
		Facts    []commentator.Fact   `json:"facts"`
		Unknowns []string             `json:"unknowns"`
		Related  []data.Tech          `json:"related"`
	}
	sourceInput struct {
		URL   string `json:"url"`
		Title string `json:"title"`
	}
	snippetInput struct {
		ID      string `json:"id"`
		Content string `json:"content"`
	}
	themeInput struct {
		Name            string   `json:"name"`
		Pains           []string `json:"pains"`
		Stack           []string `json:"stack"`
		SuccessCriteria []string `json:"success_criteria"`
		Positioning     string   `json:"positioning"`
	}
)

// ExtractFacts is stage A: facts from the snippets, with the search tool at hand. Evidence
// without snippets has no facts; the model isn't asked then. With an error the Analysis
// still tells what was spent.
func (o *OpenAI) ExtractFacts(ctx context.Context, e commentator.Evidence) (commentator.Facts, commentator.Analysis, error) {
	c := &conversation{model: o.cfg.ModelStageA, span: o.chatA, schema: factsSchema, search: true}
	f := commentator.Facts{KeyFacts: []commentator.Fact{}, Unknowns: []string{}}
	if len(e.Snippets) == 0 {
		f.CoverageAssessment = "Nothing of the page could be read."
		return f, o.analysis(e, c, o.data.StageA), nil
	}
	in := stageAInput{Sources: sources(e), Coverage: e.Coverage}
	for _, s := range e.Snippets {
		in.Snippets = append(in.Snippets, snippetInput{ID: s.ID, Content: s.Content})
	}
	c.messages = []chatMessage{{role: roleSystem, content: o.data.StageA.Content}, {role: roleUser, content: toJSON(in)}}
	c.check = func() error { return unknownSnippets(e, f) }
	err := o.run(ctx, c, &f)
	if err != nil {
		return commentator.Facts{}, o.analysis(e, c, o.data.StageA), fmt.Errorf("extract facts: %w", err)
	}
	for _, t := range c.found {
		f.Related = append(f.Related, t.Name)
	}
	return f, o.analysis(e, c, o.data.StageA), nil
}

// unknownSnippets reports facts that rest on snippets that don't exist.
func unknownSnippets(e commentator.Evidence, f commentator.Facts) error {
	known := map[string]bool{}
	for _, s := range e.Snippets {
		known[s.ID] = true
	}
	var problems []string
	for i, fact := range f.KeyFacts {
		for _, id := range fact.SupportedBy {
			if !known[id] {
				problems = append(problems, fmt.Sprintf("/key_facts/%d: there is no snippet %q", i, id))
			}
		}
	}
	if len(problems) > 0 {
		return &violation{problems: problems}
	}
	return nil
}

// Compose is stage B: the comment from the facts. Without facts there is nothing to say;
// the model isn't asked then, and the gates will refuse the empty comment.
func (o *OpenAI) Compose(ctx context.Context, e commentator.Evidence, f commentator.Facts) (commentator.Comment, commentator.Analysis, error) {
	c := &conversation{model: o.cfg.ModelStageB, span: o.chatB, schema: commentSchema}
	comment := commentator.Comment{TLDR: []string{}, Summary: []string{}, Projects: []string{}, SimilarTech: []string{}}
	if len(f.KeyFacts) == 0 {
		return comment, o.analysis(e, c, o.data.StageB), nil
	}
	in := stageBInput{Sources: sources(e), Coverage: e.Coverage, Facts: f.KeyFacts, Unknowns: f.Unknowns, Related: []data.Tech{}}
	for _, t := range o.data.Themes {
		in.Themes = append(in.Themes, themeInput{t.Name, t.Pains, t.Stack, t.SuccessCriteria, t.Positioning})
	}
	for _, name := range f.Related {
		if t, ok := o.index.entry(name); ok {
			in.Related = append(in.Related, t)
			c.found = append(c.found, t)
		}
	}
	c.messages = []chatMessage{{role: roleSystem, content: o.data.StageB.Content}, {role: roleUser, content: toJSON(in)}}
	if err := o.run(ctx, c, &comment); err != nil {
		return commentator.Comment{}, o.analysis(e, c, o.data.StageB), fmt.Errorf("compose comment: %w", err)
	}
	return comment, o.analysis(e, c, o.data.StageB), nil
}

func sources(e commentator.Evidence) []sourceInput {
	list := []sourceInput{}
	for _, s := range e.Sources {
		list = append(list, sourceInput{s.URL, s.Title})
	}
	return list
}

// analysis sums up what a conversation used.
func (o *OpenAI) analysis(e commentator.Evidence, c *conversation, p data.Prompt) commentator.Analysis {
	a := commentator.Analysis{
		Provider: ProviderOpenAI, Model: c.model, PromptName: p.Name, PromptSHA: p.SHA256(),
		Temperature: o.cfg.Temperature, MaxTokens: o.cfg.MaxTokens,
		Usage: c.usage, ToolCalls: c.toolCalls, Sources: sourceURLs(e),
	}
	for _, t := range c.found {
		a.Sources = append(a.Sources, sourceOf(t))
	}
	return a
}
