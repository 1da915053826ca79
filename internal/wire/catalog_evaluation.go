package wire

// Producers and tests of what concerns evaluations.
const (
	byApplications = "other applications"
	byEvaluation   = "internal/evaluation, by internal/telemetry"

	testEvaluation = "TestAnEvaluationInMLflow"
	testAsked      = "TestAnyApplication"
)

var evaluationSpans = []Entry{
	{Kind: KindSpan, Name: SpanEvalSuite, Type: "INTERNAL, evaluation", Meaning: "A whole evaluation, made when it ends; the root of its trace and the only span in it.", From: byEvaluation, To: toRun, Test: testEvaluation},
	{Kind: KindSpan, Name: SpanEvalExample, Type: "INTERNAL, evaluation", Meaning: "One repetition of one example; the root of its trace. It leaves with the detail spans below it, which are named like stages, and belongs to the run of the suite.", From: byEvaluation, To: toTrace, Test: testEvaluation},
}

var evaluationAttributes = []Entry{
	{Kind: KindAttr, Name: AttrEvalID, Type: "string, UUID", Meaning: "Which evaluation; on eval_suite and eval_example.", From: byEvaluation, To: toBackends, Test: testEvaluation},
	{Kind: KindAttr, Name: AttrEvalExample, Type: "string", Meaning: "Which example of the dataset; on eval_example.", From: byEvaluation, To: toBackends, Test: testEvaluation},
	{Kind: KindAttr, Name: AttrEvalRepetition, Type: "int", Meaning: "Which repetition, the first is 1; on eval_example.", From: byEvaluation, To: toBackends, Test: testEvaluation},
	{Kind: KindAttr, Name: AttrRunKind, Type: "string, job | stage", Meaning: "Asks for a run; on eval_suite and of other applications on any span.", From: byApplications, To: toRun, Test: testAsked},
	{Kind: KindAttr, Name: AttrRunName, Type: "string", Meaning: "Name of the run, or of a trace that belongs to another run.", From: byApplications, To: toBoth, Test: testAsked},
	{Kind: KindAttr, Name: AttrRunParamPrefix, Type: "any", Meaning: "A param of the run; its name follows the prefix.", From: byApplications, To: toRun, Test: testAsked},
	{Kind: KindAttr, Name: AttrRunMetricPrefix, Type: "number or bool", Meaning: "A metric of the run; its name follows the prefix.", From: byApplications, To: toRun, Test: testAsked},
	{Kind: KindAttr, Name: AttrRunTagPrefix, Type: "any", Meaning: "A tag of the run and of the trace; its name follows the prefix. Tags that the exporter or MLflow sets itself, such as otel.key, artifacts.altered, feedback.… and mlflow.linkedPrompts, are left out.", From: byApplications, To: toBoth, Test: testAsked},
	{Kind: KindAttr, Name: AttrRunDatasetName, Type: "string", Meaning: "The dataset that the run is about, which MLflow shows in the column Dataset; on a span that becomes a run.", From: byApplications, To: toRun, Test: testAsked},
	{Kind: KindAttr, Name: AttrRunDatasetHash, Type: "string", Meaning: "Tells versions of it apart; MLflow keeps 36 characters. Without it the bridge makes one of name and source.", From: byApplications, To: toRun, Test: testAsked},
	{Kind: KindAttr, Name: AttrRunDatasetFrom, Type: "string", Meaning: "Where it lies, a URL or a path.", From: byApplications, To: toRun, Test: testAsked},
	{Kind: KindAttr, Name: AttrRunTraceID, Type: "string, hex", Meaning: "The root's trace belongs to the run of that trace, and makes none; on eval_example.", From: byEvaluation, To: "run of the trace, and where its assessments were made", Test: testEvaluation},
	{Kind: KindAttr, Name: AttrRunTraceName, Type: "string", Meaning: "Name of that run until its own span comes; on eval_example.", From: byEvaluation, To: toRun, Test: testEvaluation},
	{Kind: KindAttr, Name: AttrEvaluationExpected, Type: "bool", Meaning: "The event holds what the right answer would be.", From: byEvaluation, To: "expectation of the trace", Test: testEvaluation},
}

var evaluationValues = []Entry{
	{Kind: KindValue, Name: RunKindJob, Type: AttrRunKind, Meaning: "The span becomes a run.", From: byApplications, To: byBridge, Test: testAsked},
	{Kind: KindValue, Name: RunTypeEvaluate, Type: TagRunType, Meaning: "The run is an evaluation.", From: byTelemetry, To: "MLflow", Test: testEvaluation},
	{Kind: KindValue, Name: TierEvaluation, Type: AttrTier, Meaning: "A suite or a try of an evaluation; recorded whenever anything is.", From: byTelemetry, To: byBridge, Test: testEvaluation},
}

var evaluationArtifacts = []Entry{
	{Kind: KindArtifact, Name: ArtifactEvalResults, Type: "application/json", Meaning: "Every score of the evaluation, with dataset, prompts and models.", From: SpanEvalSuite, To: "artifact of the evaluation's run", Test: testEvaluation},
}

var evaluationParams = []Entry{
	{Kind: KindParam, Name: "dataset_name", Type: string(OnEvaluation), Meaning: "Name of the dataset.", From: AttrRunParamPrefix, Test: testEvaluation},
	{Kind: KindParam, Name: "dataset_version", Type: string(OnEvaluation), Meaning: "Its version, as its author calls it.", From: AttrRunParamPrefix, Test: testEvaluation},
	{Kind: KindParam, Name: "dataset_hash", Type: string(OnEvaluation), Meaning: "SHA-256 of the dataset with its evidence.", From: AttrRunParamPrefix, Test: testEvaluation},
	{Kind: KindParam, Name: "num_examples", Type: string(OnEvaluation), Meaning: "Examples that were tried.", From: AttrRunParamPrefix, Test: testEvaluation},
	{Kind: KindParam, Name: "repetitions", Type: string(OnEvaluation), Meaning: "How often each of them.", From: AttrRunParamPrefix, Test: testEvaluation},
	{Kind: KindParam, Name: "analyser", Type: string(OnEvaluation), Meaning: "offline, cassette or live.", From: AttrRunParamPrefix, Test: testEvaluation},
}

var evaluationTags = []Entry{
	{Kind: KindTag, Name: TagRunType, Type: string(OnEvaluation), Meaning: "Always genai_evaluate, by which MLflow's evaluation view knows it.", From: AttrRunTagPrefix, Test: testEvaluation},
	{Kind: KindTag, Name: AttrEvalID, Type: string(OnEvaluation), Meaning: "Which evaluation; `commentator eval list` shows it.", From: AttrRunTagPrefix, Test: testEvaluation},
}

var evaluationMetrics = []Entry{
	{Kind: KindRunValue, Name: "total_examples", Type: string(OnEvaluation), Meaning: "Examples that were tried.", From: AttrRunMetricPrefix, Test: testEvaluation},
	{Kind: KindRunValue, Name: "passed_examples", Type: string(OnEvaluation), Meaning: "Of these, where every try passed that says anything.", From: AttrRunMetricPrefix, Test: testEvaluation},
	{Kind: KindRunValue, Name: "failed_examples", Type: string(OnEvaluation), Meaning: "Of these, where one did not.", From: AttrRunMetricPrefix, Test: testEvaluation},
	{Kind: KindRunValue, Name: "overall_pass_rate", Type: string(OnEvaluation), Meaning: "Passed among passed and failed.", From: AttrRunMetricPrefix, Test: testEvaluation},
	{Kind: KindRunValue, Name: "infrastructure_errors", Type: string(OnEvaluation), Meaning: "Tries that say nothing and are left out.", From: AttrRunMetricPrefix, Test: testEvaluation},
	{Kind: KindRunValue, Name: "<id>_pass_rate", Type: string(OnEvaluation), Meaning: "Share of an example's tries that passed.", From: AttrRunMetricPrefix, Test: testEvaluation},
	{Kind: KindRunValue, Name: "<id>_<scorer>", Type: string(OnEvaluation), Meaning: "Mean of a score over an example's tries.", From: AttrRunMetricPrefix, Test: testEvaluation},
	{Kind: KindRunValue, Name: "<scorer>/mean", Type: string(OnEvaluation), Meaning: "Mean of a score over the examples, as MLflow names it.", From: AttrRunMetricPrefix, Test: testEvaluation},
}

var evaluationTraceTags = []Entry{
	{Kind: KindTraceTag, Name: "example", Type: string(OnTrace), Meaning: "Example of an evaluation.", From: AttrRunTagPrefix, Test: testEvaluation},
	{Kind: KindTraceTag, Name: "repetition", Type: string(OnTrace), Meaning: "Which repetition of it.", From: AttrRunTagPrefix, Test: testEvaluation},
}
