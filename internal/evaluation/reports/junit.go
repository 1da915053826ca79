package reports

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/technoshare/commentator/internal/evaluation/compare"
)

type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Timestamp string      `xml:"timestamp,attr,omitempty"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string      `xml:"classname,attr"`
		Name    string      `xml:"name,attr"`
		Time    string      `xml:"time,attr"`
		Failure *junitEvent `xml:"failure,omitempty"`
		Error   *junitEvent `xml:"error,omitempty"`
		Skipped *junitEvent `xml:"skipped,omitempty"`
		Out     string      `xml:"system-out,omitempty"`
	}
	junitEvent struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// JUnit is a comparison as JUnit's XML, which CI systems show: one test for the verdict and one for
// each example. Single examples fail only when the verdict is FAIL: one that does worse by chance
// is no news. INCONCLUSIVE is an error of the verdict's test, for nothing was tested.
func JUnit(r *compare.Result) ([]byte, error) {
	verdict := junitCase{Class: "evaluation", Name: "verdict", Time: "0", Out: Text(r)}
	event := &junitEvent{Message: headline(r), Type: string(r.Verdict), Text: strings.Join(r.Reasons, "\n")}
	switch r.Verdict {
	case compare.Fail:
		verdict.Failure = event
	case compare.Inconclusive:
		verdict.Error = event
	}
	s := junitSuite{Name: "evaluation of " + r.Cand.Dataset.Name, Cases: []junitCase{verdict}}
	for _, e := range r.Examples {
		c := junitCase{Class: "evaluation.example", Name: e.ID, Time: "0", Out: fmt.Sprintf("passed %s, %s before", count(e.Cand), count(e.Base))}
		if e.Difference() < 0 && r.Verdict == compare.Fail {
			c.Failure = &junitEvent{Message: c.Out, Type: "worse"}
		}
		s.Cases = append(s.Cases, c)
	}
	for _, e := range r.Excluded {
		s.Cases = append(s.Cases, junitCase{Class: "evaluation.example", Name: e.ID, Time: "0", Skipped: &junitEvent{Message: e.Reason}})
	}
	for _, c := range s.Cases {
		s.Tests++
		switch {
		case c.Failure != nil:
			s.Failures++
		case c.Error != nil:
			s.Errors++
		case c.Skipped != nil:
			s.Skipped++
		}
	}
	text, err := xml.MarshalIndent(junitSuites{Suites: []junitSuite{s}}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode JUnit's XML: %w", err)
	}
	return append([]byte(xml.Header), append(text, '\n')...), nil
}
