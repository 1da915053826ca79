package wire

// SchemaURL is the semantic convention release whose GenAI and HTTP names are
// used here. It is the last one with gen_ai.* names in Go.
const SchemaURL = "https://opentelemetry.io/schemas/1.41.0"

// ScopeName is the instrumentation scope of every span and metric of the worker.
const ScopeName = "github.com/technoshare/commentator"

// Span names.
const (
	SpanJob          = "process jobs"  // root of a job, CONSUMER
	SpanRetrieval    = "retrieval"     // stage
	SpanStageA       = "stage_a"       // stage
	SpanStageB       = "stage_b"       // stage
	SpanQualityGates = "quality_gates" // stage
	SpanSlackPost    = "slack_post"    // stage
	SpanJobStarted   = "job started"   // message to the bridge
	SpanFeedback     = "feedback"      // message to the bridge
	SpanToolSearch   = "execute_tool search"
	SpanSlackCall    = "chat.postMessage"
	SpanSlackSearch  = "conversations.replies"
	SpanHTTPGet      = "GET"
	SpanChatPrefix   = "chat " // + model

	// Evaluations.
	SpanEvalSuite   = "eval_suite"   // root of a trace of its own, a run
	SpanEvalExample = "eval_example" // root of the trace of a try, no run
)

// Resource attributes.
const (
	ResServiceName       = "service.name"
	ResServiceVersion    = "service.version"
	ResServiceInstanceID = "service.instance.id"
	ResStoreID           = "job.store.id"
	ResEnvironment       = "deployment.environment.name"
	ResExperiment        = "experiment.name"
	ResProcessOwner      = "process.owner"
	ResExecutableName    = "process.executable.name"
	ResRevision          = "vcs.ref.head.revision"

	// ResRepair marks a repair message; on the resource of its spans.
	ResRepair = "job.repair"
)

// Values of ResRepair.
const (
	RepairAgain    = "again"    // write it again, whatever was noted as done
	RepairRecreate = "recreate" // likewise, and bring back runs that were deleted
)

// Attributes of every span that belongs to a job.
const (
	AttrJobID     = "job.id"         // string, decimal
	AttrJobDetail = "job.detail"     // string, DetailFull or DetailLifecycle
	AttrTier      = "job.tier"       // string, TierLifecycle, TierMessage or TierDetail
	AttrStartedAt = "job.started_at" // int, µs since 1970; on lifecycle and message spans
)

// Values of AttrJobDetail.
const (
	DetailFull      = "full"
	DetailLifecycle = "lifecycle"
)

// Values of AttrTier.
const (
	TierLifecycle  = "lifecycle"
	TierMessage    = "message"
	TierDetail     = "detail"
	TierEvaluation = "evaluation"
)

// Attributes of stage spans, and of the root as roll-ups.
const (
	AttrJobStage   = "job.stage"   // string, one of the stage span names
	AttrJobAttempt = "job.attempt" // int, 1 is the first

	AttrRetrievalAdapter  = "retrieval.adapter"       // string, "GenericAdapter"
	AttrRetrievalCoverage = "retrieval.coverage"      // string, full | partial | failed
	AttrSourceCount       = "retrieval.source_count"  // int
	AttrSnippetCount      = "retrieval.snippet_count" // int
	AttrErrorCount        = "retrieval.error_count"   // int

	AttrToolCallCount = "tool.call_count" // int
	AttrFactCount     = "facts.count"     // int

	AttrGateTotal       = "gates.total"         // int, gates evaluated
	AttrGateFailures    = "gates.failure_count" // int
	AttrGatePassed      = "gates.passed"        // bool
	AttrGateFailureList = "gates.failures"      // string[], one sentence each

	AttrSlackDelivery = "slack.delivery" // string, slack | store | print
	AttrSlackReplyTS  = "slack.reply.ts" // string

	AttrPromptName   = "prompt.name"   // string
	AttrPromptSHA256 = "prompt.sha256" // string, lower-case hex

	AttrErrorType    = "error.type"    // string, a code such as "http_404"
	AttrErrorMessage = "error.message" // string

	AttrInput  = "job.input"  // string, JSON, ≤ 64 KiB, full detail only
	AttrOutput = "job.output" // string, JSON, ≤ 64 KiB, full detail only

	AttrCut = "cut" // bool, on a detail span that was still open when its stage ended
)

// Attributes of the root and, where known at the start, of `job started`.
const (
	AttrJobOutcome     = "job.outcome"  // string, success | gate_failed | no_urls | error | cancelled
	AttrJobAttempts    = "job.attempts" // int, attempts that were started
	AttrJobRetryOf     = "job.retry_of" // string, id of the job that this one repeats
	AttrSlackChannelID = "slack.channel.id"
	AttrSlackMessageTS = "slack.message.ts"
	AttrSlackPermalink = "slack.permalink" // string, address of the thread
	AttrURLFull        = "url.full"
	AttrURLDomain      = "url.domain"
	AttrSessionID      = "session.id" // string, channel and thread
	AttrUserID         = "user.id"    // string, pseudonym

	AttrStageAModel       = "stage_a.model"
	AttrStageBModel       = "stage_b.model"
	AttrStageAProvider    = "stage_a.provider"
	AttrStageBProvider    = "stage_b.provider"
	AttrStageAPromptName  = "stage_a.prompt.name"
	AttrStageAPromptSHA   = "stage_a.prompt.sha256"
	AttrStageBPromptName  = "stage_b.prompt.name"
	AttrStageBPromptSHA   = "stage_b.prompt.sha256"
	AttrTemperature       = "gen_ai.request.temperature"
	AttrMaxTokens         = "gen_ai.request.max_tokens"
	AttrGateSummaryMin    = "gates.summary.min"
	AttrGateSummaryMax    = "gates.summary.max"
	AttrGateTLDRCount     = "gates.tldr.count"
	AttrGateThemesMin     = "gates.themes.min"
	AttrCommentText       = "comment.text"       // string, the text that was or would be posted
	AttrDurationRetrieval = "retrieval.duration" // double, s, last attempt
	AttrDurationStageA    = "stage_a.duration"
	AttrDurationStageB    = "stage_b.duration"
	AttrDurationGates     = "quality_gates.duration"
	AttrDurationSlackPost = "slack_post.duration"
	AttrStageStatusPrefix = "stage.status." // + stage, string ok | error: last attempt
	// Tokens of all recorded attempts at a model stage, by which the bridge prices the job.
	AttrStageAUsageInput    = "stage_a.usage.input_tokens"
	AttrStageAUsageOutput   = "stage_a.usage.output_tokens"
	AttrStageAUsageRead     = "stage_a.usage.cache_read.input_tokens"
	AttrStageAUsageCreation = "stage_a.usage.cache_creation.input_tokens"
	AttrStageBUsageInput    = "stage_b.usage.input_tokens"
	AttrStageBUsageOutput   = "stage_b.usage.output_tokens"
	AttrStageBUsageRead     = "stage_b.usage.cache_read.input_tokens"
	AttrStageBUsageCreation = "stage_b.usage.cache_creation.input_tokens"
	// AttrStageAttemptsPrefix + stage, int: recorded attempts at the stage.
	AttrStageAttemptsPrefix = "stage.attempts."
)

// Attributes by which any application asks for a run, and the evaluations do.
const (
	AttrRunKind         = "run.kind"           // string, RunKindJob or stage
	AttrRunName         = "run.name"           // string, name of the run; of a trace that belongs to another run, the trace's
	AttrRunParamPrefix  = "run.param."         // + name
	AttrRunMetricPrefix = "run.metric."        // + name
	AttrRunTagPrefix    = "run.tag."           // + name
	AttrRunDatasetName  = "run.dataset.name"   // string, the data that the run is about; on a run's span
	AttrRunDatasetHash  = "run.dataset.digest" // string, tells its versions apart
	AttrRunDatasetFrom  = "run.dataset.source" // string, where it lies: a URL or a path
	AttrRunTraceID      = "run.trace_id"       // string, hex: the run of that trace is the one that this trace belongs to
	AttrRunTraceName    = "run.trace_name"     // string, name of that run until its own span comes
)

// RunKindJob is a value of AttrRunKind.
const RunKindJob = "job"

// What every span of an evaluation says.
const (
	AttrEvalID         = "evaluation.id"         // string, UUID
	AttrEvalExample    = "evaluation.example"    // string; on eval_example
	AttrEvalRepetition = "evaluation.repetition" // int, 1 is the first; on eval_example
)

// GenAI attributes (OTel semantic conventions 1.41).
const (
	AttrGenAIOperation     = "gen_ai.operation.name"
	AttrGenAIProvider      = "gen_ai.provider.name"
	AttrGenAIRequestModel  = "gen_ai.request.model"
	AttrGenAIResponseModel = "gen_ai.response.model"
	AttrGenAIResponseID    = "gen_ai.response.id"
	AttrGenAIFinishReasons = "gen_ai.response.finish_reasons"
	AttrGenAIInput         = "gen_ai.input.messages"
	AttrGenAIOutput        = "gen_ai.output.messages"
	AttrGenAITools         = "gen_ai.tool.definitions"
	AttrGenAIToolName      = "gen_ai.tool.name"
	AttrGenAIToolArguments = "gen_ai.tool.call.arguments"
	AttrGenAIToolResult    = "gen_ai.tool.call.result"
	AttrUsageInput         = "gen_ai.usage.input_tokens"
	AttrUsageOutput        = "gen_ai.usage.output_tokens"
	AttrUsageCacheRead     = "gen_ai.usage.cache_read.input_tokens"
	AttrUsageCacheCreation = "gen_ai.usage.cache_creation.input_tokens"
	AttrUsageReasoning     = "gen_ai.usage.reasoning.output_tokens"
	AttrTokenType          = "gen_ai.token.type" // metrics only: input | output
)

// HTTP client attributes (OTel semantic conventions).
const (
	AttrHTTPMethod     = "http.request.method"
	AttrHTTPStatus     = "http.response.status_code"
	AttrServerAddress  = "server.address"
	AttrServerPort     = "server.port"
	AttrHTTPBodySize   = "http.response.body.size"
	AttrHTTPResendKind = "http.request.resend_count"
)

// Span events.
const (
	EventArtifact   = "artifact"
	EventEvaluation = "gen_ai.evaluation.result"

	AttrArtifactName      = "artifact.name"
	AttrArtifactMediaType = "artifact.media_type"
	AttrArtifactContent   = "artifact.content" // string, or bytes when it is not UTF-8
	AttrArtifactSize      = "artifact.size"    // int, bytes before cutting
	AttrArtifactSHA256    = "artifact.sha256"  // string, hex, of the redacted content before cutting
	AttrArtifactTruncated = "artifact.truncated"

	AttrEvaluationName  = "gen_ai.evaluation.name"
	AttrEvaluationValue = "gen_ai.evaluation.score.value"
	AttrEvaluationLabel = "gen_ai.evaluation.score.label"
	AttrEvaluationWhy   = "gen_ai.evaluation.explanation"

	// What the conventions have no name for.
	AttrEvaluationExpected   = "evaluation.expected"    // bool, it is no verdict but the right answer
	AttrEvaluationRetracted  = "evaluation.retracted"   // bool, the verdict is taken back
	AttrEvaluationSourceType = "evaluation.source.type" // string, a value below
	AttrEvaluationSourceID   = "evaluation.source.id"   // string
)

// EvaluationHelpful is what people judge by their reactions to a reply: the value of
// AttrEvaluationName. The others are values of AttrEvaluationLabel.
const (
	EvaluationHelpful = "helpful"
	EvaluationUp      = "thumbs_up"   // AttrEvaluationValue is 1
	EvaluationDown    = "thumbs_down" // AttrEvaluationValue is 0
)

// LogTraceID is the attribute of log lines that holds the trace id of the job they are about.
const LogTraceID = "trace_id"

// Values of AttrEvaluationSourceType, as MLflow spells them.
const (
	SourceHuman = "HUMAN"
	SourceCode  = "CODE"
	SourceJudge = "LLM_JUDGE"
)

// Artifact names.
const (
	ArtifactEvidence     = "evidence.json"
	ArtifactFacts        = "stage_a_facts.json"
	ArtifactSources      = "sources.txt"
	ArtifactComment      = "stage_b_result.json"
	ArtifactGateFailures = "gate_failures.txt"
	ArtifactSlackPayload = "slack_payload.json"
	ArtifactEvalResults  = "eval_results.json"
)

// AttrReason says on metrics why something was dropped.
const AttrReason = "reason"

// On the counters of what Slack sent.
const (
	AttrEventOutcome = "slack.event.outcome" // an outcome of package intake
	AttrEventSource  = "slack.event.source"  // http | socket | history
	AttrEventRetry   = "slack.event.retry"   // bool, Slack sent it before
	AttrLinkOutcome  = "slack.link.outcome"  // job | cooldown | over_limit
)

// AttrFeedbackOutcome says on feedback.reaction.count what became of a reaction.
const AttrFeedbackOutcome = "feedback.outcome"

// AttrRule says on telemetry.redactions which rule masked something.
const AttrRule = "rule"

// Metric instruments of the worker.
const (
	MetricJobDuration        = "job.duration"
	MetricStageDuration      = "job.stage.duration"
	MetricJobActive          = "job.active"
	MetricQueueDepth         = "job.queue.depth"
	MetricQueueOldestAge     = "job.queue.oldest.age"
	MetricTokenUsage         = "gen_ai.client.token.usage"
	MetricModelDuration      = "gen_ai.client.operation.duration"
	MetricOutboxDepth        = "telemetry.outbox.depth"
	MetricOutboxSize         = "telemetry.outbox.size"
	MetricOutboxAge          = "telemetry.outbox.age"
	MetricOutboxDropped      = "telemetry.outbox.dropped"
	MetricDetailSpansCut     = "telemetry.detail_spans.cut"
	MetricDetailSpansDropped = "telemetry.detail_spans.dropped"
	MetricClockCorrections   = "telemetry.clock.corrections"
	MetricRedactions         = "telemetry.redactions"
	MetricContentCut         = "telemetry.content.cut"
	MetricSlackEvents        = "slack.event.count"
	MetricSlackLinks         = "slack.link.count"
	MetricFeedback           = "feedback.reaction.count"

	// Go runtime, OTel semantic conventions.
	MetricGoGoroutines = "go.goroutine.count"
	MetricGoMemory     = "go.memory.used"
	MetricGoHeapGoal   = "go.memory.gc.goal"
)

// Tags that the bridge writes on MLflow runs for its own bookkeeping.
const (
	// TagKey identifies a run: the trace id for a job, "<trace id>-<span id>" for a stage.
	TagKey = "otel.key"
	// TagClaim marks a run that one of several Collectors made and that is not the run of its
	// key yet; it names the Collector's ledger.
	TagClaim = "otel.claim"
	// TagTraceID is the OTel trace id of the job, in hex.
	TagTraceID = "otel.trace_id"
	// TagUndelivered names artifacts that MLflow could not take.
	TagUndelivered = "artifacts.undelivered"
	// TagTruncated names artifacts that the worker had to cut.
	TagTruncated = "artifacts.truncated"
	// TagSkipped names artifacts that the exporter's configuration left out.
	TagSkipped = "artifacts.skipped"
	// TagUnknownModel names models whose tokens could not be priced.
	TagUnknownModel = "cost.unknown_model"
	// TagAltered names artifacts whose content is not what the worker hashed, because
	// something between the worker and the bridge changed it.
	TagAltered = "artifacts.altered"
	// TagParamConflict names params that MLflow holds with another value, which never
	// changes there.
	TagParamConflict = "params.conflicting"
	// TagStale says why a run was ended without its own span.
	TagStale = "run.stale"
	// TagFeedbackPrefix + name: what was said of a job, in words.
	TagFeedbackPrefix = "feedback."
	// TagPrompts lists the versions of prompts that a run or a trace used, in MLflow's form.
	TagPrompts = "mlflow.linkedPrompts"
)

// FeedbackMean and FeedbackCount name the metrics of what was said of a job: the mean of the
// verdicts that are numbers, and how many verdicts there are.
func FeedbackMean(name string) string  { return "feedback/" + name + "/mean" }
func FeedbackCount(name string) string { return "feedback/" + name + "/count" }

// StageNames lists the five stages in the order in which a job meets them. The
// names are frozen: they are in databases, in MLflow and in people's bookmarks.
var StageNames = []string{SpanRetrieval, SpanStageA, SpanStageB, SpanQualityGates, SpanSlackPost}

// MLflow's name of the tag that makes a run an evaluation, and its value.
const (
	TagRunType      = "mlflow.runType"
	RunTypeEvaluate = "genai_evaluate"
)
