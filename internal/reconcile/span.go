package reconcile

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/technoshare/commentator/internal/wire"
)

// span is a recorded span, as far as MLflow shows it. Files are kept as hashes.
type span struct {
	trace, id, parent string // hex; parent is "" for a root
	name              string
	start, end        uint64 // ns since 1970
	failed            bool
	attributes        map[string]*commonpb.AnyValue
	resource          map[string]*commonpb.AnyValue
	files             map[string]file // by path
	verdicts          []verdict
}

// file is an artifact of a span.
type file struct {
	sum       string // SHA-256 of the content, in hex
	altered   bool   // the worker hashed something else
	truncated bool
}

// decode reads an ExportTraceServiceRequest.
func decode(body []byte) ([]span, error) {
	var request collectorpb.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		return nil, fmt.Errorf("decode message: %w", err)
	}
	var out []span
	for _, rs := range request.GetResourceSpans() {
		resource := attributes(rs.GetResource().GetAttributes())
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				out = append(out, newSpan(s, resource))
			}
		}
	}
	return out, nil
}

func newSpan(s *tracepb.Span, resource map[string]*commonpb.AnyValue) span {
	out := span{
		trace: hex.EncodeToString(s.GetTraceId()), id: hex.EncodeToString(s.GetSpanId()), parent: hex.EncodeToString(s.GetParentSpanId()),
		name: s.GetName(), start: s.GetStartTimeUnixNano(), end: max(s.GetStartTimeUnixNano(), s.GetEndTimeUnixNano()),
		failed:     s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR,
		attributes: attributes(s.GetAttributes()), resource: resource, files: map[string]file{},
	}
	for _, e := range s.GetEvents() {
		if e.GetName() == wire.EventEvaluation {
			out.verdicts = append(out.verdicts, newVerdict(e, out.text(wire.AttrUserID)))
		}
		if e.GetName() != wire.EventArtifact {
			continue
		}
		a := attributes(e.GetAttributes())
		content := a[wire.AttrArtifactContent].GetBytesValue()
		if content == nil {
			content = []byte(a[wire.AttrArtifactContent].GetStringValue())
		}
		sum := sha256.Sum256(content)
		f := file{sum: hex.EncodeToString(sum[:]), truncated: a[wire.AttrArtifactTruncated].GetBoolValue()}
		hashed := strings.ToLower(a[wire.AttrArtifactSHA256].GetStringValue())
		f.altered = hashed != "" && hashed != f.sum && !f.truncated
		out.files[a[wire.AttrArtifactName].GetStringValue()] = f
	}
	return out
}

func attributes(list []*commonpb.KeyValue) map[string]*commonpb.AnyValue {
	out := make(map[string]*commonpb.AnyValue, len(list))
	for _, kv := range list {
		out[kv.GetKey()] = kv.GetValue()
	}
	return out
}

// text is an attribute of the span, or else of its resource, as text; "" when there is none.
func (s span) text(name string) string {
	v, ok := s.attributes[name]
	if !ok {
		v = s.resource[name]
	}
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_IntValue:
		return strconv.FormatInt(v.IntValue, 10)
	case *commonpb.AnyValue_DoubleValue:
		return strconv.FormatFloat(v.DoubleValue, 'g', -1, 64)
	case *commonpb.AnyValue_BoolValue:
		return strconv.FormatBool(v.BoolValue)
	case *commonpb.AnyValue_BytesValue:
		return base64.StdEncoding.EncodeToString(v.BytesValue)
	}
	return ""
}

// number is an attribute of the span as a number.
func (s span) number(name string) (float64, bool) {
	switch v := s.attributes[name].GetValue().(type) {
	case *commonpb.AnyValue_IntValue:
		return float64(v.IntValue), true
	case *commonpb.AnyValue_DoubleValue:
		return v.DoubleValue, true
	case *commonpb.AnyValue_BoolValue:
		if v.BoolValue {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

func (s span) is(tier string) bool { return s.text(wire.AttrTier) == tier }

// stage is the name of the stage that the span is an attempt at; "" for all others.
func (s span) stage() string {
	if !s.is(wire.TierLifecycle) {
		return ""
	}
	return s.text(wire.AttrJobStage)
}

func (s span) root() bool { return s.is(wire.TierLifecycle) && s.stage() == "" }

// key is the identity of the span's run.
func (s span) key() string {
	if s.root() {
		return s.trace
	}
	return s.trace + "-" + s.id
}

const perMilli = 1_000_000

func (s span) startMS() int64 { return int64(s.start / perMilli) }
func (s span) endMS() int64   { return int64(s.end / perMilli) }
