// Package reports writes what came of comparing evaluations for those who read it: people at a
// terminal, in a pull request or a browser, and programs that read JUnit's XML or GitHub's
// annotations. Values in, text out.
package reports
