package telemetry

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/plainjson"
	"github.com/technoshare/commentator/internal/wire"
)

// Parts is a StageEnd.Input made of several values, each under its name.
type Parts map[string]any

// stageValue returns the value that a stage came to, nil when there is none.
func stageValue(end StageEnd) any {
	switch {
	case end.Evidence != nil:
		return end.Evidence
	case end.Facts != nil:
		return end.Facts
	case end.Comment != nil:
		return end.Comment
	case end.Gates != nil:
		return end.Gates
	case end.Post != nil:
		return end.Post
	default:
		return nil
	}
}

// encodeValue returns the value of a stage as JSON. The record has it already: it holds
// what goes into the stage's row.
func encodeValue(end StageEnd) ([]byte, error) {
	if len(end.Record.Result) > 0 {
		return end.Record.Result, nil
	}
	v := stageValue(end)
	if v == nil {
		return nil, nil
	}
	text, err := plainjson.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode result of stage %s: %w", end.Record.Stage, err)
	}
	return text, nil
}

// stageTexts returns job.input and job.output of a stage, redacted and within the limit.
// What is an artifact already is neither encoded nor redacted again.
func (p *Provider) stageTexts(j commentator.Job, end StageEnd, artifacts []artifact) (texts clean) {
	if end.Input != nil {
		if text, err := p.encoded.encode(p.rec, j.ID, end.Input); err == nil {
			texts.add(wire.AttrInput, p.rec.limited(text))
		}
	}
	switch v := stageValue(end).(type) {
	case *commentator.Evidence, *commentator.Facts, *commentator.Comment:
		if len(artifacts) > 0 {
			p.encoded.put(j.ID, v, artifacts[0].content)
			texts.add(wire.AttrOutput, p.rec.limited(artifacts[0].content))
		}
	case *commentator.GateReport:
		texts.addJSON(p.rec, wire.AttrOutput, v)
	case *commentator.Post: // without the payload, which is an artifact
		texts.addJSON(p.rec, wire.AttrOutput, map[string]string{
			"delivery": v.Delivery, "reply_ts": v.ReplyTS, "text": v.Text,
		})
	}
	return texts
}

// encodedCache remembers the JSON of the values that the stages of a job produced, because
// the value of one stage is the input of the next. Values are known by their address. It
// may forget.
type encodedCache struct {
	mu    sync.Mutex
	byJob map[int64][]encodedValue // few of each job
}

type encodedValue struct {
	of   any
	text masked
}

// maxEncodedJobs bounds the cache against jobs that never end in this process.
const maxEncodedJobs = 32

func (c *encodedCache) put(job int64, value any, text masked) {
	c.mu.Lock()
	defer c.mu.Unlock()
	values, known := c.byJob[job]
	if !known && (c.byJob == nil || len(c.byJob) >= maxEncodedJobs) {
		c.byJob = make(map[int64][]encodedValue)
	}
	c.byJob[job] = append(values, encodedValue{value, text})
}

func (c *encodedCache) get(job int64, value any) (masked, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range slices.Backward(c.byJob[job]) { // the latest, should a value have been put twice
		if v.of == value {
			return v.text, true
		}
	}
	return "", false
}

func (c *encodedCache) forget(job int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byJob, job)
}

// encode returns an input as JSON.
func (c *encodedCache) encode(rec *recorder, job int64, input any) (masked, error) {
	switch v := input.(type) {
	case *commentator.Evidence, *commentator.Facts, *commentator.Comment:
		if text, ok := c.get(job, v); ok {
			return text, nil
		}
	case Parts:
		return c.encodeParts(rec, job, v)
	}
	return rec.encode(input)
}

// encodeParts stops where the text will be cut anyway.
func (c *encodedCache) encodeParts(rec *recorder, job int64, parts Parts) (masked, error) {
	names := slices.Sorted(maps.Keys(parts))
	texts := make([]masked, 0, len(names))
	size := 0
	for _, name := range names {
		text, err := c.encode(rec, job, parts[name])
		if err != nil {
			return "", err
		}
		texts = append(texts, text)
		if size += len(name) + len(text) + len(`"":,`); size > maxText {
			break
		}
	}
	object := newObject(rec, size+len("{}"))
	for i, text := range texts {
		object.add(names[i], text)
	}
	return object.end(), nil
}
