package reduce

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/values"
	"github.com/technoshare/commentator/internal/mlflow/ui"
	"github.com/technoshare/commentator/internal/mrkdwn"
	"github.com/technoshare/commentator/internal/wire"
)

// noteReserve is kept free for what replaces the placeholders: two ids of 32 characters
// and addresses of the UI.
const noteReserve = 400

// minComment is the least room that a comment needs to be worth showing.
const minComment = 200

// noteOf describes a job in Markdown: what came of it and the gates that failed, the links, the
// comment and how the stages went. MLflow folds up all but the first lines. It is empty for spans
// without an outcome.
func noteOf(s Span) string {
	outcome := s.text(wire.AttrJobOutcome)
	if outcome == "" {
		return ""
	}
	head := joinBlocks(outcomeLine(s, outcome), failedGates(s), linkLine(s))
	tail := stageTable(s)
	comment := commentBlock(s.text(wire.AttrCommentText))
	room := maxTag - noteReserve - utf8.RuneCountInString(head) - utf8.RuneCountInString(tail) - 4
	switch {
	case room < minComment:
		comment = ""
	default:
		comment = cutLines(comment, room)
	}
	return values.Clean(joinBlocks(head, comment, tail), maxTag-noteReserve)
}

func joinBlocks(blocks ...string) string {
	var filled []string
	for _, b := range blocks {
		if b != "" {
			filled = append(filled, b)
		}
	}
	return strings.Join(filled, "\n\n")
}

// outcomeLine is "**success** in 12.3 s", with attempts when there was more than one, and
// the error.
func outcomeLine(s Span, outcome string) string {
	line := fmt.Sprintf("**%s** in %s", escape(outcome), duration(seconds(s.Span)))
	if n, ok := s.integer(wire.AttrJobAttempts); ok && n > 1 {
		line += fmt.Sprintf(", %d attempts", n)
	}
	code, message := s.text(wire.AttrErrorType), s.text(wire.AttrErrorMessage)
	switch {
	case message != "" && code != "":
		line += fmt.Sprintf(": %s (%s)", escape(values.Cut(message, 1000)), escape(code))
	case message != "" || code != "":
		line += ": " + escape(values.Cut(message+code, 1000))
	}
	return line
}

// linkLine leads to the page, the thread and the trace.
func linkLine(s Span) string {
	var links []string
	if page := s.text(wire.AttrURLFull); page != "" {
		links = append(links, link(values.Cut(page, 120), page))
	}
	if thread := s.text(wire.AttrSlackPermalink); thread != "" {
		links = append(links, link("Slack thread", thread))
	}
	if s.InTrace {
		links = append(links, "[Trace]("+ui.Trace(PlaceholderUI, PlaceholderExperimentID, wire.MLflowTraceID(wire.TraceID(s.Span.TraceID())))+")")
	}
	return strings.Join(links, " · ")
}

// link makes a Markdown link of a web address, and plain text of anything else.
func link(text, address string) string {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return escape(text)
	}
	target := strings.NewReplacer("(", "%28", ")", "%29", " ", "%20", "<", "%3C", ">", "%3E", `"`, "%22", "{", "%7B").Replace(u.String())
	return fmt.Sprintf("[%s](%s)", escape(text), target)
}

// failedGates lists the sentences of the gates that failed.
func failedGates(s Span) string {
	v, ok := s.Span.Attributes().Get(wire.AttrGateFailureList)
	if !ok || v.Type() != pcommon.ValueTypeSlice || v.Slice().Len() == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("**Failed gates**\n")
	for i, sentence := range v.Slice().All() {
		if i == 20 {
			fmt.Fprintf(&b, "\n- … and %d more", v.Slice().Len()-i)
			break
		}
		b.WriteString("\n- " + escape(values.Cut(sentence.AsString(), 300)))
	}
	return b.String()
}

// stageTable shows the last attempt of each stage that was reached. Attempts have a column
// when some stage needed more than one.
func stageTable(s Span) string {
	type row struct {
		stage, status string
		seconds       float64
		attempts      int64
	}
	var rows []row
	repeated := false
	for _, stage := range wire.StageNames {
		v, ok := s.Span.Attributes().Get(stage + ".duration")
		status := s.text(wire.AttrStageStatusPrefix + stage)
		if !ok && status == "" {
			continue
		}
		r := row{stage: stage, status: status, attempts: 1}
		if ok {
			r.seconds, _ = number(v)
		}
		if n, ok := s.integer(wire.AttrStageAttemptsPrefix + stage); ok {
			r.attempts = n
		}
		repeated = repeated || r.attempts > 1
		if stage == wire.SpanQualityGates && failedGates(s) != "" {
			r.status = "failed gates" // it did its work
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		return ""
	}
	var b strings.Builder
	if repeated {
		b.WriteString(tableRow("Stage", "Status", "Time", "Attempts") + "\n| --- | --- | ---: | ---: |")
	} else {
		b.WriteString(tableRow("Stage", "Status", "Time") + "\n| --- | --- | ---: |")
	}
	for _, r := range rows {
		// Stage names are ours and in code, so that their underscores stay.
		cells := []string{"`" + r.stage + "`", escape(r.status), duration(r.seconds)}
		if repeated {
			cells = append(cells, strconv.FormatInt(r.attempts, 10))
		}
		b.WriteString("\n" + tableRow(cells...))
	}
	return b.String()
}

// tableRow is a row of a table in Markdown. MLflow shows tables without any space between their columns.
func tableRow(cells ...string) string { return "| " + strings.Join(cells, "&nbsp;&nbsp; | ") + " |" }

func duration(seconds float64) string {
	switch {
	case seconds < 1:
		return fmt.Sprintf("%.0f ms", seconds*1000)
	case seconds < 100:
		return fmt.Sprintf("%.1f s", seconds)
	default:
		return fmt.Sprintf("%.0f s", seconds)
	}
}

// commentBlock lays the posted text out as Markdown, with no placeholder of ours in it.
func commentBlock(text string) string {
	return mrkdwn.Markdown(values.PullApart(text, `\`))
}

// cutLines shortens text to limit characters at the end of a line, so that no Markdown is
// left open.
func cutLines(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	var kept []string
	room := limit - 3 // "\n\n…"
	for _, line := range strings.Split(s, "\n") {
		room -= utf8.RuneCountInString(line) + 1
		if room < 0 {
			break
		}
		kept = append(kept, line)
	}
	return strings.TrimRight(strings.Join(kept, "\n"), "\n") + "\n\n…"
}

var markdownEscaper = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;",
	"#", `\#`, "|", `\|`, "{", `\{`, "\n", " ", "\r", "")

// escape makes text show as it is written, and a placeholder in it stay one.
func escape(s string) string { return markdownEscaper.Replace(s) }
