package telemetry

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/wire"
)

// Media types of the artifacts.
const (
	mediaJSON = "application/json"
	mediaText = "text/plain"
)

// artifact is a file of a stage's run, within the limits.
type artifact struct {
	name, media string
	content     string
	size        int    // before cutting
	sha256      string // of the content before cutting
	truncated   bool
}

func newArtifact(name, media, content string) artifact {
	content = redact(valid(content))
	a := artifact{name: name, media: media, size: len(content), sha256: hash(content)}
	a.content, a.truncated = cut(content, maxArtifact)
	return a
}

// hash returns the SHA-256 of a text in lower-case hex.
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func (a artifact) attributes() []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String(wire.AttrArtifactName, a.name),
		attribute.String(wire.AttrArtifactMediaType, a.media),
		attribute.String(wire.AttrArtifactContent, a.content),
		attribute.Int(wire.AttrArtifactSize, a.size),
		attribute.String(wire.AttrArtifactSHA256, a.sha256),
		attribute.Bool(wire.AttrArtifactTruncated, a.truncated),
	}
}

// stageArtifacts returns the files of a stage: one or two for each value that it came to.
// Without content they show structure, counts and hashes only.
func stageArtifacts(end StageEnd, content bool) ([]artifact, error) {
	var list []artifact
	var problem error
	add := func(name string, v any) {
		encode := marshalIndented
		if !content {
			encode = marshalOutline
		}
		text, err := encode(v)
		if err != nil {
			problem = errors.Join(problem, fmt.Errorf("encode artifact %s: %w", name, err))
			return
		}
		list = append(list, newArtifact(name, mediaJSON, text))
	}
	if end.Evidence != nil {
		add(wire.ArtifactEvidence, end.Evidence)
	}
	if end.Facts != nil {
		add(wire.ArtifactFacts, end.Facts)
		list = append(list, newArtifact(wire.ArtifactSources, mediaText, sourcesText(end.Record.Analysis.Sources, content)))
	}
	if end.Comment != nil {
		add(wire.ArtifactComment, end.Comment)
	}
	if end.Gates != nil {
		list = append(list, newArtifact(wire.ArtifactGateFailures, mediaText, gateFailuresText(*end.Gates, content)))
	}
	if end.Post != nil && len(end.Post.Payload) > 0 {
		add(wire.ArtifactSlackPayload, json.RawMessage(end.Post.Payload))
	}
	return list, problem
}

// sourcesText lists addresses and index entries, one a line.
func sourcesText(sources []string, content bool) string {
	if len(sources) == 0 {
		return "No source was used.\n"
	}
	var b strings.Builder
	for _, s := range sources {
		if !content {
			s = fmt.Sprintf("%d bytes, sha256 %s", len(s), hash(s))
		}
		b.WriteString(s)
		b.WriteByte('\n')
	}
	return b.String()
}

// gateFailuresText lists the failed gates, one a line.
func gateFailuresText(r commentator.GateReport, content bool) string {
	if len(r.Failures) == 0 {
		return "No gate failed.\n"
	}
	var b strings.Builder
	for _, line := range gateFailures(r, content) {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.String()
}

// gateFailures returns a sentence for each failed gate, or, because the sentence may quote
// the comment, the gate's name.
func gateFailures(r commentator.GateReport, content bool) []string {
	lines := make([]string, len(r.Failures))
	for i, f := range r.Failures {
		lines[i] = f.Message
		if !content {
			lines[i] = f.Gate
		}
	}
	return lines
}

// stageTexts returns job.input and job.output of a stage. What is an artifact already is
// not encoded a second time.
func stageTexts(end StageEnd, artifacts []artifact) []attribute.KeyValue {
	var attrs []attribute.KeyValue
	set := func(key string, v any) {
		if text, err := marshalCompact(v); err == nil {
			attrs = append(attrs, attribute.String(key, text))
		}
	}
	if end.Input != nil {
		set(wire.AttrInput, end.Input)
	}
	switch {
	case end.Post != nil:
		set(wire.AttrOutput, map[string]string{
			"delivery": end.Post.Delivery, "reply_ts": end.Post.ReplyTS, "text": end.Post.Text,
		})
	case end.Gates != nil:
		set(wire.AttrOutput, end.Gates)
	case len(artifacts) > 0:
		attrs = append(attrs, attribute.String(wire.AttrOutput, artifacts[0].content))
	}
	return attrs
}
