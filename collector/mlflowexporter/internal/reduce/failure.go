package reduce

import (
	"cmp"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
	"github.com/technoshare/commentator/internal/wire"
)

// The event by which OpenTelemetry's conventions tell of an exception.
const (
	eventException       = "exception"
	attrExceptionType    = "exception.type"
	attrExceptionMessage = "exception.message"

	typeError = "Error" // of an exception whose span names none
)

// maxEvents is how many events a span may have, as in the SDKs of OpenTelemetry.
const maxEvents = 128

// failure gives a span that failed the event that MLflow's SDK would have recorded: MLflow's UI marks
// spans by this event alone, not by their status. It says what the span says, and no stack. What is dropped
// of the span is not in s and so not in the event; dst has been cut and cleaned.
func failure(s Span, dst ptrace.Span) {
	if dst.Status().Code() != ptrace.StatusCodeError || dst.Events().Len() >= maxEvents {
		return
	}
	for _, e := range dst.Events().All() {
		if e.Name() == eventException {
			return
		}
	}
	errorType := s.text(wire.AttrErrorType)
	message := cmp.Or(dst.Status().Message(), s.text(wire.AttrErrorMessage), errorType)
	event := dst.Events().AppendEmpty()
	event.SetName(eventException)
	event.SetTimestamp(dst.EndTimestamp())
	if message = values.Clean(message, maxTag); message != "" {
		event.Attributes().PutStr(attrExceptionMessage, message)
	}
	event.Attributes().PutStr(attrExceptionType, cmp.Or(values.Clean(errorType, maxName), typeError))
}
