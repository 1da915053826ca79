package wire

// Producers and consumers, as they are named in the catalog.
const (
	byTelemetry = "internal/telemetry"
	byAnalysis  = "internal/analysis"
	byRetrieval = "internal/retrieval"
	bySlack     = "internal/slack"
	byBridge    = "collector/mlflowexporter"
	byRepair    = "otelcol-mlflow replay, mlflowctl reconcile"

	toRun      = "run"
	toTrace    = "trace"
	toBoth     = "run, trace"
	toIdentity = "identity of runs and traces"
	toBackends = "other backends"
	toService  = "service run, other backends"
)

// The tests that pin most names.
const (
	testFixtures   = "TestFixturesUseCatalogNames"
	testTable      = "TestEveryFixtureOnce"
	testMetrics    = "TestMetricsNameNoJob"
	testRedactions = "TestRedactionsAreCountedByRule"
	testService    = "TestServiceRun"
	testFeedback   = "TestFeedbackIsWhatTheBridgeReads"
)

var spans = []Entry{
	{Kind: KindSpan, Name: SpanJob, Type: "CONSUMER, lifecycle", Meaning: "The whole job, from jobs.started_at to its final state; the root of its trace, made when the row becomes final.", From: byTelemetry, To: toBoth, Test: testTable},
	{Kind: KindSpan, Name: SpanRetrieval, Type: "INTERNAL, lifecycle", Meaning: "One attempt at fetching the link and cutting it into snippets.", From: byTelemetry, To: toBoth, Test: testTable},
	{Kind: KindSpan, Name: SpanStageA, Type: "INTERNAL, lifecycle", Meaning: "One attempt at extracting facts from the evidence.", From: byTelemetry, To: toBoth, Test: testTable},
	{Kind: KindSpan, Name: SpanStageB, Type: "INTERNAL, lifecycle", Meaning: "One attempt at composing the comment from the facts.", From: byTelemetry, To: toBoth, Test: testTable},
	{Kind: KindSpan, Name: SpanQualityGates, Type: "INTERNAL, lifecycle", Meaning: "One attempt at checking the comment against the gates.", From: byTelemetry, To: toBoth, Test: testTable},
	{Kind: KindSpan, Name: SpanSlackPost, Type: "INTERNAL, lifecycle", Meaning: "One attempt at delivering the comment.", From: byTelemetry, To: toBoth, Test: testTable},
	{Kind: KindSpan, Name: SpanJobStarted, Type: "INTERNAL, message", Meaning: "Makes the job's run visible as RUNNING; sent once, never a run of its own, never in the trace.", From: byTelemetry, To: toRun, Test: testTable},
	{Kind: KindSpan, Name: SpanFeedback, Type: "INTERNAL, message", Meaning: "Carries a person's verdict on the comment, perhaps days later; never makes a run.", From: byTelemetry, To: "assessment, tag and metrics of the job run", Test: testTable},
	{Kind: KindSpan, Name: SpanToolSearch, Type: "INTERNAL, detail", Meaning: "One call of the search tool.", From: byAnalysis, To: "trace, type TOOL", Test: testTable},
	{Kind: KindSpan, Name: SpanSlackCall, Type: "CLIENT, detail", Meaning: "The request that posts the comment.", From: bySlack, To: toTrace, Test: testTable},
	{Kind: KindSpan, Name: SpanSlackSearch, Type: "CLIENT, detail", Meaning: "A look into the thread for a comment that an earlier request may have posted.", From: bySlack, To: toTrace, Test: "TestACommentWhoseProcessDiedIsFoundInTheThread"},
	{Kind: KindSpan, Name: SpanHTTPGet, Type: "CLIENT, detail", Meaning: "One request for a page; each redirect is a request of its own.", From: byRetrieval, To: toTrace, Test: testTable},
	{Kind: KindSpan, Name: SpanChatPrefix, Type: "CLIENT, detail", Meaning: "One model call; the model's name follows the prefix.", From: byAnalysis, To: "trace, type CHAT_MODEL", Test: testTable},
}

var resources = []Entry{
	{Kind: KindResource, Name: ResServiceName, Type: "string", Meaning: "Name of the program, technoshare-commentator unless OTEL_SERVICE_NAME says otherwise.", From: byTelemetry, To: "tag mlflow.source.name when the executable is unknown", Test: testFixtures},
	{Kind: KindResource, Name: ResServiceVersion, Type: "string", Meaning: "Release of the program.", From: byTelemetry, To: toBackends, Test: testFixtures},
	{Kind: KindResource, Name: ResServiceInstanceID, Type: "string", Meaning: "Which worker it is, also after a restart: job.store.id, or one for each host when workers share a PostgreSQL database, unless OTEL_RESOURCE_ATTRIBUTES has one.", From: byTelemetry, To: toBackends, Test: testFixtures},
	{Kind: KindResource, Name: ResStoreID, Type: "string, UUID", Meaning: "Identity of the job database.", From: byTelemetry, To: toIdentity, Test: "TestJobIdentityVectors"},
	{Kind: KindResource, Name: ResEnvironment, Type: "string", Meaning: "Deployment such as production or staging, when configured.", From: byTelemetry, To: toBackends, Test: testFixtures},
	{Kind: KindResource, Name: ResExperiment, Type: "string", Meaning: "MLflow experiment asked for by the worker; wins over the exporter's own setting.", From: byTelemetry, To: "experiment of run and trace", Test: testTable},
	{Kind: KindResource, Name: ResProcessOwner, Type: "string", Meaning: "Operating system user of the worker.", From: byTelemetry, To: "tag mlflow.user", Test: testTable},
	{Kind: KindResource, Name: ResExecutableName, Type: "string", Meaning: "File name of the worker's binary.", From: byTelemetry, To: "tag mlflow.source.name", Test: testTable},
	{Kind: KindResource, Name: ResRevision, Type: "string", Meaning: "Commit that the worker was built from, when known.", From: byTelemetry, To: "tag mlflow.source.git.commit", Test: testTable},
	{Kind: KindResource, Name: ResRepair, Type: "string", Meaning: "Marks a repair message, which the worker never sends.", From: byRepair, To: byBridge, Test: "TestRepairBringsBackADeletedRun"},
}

var values = []Entry{
	{Kind: KindValue, Name: DetailFull, Type: AttrJobDetail, Meaning: "Lifecycle spans and detail spans: a run tree and a trace.", From: byTelemetry, To: byBridge, Test: testTable},
	{Kind: KindValue, Name: DetailLifecycle, Type: AttrJobDetail, Meaning: "Lifecycle spans only: a run tree, no trace.", From: byTelemetry, To: byBridge, Test: testTable},
	{Kind: KindValue, Name: RepairAgain, Type: ResRepair, Meaning: "Write it again, whatever was noted as done.", From: byRepair, To: byBridge, Test: "TestReplayOfADeadLetter"},
	{Kind: KindValue, Name: RepairRecreate, Type: ResRepair, Meaning: "Likewise, and bring back runs that were deleted.", From: byRepair, To: byBridge, Test: "TestRepairBringsBackADeletedRun"},
	{Kind: KindValue, Name: EvaluationHelpful, Type: AttrEvaluationName, Meaning: "Whether the comment helped, by the reactions to the reply.", From: byTelemetry, To: byBridge, Test: testFeedback},
	{Kind: KindValue, Name: EvaluationUp, Type: AttrEvaluationLabel, Meaning: "It helped; the number is 1.", From: byTelemetry, To: byBridge, Test: testFeedback},
	{Kind: KindValue, Name: EvaluationDown, Type: AttrEvaluationLabel, Meaning: "It did not; the number is 0.", From: byTelemetry, To: byBridge, Test: testFeedback},
	{Kind: KindValue, Name: SourceHuman, Type: AttrEvaluationSourceType, Meaning: "A person.", From: "other applications", To: byBridge, Test: testTable},
	{Kind: KindValue, Name: SourceCode, Type: AttrEvaluationSourceType, Meaning: "A program.", From: "other applications", To: byBridge, Test: testTable},
	{Kind: KindValue, Name: SourceJudge, Type: AttrEvaluationSourceType, Meaning: "A model.", From: "other applications", To: byBridge, Test: "TestScoresOfAnyApplication"},
	{Kind: KindValue, Name: TierLifecycle, Type: AttrTier, Meaning: "The job and its stages.", From: byTelemetry, To: byBridge, Test: testTable},
	{Kind: KindValue, Name: TierMessage, Type: AttrTier, Meaning: "A message to the bridge, not a part of the trace.", From: byTelemetry, To: byBridge, Test: testTable},
	{Kind: KindValue, Name: TierDetail, Type: AttrTier, Meaning: "What a stage did inside; only in full detail.", From: byTelemetry, To: byBridge, Test: testTable},
}

var events = []Entry{
	{Kind: KindEvent, Name: EventArtifact, Type: "on stage spans", Meaning: "A file of the stage's run; stripped before the span reaches the trace.", From: byTelemetry, To: "artifact of the stage run", Test: testTable},
	{Kind: KindEvent, Name: EventEvaluation, Type: "on feedback; of other applications on any span", Meaning: "A verdict on the job, or on the span. Of those of one name and source the latest counts.", From: byTelemetry, To: "assessment, tag and metrics", Test: testTable},
}

var artifacts = []Entry{
	{Kind: KindArtifact, Name: ArtifactEvidence, Type: "application/json", Meaning: "Sources, snippets, coverage and errors of the retrieval.", From: SpanRetrieval, To: "artifact of the stage run", Test: testTable},
	{Kind: KindArtifact, Name: ArtifactFacts, Type: "application/json", Meaning: "Key facts with the snippets that support them.", From: SpanStageA, To: "artifact of the stage run", Test: testTable},
	{Kind: KindArtifact, Name: ArtifactSources, Type: "text/plain", Meaning: "Addresses and index entries that the analysis drew on, one a line.", From: SpanStageA, To: "artifact of the stage run", Test: testTable},
	{Kind: KindArtifact, Name: ArtifactComment, Type: "application/json", Meaning: "The comment as tldr, summary, projects and similar tech.", From: SpanStageB, To: "artifact of the stage run", Test: testTable},
	{Kind: KindArtifact, Name: ArtifactGateFailures, Type: "text/plain", Meaning: "One sentence for each failed gate, or that none failed.", From: SpanQualityGates, To: "artifact of the stage run", Test: testTable},
	{Kind: KindArtifact, Name: ArtifactSlackPayload, Type: "application/json", Meaning: "Body of the request to Slack, sent or not, without its blocks, which say what text says, and its metadata; a list when the comment is several messages.", From: SpanSlackPost, To: "artifact of the stage run", Test: testTable},
}

var instruments = []Entry{
	{Kind: KindMetric, Name: MetricJobDuration, Type: "histogram, s", Meaning: "Time from the first attempt to the final state of a job.", From: byTelemetry, To: toService, Test: testMetrics},
	{Kind: KindMetric, Name: MetricStageDuration, Type: "histogram, s", Meaning: "Time of one attempt at a stage.", From: byTelemetry, To: toService, Test: testMetrics},
	{Kind: KindMetric, Name: MetricJobActive, Type: "up-down counter, {job}", Meaning: "Jobs that an attempt is working on.", From: byTelemetry, To: toService, Test: testMetrics},
	{Kind: KindMetric, Name: MetricQueueDepth, Type: "gauge, {job}", Meaning: "Jobs that are not final and not being worked on.", From: byTelemetry, To: toService, Test: testMetrics},
	{Kind: KindMetric, Name: MetricQueueOldestAge, Type: "gauge, s", Meaning: "How long the first job that could run has waited; jobs that wait for a next try do not count.", From: byTelemetry, To: toService, Test: testMetrics},
	{Kind: KindMetric, Name: MetricTokenUsage, Type: "histogram, {token}", Meaning: "Tokens of one model call by kind.", From: byTelemetry, To: toService, Test: testMetrics},
	{Kind: KindMetric, Name: MetricModelDuration, Type: "histogram, s", Meaning: "Time of one model call.", From: byTelemetry, To: toService, Test: testMetrics},
	{Kind: KindMetric, Name: MetricOutboxDepth, Type: "gauge, {message}", Meaning: "OTLP messages that wait for the Collector.", From: byTelemetry, To: toService, Test: testMetrics},
	{Kind: KindMetric, Name: MetricOutboxSize, Type: "gauge, By", Meaning: "Compressed bytes of these messages.", From: byTelemetry, To: toService, Test: testMetrics},
	{Kind: KindMetric, Name: MetricOutboxAge, Type: "gauge, s", Meaning: "Age of the oldest of these messages.", From: byTelemetry, To: toService, Test: testMetrics},
	{Kind: KindMetric, Name: MetricOutboxDropped, Type: "counter, {message}", Meaning: "Messages that were not kept or were refused for good, by reason; as in_part the spans that were rejected of messages that were taken.", From: byTelemetry, To: toService, Test: testMetrics},
	{Kind: KindMetric, Name: MetricDetailSpansCut, Type: "counter, {span}", Meaning: "Detail spans that were still open when their stage ended.", From: byTelemetry, To: toBackends, Test: testMetrics},
	{Kind: KindMetric, Name: MetricDetailSpansDropped, Type: "counter, {span}", Meaning: "Detail spans that did not fit into their stage's message, by reason.", From: byTelemetry, To: toBackends, Test: testMetrics},
	{Kind: KindMetric, Name: MetricContentCut, Type: "counter, {text}", Meaning: "Texts and artifacts that were cut to a limit of their own or of their message, by reason.", From: byTelemetry, To: toBackends, Test: testMetrics},
	{Kind: KindMetric, Name: MetricSlackEvents, Type: "counter, {event}", Meaning: "Events and messages that came from Slack, by outcome, source and whether Slack repeated them.", From: byTelemetry, To: toBackends, Test: testMetrics},
	{Kind: KindMetric, Name: MetricSlackLinks, Type: "counter, {link}", Meaning: "Links of messages of people, by outcome.", From: byTelemetry, To: toBackends, Test: testMetrics},
	{Kind: KindMetric, Name: MetricFeedback, Type: "counter, {reaction}", Meaning: "Reactions that were put on messages or taken away, by what became of them.", From: byTelemetry, To: toBackends, Test: testMetrics},
	{Kind: KindMetric, Name: MetricGoGoroutines, Type: "gauge, {goroutine}", Meaning: "Goroutines that exist.", From: byTelemetry, To: toService, Test: testMetrics},
	{Kind: KindMetric, Name: MetricGoMemory, Type: "gauge, By", Meaning: "Memory that the Go runtime uses, without what it gave back to the system.", From: byTelemetry, To: toService, Test: testMetrics},
	{Kind: KindMetric, Name: MetricGoHeapGoal, Type: "gauge, By", Meaning: "Heap size at which the garbage collector runs next.", From: byTelemetry, To: toService, Test: testMetrics},
	{Kind: KindMetric, Name: MetricRedactions, Type: "counter, {mask}", Meaning: "Parts of texts that were masked before they were recorded, by rule.", From: byTelemetry, To: toBackends, Test: testRedactions},
	{Kind: KindMetric, Name: MetricClockCorrections, Type: "counter, {span}", Meaning: "Lifecycle spans whose end had to be moved to their start.", From: byTelemetry, To: toBackends, Test: testMetrics},
}
