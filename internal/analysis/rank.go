package analysis

import (
	"cmp"
	"math"
	"slices"
)

// The shares of a sentence's score. Position stands for the habit of writers to say first
// what matters; the title for what the page is about.
const (
	shareCentral  = 0.70
	sharePosition = 0.15
	shareTitle    = 0.15

	// shareLeaning is what a sentence keeps of its score that can't be understood alone.
	shareLeaning = 0.8
)

// TextRank (Mihalcea and Tarau, 2004): PageRank's usual damping, and enough rounds for
// hundreds of sentences to settle far below the precision at which scores are compared.
const (
	damping = 0.85
	rounds  = 40
)

// tooAlike is the cosine above which two sentences say the same thing twice.
const tooAlike = 0.6

// weight is one term of a sentence's TF-IDF vector.
type weight struct {
	term  int
	value float64
}

// vectors returns a unit TF-IDF vector for each list of terms, sorted by term, so that
// sums are always formed in the same order and scores are the same bits on every run.
func vectors(texts [][]string) [][]weight {
	ids := map[string]int{}
	var found []int // number of texts that hold a term, by id
	counts := make([][]weight, len(texts))
	for i, text := range texts {
		for _, term := range text {
			id, ok := ids[term]
			if !ok {
				id = len(found)
				ids[term] = id
				found = append(found, 0)
			}
			at, seen := slices.BinarySearchFunc(counts[i], id, func(w weight, id int) int { return cmp.Compare(w.term, id) })
			if seen {
				counts[i][at].value++
				continue
			}
			counts[i] = slices.Insert(counts[i], at, weight{id, 1})
			found[id]++
		}
	}
	for _, v := range counts {
		var norm float64
		for j := range v {
			v[j].value *= math.Log(1 + float64(len(texts))/float64(found[v[j].term]))
			norm += v[j].value * v[j].value
		}
		for j := range v {
			v[j].value /= math.Sqrt(norm)
		}
	}
	return counts
}

// cosine of two unit vectors.
func cosine(a, b []weight) float64 {
	var sum float64
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].term < b[0].term:
			a = a[1:]
		case a[0].term > b[0].term:
			b = b[1:]
		default:
			sum += a[0].value * b[0].value
			a, b = a[1:], b[1:]
		}
	}
	return sum
}

// central returns how central each vector is among all, the most central one being 1.
func central(v [][]weight) []float64 {
	n := len(v)
	links := make([][]float64, n)
	out := make([]float64, n)
	for i := range v {
		links[i] = make([]float64, n)
	}
	for i := range v {
		for j := i + 1; j < n; j++ {
			c := cosine(v[i], v[j])
			links[i][j], links[j][i] = c, c
			out[i] += c
			out[j] += c
		}
	}
	score := make([]float64, n)
	for i := range score {
		score[i] = 1
	}
	for range rounds {
		next := make([]float64, n)
		for i := range next {
			var sum float64
			for j, c := range links[i] {
				if c > 0 {
					sum += c / out[j] * score[j]
				}
			}
			next[i] = 1 - damping + damping*sum
		}
		score = next
	}
	if n > 0 {
		top := slices.Max(score)
		for i := range score {
			score[i] /= top
		}
	}
	return score
}

// round cuts a score to nine digits, so that ties are ties and not noise of the last bit.
func round(x float64) float64 { return math.Round(x*1e9) / 1e9 }
