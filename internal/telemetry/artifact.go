package telemetry

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unsafe"

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
	content     masked
	size        int    // before cutting
	sha256      string // of the content as it was redacted, before cutting
	truncated   bool
}

func (r *recorder) newArtifact(name, media string, content masked) artifact {
	a := artifact{name: name, media: media, size: len(content), sha256: hash(string(content))}
	if a.content, a.truncated = content.cut(maxArtifact); a.truncated {
		r.cuts.artifacts.Add(1)
	}
	return a
}

// hash returns the SHA-256 of a text in lower-case hex.
func hash(s string) string {
	sum := sha256.Sum256(unsafe.Slice(unsafe.StringData(s), len(s))) // without a copy
	return hex.EncodeToString(sum[:])
}

func (r *recorder) artifactAttributes(a artifact) clean {
	c := r.attributes(
		attribute.String(wire.AttrArtifactName, a.name),
		attribute.String(wire.AttrArtifactMediaType, a.media),
		attribute.Int(wire.AttrArtifactSize, a.size),
		attribute.String(wire.AttrArtifactSHA256, a.sha256),
		attribute.Bool(wire.AttrArtifactTruncated, a.truncated),
	)
	c.add(wire.AttrArtifactContent, a.content)
	return c
}

// stageArtifacts returns the files of a stage: one or two for each value that it came to.
// Without content they show structure, counts and hashes only. value is the stage's value
// as JSON, nil when it has none.
func (r *recorder) stageArtifacts(end StageEnd, value []byte, content bool) ([]artifact, error) {
	name := ""
	switch {
	case end.Evidence != nil:
		name = wire.ArtifactEvidence
	case end.Facts != nil:
		name = wire.ArtifactFacts
	case end.Comment != nil:
		name = wire.ArtifactComment
	case end.Gates != nil:
		text := gateFailuresText(*end.Gates, content)
		return []artifact{r.newArtifact(wire.ArtifactGateFailures, mediaText, r.mask(text))}, nil
	case end.Post != nil:
		name, value = wire.ArtifactSlackPayload, end.Post.Payload
	}
	if name == "" || len(value) == 0 {
		return nil, nil
	}
	if !content {
		var err error
		if value, err = outlined(value, r.mask); err != nil {
			return nil, fmt.Errorf("encode artifact %s: %w", name, err)
		}
	}
	buf := newBuffer()
	defer buf.release()
	buf.packed = indented(buf.packed[:0], value)
	list := []artifact{r.newArtifact(name, mediaJSON, r.maskCopy(buf.packed))}
	if end.Facts != nil {
		text := r.sourcesText(end.Record.Analysis.Sources, content)
		list = append(list, r.newArtifact(wire.ArtifactSources, mediaText, r.mask(text)))
	}
	return list, nil
}

// sourcesText lists addresses and index entries, one a line.
func (r *recorder) sourcesText(sources []string, content bool) string {
	if len(sources) == 0 {
		return "No source was used.\n"
	}
	var b strings.Builder
	for _, s := range sources {
		if !content {
			s = fmt.Sprintf("%d bytes, sha256 %s", len(s), hash(string(r.mask(s))))
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
