// Package prometheus tests what deploy/prometheus holds: the rules against their unit tests, which
// are in promtool's format and are evaluated with Prometheus' own parser and engine; that each
// metric a rule or a page names is exposed by a real worker, Collector or node_exporter; and that
// the queries on the pages of documentation parse.
//
// It is a module of its own: Prometheus brings a hundred modules that the programs do not need.
package prometheus
