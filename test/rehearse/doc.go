// Command rehearse walks through docs/MIGRATION.md with real servers, from an old deployment
// to the new one and back, and writes down each step: what was done, what was checked, in
// figures, and how long it took. What is done are the guide's own blocks of commands, run by
// package docrun in a folder like the reader's, so a command that does not work there fails here.
//
// The old deployment is made as the old program left it: its database, its .env, its prompts
// and an MLflow store, written by the old pipeline's calls of the SDK through the server
// that its start script starts, of the version that it had. Slack, the pages and the model are
// on loopback; everything else is the real thing.
//
// No more than two MLflow servers run at a time. Whatever was started is ended, also when a step fails.
package main
