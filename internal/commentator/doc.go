// Package commentator is the domain: a message with links becomes jobs, a job becomes
// evidence, facts, a comment, a verdict of the quality gates and a post. It holds the
// types and the ports that the adapters implement, and imports the standard library only.
//
// Data goes one way: Message → Job → Evidence → Facts → Comment → GateReport → Post.
package commentator
