package wire

var jobAttributes = []Entry{
	{Kind: KindAttr, Name: AttrJobID, Type: "string, decimal", Meaning: "Number of the job in its database; on every span of the job.", From: byTelemetry, To: "run name, param and tag job_id", Test: testTable},
	{Kind: KindAttr, Name: AttrJobDetail, Type: "string", Meaning: "How much of the job is recorded; on every span of the job.", From: byTelemetry, To: "whether there is a trace", Test: testTable},
	{Kind: KindAttr, Name: AttrTier, Type: "string", Meaning: "Whether the span is lifecycle, message or detail; on every span of the job.", From: byTelemetry, To: "sampler, selection", Test: testTable},
	{Kind: KindAttr, Name: AttrStartedAt, Type: "int, µs since 1970", Meaning: "Start of the job; on lifecycle spans and messages, so that whichever comes first can create the run.", From: byTelemetry, To: "start time of the job run", Test: testTable},
}

var stageAttributes = []Entry{
	{Kind: KindAttr, Name: AttrJobStage, Type: "string", Meaning: "Name of the stage.", From: byTelemetry, To: "tag stage", Test: testTable},
	{Kind: KindAttr, Name: AttrJobAttempt, Type: "int", Meaning: "The job's attempt in which the stage ran; the first is 1.", From: byTelemetry, To: toBackends, Test: testFixtures},
	{Kind: KindAttr, Name: AttrRetrievalAdapter, Type: "string", Meaning: "Class name of the adapter; retrieval and root.", From: byTelemetry, To: "tags adapter and adapter_name", Test: testTable},
	{Kind: KindAttr, Name: AttrRetrievalCoverage, Type: "string, full | partial | failed", Meaning: "How much of the page became evidence; retrieval and root.", From: byTelemetry, To: "tag coverage", Test: testTable},
	{Kind: KindAttr, Name: AttrSourceCount, Type: "int", Meaning: "Documents fetched; retrieval and root.", From: byTelemetry, To: "metric source_count", Test: testTable},
	{Kind: KindAttr, Name: AttrSnippetCount, Type: "int", Meaning: "Snippets cut; retrieval and root.", From: byTelemetry, To: "metric snippet_count", Test: testTable},
	{Kind: KindAttr, Name: AttrErrorCount, Type: "int", Meaning: "Errors noted in the evidence; retrieval and root.", From: byTelemetry, To: "metric error_count", Test: testTable},
	{Kind: KindAttr, Name: AttrToolCallCount, Type: "int", Meaning: "Tool calls of the attempt; on the root the sum over all recorded attempts.", From: byTelemetry, To: "metric tool_call_count", Test: testTable},
	{Kind: KindAttr, Name: AttrFactCount, Type: "int", Meaning: "Facts extracted; stage_a and root.", From: byTelemetry, To: toBackends, Test: testFixtures},
	{Kind: KindAttr, Name: AttrGateTotal, Type: "int", Meaning: "Gates evaluated; quality_gates and root.", From: byTelemetry, To: toBackends, Test: testFixtures},
	{Kind: KindAttr, Name: AttrGateFailures, Type: "int", Meaning: "Gates that failed; quality_gates and root.", From: byTelemetry, To: "metric gate_failures", Test: testTable},
	{Kind: KindAttr, Name: AttrGatePassed, Type: "bool", Meaning: "Whether no gate failed; quality_gates and root.", From: byTelemetry, To: "metric gate_passed", Test: testTable},
	{Kind: KindAttr, Name: AttrGateFailureList, Type: "string[]", Meaning: "One sentence for each failed gate; quality_gates and root.", From: byTelemetry, To: "note", Test: testTable},
	{Kind: KindAttr, Name: AttrSlackDelivery, Type: "string, slack | store | print", Meaning: "Where the comment went; slack_post.", From: byTelemetry, To: toBackends, Test: testFixtures},
	{Kind: KindAttr, Name: AttrSlackReplyTS, Type: "string", Meaning: "Slack's timestamp of the reply; slack_post.", From: byTelemetry, To: toBackends, Test: testFixtures},
	{Kind: KindAttr, Name: AttrPromptName, Type: "string", Meaning: "Prompt that the stage used; stage_a, stage_b.", From: byTelemetry, To: "prompt link, later", Test: testFixtures},
	{Kind: KindAttr, Name: AttrPromptSHA256, Type: "string, hex", Meaning: "Hash of the prompt's text; stage_a, stage_b.", From: byTelemetry, To: "prompt link, later", Test: testFixtures},
	{Kind: KindAttr, Name: AttrErrorType, Type: "string", Meaning: "Code of the error; any span that ended in one.", From: byTelemetry, To: toBackends, Test: testFixtures},
	{Kind: KindAttr, Name: AttrErrorMessage, Type: "string", Meaning: "The error as a sentence for people; stage and root.", From: byTelemetry, To: "tag error", Test: testTable},
	{Kind: KindAttr, Name: AttrInput, Type: "string, JSON, ≤ 64 KiB", Meaning: "What the job or stage was given; full detail only.", From: byTelemetry, To: "inputs of the trace's span", Test: testTable},
	{Kind: KindAttr, Name: AttrOutput, Type: "string, JSON, ≤ 64 KiB", Meaning: "What the job or stage made of it; full detail only.", From: byTelemetry, To: "outputs of the trace's span", Test: testTable},
	{Kind: KindAttr, Name: AttrCut, Type: "bool", Meaning: "On a detail span that was still open when its stage ended.", From: byTelemetry, To: toTrace, Test: testFixtures},
}

var rootAttributes = []Entry{
	{Kind: KindAttr, Name: AttrJobOutcome, Type: "string, success | gate_failed | no_urls | error | cancelled", Meaning: "Final state of the job; root.", From: byTelemetry, To: "tag outcome, run status, trace state", Test: testTable},
	{Kind: KindAttr, Name: AttrJobAttempts, Type: "int", Meaning: "Attempts that were started; root.", From: byTelemetry, To: toBackends, Test: testFixtures},
	{Kind: KindAttr, Name: AttrJobRetryOf, Type: "string, decimal", Meaning: "Job that this one repeats, when it does; root and job started.", From: byTelemetry, To: toBackends, Test: testFixtures},
	{Kind: KindAttr, Name: AttrSlackChannelID, Type: "string", Meaning: "Channel of the message; root and job started.", From: byTelemetry, To: "param and tag channel_id", Test: testTable},
	{Kind: KindAttr, Name: AttrSlackMessageTS, Type: "string", Meaning: "Slack's timestamp of the message; root and job started.", From: byTelemetry, To: "param and tag message_ts", Test: testTable},
	{Kind: KindAttr, Name: AttrSlackPermalink, Type: "string", Meaning: "Address of the thread, real Slack only; root and job started.", From: byTelemetry, To: "note", Test: testTable},
	{Kind: KindAttr, Name: AttrURLFull, Type: "string", Meaning: "The shared link; root, job started, and the address asked for on HTTP spans.", From: byTelemetry, To: "tag target_url", Test: testTable},
	{Kind: KindAttr, Name: AttrURLDomain, Type: "string", Meaning: "Host of the link without port; root and job started.", From: byTelemetry, To: "tag domain", Test: testTable},
	{Kind: KindAttr, Name: AttrSessionID, Type: "string", Meaning: "Channel and thread, joined by a colon; root and job started.", From: byTelemetry, To: "session of the trace", Test: testTable},
	{Kind: KindAttr, Name: AttrUserID, Type: "string", Meaning: "Pseudonym of the person who shared the link; root and job started.", From: byTelemetry, To: "user of the trace", Test: testTable},
	{Kind: KindAttr, Name: AttrStageAModel, Type: "string", Meaning: "Model of stage A; root.", From: byTelemetry, To: "param and tag stage_a_model", Test: testTable},
	{Kind: KindAttr, Name: AttrStageBModel, Type: "string", Meaning: "Model of stage B; root.", From: byTelemetry, To: "param and tag stage_b_model", Test: testTable},
	{Kind: KindAttr, Name: AttrStageAPromptName, Type: "string", Meaning: "Prompt of stage A; root.", From: byTelemetry, To: "param stage_a_prompt", Test: testTable},
	{Kind: KindAttr, Name: AttrStageAPromptSHA, Type: "string, hex", Meaning: "Hash of the prompt of stage A; root.", From: byTelemetry, To: "param stage_a_prompt_sha256", Test: testTable},
	{Kind: KindAttr, Name: AttrStageBPromptName, Type: "string", Meaning: "Prompt of stage B; root.", From: byTelemetry, To: "param stage_b_prompt", Test: testTable},
	{Kind: KindAttr, Name: AttrStageBPromptSHA, Type: "string, hex", Meaning: "Hash of the prompt of stage B; root.", From: byTelemetry, To: "param stage_b_prompt_sha256", Test: testTable},
	{Kind: KindAttr, Name: AttrTemperature, Type: "double", Meaning: "Temperature asked of the models; root, model stages, chat.", From: byTelemetry, To: "param temperature", Test: testTable},
	{Kind: KindAttr, Name: AttrMaxTokens, Type: "int, {token}", Meaning: "Limit of an answer asked of the models; root, model stages, chat.", From: byTelemetry, To: "param max_tokens", Test: testTable},
	{Kind: KindAttr, Name: AttrGateSummaryMin, Type: "int", Meaning: "Least number of summary sentences; root.", From: byTelemetry, To: "param gate_summary_min", Test: testTable},
	{Kind: KindAttr, Name: AttrGateSummaryMax, Type: "int", Meaning: "Greatest number of summary sentences; root.", From: byTelemetry, To: "param gate_summary_max", Test: testTable},
	{Kind: KindAttr, Name: AttrGateTLDRCount, Type: "int", Meaning: "Number of tldr sentences; root.", From: byTelemetry, To: "param gate_tldr_count", Test: testTable},
	{Kind: KindAttr, Name: AttrGateThemesMin, Type: "int", Meaning: "Least number of project bullets that name one of our themes; root.", From: byTelemetry, To: "param gate_themes_min", Test: testTable},
	{Kind: KindAttr, Name: AttrCommentText, Type: "string", Meaning: "The text that was or would be posted; root.", From: byTelemetry, To: "note", Test: testTable},
	{Kind: KindAttr, Name: AttrDurationRetrieval, Type: "double, s", Meaning: "Time of the last attempt at retrieval; root.", From: byTelemetry, To: "metric retrieval/latency_seconds", Test: testTable},
	{Kind: KindAttr, Name: AttrDurationStageA, Type: "double, s", Meaning: "Time of the last attempt at stage_a; root.", From: byTelemetry, To: "metric stage_a/latency_seconds", Test: testTable},
	{Kind: KindAttr, Name: AttrDurationStageB, Type: "double, s", Meaning: "Time of the last attempt at stage_b; root.", From: byTelemetry, To: "metric stage_b/latency_seconds", Test: testTable},
	{Kind: KindAttr, Name: AttrDurationGates, Type: "double, s", Meaning: "Time of the last attempt at quality_gates; root.", From: byTelemetry, To: "metric quality_gates/latency_seconds", Test: testTable},
	{Kind: KindAttr, Name: AttrDurationSlackPost, Type: "double, s", Meaning: "Time of the last attempt at slack_post; root.", From: byTelemetry, To: "metric slack_post/latency_seconds", Test: testTable},
	{Kind: KindAttr, Name: AttrStageStatusPrefix, Type: "string, ok | error", Meaning: "How the last attempt at a stage ended; the stage's name follows the prefix; root.", From: byTelemetry, To: "note", Test: testTable},
	{Kind: KindAttr, Name: AttrStageAttemptsPrefix, Type: "int", Meaning: "Recorded attempts at a stage; the stage's name follows the prefix; root.", From: byTelemetry, To: "note", Test: testTable},
}

var genAIAttributes = []Entry{
	{Kind: KindAttr, Name: AttrGenAIOperation, Type: "string, chat | execute_tool", Meaning: "What kind of model operation the span is.", From: byAnalysis, To: "type of the trace's span", Test: testTable},
	{Kind: KindAttr, Name: AttrGenAIProvider, Type: "string", Meaning: "Provider of the model.", From: byAnalysis, To: "mlflow.llm.provider", Test: testFixtures},
	{Kind: KindAttr, Name: AttrGenAIRequestModel, Type: "string", Meaning: "Model asked for; chat and model stages.", From: byAnalysis, To: "tag model of the stage run, mlflow.llm.model", Test: testTable},
	{Kind: KindAttr, Name: AttrGenAIResponseModel, Type: "string", Meaning: "Model that answered; chat.", From: byAnalysis, To: toTrace, Test: testFixtures},
	{Kind: KindAttr, Name: AttrGenAIResponseID, Type: "string", Meaning: "Provider's id of the answer; chat.", From: byAnalysis, To: toTrace, Test: testFixtures},
	{Kind: KindAttr, Name: AttrGenAIFinishReasons, Type: "string[]", Meaning: "Why the model stopped; chat.", From: byAnalysis, To: toTrace, Test: testFixtures},
	{Kind: KindAttr, Name: AttrGenAIInput, Type: "string, JSON", Meaning: "Messages sent, when content is captured; chat.", From: byAnalysis, To: "inputs of the trace's span", Test: testTable},
	{Kind: KindAttr, Name: AttrGenAIOutput, Type: "string, JSON", Meaning: "Messages received, when content is captured; chat.", From: byAnalysis, To: "outputs of the trace's span", Test: testTable},
	{Kind: KindAttr, Name: AttrGenAIToolName, Type: "string", Meaning: "Name of the tool; execute_tool.", From: byAnalysis, To: toTrace, Test: testFixtures},
	{Kind: KindAttr, Name: AttrGenAIToolArguments, Type: "string, JSON", Meaning: "Arguments of the call, when content is captured; execute_tool.", From: byAnalysis, To: "inputs of the trace's span", Test: testTable},
	{Kind: KindAttr, Name: AttrGenAIToolResult, Type: "string, JSON", Meaning: "Result of the call, when content is captured; execute_tool.", From: byAnalysis, To: "outputs of the trace's span", Test: testTable},
	{Kind: KindAttr, Name: AttrUsageInput, Type: "int, {token}", Meaning: "Input tokens, the cached ones included; chat, and as totals on model stages and root.", From: byAnalysis, To: "metric input_tokens, token usage of the trace", Test: testTable},
	{Kind: KindAttr, Name: AttrUsageOutput, Type: "int, {token}", Meaning: "Output tokens; chat, and as totals on model stages and root.", From: byAnalysis, To: "metric output_tokens, token usage of the trace", Test: testTable},
	{Kind: KindAttr, Name: AttrUsageCacheRead, Type: "int, {token}", Meaning: "Input tokens read from the provider's cache; chat, and as totals on model stages and root.", From: byAnalysis, To: "metric cache_read_input_tokens, token usage of the trace", Test: testTable},
	{Kind: KindAttr, Name: AttrUsageCacheCreation, Type: "int, {token}", Meaning: "Input tokens written to the provider's cache; chat, and as totals on model stages and root.", From: byAnalysis, To: "metric cache_creation_input_tokens, token usage of the trace", Test: testTable},
	{Kind: KindAttr, Name: AttrUsageReasoning, Type: "int, {token}", Meaning: "Output tokens spent on reasoning; chat, and as totals on model stages and root.", From: byAnalysis, To: "metric reasoning_output_tokens", Test: testTable},
}

var httpAttributes = []Entry{
	{Kind: KindAttr, Name: AttrHTTPMethod, Type: "string", Meaning: "Method of the request; GET, chat.postMessage.", From: byTelemetry, To: toTrace, Test: testFixtures},
	{Kind: KindAttr, Name: AttrHTTPStatus, Type: "int", Meaning: "Status of the answer.", From: byTelemetry, To: toTrace, Test: testFixtures},
	{Kind: KindAttr, Name: AttrServerAddress, Type: "string", Meaning: "Host that was asked.", From: byTelemetry, To: toTrace, Test: testFixtures},
	{Kind: KindAttr, Name: AttrServerPort, Type: "int", Meaning: "Port that was asked.", From: byTelemetry, To: toTrace, Test: testFixtures},
	{Kind: KindAttr, Name: AttrHTTPBodySize, Type: "int, By", Meaning: "Size of the answer's body.", From: byTelemetry, To: toTrace, Test: testFixtures},
	{Kind: KindAttr, Name: AttrHTTPResendKind, Type: "int", Meaning: "How often the request had been sent before.", From: byTelemetry, To: toTrace, Test: testFixtures},
}

var metricAttributes = []Entry{
	{Kind: KindAttr, Name: AttrTokenType, Type: "string, input | output", Meaning: "Kind of tokens; on gen_ai.client.token.usage.", From: byTelemetry, To: toBackends, Test: testMetrics},
	{Kind: KindAttr, Name: AttrReason, Type: "string", Meaning: "Why something was dropped; on the counters of drops.", From: byTelemetry, To: toBackends, Test: testMetrics},
}

var eventAttributes = []Entry{
	{Kind: KindAttr, Name: AttrArtifactName, Type: "string", Meaning: "Path of the file below the stage's run.", From: byTelemetry, To: "artifact path", Test: testTable},
	{Kind: KindAttr, Name: AttrArtifactMediaType, Type: "string", Meaning: "Media type of the file.", From: byTelemetry, To: "artifact", Test: testFixtures},
	{Kind: KindAttr, Name: AttrArtifactContent, Type: "string, or bytes when it is not UTF-8", Meaning: "The file, at most 4 MiB.", From: byTelemetry, To: "artifact bytes", Test: testTable},
	{Kind: KindAttr, Name: AttrArtifactSize, Type: "int, By", Meaning: "Size before cutting.", From: byTelemetry, To: "artifact", Test: testFixtures},
	{Kind: KindAttr, Name: AttrArtifactSHA256, Type: "string, hex", Meaning: "Hash of the content before cutting.", From: byTelemetry, To: "artifact", Test: testTable},
	{Kind: KindAttr, Name: AttrArtifactTruncated, Type: "bool", Meaning: "Whether the worker had to cut the file.", From: byTelemetry, To: "tag artifacts.truncated", Test: testFixtures},
	{Kind: KindAttr, Name: AttrEvaluationName, Type: "string", Meaning: "What was judged.", From: byTelemetry, To: "assessment, later", Test: testFixtures},
	{Kind: KindAttr, Name: AttrEvaluationValue, Type: "double", Meaning: "The verdict as a number.", From: byTelemetry, To: "assessment, later", Test: testFixtures},
	{Kind: KindAttr, Name: AttrEvaluationLabel, Type: "string", Meaning: "The verdict as a word.", From: byTelemetry, To: "assessment, later", Test: testFixtures},
	{Kind: KindAttr, Name: AttrEvaluationWhy, Type: "string", Meaning: "The person's reason.", From: byTelemetry, To: "assessment, later", Test: testFixtures},
}
