package analysis

import (
	"slices"
	"strings"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/sentence"
)

// maxLines bounds the work on one page, which grows with the square of its sentences.
const maxLines = 600

// line is a sentence of the evidence that can stand alone.
type line struct {
	text     string
	snippets []string // ids of the snippets that hold it, in reading order
	terms    []string
	vector   []weight
	score    float64 // the higher the more it says about the page
}

// document is the evidence as sentences in reading order.
type document struct {
	titles string
	lines  []line
	ranked []int // indexes of lines, best first; ties in reading order
}

// newDocument cuts the evidence into sentences and ranks them.
func newDocument(e commentator.Evidence) *document {
	d := &document{}
	for _, s := range e.Sources {
		d.titles += s.Title + "\n"
	}
	at := map[string]int{} // lower-case text → index
	for _, snippet := range e.Snippets {
		for _, text := range sentence.Alone(snippet.Content) {
			key := strings.ToLower(text)
			if i, ok := at[key]; ok {
				if l := &d.lines[i]; l.text == text && !slices.Contains(l.snippets, snippet.ID) {
					l.snippets = append(l.snippets, snippet.ID)
				}
				continue
			}
			if len(d.lines) == maxLines {
				continue
			}
			at[key] = len(d.lines)
			d.lines = append(d.lines, line{text: text, snippets: []string{snippet.ID}, terms: terms(text)})
		}
	}
	d.rank()
	return d
}

func (d *document) rank() {
	title := terms(d.titles)
	texts := make([][]string, 0, len(d.lines)+1)
	for _, l := range d.lines {
		texts = append(texts, l.terms)
	}
	v := vectors(append(texts, title))
	titleVector := v[len(d.lines)]
	v = v[:len(d.lines)]
	centrality := central(v)
	for i := range d.lines {
		first := 1 - float64(i)/float64(len(d.lines))
		d.lines[i].vector = v[i]
		score := shareCentral*centrality[i] + sharePosition*first + shareTitle*cosine(v[i], titleVector)
		if leansOnOthers(d.lines[i].text) {
			score *= shareLeaning
		}
		d.lines[i].score = round(score)
		d.ranked = append(d.ranked, i)
	}
	slices.SortStableFunc(d.ranked, func(a, b int) int {
		switch {
		case d.lines[a].score > d.lines[b].score:
			return -1
		case d.lines[a].score < d.lines[b].score:
			return 1
		}
		return 0
	})
}

// leaning begins sentences that need the one before them to be understood.
var leaning = map[string]bool{
	"also": true, "and": true, "because": true, "but": true, "consequently": true, "for": true, "furthermore": true,
	"hence": true, "however": true, "it": true, "moreover": true, "nevertheless": true, "or": true, "otherwise": true,
	"similarly": true, "so": true, "such": true, "that": true, "then": true, "there": true, "therefore": true,
	"these": true, "they": true, "this": true, "those": true, "though": true, "thus": true, "yet": true,
}

func leansOnOthers(text string) bool {
	w := words(text)
	return len(w) > 0 && leaning[w[0]]
}

// best returns the n best of the lines that may be taken, in reading order. It passes
// over lines that repeat a better one as long as there are others.
func (d *document) best(n int, allowed func(i int) bool) []int {
	var chosen, alike []int
	for _, i := range d.ranked {
		if len(chosen) == n {
			break
		}
		if !allowed(i) {
			continue
		}
		if slices.ContainsFunc(chosen, func(j int) bool { return cosine(d.lines[i].vector, d.lines[j].vector) > tooAlike }) {
			alike = append(alike, i)
			continue
		}
		chosen = append(chosen, i)
	}
	chosen = append(chosen, alike[:min(len(alike), n-len(chosen))]...)
	slices.Sort(chosen)
	return chosen
}

// texts returns the sentences of the lines.
func (d *document) texts(lines []int) []string {
	list := make([]string, len(lines))
	for i, l := range lines {
		list[i] = d.lines[l].text
	}
	return list
}

// topics returns the words that the page is about, as a search query: those of its titles,
// then the ones that most sentences share, weighted by the sentences' scores.
func (d *document) topics(n int) []string {
	type topic struct {
		word  string
		score float64
	}
	var list []topic
	at := map[string]int{}
	add := func(text string, score float64) {
		seen := map[string]bool{}
		for _, w := range words(text) {
			s := stem(w)
			if stopWords[w] || len(w) < 3 || seen[s] || strings.Trim(w, "0123456789") == "" {
				continue
			}
			seen[s] = true
			i, ok := at[s]
			if !ok {
				i = len(list)
				at[s] = i
				list = append(list, topic{word: w})
			}
			list[i].score += score
		}
	}
	add(d.titles, float64(len(d.lines))/4)
	for _, l := range d.lines {
		add(l.text, l.score)
	}
	slices.SortStableFunc(list, func(a, b topic) int {
		switch {
		case round(a.score) > round(b.score):
			return -1
		case round(a.score) < round(b.score):
			return 1
		}
		return 0
	})
	var result []string
	for _, t := range list[:min(n, len(list))] {
		result = append(result, t.word)
	}
	return result
}

// subject reports whether a name is what the page is about, or part of it: it stands in a
// title or in every fifth sentence.
func (d *document) subject(name string) bool {
	phrase := stems(name)
	if containsPhrase(stems(d.titles), phrase) {
		return true
	}
	n := 0
	for _, l := range d.lines {
		if containsPhrase(stems(l.text), phrase) {
			n++
		}
	}
	return n*5 > len(d.lines)
}

// stems returns the stems of all words, stop words too.
func stems(text string) []string {
	list := words(text)
	for i, w := range list {
		list[i] = stem(w)
	}
	return list
}
