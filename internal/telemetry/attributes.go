package telemetry

import (
	"strconv"

	"go.opentelemetry.io/otel/attribute"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/redact"
	"github.com/technoshare/commentator/internal/wire"
)

// attributes is a list under construction. Empty texts are left out.
type attributes []attribute.KeyValue

func (a *attributes) text(key, value string) {
	if value != "" {
		*a = append(*a, attribute.String(key, value))
	}
}

func (a *attributes) count(key string, n int) { *a = append(*a, attribute.Int(key, n)) }

func (a *attributes) add(kv ...attribute.KeyValue) { *a = append(*a, kv...) }

// stageAttributes maps the values of a stage to attributes.
func stageAttributes(stage commentator.Stage, end StageEnd, content bool) []attribute.KeyValue {
	rec := end.Record
	a := make(attributes, 0, 24)
	a.text(wire.AttrJobStage, string(stage))
	a.count(wire.AttrJobAttempt, rec.Attempt)
	a.rollup(rollupOf(end), content)
	if stage == commentator.StageA || stage == commentator.StageB {
		a.text(wire.AttrGenAIRequestModel, rec.Analysis.Model)
		a.text(wire.AttrGenAIProvider, rec.Analysis.Provider)
		a.text(wire.AttrPromptName, rec.Analysis.PromptName)
		a.text(wire.AttrPromptSHA256, rec.Analysis.PromptSHA)
		a.request(rec.Analysis)
		if n := rec.Analysis.ToolCalls; n > 0 || stage == commentator.StageA { // the stage with tools
			a.count(wire.AttrToolCallCount, n)
		}
		if stage == commentator.StageA && rec.ErrorType == "" {
			a.count(wire.AttrSourceCount, len(rec.Analysis.Sources))
		}
		a.usage(rec.Analysis.Usage)
	}
	if end.Post != nil {
		a.text(wire.AttrSlackDelivery, end.Post.Delivery)
		a.text(wire.AttrSlackReplyTS, end.Post.ReplyTS)
	}
	a.text(wire.AttrErrorType, rec.ErrorType)
	a.text(wire.AttrErrorMessage, rec.ErrorMessage)
	return a
}

// jobAttributes maps what is known of a job from its row and its message when it starts.
func (p *Provider) jobAttributes(j commentator.Job, m commentator.Message) []attribute.KeyValue {
	a := make(attributes, 0, 64)
	a.text(wire.AttrSlackChannelID, m.Channel)
	a.text(wire.AttrSlackMessageTS, m.TS)
	a.text(wire.AttrSlackPermalink, p.permalink(m))
	a.text(wire.AttrURLFull, j.URL)
	a.text(wire.AttrURLDomain, j.Domain)
	a.text(wire.AttrSessionID, sessionID(m))
	a.text(wire.AttrUserID, userID(p.cfg.PseudonymKey, m.User))
	if j.RetryOf != 0 {
		a.text(wire.AttrJobRetryOf, strconv.FormatInt(j.RetryOf, 10))
	}
	return a
}

// outcomeAttributes maps what the root alone knows: the outcome and the roll-ups.
func (p *Provider) outcomeAttributes(j commentator.Job, sum summary) []attribute.KeyValue {
	var a attributes
	a.text(wire.AttrJobOutcome, string(j.Outcome))
	a.count(wire.AttrJobAttempts, j.Attempt)
	a.text(wire.AttrErrorType, j.ErrorType)
	a.text(wire.AttrErrorMessage, j.ErrorMessage)
	a.rollup(sum.last, p.cfg.CaptureContent)
	if g := p.cfg.Gates; g != (commentator.GateLimits{}) {
		a.count(wire.AttrGateSummaryMin, g.SummaryMin)
		a.count(wire.AttrGateSummaryMax, g.SummaryMax)
		a.count(wire.AttrGateTLDRCount, g.TLDR)
		a.count(wire.AttrGateThemesMin, g.ThemesMin)
	}
	if an := sum.analysisA; an != nil {
		a.analysis(ofStageA, *an, sum.usageA)
		a.request(*an)
	}
	if an := sum.analysisB; an != nil {
		a.analysis(ofStageB, *an, sum.usageB)
		a.request(*an) // the later stage's setting stands for the job's
	}
	if sum.analysisA != nil || sum.analysisB != nil {
		a.count(wire.AttrToolCallCount, sum.toolCalls)
	}
	a.usage(sum.usage)
	for _, s := range sum.stages {
		status := "ok"
		if s.failed {
			status = "error"
		}
		a.text(wire.AttrStageStatusPrefix+string(s.stage), status)
		a.add(attribute.Float64(stageDurations[s.stage], s.duration.Seconds()))
		a.count(wire.AttrStageAttemptsPrefix+string(s.stage), s.attempts)
	}
	if p.cfg.CaptureContent {
		a.text(wire.AttrCommentText, p.commentText(sum))
	}
	return a
}

var stageDurations = map[commentator.Stage]string{
	commentator.StageRetrieval:    wire.AttrDurationRetrieval,
	commentator.StageA:            wire.AttrDurationStageA,
	commentator.StageB:            wire.AttrDurationStageB,
	commentator.StageQualityGates: wire.AttrDurationGates,
	commentator.StageSlackPost:    wire.AttrDurationSlackPost,
}

// rollup maps the counts that a stage and the root have in common.
func (a *attributes) rollup(r rollup, content bool) {
	if e := r.evidence; e != nil {
		a.text(wire.AttrRetrievalAdapter, e.adapter)
		a.text(wire.AttrRetrievalCoverage, string(e.coverage))
		a.count(wire.AttrSourceCount, e.sources)
		a.count(wire.AttrSnippetCount, e.snippets)
		a.count(wire.AttrErrorCount, e.errors)
	}
	if r.facts != nil {
		a.count(wire.AttrFactCount, *r.facts)
	}
	if g := r.gates; g != nil {
		a.count(wire.AttrGateTotal, g.Total)
		a.count(wire.AttrGateFailures, len(g.Failures))
		a.add(attribute.Bool(wire.AttrGatePassed, g.Passed))
		a.add(attribute.StringSlice(wire.AttrGateFailureList, gateFailures(*g, content)))
	}
}

// analysisNames are those under which a root tells of a stage that asks a model.
type analysisNames struct{ model, provider, promptName, promptSHA, usage string }

var (
	ofStageA = analysisNames{
		wire.AttrStageAModel, wire.AttrStageAProvider, wire.AttrStageAPromptName, wire.AttrStageAPromptSHA, wire.UsageOfStageA,
	}
	ofStageB = analysisNames{
		wire.AttrStageBModel, wire.AttrStageBProvider, wire.AttrStageBPromptName, wire.AttrStageBPromptSHA, wire.UsageOfStageB,
	}
)

// analysis maps the model of such a stage, what it used, and the prompt.
func (a *attributes) analysis(of analysisNames, an commentator.Analysis, u commentator.Usage) {
	a.text(of.model, an.Model)
	a.text(of.provider, an.Provider)
	a.usageOf(of.usage, u)
	a.prompt(of, an)
}

func (a *attributes) prompt(of analysisNames, an commentator.Analysis) {
	a.text(of.promptName, an.PromptName)
	a.text(of.promptSHA, an.PromptSHA)
}

// request maps the settings of the models.
func (a *attributes) request(an commentator.Analysis) {
	if an.Temperature != nil {
		a.add(attribute.Float64(wire.AttrTemperature, *an.Temperature))
	}
	if an.MaxTokens > 0 {
		a.count(wire.AttrMaxTokens, an.MaxTokens)
	}
}

// usage maps token counts. Without a model call there are none: unknown is not zero.
func (a *attributes) usage(u commentator.Usage) {
	if u.Calls == 0 {
		return
	}
	a.usageOf(wire.UsageOfCalls, u)
	a.add(attribute.Int64(wire.AttrUsageReasoning, u.Reasoning))
}

// usageOf maps what a price depends on, under the names that begin with prefix.
func (a *attributes) usageOf(prefix string, u commentator.Usage) {
	if u.Calls == 0 {
		return
	}
	a.add(
		attribute.Int64(prefix+wire.UsageInput, u.Input),
		attribute.Int64(prefix+wire.UsageOutput, u.Output),
		attribute.Int64(prefix+wire.UsageCacheRead, u.CacheRead),
		attribute.Int64(prefix+wire.UsageCacheCreation, u.CacheCreation),
	)
}

// commentText returns the text that was posted or, when no stage came to that, the text
// that the comment would have had.
func (p *Provider) commentText(sum summary) string {
	switch {
	case sum.last.post != nil:
		return sum.last.post.Text
	case sum.last.comment != nil && p.cfg.Render != nil:
		return p.cfg.Render(*sum.last.comment)
	default:
		return ""
	}
}

// permalink returns the address of a message's thread in Slack.
func (p *Provider) permalink(m commentator.Message) string {
	return m.Permalink(p.cfg.SlackURL)
}

// sessionID names the thread that a job answers in.
func sessionID(m commentator.Message) string {
	if m.Channel == "" || m.Thread() == "" {
		return ""
	}
	return m.Channel + ":" + m.Thread()
}

// userID returns a pseudonym of the person, the same that stands in place of the Slack id in
// texts. It is stable under one key.
func userID(key, user string) string {
	if user == "" || key == "" {
		return ""
	}
	return redact.Pseudonym(key, user)
}
