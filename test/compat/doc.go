// Command compat lets the exporter write one job to every MLflow version that can be
// installed, reads back what each then holds, and writes docs/COMPATIBILITY.md from that.
//
//	go run ./test/compat                        all versions
//	go run ./test/compat -versions "3.7.0 …"    some, whose rows are replaced
//
// The page is made of results.json, beside this file. One server runs at a time, on loopback.
// It runs from the top of the checkout.
package main
