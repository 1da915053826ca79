package pipeline

import (
	"bytes"
	"slices"
	"testing"

	"github.com/klauspost/compress/s2"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"

	"github.com/technoshare/commentator/internal/redact"
	"github.com/technoshare/commentator/internal/telemetry"
	"github.com/technoshare/commentator/internal/wire"
)

// Whoever knows people's ids and has all the telemetry there is cannot tell which pseudonym is
// whose: none of what is emitted is the key, which stays in the job database.
func TestPseudonymsCannotBeComputedFromTelemetry(t *testing.T) {
	web := newSite(t)
	r := newRig(t, rigConfig{mode: telemetry.ModeTracing})
	r.finish(t, r.jobs(t, web.URL+"/article/1")[0].ID)
	rows, err := r.Store.Unsent(t.Context(), 0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	var emitted, users []string
	for _, row := range rows {
		body, err := s2.Decode(nil, row.Body)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(body, []byte(r.Store.PseudonymKey())) {
			t.Errorf("message %s holds the key", row.Kind)
		}
		var request coltrace.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &request); err != nil {
			t.Fatal(err)
		}
		take := func(attributes []*commonpb.KeyValue) {
			for _, a := range attributes {
				emitted = append(emitted, a.Value.GetStringValue())
				if a.Key == wire.AttrUserID {
					users = append(users, a.Value.GetStringValue())
				}
			}
		}
		for _, rs := range request.ResourceSpans {
			take(rs.Resource.Attributes)
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					take(s.Attributes)
				}
			}
		}
	}
	const person = "U0123456789" // who shared the link
	if users = slices.Compact(users); len(users) != 1 || users[0] != redact.Pseudonym(r.Store.PseudonymKey(), person) {
		t.Fatalf("user.id is %v", users)
	}
	if !slices.Contains(emitted, r.Store.StoreID()) {
		t.Error("the store id is not emitted: this test looks at the wrong texts")
	}
	for _, key := range emitted {
		if redact.Pseudonym(key, person) == users[0] {
			t.Errorf("%q, which is emitted, is the key of the pseudonyms", key)
		}
	}
}
