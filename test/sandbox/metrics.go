package sandbox

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
)

// Metrics reads what a program serves for Prometheus, by name without _total, summed over labels.
func Metrics(url string) (map[string]float64, error) {
	r, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	sums := map[string]float64{}
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, _, _ := strings.Cut(line, "{")
		name, _, _ = strings.Cut(name, " ")
		value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err == nil {
			sums[strings.TrimSuffix(name, "_total")] += value
		}
	}
	return sums, lines.Err()
}
